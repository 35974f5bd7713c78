"""The synthetic clips: determinism, ranges, pairs, splits, and the video writer."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from gesture_zoo.data import hand
from gesture_zoo.data.hand import Canvas, HandShape, Pose, Solids
from gesture_zoo.data.synthetic import SYNTHETIC_CLASSES, SyntheticGestures, gesture_poses, render_clip
from gesture_zoo.data.video_writer import write_video
from gesture_zoo.errors import DataError

PAIRS = [(SYNTHETIC_CLASSES[i], SYNTHETIC_CLASSES[i + 1]) for i in range(0, len(SYNTHETIC_CLASSES), 2)]
CENTRE = Pose(0, 0, 1, 0, 0)
LIGHT = (0.0, 0.0, -1.0)


def label_of(name: str) -> int:
    return SYNTHETIC_CLASSES.index(name)


def draw_alone(pose: Pose, shape: HandShape, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Distance and material of a hand before an empty wall."""
    canvas = Canvas(np.full((1, size, size), 2.4, np.float32))
    canvas.draw(0, hand.hand_solids(pose, shape, skin=1, sleeve=2), centre=(size / 2, size / 2))
    return canvas.distance[0], materials(canvas)[0]


def materials(canvas: Canvas) -> np.ndarray:
    """Material of every pixel, 0 where nothing is drawn."""
    image = np.zeros(canvas.distance.shape, int)
    pixels, material, brightness = canvas.shade(light=LIGHT, ambient=0.3)
    assert ((brightness > 0) & (brightness < 1 + 1e-6)).all()
    image.reshape(-1)[pixels] = material
    return image


def test_class_order():
    first = "swipe_left swipe_right swipe_up swipe_down push pull open_hand close_hand"
    assert SYNTHETIC_CLASSES[:8] == tuple(first.split())


