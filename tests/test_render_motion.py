"""Rendered gestures mean what their names say, for every camera, and people stay people."""

from __future__ import annotations

import pytest
import torch

from gesture_zoo.errors import DataError
from gesture_zoo.labels import label_names
from gesture_zoo.render import (
    CLASSES,
    GESTURES,
    MIRROR,
    VIEWS,
    MotionRanges,
    Scene,
    class_index,
    mirrored,
    mirrored_class,
    negatives,
    sample_scene,
    sample_stream,
)
from gesture_zoo.render.draws import Draw
from gesture_zoo.render.hand import CURL, PITCH, POSITION, ROLL, TILT, YAW
from gesture_zoo.render.motions import OTHER, SHOWN, Track, draw_track, follow
from gesture_zoo.render.ranges import OTHER_KINDS, REST_KINDS
from gesture_zoo.render.scene import HAND
from gesture_zoo.render.strokes import KNOTS

FRAMES = 32
WRIST, FINGERTIP, MIDDLE_KNUCKLE, THUMB_TIP = 1, 6, 7, 18  # solids of the hand: index, middle finger and thumb
ONCE = MotionRanges(swipe_repeats=(1.0, 0.0, 0.0), late_or_early=0.0, swipe_slant=5.0)


def scene_of(name: str, view: str, count: int = 48, ranges: MotionRanges = ONCE) -> Scene:
    labels = torch.full((count,), class_index(name))
    return sample_scene(labels, num_frames=FRAMES, generator=1, views=(view,), ranges=ranges)


def in_picture(scene: Scene, points: torch.Tensor) -> torch.Tensor:
    """Points (B, T, 3) as they are seen (B, T, 2), in picture heights from its middle."""
    return points[..., :2] / points[..., 2:] * scene.camera.focal[:, None, None]


def during_stroke(scene: Scene, values: torch.Tensor) -> torch.Tensor:
    """How values (B, T, ...) change (B, ...) from the first to the last frame of the stroke."""
    within = (scene.stroke > 0) & (scene.stroke < 1)
    frame = torch.arange(within.shape[1])
    first = torch.where(within, frame, within.shape[1] - 1).amin(1)
    last = torch.where(within, frame, 0).amax(1)
    row = torch.arange(len(values))
    return values[row, last] - values[row, first]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    ("name", "axis", "facing"),
    [("Swiping Left", 0, 1), ("Swiping Right", 0, -1), ("Swiping Up", 1, -1), ("Swiping Down", 1, 1)],
)
def test_swipes_go_where_their_names_say(name: str, axis: int, facing: int, view: str) -> None:
    scene = scene_of(name, view)
    moved = during_stroke(scene, in_picture(scene, scene.solids.end[:, :, WRIST]))[:, axis]
    # Up is up for everyone; left is the picture's right for a camera that faces the person.
    wanted = -facing if view == "ego" and axis == 0 else facing
    assert (moved * wanted > 0.02).float().mean() > 0.97


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("name", "away"), [("Pushing Hand Away", 1), ("Pulling Hand In", -1)])
def test_pushes_go_away_from_the_person(name: str, away: int, view: str) -> None:
    scene = scene_of(name, view, ranges=MotionRanges(late_or_early=0.0, camera_sway=(0.0, 0.0), ego_sway=(0.0, 0.0)))
    depth = during_stroke(scene, scene.solids.end[:, :, WRIST, 2])
    assert (depth * away * (1 if view == "ego" else -1) > 0.02).float().mean() > 0.9


def turned_about_view(scene: Scene, kind: str) -> torch.Tensor:
    """How far (B,) a turning hand goes round, positive if clockwise in the picture."""
    hand = in_picture(scene, scene.solids.end[:, :, WRIST])
    if kind == "circle":
        velocity = hand.diff(dim=1)  # its direction goes round as the hand does
    else:
        thumb, little = scene.solids.end[:, :, 0], scene.solids.end[:, :, 3]
        velocity = (in_picture(scene, thumb) - in_picture(scene, little))[:, 1:]
    one, two = velocity[:, :-1], velocity[:, 1:]
    angle = torch.atan2(one[..., 0] * two[..., 1] - one[..., 1] * two[..., 0], (one * two).sum(-1))
    within = (scene.stroke > 0.05) & (scene.stroke < 0.95)
    return (angle * within[:, 2:]).sum(1)


