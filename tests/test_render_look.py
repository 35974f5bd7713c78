"""Rendered clips look as their ranges say, and are the same every time."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from gesture_zoo.errors import DataError
from gesture_zoo.render import CLASSES, GESTURES, MotionRanges, project, sample_scene
from gesture_zoo.render import ranges as ranges_module
from gesture_zoo.render.appearance import sample_look
from gesture_zoo.render.background import bystanders
from gesture_zoo.render.camera_effects import jpeg, photograph
from gesture_zoo.render.dataset import RenderedGestures, free_edges, hand_reach, render_batches, render_scene
from gesture_zoo.render.depth_sensor import FAR, NEAR, kept_colour, measured, sense
from gesture_zoo.render.draws import Draw
from gesture_zoo.render.look import LookRanges
from gesture_zoo.render.ranges import VIEWS
from gesture_zoo.render.scene import BODY, HAND
from gesture_zoo.render.shading import occlusion, sample_lights, shadows
from gesture_zoo.render.solids import PARTS, Camera, Solids

PLAIN = LookRanges.plain()
EFFECTS = [field.name for field in fields(LookRanges)]
NEEDS = {
    "exposure": ("samples",), "gloss": ("key_light",), "shadow": ("key_light",), "coarse_noise": ("noise",),
    "jpeg": ("jpeg_chance",), "jpeg_chance": ("jpeg",),
}  # fmt: skip
"""Effects that are seen only where others are."""


def draw(seed=0):
    return Draw(torch.Generator().manual_seed(seed))


def rendered(ranges, seed=0, size=32, frames=3, label=0):
    scene = sample_scene(torch.tensor([label]), num_frames=frames, generator=seed + 1, views=("person",))
    return render_scene(scene, size, torch.Generator().manual_seed(seed), ranges)


def ball(places, part, radius=0.15, flat=1.0):
    """A clip of one ball at places (T, 3)."""
    start = torch.tensor(places).view(1, -1, 1, 3)
    sizes = torch.full(start.shape[:3], radius)
    return Solids(start, start, sizes, sizes, torch.tensor([[PARTS.index(part)]]), torch.full((1, 1), flat), sizes > 0)


def scene_of(solids):
    scene = sample_scene(torch.tensor([0]), num_frames=solids.start.shape[1], generator=0, views=("person",))
    return scene._replace(solids=solids, camera=Camera(torch.tensor([1.0])))


def test_plain_clips_have_exact_depth_and_flat_colours():
    clips = rendered(PLAIN)
    assert clips.frames.dtype == torch.uint8 and clips.frames.shape == (1, 3, 3, 32, 32)
    assert clips.valid.all() and clips.depth.min() >= 0 and clips.depth.max() <= 1
    colours = clips.frames.permute(0, 1, 3, 4, 2).reshape(-1, 3).unique(dim=0)
    assert 3 <= len(colours) < 60


def most(effect):
    """The strongest that an effect can be by default, always."""
    value = getattr(LookRanges(), effect)
    if isinstance(value, tuple):
        return value[1], value[1]
    return 1.0 if isinstance(value, float) else value


@pytest.mark.parametrize("effect", EFFECTS)
def test_every_effect_works_alone_and_can_be_switched_off_alone(effect):
    without = rendered(replace(LookRanges(), **{effect: getattr(PLAIN, effect)}))
    assert without.depth.isfinite().all() and without.frames.float().std() > 0
    base = replace(PLAIN, **{needed: most(needed) for needed in NEEDS.get(effect, ())})
    alone = replace(base, **{effect: most(effect)})

    def changes(seed):
        before, after = rendered(base, seed), rendered(alone, seed)
        assert after.depth.isfinite().all() and after.frames.float().std() > 0
        return not (torch.equal(before.frames, after.frames) and torch.equal(before.depth, after.depth))

    assert any(changes(seed) for seed in range(4))  # some come in some clips only


@pytest.mark.parametrize(
    "change",
    [
        {"noise": (0.02, 0.02)}, {"defocus": (0.9, 0.9)}, {"vignette": (0.5, 0.5)}, {"white_balance": (0.3, 0.3)},
        {"brightness": (1.0, 1.0)}, {"contrast": (0.7, 0.7)}, {"gamma": (0.3, 0.3)}, {"saturation": (0.2, 0.2)},
        {"jpeg": (5.0, 5.0), "jpeg_chance": 1.0}, {"low_resolution": 1.0}, {"borders": 1.0}, {"sharpen": 1.0},
        {"drift": (1.0, 1.0)},
    ],
)  # fmt: skip
def test_an_effect_of_the_camera_changes_the_picture(change):
    light = torch.rand(1, 4, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [0.8, 0.4, 0.2]
    ).view(3, 1, 1)
    plain = photograph(light.clone(), draw(), PLAIN)
    assert (photograph(light.clone(), draw(), replace(PLAIN, **change)) != plain).float().mean() > 0.1


def test_ranges_that_make_no_sense_are_refused():
    with pytest.raises(DataError, match="least comes first"):
        LookRanges(noise=(0.2, 0.1))
    with pytest.raises(DataError, match="between 0 and 1"):
        LookRanges(cut=1.5)
    with pytest.raises(DataError, match="samples"):
        LookRanges(samples=0)
    with pytest.raises(DataError, match="too small"):
        rendered(PLAIN, size=8)


@pytest.mark.parametrize("view", ["person", "car"])
def test_the_back_of_a_seat_is_as_wide_as_the_shoulders_and_higher(view):
    scene = sample_scene(torch.arange(12), num_frames=3, generator=2, views=(view,))
    in_car = torch.zeros(12, dtype=torch.bool)
    extra = bystanders(scene.solids, scene.camera, in_car, draw(), replace(PLAIN, seat=1.0))
    assert extra.present[:, :, :2].all() and not extra.present[:, :, 2:].any()
    bar = BODY.start  # from shoulder to shoulder
    across = (scene.solids.start[:, :, bar] - scene.solids.end[:, :, bar]).norm(dim=-1)
    assert (extra.radius_start[:, :, 0] > 0.4 * across).all()
    shoulders = torch.minimum(scene.solids.start[:, :, bar, 1], scene.solids.end[:, :, bar, 1])
    back, rest = (extra.start[:, :, i, 1] - extra.radius_start[:, :, i] for i in (0, 1))
    assert (back < shoulders).all() and (rest < back).all()  # y points down
    assert (extra.start[:, :, :2, 2] > scene.solids.start[:, :, bar : bar + 1, 2]).all()
    nobody = bystanders(
        scene.solids._replace(present=torch.zeros_like(scene.solids.present)),
        scene.camera,
        in_car,
        draw(),
        LookRanges(),
    )
    assert nobody.start.isfinite().all() and not nobody.present[:, :, :2].any()


def test_every_range_is_read_somewhere():
    sources = "".join(path.read_text() for path in Path(ranges_module.__file__).parent.glob("*.py"))
    read = set(re.findall(r"\branges\.(\w+)", sources))
    assert {field.name for kind in (LookRanges, MotionRanges) for field in fields(kind)} <= read


def test_a_fast_ball_is_blurred_along_its_way_while_the_shutter_is_open():
    solids = ball([[-0.3, 0.0, 1.0], [0.0, 0.0, 1.0], [0.3, 0.0, 1.0]], "skin")
    widths = []
    for exposure in (None, (1.0, 1.0)):
        frames = render_scene(
            scene_of(solids), 48, torch.Generator().manual_seed(0), replace(PLAIN, samples=2, exposure=exposure)
        ).frames[0, 1].float()  # fmt: skip
        background = frames[:, 0, 0]
        differs = (frames - background[:, None, None]).abs().sum(0) > 6
        widths.append((int(differs.any(0).sum()), int(differs.any(1).sum())))
    assert widths[1][0] > widths[0][0] + 6
    assert abs(widths[1][1] - widths[0][1]) <= 1


def test_patterns_move_with_what_wears_them():
    ranges = replace(PLAIN, patterns=1.0)
    solids = ball([[0.0, 0.0, 2.0], [0.25, 0.0, 2.0]], "object", radius=0.4, flat=0.05)
    frames = render_scene(scene_of(solids), 64, torch.Generator().manual_seed(3), ranges).frames[0].float()
    inside = frames[:, :, 24:40, 24:48]
    followed = (frames[1, :, 24:40, 32:48] - frames[0, :, 24:40, 24:40]).abs().mean()
    stayed = (inside[1] - inside[0]).abs().mean()
    assert followed < 0.35 * stayed


def test_a_hand_before_a_chest_throws_a_shadow_away_from_the_lamp():
    distance = torch.full((1, 1, 48, 48), 1.0)
    distance[..., 16:32, 16:32] = 0.9
    lights = sample_lights(1, draw(), replace(LookRanges(), shadow=(1.0, 1.0)))
    lights.direction[:, 0] = torch.tensor([0.7, 0.0, -0.7])
    lit = shadows(distance, Camera(torch.tensor([1.0])), lights)[0, 0]
    assert lit[24, 12:16].min() < 0.75 and lit[24, 34:].min() > 0.9


def test_skin_has_many_tones_and_faces_look_like_the_hands():
    solids = ball([[0.0, 0.0, 1.0]], "skin")
    tones = [
        sample_look(solids, torch.zeros(1, 1).bool(), draw(seed), LookRanges()).atlas[0, :2].mean((1, 2))
        for seed in range(24)
    ]
    skin, face = torch.stack(tones).unbind(1)
    assert skin.mean(1).max() > 6 * skin.mean(1).min()
    assert torch.corrcoef(torch.stack([skin.mean(1), face.mean(1)]))[0, 1] > 0.6


def test_jpeg_of_low_quality_loses_more():
    picture = torch.rand(1, 1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    lost = [(jpeg(picture, draw(), (q, q)) - picture).abs().mean().item() for q in (95.0, 50.0, 10.0)]
    assert lost[0] < 0.5 * lost[1] < lost[2]


def test_depth_is_nearer_larger_with_holes_at_edges_and_noise_that_grows():
    distance = torch.full((1, 8, 48, 48), 2.6)
    distance[..., 12:36, 12:36] = 0.6
    exact, valid = sense(distance, (torch.tensor([0.6]),) * 2, draw(), PLAIN)
    assert valid.all()
    assert exact[0, 0, 0, 24, 24] == pytest.approx((FAR - 0.6) / (FAR - NEAR))
    ranges = replace(PLAIN, depth_noise=(2.0, 2.0), depth_holes=(1.0, 1.0))
    depth, valid = sense(distance, (torch.tensor([0.6]),) * 2, draw(), ranges)
    assert (depth[~valid] == 0).all()
    edge = torch.zeros(48, 48, dtype=torch.bool)
    edge[11:37, 11:37] = True
    edge[12:36, 12:36] = False
    assert (~valid[..., edge]).float().mean() > 5 * (~valid[..., ~edge]).float().mean()
    near, far = depth[0, :, 0, 18:30, 18:30], depth[0, :, 0, :8]
    assert far[valid[0, :, 0, :8]].std() > 2 * near[valid[0, :, 0, 18:30, 18:30]].std()


def test_cut_clips_are_black_behind_the_people():
    distance = torch.full((64, 1, 16, 16), 9.0)
    distance[..., 4:12, 4:12] = 1.0
    ends = torch.full((64,), 1.0), torch.full((64,), 1.1)
    kept = kept_colour(distance, ends, torch.ones(64, 4), draw(), replace(PLAIN, cut=1.0))
    far_is_black = (kept[:, 0, :4] == 0).flatten(1).all(1).float().mean()
    assert 0.7 < far_is_black < 1
    assert kept[:, 0, 7:9, 7:9].mean() > 0.7


@pytest.mark.parametrize("view", ["person", "ego"])
def test_no_depth_camera_ends_before_the_hand_and_none_begins_behind_it(view):
    scene = sample_scene(torch.arange(14).repeat(3), num_frames=6, generator=3, views=(view,))
    nearest, farthest = hand_reach(scene.solids)
    hand = torch.cat([scene.solids.start[:, :, HAND, 2], scene.solids.end[:, :, HAND, 2]], 2)
    torch.testing.assert_close(hand.amin((1, 2)).clamp(min=0.1), nearest)  # a hand may pass close to an eye
    torch.testing.assert_close(hand.amax((1, 2)), farthest)
    hand, nearest = hand.clamp(min=NEAR + 0.01), nearest.clamp(min=NEAR + 0.01)  # where any sensor begins
    depth, valid = sense(hand[..., None], (nearest, farthest), draw(), replace(PLAIN, depth_cut=1.0))
    assert valid.all() and depth.min() > 0 and depth.max() < 1


def test_colour_is_not_cut_before_the_hand_even_if_nothing_is_behind_it():
    distance, ends = torch.full((64, 1, 16, 16), 0.6), (torch.full((64,), 0.6),) * 2
    kept = kept_colour(distance, ends, torch.ones(64, 4), draw(), replace(PLAIN, cut=1.0))
    assert kept[:, 0, 7:9, 7:9].flatten(1).amin(1).mean() == 1


def test_no_gesture_is_cut_off_with_the_edges_of_a_depth_map():
    scene = sample_scene(torch.arange(14).repeat(4), num_frames=4, generator=5)
    free = free_edges(scene, (32, 32))
    distance = torch.full((56, 4, 32, 32), 0.6)
    kept = kept_colour(distance, (torch.full((56,), 9.0),) * 2, free, draw(), replace(PLAIN, cut=1.0))
    shown = scene.frame_labels < len(GESTURES)
    places = project(scene.solids.end[:, :, :4], scene.camera, 32, 32).round().long()  # the knuckles
    inside = ((places >= 2) & (places < 30)).all(-1) & shown[..., None]
    clip, frame, _ = inside.nonzero(as_tuple=True)
    column, row = places[inside].unbind(-1)
    assert len(clip) > 200 and kept[clip, frame, row, column].mean() > 0.98  # but for its holes
    assert (kept[:, 0, :, 0] == 0).any() and (kept[:, 0, 0] == 0).any()


@pytest.mark.parametrize(("size", "views"), [((96, 48), VIEWS), ((48, 96), VIEWS)])
def test_gestures_are_within_slim_pictures(size, views):
    labels = torch.arange(4).repeat(16)
    scene = sample_scene(labels, num_frames=8, generator=6, views=views, aspect=size[1] / size[0])
    palms = (scene.solids.start[:, :, 1] + scene.solids.end[:, :, 1]) / 2
    places = project(palms, scene.camera, *size)
    inside = ((places >= 0) & (places <= torch.tensor(size[::-1]))).all(-1)
    assert inside[scene.frame_labels < len(GESTURES)].float().mean() > 0.97


def test_the_dataset_takes_motions_and_names_what_it_cannot_take():
    righties = RenderedGestures(num_segments=1, size=16, motions=MotionRanges(left_handed=0.0), num_clips=2)
    assert righties[0].frames.shape == (1, 3, 16, 16)
    assert next(render_batches(0, batch=1, num_frames=1, size=16, motions=MotionRanges(gloves=1.0))).frames.any()
    refused = {
        "given as `motions`": {"ranges": MotionRanges()},
        "num_clips is -1": {"num_clips": -1},
        "too small": {"size": 8},
        "the size is 32.0": {"size": 32.0},
        "too slim": {"size": (160, 16)},
        "num_frames is 0": {"num_segments": 0},
        "frame rate is 0": {"frame_rate": 0},
        "some of person": {"views": ("moon",)},
    }
    for message, options in refused.items():
        with pytest.raises(DataError, match=message):
            RenderedGestures(**options)
    with pytest.raises(DataError, match="given as `motions`"):
        render_batches(0, ranges=MotionRanges())


def test_flipped_labels_are_those_of_the_classes_at_hand():
    assert RenderedGestures(classes=("Swiping Up", "Swiping Left", "Swiping Right")).flip_labels == {1: 2, 2: 1}
    assert RenderedGestures(classes=("Swiping Left", "Thumb Up")).flip_labels == {}


def test_the_border_of_a_picture_throws_no_shadow_onto_the_other():
    distance = torch.full((8, 1, 32, 32), 4.0)
    distance[..., :4] = distance[..., -4:] = 0.4
    distance[:4, ..., :4] = 4.0
    distance[4:, ..., -4:] = 4.0
    for seed in range(4):  # the light comes from either side
        valid = measured(distance, draw(seed), replace(PLAIN, depth_holes=(1.5, 1.5)))
        assert valid[:4, ..., 0].float().mean() > 0.8 and valid[4:, ..., -1].float().mean() > 0.8


def test_clips_of_a_dataset_are_the_same_every_time_and_differ_between_splits():
    def take(split="val", seed=0, index=3):
        return RenderedGestures(split, num_segments=2, size=24, seed=seed)[index]

    assert torch.equal(take().frames, take().frames) and torch.equal(take().depth, take().depth)
    assert take().label == 3 and take().id == f"rendered/val/000003/{CLASSES[3]}"
    for other in (take("test"), take(seed=1), take(index=19)):
        assert not torch.equal(take().frames, other.frames)


def test_a_dataset_says_what_it_lacks():
    with pytest.raises(DataError, match="split"):
        RenderedGestures("training")
    with pytest.raises(DataError, match="Thumb Sideways"):
        RenderedGestures(classes=("Thumb Sideways",))
    with pytest.raises(DataError, match="no classes"):
        RenderedGestures(classes=())
    with pytest.raises(DataError, match="Clap"):
        render_batches(0, classes=("Clap",))
    data = RenderedGestures("val", num_clips=3, num_segments=1, size=16, transform=lambda sample: sample.label)
    assert data.labels == [0, 1, 2] and data[-1] == 2 and len(data) == 3
    with pytest.raises(IndexError):
        data[3]


def test_batches_are_the_same_for_the_same_seed():
    def first(seed):
        return next(render_batches(seed, batch=3, num_frames=2, size=24, classes=CLASSES[:4]))

    one, two, other = first(0), first(0), first(1)
    assert torch.equal(one.frames, two.frames) and torch.equal(one.labels, two.labels)
    assert not torch.equal(one.frames, other.frames)
    assert one.labels.max() < 4 and one.stroke.shape == (3, 2) and one.depth.shape == (3, 2, 1, 24, 24)


def test_what_is_close_behind_something_is_darker_and_a_far_wall_is_not():
    lights = sample_lights(1, draw(), replace(LookRanges(), occlusion=(1.0, 1.0)))
    shares = []
    for wall in (1.1, 3.0):
        distance = torch.full((1, 1, 48, 48), wall)
        distance[..., 16:32, 16:32] = 1.0
        shares.append(occlusion(distance, lights)[0, 0])
    assert shares[0][24, 34] < 0.95 and shares[0][2, 2] > 0.99
    assert shares[1].min() > 0.99