def test_clips_are_deterministic_and_vary():
    first, again, other = (render_clip(2, seed=seed, num_frames=3, size=48) for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()
    render_clip(0, seed=9, num_frames=2, size=32)
    assert np.array_equal(before, np.random.get_state()[1])


@pytest.mark.parametrize(("size", "shape"), [(16, (16, 16)), ((48, 80), (48, 80)), ((80, 33), (80, 33))])
def test_shapes_types_and_ranges(size, shape):
    for label in range(0, len(SYNTHETIC_CLASSES), 5):
        rgb, depth = render_clip(label, seed=label, num_frames=4, size=size)
        assert (rgb.shape, rgb.dtype, rgb.flags.c_contiguous) == ((4, *shape, 3), np.uint8, True)
        assert (depth.shape, depth.dtype, depth.flags.c_contiguous) == ((4, *shape), np.float32, True)
        assert ((depth >= 0) & (depth <= 1)).all()
        assert rgb.std() > 10


@pytest.mark.parametrize(("name", "partner"), PAIRS)
def test_partner_is_the_same_trajectory_backwards(name, partner):
    for seed in range(5):
        poses, shape = gesture_poses(label_of(name), seed=seed, num_frames=9)
        reverse, same_shape = gesture_poses(label_of(partner), seed=seed, num_frames=9)
        assert (poses, shape) == (reverse[::-1], same_shape)
        assert poses != reverse


@pytest.mark.parametrize(("name", "partner"), PAIRS)
def test_partner_clip_has_the_same_frames(name, partner):
    clip = render_clip(label_of(name), seed=11, num_frames=4, size=32)
    reverse = render_clip(label_of(partner), seed=11, num_frames=4, size=32)
    assert all(np.array_equal(a, b[::-1]) for a, b in zip(clip, reverse, strict=True))


@pytest.mark.parametrize(
    ("name", "field", "sign", "least"),
    [
        ("swipe_right", "x", 1, 0.35),
        ("swipe_down", "y", 1, 0.3),
        ("pull", "z", 1, 0.5),
        ("close_hand", "closure", 1, 0.99),
        ("rotate_clockwise", "roll", 1, 1.1),
    ],
)
def test_gestures_go_where_their_names_say(name, field, sign, least):
    for seed in range(20):
        values = np.array([getattr(pose, field) for pose in gesture_poses(label_of(name), seed=seed)[0]])
        steps = sign * np.diff(values)
        assert steps.min() > -1e-9
        assert steps.sum() > least


@pytest.mark.parametrize(("name", "sign"), [("circle_clockwise", 1), ("circle_counter_clockwise", -1)])
def test_circles_turn_as_seen_in_the_image(name, sign):
    for seed in range(20):
        poses, _ = gesture_poses(label_of(name), seed=seed, num_frames=40)
        x, y = np.array([(pose.x, pose.y) for pose in poses]).T
        # With y down, a positive cross product of successive steps is a clockwise turn.
        turns = np.diff(x)[:-1] * np.diff(y)[1:] - np.diff(y)[:-1] * np.diff(x)[1:]
        assert (sign * turns).min() > -1e-9
        assert min(np.ptp(x), np.ptp(y)) > 0.2


def test_hand_moves_in_the_image_as_its_pose_says():
    for pose, axis in ((Pose(0.2, 0, 1, 0, 0), 1), (Pose(0, 0.2, 1, 0, 0), 0)):
        still, moved = (np.argwhere(draw_alone(p, HandShape())[1] == 1).min(0) for p in (CENTRE, pose))
        assert (moved - still)[axis] >= 10
    # Fingers that point up turn to the right when the hand turns clockwise.
    turned = np.argwhere(draw_alone(Pose(0, 0, 1, np.pi / 2, 0), HandShape(arm_roll=np.pi / 2))[1] == 1)
    assert turned[:, 1].max() > 55
    assert turned[:, 0].min() > 10


def test_fist_is_shorter_and_thicker_than_an_open_hand():
    for palm in (True, False):
        shape = HandShape(palm_to_camera=palm)
        (_, opened), (near, closed) = (draw_alone(Pose(0, 0, 1, 0, c), shape) for c in (0.0, 1.0))
        top = [np.argwhere(material == 1)[:, 0].min() for material in (opened, closed)]
        assert top[1] - top[0] > 8
        # A palm's fingers curl towards the camera, those of a back away from it.
        assert (near.min() < draw_alone(CENTRE, shape)[0].min() - 0.05) == palm


def test_capsule_surface_is_a_sphere_in_depth():
    ball, one = np.array([[0.0, 0.0, 1.0]]), np.ones(1)
    canvas = Canvas(np.full((1, 65, 65), 2.0, np.float32))
    solids = Solids(ball, ball, 0.3 * one, 0.3 * one, one.astype(int), one)
    canvas.draw(0, solids, centre=(32.5, 32.5))
    radius = 0.3 * hand.FOCAL * 65
    offset = np.arange(65) - 32
    inside = np.abs(offset) < radius
    expected = np.where(inside, 1 - 0.3 * np.sqrt(np.maximum(1 - (offset / radius) ** 2, 0)), 2.0)
    assert np.allclose(canvas.distance[0, 32], expected, atol=1e-5)
    assert np.array_equal(materials(canvas)[0, 32] == 1, inside)


def test_nearest_surface_wins_in_either_order():
    centre = np.array([[0.0, 0.0, 1.5], [0.1, 0.0, 1.0]])
    solids = Solids(centre, centre, np.full(2, 0.2), np.full(2, 0.2), np.array([1, 2]), np.ones(2))
    results = []
    for order in ([0, 1], [1, 0]):
        canvas = Canvas(np.full((1, 48, 48), 2.0, np.float32))
        canvas.draw(0, Solids(*(part[order] for part in solids)), centre=(24, 24))
        results.append((canvas.distance, materials(canvas)))
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))
    assert {0, 1, 2} == set(np.unique(results[0][1]).tolist())