@pytest.mark.parametrize("view", ["person", "car", "ego"])
@pytest.mark.parametrize(("name", "clockwise"), [("Turning Hand Clockwise", 1), ("Turning Hand Counterclockwise", -1)])
@pytest.mark.parametrize("kind", ["circle", "roll"])
def test_turns_go_round_as_the_person_sees_them(kind: str, name: str, clockwise: int, view: str) -> None:
    still = {"camera_sway": (0.0, 0.0), "ego_sway": (0.0, 0.0), "tremor": (0.0, 0.0), "sway": (0.0, 0.0)}
    scene = scene_of(name, view, 48, MotionRanges(turn_kinds={kind: 1.0}, late_or_early=0.0, **still))
    turned = turned_about_view(scene, kind) * (clockwise if view == "ego" else -clockwise)
    assert turned.median() > (3.0 if kind == "circle" else 0.3)
    assert (turned > 0).float().mean() > 0.85


def test_a_waving_hand_goes_to_and_fro() -> None:
    scene = scene_of("Shaking Hand", "person")
    across = in_picture(scene, scene.solids.end[:, :, FINGERTIP])[..., 0].diff(dim=1)
    back = (across[:, 1:] * across[:, :-1] < 0) & (scene.stroke[:, 2:] > 0) & (scene.stroke[:, 2:] < 1)
    assert back.sum(1).float().mean() > 3


@pytest.mark.parametrize(("name", "opens"), [("Opening Hand", 1), ("Closing Hand", -1)])
def test_hands_open_and_close(name: str, opens: int) -> None:
    scene = scene_of(name, "car")
    reach = (scene.solids.end[:, :, FINGERTIP] - scene.solids.start[:, :, WRIST]).norm(dim=-1)
    assert (during_stroke(scene, reach) * opens > 0.03).float().mean() > 0.95


@pytest.mark.parametrize("view", ["person", "car"])
@pytest.mark.parametrize(("name", "up"), [("Thumb Up", 1), ("Thumb Down", -1)])
def test_thumbs_point_up_or_down(name: str, up: int, view: str) -> None:
    scene = scene_of(name, view)
    thumb = scene.solids.end[:, :, THUMB_TIP] - scene.solids.start[:, :, THUMB_TIP]
    shown = (scene.stroke > 0.5) & (scene.stroke < 1)
    assert (-thumb[..., 1] * up > 0)[shown].float().mean() > 0.97


def test_a_stop_sign_is_upright_and_hardly_moves() -> None:
    scene = scene_of("Stop Sign", "person")
    fingers = scene.solids.end[:, :, MIDDLE_KNUCKLE] - scene.solids.start[:, :, WRIST]
    shown = (scene.stroke > 0.5) & (scene.stroke < 1)
    assert (-fingers[..., 1] / fingers.norm(dim=-1))[shown].min() > 0.3
    moved = during_stroke(scene, scene.solids.end[:, :, WRIST]).norm(dim=-1)
    pushed = scene_of("Pushing Hand Away", "person")
    assert moved.mean() < 0.6 * during_stroke(pushed, pushed.solids.end[:, :, WRIST]).norm(dim=-1).mean()


def test_the_mirror_image_is_the_mirrored_class() -> None:
    labels = torch.arange(len(CLASSES))
    right = sample_scene(labels, num_frames=6, generator=2, ranges=MotionRanges(left_handed=0.0))
    left = sample_scene(torch.tensor(MIRROR), num_frames=6, generator=2, ranges=MotionRanges(left_handed=1.0))
    for one, other in zip(mirrored(right.solids), left.solids, strict=True):
        torch.testing.assert_close(one, other)
    assert torch.equal(torch.tensor(MIRROR)[right.frame_labels], left.frame_labels)
    assert (right.hand_side == 1).all() and (left.hand_side == -1).all()


