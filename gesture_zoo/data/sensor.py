"""What a depth camera would measure of exact distances: noise, 8-bit levels, and holes where it sees nothing.

The model is that of a structured-light camera, whose projector stands a little to the right of its lens: what is
in front throws a shadow to its left, without light there is no measurement, and the error grows with the square
of the distance, as it does for everything that is triangulated.
"""

from __future__ import annotations

import numpy as np

from .exact import normal, uniform
from .hand import FAR, FOCAL, NEAR

_BASELINE = (0.05, 0.11)  # from lens to projector, in scene units; a hand is 0.52 long
_SHADOW_LEAST = 0.5  # pixels; narrower shadows are lost in the pattern
_NOISE_FLOOR, _NOISE_GROWTH = 0.0008, 0.0035  # standard deviation, in scene units, at 0 and per squared distance
_NOISE_GAIN = (0.7, 1.6)  # cameras differ
_JUMP = 0.12  # a step in distance, in scene units, that makes an edge
_EDGE_LOSS = (0.25, 0.6)  # chance that a pixel at an edge is lost
_SPECKLE_LOSS = (0.001, 0.006)  # and a pixel anywhere
_DARK, _DARK_LOSS = 22, (0.0, 0.25)  # green level of a surface that reflects too little, and its pixels' chance
_BLOB_RADIUS, _BLOB_LOSS = (0.015, 0.045), 0.85  # in image sides, e.g. a reflex
_LEVELS = 255  # of an 8-bit image; 0 is kept for holes


def sense_depth(
    z: np.ndarray, rng: np.random.Generator, *, rgb: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return depth and where it is valid, both (T, H, W), as a camera would measure the distances ``z`` (T, H, W).

    ``z`` is float32 in scene units. Depth is float32, one of the levels 1/255 ... 1, nearer is larger, and 0 in holes;
    valid is bool. ``rgb`` (T, H, W, 3) uint8 adds holes on dark surfaces. The draws of ``rng`` depend on the shape
    alone.

    >>> z = np.full((1, 4, 6), 2.0, np.float32)
    >>> depth, valid = sense_depth(z, np.random.default_rng(0))
    >>> depth.shape, bool(abs(depth[valid] - 0.25).max() < 0.05)
    ((1, 4, 6), True)
    """
    baseline, gain, edge_loss, speckle_loss, dark_loss = (
        uniform(rng, *bounds) for bounds in (_BASELINE, _NOISE_GAIN, _EDGE_LOSS, _SPECKLE_LOSS, _DARK_LOSS)
    )
    # One number per pixel serves all kinds of loss: a pixel is lost when it falls below the largest chance.
    chance = rng.integers(0, 1 << 16, size=z.shape, dtype=np.uint16)
    lost = chance < _threshold(speckle_loss)
    lost |= _edges(z) & (chance < _threshold(edge_loss))
    if rgb is not None:
        lost |= (rgb[..., 1] < _DARK) & (chance < _threshold(dark_loss))
    for _ in range(int(rng.integers(4))):
        _add_blob(lost, chance, rng)
    lost |= _shadow(z, FOCAL * min(z.shape[1:]) * baseline)

    noisy = z + normal(rng, z.shape) * (z * z * (gain * _NOISE_GROWTH) + gain * _NOISE_FLOOR)
    level = np.floor((FAR - noisy) * (_LEVELS / (FAR - NEAR)) + 0.5)
    # A wall beyond the range is still a wall: the last level, not a hole.
    depth = np.minimum(np.maximum(level, 1), _LEVELS) / np.float32(_LEVELS)
    valid = ~lost
    return depth * valid, valid


def _threshold(chance: float) -> int:
    return int(chance * (1 << 16))


def _shadow(z: np.ndarray, disparity_at_one: float) -> np.ndarray:
    """Pixels (T, H, W) that the projector's light does not reach because something nearer is in its way."""
    # The projector's column of a pixel, up to a constant. Along a row, columns that are out of order are hidden.
    column = np.arange(z.shape[-1], dtype=np.float32) - np.float32(disparity_at_one) / z
    first = np.minimum.accumulate(column[..., ::-1], axis=-1)[..., ::-1]
    return column > first + np.float32(_SHADOW_LEAST)


def _edges(z: np.ndarray) -> np.ndarray:
    """Pixels (T, H, W) on either side of a jump in distance."""
    edges = np.zeros(z.shape, bool)
    jump = np.abs(z[:, :, 1:] - z[:, :, :-1]) > _JUMP
    edges[:, :, 1:] = jump
    edges[:, :, :-1] |= jump
    jump = np.abs(z[:, 1:] - z[:, :-1]) > _JUMP
    edges[:, 1:] |= jump
    edges[:, :-1] |= jump
    return edges


def _add_blob(lost: np.ndarray, chance: np.ndarray, rng: np.random.Generator) -> None:
    """Lose most of a disc, in place, for a part of the clip."""
    count, height, width = lost.shape
    first = int(rng.integers(count))
    last = first + 1 + int(rng.integers(count))
    x, y = uniform(rng, 0, width), uniform(rng, 0, height)
    radius = uniform(rng, *_BLOB_RADIUS) * min(height, width) + 0.5
    rows, columns = (slice(max(int(at - radius), 0), int(at + radius) + 1) for at in (y, x))
    dy = np.arange(height)[rows, None] + (0.5 - y)
    dx = np.arange(width)[columns] + (0.5 - x)
    disc = dx * dx + dy * dy < radius * radius
    lost[first:last, rows, columns] |= disc & (chance[first:last, rows, columns] < _threshold(_BLOB_LOSS))