def test_every_frame_of_a_canvas_is_its_own():
    canvas = Canvas(np.full((3, 32, 40), 2.0, np.float32))
    ball, one = np.array([[0.0, 0.0, 1.0]]), np.ones(1)
    for frame, material in ((2, 7), (0, 5)):
        canvas.draw(frame, Solids(ball, ball, 0.2 * one, 0.2 * one, one.astype(int) * material, one), centre=(20, 16))
    seen = materials(canvas)
    assert [np.unique(image).tolist() for image in seen] == [[0, 5], [0], [0, 7]]
    assert np.array_equal(seen[0] > 0, seen[2] > 0)
    assert np.array_equal(seen > 0, canvas.distance < 2.0)


def test_light_comes_from_where_it_is():
    canvas = Canvas(np.full((1, 64, 64), 2.0, np.float32))
    ball, one = np.array([[0.0, 0.0, 1.0]]), np.ones(1)
    canvas.draw(0, Solids(ball, ball, 0.3 * one, 0.3 * one, one.astype(int), one), centre=(32, 32))
    pixels, _, brightness = canvas.shade(light=(0.6, 0.0, -0.8), ambient=0.2)
    right = pixels % 64 >= 32
    assert brightness[right].mean() > brightness[~right].mean() + 0.2


def test_hand_is_nearer_than_the_background():
    for seed in range(12):
        label = seed % len(SYNTHETIC_CLASSES)
        poses, shape = gesture_poses(label, seed=seed, num_frames=3)
        _, depth = render_clip(label, seed=seed, num_frames=3, size=64)
        for pose, frame in zip(poses, depth, strict=True):
            hand_and_arm = draw_alone(pose, shape)[1] > 0
            palm = draw_alone(pose, shape._replace(sleeve=0.0))[1] == 1
            assert palm.mean() > 0.02
            # Camera shake moves the hand by a pixel and the forearm reaches back: hence not the minimum.
            assert np.percentile(frame[palm], 20) > 0.4
            assert np.percentile(frame[~hand_and_arm], 50) < 0.36


def test_push_brings_the_hand_nearer():
    for seed in range(6):
        nearest = render_clip(label_of("push"), seed=seed, size=48)[1].max(axis=(1, 2))
        assert nearest[-1] - nearest[0] > 0.2
        assert np.diff(nearest).min() > -0.02


def test_background_moves():
    rgb, _ = render_clip(label_of("open_hand"), seed=3, size=64)
    assert np.abs(rgb[0, :8].astype(int) - rgb[-1, :8]).mean() > 10


def test_dataset_samples():
    data = SyntheticGestures(num_segments=3, size=32, num_clips=30, sensor=False)
    assert (len(data), data.class_names) == (30, SYNTHETIC_CLASSES)
    sample = data[12]
    assert (sample.frames.shape, sample.frames.dtype) == ((3, 3, 32, 32), torch.uint8)
    assert (sample.depth.shape, sample.depth.dtype) == ((3, 1, 32, 32), torch.float32)
    assert torch.equal(sample.valid, torch.ones(3, 1, 32, 32, dtype=torch.bool))
    assert (type(sample.label), *sample[3:]) == (int, 0, "synthetic/train/000012/swipe_left")
    assert torch.equal(data[-1].frames, data[29].frames)
    with pytest.raises(IndexError):
        data[30]


def test_dataset_is_balanced_and_classes_can_be_chosen():
    data = SyntheticGestures("val", classes=["pull", "push"], num_segments=1, size=16, num_clips=6)
    assert [data[i].label for i in range(6)] == [0, 1, 0, 1, 0, 1]
    assert (data[0].id, data.class_names) == ("synthetic/val/000000/pull", ("pull", "push"))
    assert len(SyntheticGestures("test")) == 20 * len(SYNTHETIC_CLASSES)


def test_splits_and_seeds_are_disjoint():
    seen = set()
    for seed in (0, 1):
        for split in ("train", "val", "test"):
            data = SyntheticGestures(split, num_segments=1, size=16, num_clips=12, seed=seed)
            seen |= {hashlib.sha256(sample.frames.numpy().tobytes()).hexdigest() for sample in data}
    assert len(seen) == 2 * 3 * 12