def test_every_class_has_one_mirror_image() -> None:
    assert sorted(MIRROR) == list(range(len(CLASSES)))
    assert all(mirrored_class(mirrored_class(name)) == name for name in CLASSES)
    assert [name for name in CLASSES if mirrored_class(name) != name] == [
        "Swiping Left", "Swiping Right", "Turning Hand Clockwise", "Turning Hand Counterclockwise",
    ]  # fmt: skip


def test_the_classes_are_those_of_the_label_set() -> None:
    assert tuple(label_names("rendered")) == CLASSES


def test_three_quarters_of_a_stroke_are_in_its_clip() -> None:
    labels = torch.arange(len(GESTURES)).repeat(8)
    scene = sample_scene(labels, num_frames=60, generator=3, ranges=MotionRanges(late_or_early=1.0))
    seen = scene.stroke[:, -1] - scene.stroke[:, 0]
    assert seen.min() > 0.7
    assert (seen < 0.95).any()
    whole = sample_scene(labels, num_frames=60, generator=3, ranges=MotionRanges(late_or_early=0.0))
    assert (whole.stroke[:, -1] - whole.stroke[:, 0]).min() > 0.93


def test_frame_labels_are_of_the_gesture_while_it_is_shown_only() -> None:
    labels = torch.arange(len(CLASSES)).repeat(4)
    scene = sample_scene(labels, num_frames=24, generator=4)
    within = (scene.stroke > 0) & (scene.stroke < 1)
    assert (scene.frame_labels[within] == labels[:, None].expand(-1, 24)[within]).all()
    named = scene.frame_labels < len(GESTURES)
    assert (scene.frame_labels == labels[:, None])[named].all()
    # Outside the stroke only the frame at its boundary is named, but for poses that are held.
    assert not (named[:, :-1] & (scene.stroke[:, 1:] == 0)).any()
    after = named[:, 1:] & (scene.stroke[:, :-1] == 1)
    held = torch.isin(labels, torch.tensor(SHOWN))
    assert not after[~held].any() and after[held].any()
    assert (scene.frame_labels[labels == class_index("No gesture")] == class_index("No gesture")).all()


@pytest.mark.parametrize("name", ["Thumb Up", "Thumb Down", "Stop Sign", "Swiping Left", "Shaking Hand"])
def test_a_pose_is_named_as_long_as_it_is_held_and_a_motion_is_not(name: str) -> None:
    labels, view = torch.full((24, 1), class_index(name)), torch.zeros(24, dtype=torch.long)
    draw = Draw(torch.Generator().manual_seed(0))
    track = draw_track(labels, view, view.float(), MotionRanges(hold=(0.4, 0.4)), draw)
    hold = track.times[:, 4 + KNOTS] - track.stroke_end[:, 0]
    rows = hold > 0.3
    assert 8 <= rows.sum() < 24  # some go down at once
    during = follow(track, track.stroke_end + hold[:, None] * torch.tensor([0.05, 0.5, 0.95])).frame_labels[rows]
    after = follow(track, track.stroke_end + hold[:, None] + 0.01).frame_labels
    assert (during == (labels[rows] if name in ("Thumb Up", "Thumb Down", "Stop Sign") else OTHER)).all()
    assert (after == OTHER).all()


def ways_of(name: str, **ranges: object) -> tuple[Track, torch.Tensor, torch.Tensor]:
    """A track of 64 events of a gesture, and of every one the stroke's way and that to its start, in metres (64, 3)."""
    labels, view = torch.full((64, 1), class_index(name)), torch.zeros(64, dtype=torch.long)
    track = draw_track(labels, view, view.float(), MotionRanges(**ranges), Draw(torch.Generator().manual_seed(0)))
    places = track.hand[..., POSITION]
    return track, places[:, 3 + KNOTS] - places[:, 4], places[:, 3] - places[:, 1]


