"""The depth camera's model: noise, levels and holes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gesture_zoo.data.sensor import sense_depth
from gesture_zoo.data.synthetic import SYNTHETIC_CLASSES, SyntheticGestures

SIDE = 64


def clips(classes: tuple[str, ...] = SYNTHETIC_CLASSES) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Measured depth, validity and exact depth, each (T, H, W), of one clip of every class."""
    options = {"size": SIDE, "num_segments": 4, "num_clips": len(classes), "classes": classes, "seed": 3}
    measured, exact = (SyntheticGestures("test", sensor=sensor, **options) for sensor in (True, False))
    pairs = zip(measured, exact, strict=True)
    return [(a.depth[:, 0].numpy(), a.valid[:, 0].numpy(), b.depth[:, 0].numpy()) for a, b in pairs]


def scene(near: float, *, rows: slice = slice(20, 44), columns: slice = slice(24, 40)) -> np.ndarray:
    """A panel at distance `near` before a wall at 2.2, in 20 frames."""
    z = np.full((20, SIDE, SIDE), 2.2, np.float32)
    z[:, rows, columns] = near
    return z


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_depth_is_levels_and_holes_are_zero():
    for depth, valid, _ in clips():
        assert (depth.dtype, valid.dtype) == (np.float32, bool)
        assert (depth[~valid] == 0).all()
        assert (depth[valid] > 0).all() and depth.max() <= 1
        levels = depth * 255
        assert np.abs(levels - np.rint(levels)).max() < 1e-4


def test_the_share_of_holes_is_that_of_a_camera():
    shares = [1 - valid.mean() for _, valid, _ in clips()]
    assert min(shares) > 0.01 and max(shares) < 0.25


def test_noise_is_bounded_where_depth_is_valid():
    for depth, valid, exact in clips():
        error = np.abs(depth - exact)[valid]
        assert error.max() < 0.08
        assert 0.002 < error.mean() < 0.015


def test_noise_grows_with_distance():
    spread = []
    for distance in (0.8, 1.6, 2.4):
        z = np.full((4, SIDE, SIDE), distance, np.float32)
        depth, valid = sense_depth(z, rng())
        assert abs(depth[valid].mean() - (2.5 - distance) / 2) < 1e-3
        spread.append(depth[valid].std())
    assert spread[0] < spread[1] / 1.5 and spread[1] < spread[2] / 1.5


def test_holes_cluster_at_silhouettes():
    at_edges = elsewhere = 0.0
    for _, valid, exact in clips():
        near = np.zeros(valid.shape, bool)
        step = np.abs(np.diff(exact, axis=2)) > 0.1
        for shift in range(4):
            near[:, :, shift : shift + step.shape[2]] |= step[:, :, : near.shape[2] - shift]
            near[:, :, : near.shape[2] - 1 - shift] |= step[:, :, shift:]
        at_edges += (~valid)[near].mean()
        elsewhere += (~valid)[~near].mean()
    assert at_edges > 5 * elsewhere


def test_the_shadow_lies_to_the_left_of_what_is_in_front_and_is_wider_the_nearer_it_is():
    widths = []
    for near in (0.7, 1.4):
        _, valid = sense_depth(scene(near), rng())
        share = (~valid)[:, 22:42].mean(axis=(0, 1))  # by column
        assert share[24 + 2 : 40 - 2].max() < 0.05  # the panel itself is seen
        assert share[40 + 2 :].max() < 0.1
        widths.append(int((share[:24] == 1).sum()))
    assert widths[0] > widths[1] >= 1


def test_edges_are_ragged():
    _, valid = sense_depth(scene(1.5), rng())
    below = (~valid)[:, 44, 28:36]  # no shadow falls downwards
    assert 0.1 < below.mean() < 0.8
    assert len({frame.tobytes() for frame in below}) > 10


def test_a_wall_beyond_the_range_is_no_hole():
    depth, valid = sense_depth(np.full((4, SIDE, SIDE), 2.7, np.float32), rng())
    assert valid.mean() > 0.97
    assert depth[valid].min() == np.float32(1 / 255)


def test_dark_surfaces_are_lost_sometimes():
    rgb = np.full((20, SIDE, SIDE, 3), 200, np.uint8)
    rgb[:, :, :32] = 5
    z = np.full(rgb.shape[:3], 1.5, np.float32)
    share = [
        (~sense_depth(z, np.random.default_rng(seed), rgb=rgb)[1])[:, :, half].mean()
        for seed in range(8)
        for half in (slice(32), slice(32, None))
    ]
    assert np.mean(share[0::2]) > 0.1
    assert np.mean(share[1::2]) < 0.02


@pytest.mark.parametrize("i", range(0, len(SYNTHETIC_CLASSES), 2))
def test_partners_share_holes_and_noise(i):
    # Clip 0 of either dataset has the same seed, and the one class is the other played backwards.
    options = {"size": 32, "num_segments": 5, "num_clips": 1, "seed": 8}
    a, b = (SyntheticGestures(classes=[name], **options)[0] for name in SYNTHETIC_CLASSES[i : i + 2])
    for name in ("frames", "depth", "valid"):
        assert torch.equal(getattr(a, name), getattr(b, name).flip(0))
    assert not torch.equal(a.depth, b.depth)


def test_the_sensor_changes_nothing_else():
    with_sensor, without = (SyntheticGestures(size=32, num_segments=2, sensor=sensor)[5] for sensor in (True, False))
    assert torch.equal(with_sensor.frames, without.frames)
    assert with_sensor.id == without.id
    assert (with_sensor.depth.shape, with_sensor.depth.dtype) == (without.depth.shape, torch.float32)
    assert (with_sensor.valid.shape, with_sensor.valid.dtype) == (without.valid.shape, torch.bool)
    assert without.valid.all() and not with_sensor.valid.all()
    assert with_sensor.depth.is_contiguous() and with_sensor.valid.is_contiguous()