def test_transform_is_applied_and_a_numpy_seed_is_as_good_as_int():
    arguments = {"num_segments": 1, "size": 16, "transform": lambda sample: sample._replace(label=99)}
    plain, typed = (SyntheticGestures(seed=seed, **arguments)[3] for seed in (7, np.int32(7)))
    assert (plain.label, torch.equal(plain.frames, typed.frames)) == (99, True)


def test_flip_pairs():
    pairs = SyntheticGestures().flip_pairs
    assert {pairs[pairs[name]] for name in SYNTHETIC_CLASSES} == set(SYNTHETIC_CLASSES)
    mirrored = {"swipe_left", "swipe_right", *(name for name in pairs if "clockwise" in name)}
    assert {name for name in pairs if pairs[name] != name} == mirrored


def test_flip_labels_name_only_classes_of_the_dataset():
    assert SyntheticGestures().flip_labels == {0: 1, 1: 0, **{i: i for i in range(2, 8)}, 8: 9, 9: 8, 10: 11, 11: 10}
    assert SyntheticGestures(classes=["push", "swipe_right", "swipe_left"]).flip_labels == {0: 0, 1: 2, 2: 1}
    # Without its mirror image among the classes a clip has no label once it is flipped.
    assert SyntheticGestures(classes=["swipe_left", "pull"]).flip_labels == {1: 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "dev"}, "train, val, test"),
        ({"classes": ["wave"]}, "swipe_left"),
        ({"classes": []}, "swipe_left"),
        ({"classes": ["push", "push"]}, "different"),
        ({"size": 15}, "at least 16"),
        ({"num_segments": 0}, "at least 1"),
        ({"num_clips": 0}, "at least 1"),
        ({"seed": -1}, "at least 0"),
        ({"seed": 0.5}, "whole number"),
    ],
)
def test_bad_dataset_arguments(arguments, message):
    with pytest.raises(DataError, match=message) as caught:
        SyntheticGestures(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("label", "arguments", "message"),
    [
        (-1, {}, r"label .* in 0\.\.11"),
        (len(SYNTHETIC_CLASSES), {}, r"label .* in 0\.\.11"),
        (True, {}, "label"),
        (0, {"size": 8}, "size .* at least 16"),
        (0, {"size": (64, 8)}, "size .* at least 16"),
        (0, {"size": (64, 64, 3)}, "size"),
        (0, {"size": "64"}, "size"),
        (0, {"num_frames": 0}, "num_frames .* at least 1"),
        (0, {"seed": -3}, "seed .* at least 0"),
    ],
)
def test_bad_clip_arguments(label, arguments, message):
    with pytest.raises(DataError, match=message):
        render_clip(label, **{"seed": 0, **arguments})


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_write_video_round_trip(tmp_path, suffix):
    av = pytest.importorskip("av")
    rgb, _ = render_clip(1, seed=4, num_frames=9, size=(64, 80))
    path = tmp_path / f"clip{suffix}"
    write_video(rgb, path, fps=10)
    write_video(rgb, path, fps=10)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 10
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert decoded.shape == rgb.shape
    assert np.abs(decoded.astype(int) - rgb).mean() < 12


@pytest.mark.parametrize(
    ("shape", "dtype", "name", "fps", "message"),
    [
        ((2, 32, 33, 3), np.uint8, "a.mp4", 12, "even"),
        ((2, 32, 32, 3), np.float32, "a.mp4", 12, "uint8"),
        ((2, 32, 32), np.uint8, "a.mp4", 12, "uint8"),
        ((0, 32, 32, 3), np.uint8, "a.mp4", 12, "uint8"),
        ((2, 32, 32, 3), np.uint8, "a.mp4", 0, "fps"),
        ((2, 32, 32, 3), np.uint8, "missing/a.mp4", 12, "does not exist"),
        ((2, 32, 32, 3), np.uint8, "a.nonsense", 12, "cannot write"),
    ],
)
def test_write_video_refuses_and_leaves_nothing(tmp_path, shape, dtype, name, fps, message):
    pytest.importorskip("av")
    with pytest.raises(DataError, match=message):
        write_video(np.zeros(shape, dtype), tmp_path / name, fps=fps)
    assert list(tmp_path.iterdir()) == []