@pytest.mark.parametrize(("name", "axis"), [("Swiping Left", 0), ("Swiping Down", 1), ("Pushing Hand Away", 2)])
def test_a_hand_may_come_by_way_of_the_strokes_end_and_go_by_way_of_its_start(name: str, axis: int) -> None:
    track = ways_of(name, to_and_fro=1.0)[0]
    turns = track.hand[:, [2, 5 + KNOTS], axis]
    ends = track.hand[:, [3 + KNOTS, 4], axis]
    assert (turns - ends).abs().max() < 0.1
    seconds = track.stroke_end - track.stroke_start
    there = track.times[:, 3] - track.times[:, 2]
    back = track.times[:, 5 + KNOTS] - track.times[:, 4 + KNOTS]
    assert (torch.stack([there, back]) >= seconds[:, 0].clamp(max=1.2) - 1e-5).all()
    # It is not the gesture: only what lies between is.
    named = follow(track, torch.stack([track.times[:, 2], track.times[:, 5 + KNOTS]], 1)).frame_labels
    assert (named == OTHER).all()
    seldom = ways_of(name, to_and_fro=0.0)[0]
    assert (seldom.hand[:, 2, axis] - seldom.hand[:, 3 + KNOTS, axis]).abs().mean() > 0.1


def test_other_gestures_have_no_way_backwards() -> None:
    with_it, without = (ways_of("Shaking Hand", to_and_fro=share)[0] for share in (1.0, 0.0))
    assert torch.equal(with_it.hand, without.hand)


def test_from_the_opposite_side_a_swipe_begins_with_a_way_against_it() -> None:
    rests = {view: {"opposite": 1.0} for view in VIEWS}
    _, stroke, way = ways_of("Swiping Left", rests=rests, left_handed=0.0)
    assert (stroke[:, 0] > 0).all() and (way[:, 0] < -0.05).float().mean() > 0.9


def test_the_way_to_a_stroke_is_so_many_times_slower() -> None:
    def slower(calmer: float) -> torch.Tensor:
        track, stroke, way = ways_of("Swiping Right", to_and_fro=0.0, calmer=(calmer, calmer))
        along = (way * stroke).sum(-1).abs() / stroke.norm(dim=-1)
        seconds = track.times[:, 3] - track.times[:, 1]
        speed = stroke.norm(dim=-1) / (track.stroke_end - track.stroke_start)[:, 0]
        return (speed / (along / seconds))[seconds < 1.39]

    assert slower(3.0).min() > 2.99
    assert slower(0.5).min() < 1.0


def test_streams_have_gestures_rests_and_other_things() -> None:
    scene = sample_stream(8, num_frames=240, frame_rate=12.0, generator=5)
    assert scene.solids.start.shape == (8, 240, scene.solids.part.shape[1], 3)
    assert set(scene.frame_labels.unique().tolist()) >= {14, 15}
    changes = (scene.frame_labels.diff(dim=1) != 0) & (scene.frame_labels[:, 1:] < len(GESTURES))
    assert changes.sum(1).float().mean() > 2  # several gestures in twenty seconds
    jump = scene.solids.end[:, :, WRIST].diff(dim=1).norm(dim=-1)
    assert jump.max() < 0.5  # metres in a twelfth of a second: nobody is torn apart between events


def test_the_way_to_a_swipe_is_as_often_against_it_as_with_it() -> None:
    """A network that looks at the way up to the start place must not learn the class from it."""
    scene = scene_of("Swiping Left", "car", 96)
    hand = in_picture(scene, scene.solids.end[:, :, WRIST])[..., 0]
    before = torch.where(scene.stroke == 0, hand, torch.full_like(hand, float("nan")))
    way = torch.nan_to_num(before.diff(dim=1)).sum(1)
    assert 0.1 < (way > 0.02).float().mean() < 0.9
    assert (way < -0.02).float().mean() > 0.25


def test_scenes_come_from_their_seed() -> None:
    labels = torch.arange(4)
    one, same, other = (sample_scene(labels, num_frames=4, generator=seed) for seed in (1, 1, 2))
    assert torch.equal(one.solids.start, same.solids.start)
    assert not torch.equal(one.solids.start, other.solids.start)
    drawn = sample_scene(labels, num_frames=4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(one.solids.start, drawn.solids.start)


def test_every_gesture_is_seen_in_a_frame_at_any_rate() -> None:
    labels = torch.arange(len(GESTURES)).repeat(8)
    for options in ({"num_frames": 8}, {"num_frames": 8, "frame_rate": 1.0}, {"num_frames": 1}):
        scene = sample_scene(labels, generator=9, **options)  # type: ignore[arg-type]
        assert (scene.frame_labels == labels[:, None]).any(1).all()


def test_gestures_of_long_streams_are_in_the_picture() -> None:
    scene = sample_stream(16, num_frames=160, generator=3, frame_rate=8.0, views=("person", "car"))
    palms = in_picture(scene, (scene.solids.start[:, :, 1] + scene.solids.end[:, :, 1]) / 2)
    assert (palms[scene.frame_labels < len(GESTURES)].abs().amax(-1) < 0.5).float().mean() > 0.97


def test_a_hand_that_only_waits_is_no_stop_sign() -> None:
    labels = torch.full((128,), OTHER)
    waiting = draw_track(
        labels[:, None], labels * 0, torch.zeros(128), MotionRanges(aborted=1.0), Draw(torch.Generator().manual_seed(1))
    ).hand[:, 10:40]
    upright = (waiting[..., PITCH].abs() < 0.4) & (waiting[..., ROLL].cos() > 0.9) & (waiting[..., TILT].abs() < 0.3)
    flat = (waiting[..., CURL].amax(-1) < 0.25) & (waiting[..., YAW].abs() < 0.3)
    assert (upright & flat).float().mean() < 0.01


def test_a_lookalike_comes_as_a_stop_sign_and_shows_other_fingers() -> None:
    """``other`` is what is held in the middle of the stroke."""

    def held(label: int, **ranges: float) -> torch.Tensor:
        labels = torch.full((128,), label)
        draw = Draw(torch.Generator().manual_seed(1))
        return draw_track(labels[:, None], labels * 0, torch.zeros(128), MotionRanges(**ranges), draw).hand[:, 30]

    stop, other = held(class_index("Stop Sign")), held(OTHER, lookalikes=1.0)
    for angle in (PITCH, ROLL, TILT):
        assert (stop[:, angle].mean() - other[:, angle].mean()).abs() < 0.1, "as a stop sign is held"
        assert other[:, angle].abs().max() < 0.8
    assert (stop[:, CURL].amax(-1) < 0.4).all(), "open"
    assert (other[:, CURL].amax(-1) > 0.4).all(), "one finger or more is down"
    assert ((other[:, CURL] < 0.3).any(1)).float().mean() > 0.9, "and mostly not all of them"


def test_a_batch_without_lookalikes_is_drawn_too() -> None:
    label = torch.tensor([[OTHER]])
    for seed in range(20):
        draw_track(
            label, label[0] * 0, torch.zeros(1), MotionRanges(lookalikes=0.3), Draw(torch.Generator().manual_seed(seed))
        )


def test_every_kind_that_may_be_named_is_known() -> None:
    assert tuple(negatives.KINDS) == OTHER_KINDS and tuple(negatives.REST_PLACES) == REST_KINDS


def test_what_cannot_be_sampled_is_said() -> None:
    labels = torch.tensor([0])
    with pytest.raises(DataError, match="person, car, ego"):
        sample_scene(labels, num_frames=4, generator=0, views=("drone",))
    with pytest.raises(DataError, match="there are 16 classes"):
        sample_scene(torch.tensor([16]), num_frames=4, generator=0)
    with pytest.raises(DataError, match="whole numbers"):
        sample_scene(torch.tensor([0.5]), num_frames=4, generator=0)
    with pytest.raises(DataError, match="one for each clip"):
        sample_scene(labels[None], num_frames=4, generator=0)
    with pytest.raises(DataError, match="too slim"):
        sample_scene(labels, num_frames=4, generator=0, aspect=0.1)
    with pytest.raises(DataError, match="num_frames is 0"):
        sample_scene(labels, num_frames=0, generator=0)
    with pytest.raises(DataError, match="int seed"):
        sample_scene(labels, num_frames=4, generator="seed")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="Swiping Left"):
        class_index("Clap")
    for rate in (0, -1.0, float("nan")):
        with pytest.raises(DataError, match="frame rate"):
            sample_scene(labels, num_frames=4, generator=0, frame_rate=rate)
    with pytest.raises(DataError, match="frame rate"):
        sample_stream(1, num_frames=4, generator=0, frame_rate=0)
    with pytest.raises(DataError, match="class_weights"):
        sample_stream(1, num_frames=4, generator=0, class_weights=(-1.0,) + (1.0,) * 15)
    with pytest.raises(DataError, match="no weight for ego, only for person"):
        sample_scene(labels, num_frames=4, generator=0, views=("ego",), ranges=MotionRanges(views={"person": 1}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hold": (0.5, 0.1)}, "hold is .* the least first"),
        ({"hold": 0.5}, "hold is 0.5"),
        ({"elbow_side": ((0.0, -1.0), (0.0, 1.0), (0.0, 1.0))}, "x of MotionRanges.elbow_side"),
        ({"focal": {"person": (1.0, 2.0), "car": (2.0, 1.0), "ego": (1.0, 2.0)}}, r"focal\['car'\]"),
        ({"focal": {"person": (1.0, 2.0)}}, "lacks car, ego"),
        ({"sleeves": (0.5, -0.1, 0.6)}, "sleeves is .* 0 or more"),
        ({"views": {"person": 0.0}}, "not all of them 0"),
        ({"views": {"drone": 1.0}}, "person, car, ego"),
        ({"turn_kinds": {"roll": float("nan")}}, "turn_kinds"),
        ({"rests": {"person": {"lap": 1}, "car": {"lap": 1}, "ego": {"lap": -1}}}, r"rests\['ego'\]"),
        ({"nobody": 1.2}, "between 0 and 1"),
        ({"left_handed": -0.1}, "between 0 and 1"),
        ({"distance": (0.0, 1.0)}, "distance is .* above 0"),
        ({"hand_size": (0.1, float("inf"))}, "hand_size"),
        ({"focal": {"person": (0.0, 2.0), "car": (1.0, 2.0), "ego": (1.0, 2.0)}}, r"focal\['person'\]"),
        ({"swipe_hands": {"six": 1.0}}, "swipe_hands has 'six': there are flat, spread"),
        ({"other_kinds": {"juggle": 1.0}}, "other_kinds has 'juggle'"),
        ({"turn_kinds": {"spiral": 1.0}}, "there are roll, circle"),
        ({"rests": {"person": {"lap": 1}, "car": {"lap": 1}, "ego": {"moon": 1}}}, r"rests\['ego'\] has 'moon'"),
    ],
)  # fmt: skip
def test_motion_ranges_that_make_no_sense_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        MotionRanges(**change)  # type: ignore[arg-type]


def test_hands_are_in_the_picture_and_neither_tiny_nor_huge() -> None:
    labels = torch.arange(len(GESTURES)).repeat(6)
    for view in VIEWS:
        scene = sample_scene(labels, num_frames=16, generator=6, views=(view,))
        within = (scene.stroke > 0) & (scene.stroke < 1)
        hands = scene.solids.end[:, :, MIDDLE_KNUCKLE]
        assert (in_picture(scene, hands)[within].abs().amax(-1) < 0.5).float().mean() > 0.9, view
        size = 0.185 / hands[..., 2] * scene.camera.focal[:, None]
        middle = torch.tensor([size[row][within[row]].mean() for row in range(len(labels))])
        assert middle.min() > 1 / 16 and middle.max() < 0.8, view
        assert scene.solids.start[:, :, HAND, 2].min() > 0, view
