"""Synthetic RGB-D gesture clips: a moving articulated hand before a cluttered, moving background.

Every class is a trajectory of the hand through one clip, and classes come in pairs: the partner is the same
clip played backwards. So both classes of a pair have exactly the same distribution of single frames, and only
the order of the frames tells them apart.

Left, right and clockwise are meant as seen in the image: ``swipe_left`` moves towards smaller x, and
``rotate_clockwise`` and ``circle_clockwise`` turn as a clock's hands do for whoever looks at the picture. ``push``
comes towards the camera. A circle needs about 6 frames a clip to show which way it goes.

A clip is the same to the last bit on every machine, whatever its processor, its instruction set, its mathematical
library and its number of threads: every operation on arrays is one that IEEE 754 rounds exactly, sines are rounded
to 9 decimals, and random numbers are made of integers. It rests on numpy's PCG64 generator, whose stream of integers
and of ``random`` numpy keeps across releases as far as it can; it does not rest on the version of torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from ..errors import DataError
from .exact import cos, normal, sin, uniform
from .hand import Canvas, HandShape, Pose, Solids, depth_from_distance, hand_solids
from .motions import GESTURES, SYNTHETIC_CLASSES, check_numbers, gesture_poses
from .sample import ClipSample
from .sensor import sense_depth

__all__ = ["SYNTHETIC_CLASSES", "SyntheticGestures", "gesture_poses", "render_clip"]

_SPLITS = {"train": 100, "val": 20, "test": 20}  # clips per class unless the caller says how many
_MAX_CLIPS = 2**32  # keeps the clip seeds of different splits and dataset seeds apart
_SCENE_STREAM, _SENSOR_STREAM = 1, 2
_SKIN = ((255, 219, 188), (236, 188, 148), (208, 152, 112), (166, 112, 76), (118, 76, 50), (84, 54, 38))
# Torso, neck, head and hair: start, end, two radii, palette row, flatness.
_PERSON = (
    (0, 0.55, 2.0, 0, 1.40, 2.0, 0.46, 0.50, 2, 0.3),
    (0, -0.05, 2.0, 0, 0.20, 2.0, 0.11, 0.12, 1, 0.9),
    (0, -0.28, 1.97, 0, -0.16, 1.97, 0.20, 0.17, 1, 0.9),
    (0, -0.37, 2.05, 0, -0.30, 2.05, 0.23, 0.23, 3, 0.9),
)


def render_clip(
    label: int, *, seed: int, num_frames: int = 8, size: tuple[int, int] | int = 112
) -> tuple[np.ndarray, np.ndarray]:
    """Render one clip: rgb (T, H, W, 3) uint8 and exact depth (T, H, W) float32 in [0, 1], nearer is larger.

    ``size`` is the side of a square image or (H, W), in pixels, at least 16. The arguments alone decide the
    clip. The partner class renders the same one backwards, background and noise included. Raises DataError
    for a bad label, seed, num_frames or size.

    >>> rgb, depth = render_clip(0, seed=1, num_frames=2, size=32)
    >>> rgb.shape, depth.shape
    ((2, 32, 32, 3), (2, 32, 32))
    """
    rgb, z, order = _render_forward(label, seed, num_frames, size)
    return rgb[::order].copy(), depth_from_distance(z)[::order].copy()


def _render_forward(
    label: int, seed: int, num_frames: int, size: tuple[int, int] | int
) -> tuple[np.ndarray, np.ndarray, int]:
    """The rgb and the distances of a clip played forwards, and the step, 1 or -1, that plays it as its class does.

    All is drawn in the forward order, so that a clip and its partner share each frame to the bit.
    """
    height, width = size if isinstance(size, (tuple, list)) and len(size) == 2 else (size, size)
    check_numbers(size=height)
    check_numbers(size=width)
    poses, shape = gesture_poses(label, seed=seed, num_frames=num_frames)
    order = -1 if GESTURES[SYNTHETIC_CLASSES[label]].backwards else 1
    rng = np.random.default_rng([_SCENE_STREAM, seed])
    return *render_scene(rng, poses[::order], [shape] * num_frames, height, width), order


def _clutter(rng: np.random.Generator) -> tuple[Solids, np.ndarray]:
    """Balls, rods, panels and often a person, all behind the hand, and their velocities (N, 3) per clip."""
    n = int(rng.integers(2, 7))
    start = np.concatenate([uniform(rng, -0.9, 0.9, (n, 2)), uniform(rng, 1.95, 2.15, (n, 1))], 1)
    bend = np.concatenate([uniform(rng, -0.5, 0.5, (n, 2)), np.zeros((n, 1))], 1)
    end = start + bend * (rng.random((n, 1)) < 0.6)
    radius = uniform(rng, 0.06, 0.17, n)
    flat = np.where((rng.random(n) < 0.3) & (end != start).any(1), 0.0, 0.9)
    solids = Solids(start, end, radius, radius, 4 + np.arange(n), flat)
    velocity = uniform(rng, -0.9, 0.9, (n, 3)) * (1.0, 1.0, 0.0)
    place, drift = (uniform(rng, -a, a) * np.array((1.0, 0.0, 0.0)) for a in (0.7, 0.15))
    if rng.random() < 0.5:
        c = np.array(_PERSON).T
        person = (c[:3].T + place, c[3:6].T + place, c[6], c[7], c[8].astype(int), c[9])
        solids = Solids(*(np.concatenate(pair) for pair in zip(solids, person, strict=True)))
        velocity = np.vstack([velocity, np.tile(drift, (len(_PERSON), 1))])
    return solids, velocity


def _palette(rng: np.random.Generator) -> np.ndarray:
    """Colours by material: 0 none, 1 skin, 2 clothes, 3 hair, 4 and up loose objects, some like skin."""
    tone = uniform(rng, 0, len(_SKIN) - 1)
    tones, i = np.array(_SKIN, float), int(tone)
    skin = tones[i] + (tone - i) * (tones[i + 1] - tones[i]) + 3 * normal(rng, 3)
    loose = uniform(rng, 15, 240, (8, 3))
    alike = rng.random(8) < 0.4
    loose[alike] = skin + 12 * normal(rng, (int(alike.sum()), 3))
    clothes, hair = uniform(rng, 15, 240, 3), uniform(rng, 10, 110) * np.array((1.0, 0.8, 0.6))
    return np.vstack([np.zeros(3), skin, clothes, hair, loose]).astype(np.float32)


def _texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A random wall, (height, width, 3) float32 in [0, 255]: blotches, stripes, tiles or shelves."""
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(0, 1, width, dtype=np.float32)[None]
    kind, turn, rate = int(rng.integers(4)), uniform(rng, 0, math.pi), uniform(rng, 3, 10)
    image = (uniform(rng, 50, 205) + uniform(rng, -45, 45, 3)).astype(np.float32)
    colour = (uniform(rng, -70, 70) + uniform(rng, -30, 30, 3)).astype(np.float32)
    blotches: np.ndarray = np.zeros((2, 2, 3), np.float32)
    for cells, strength in ((2, 30), (6, 30), (14, 24), (32, 12)):
        # Mostly light and dark, a little colour: walls and shelves are not rainbows.
        grid = strength * normal(rng, (cells + 1, cells + 1, 1)) + strength / 2 * normal(rng, (1, cells + 1, 3))
        blotches = _enlarge(blotches, cells + 1, cells + 1) + grid
    image = image + _enlarge(blotches, height, width)
    u, v = x * cos(turn) + y * sin(turn), y * cos(turn) - x * sin(turn)
    if kind == 1:
        stripes = rate * u
        image += (stripes - np.floor(stripes) < 0.5)[..., None] * colour
    elif kind == 2:
        image += ((np.floor(rate * u) + np.floor(rate * v)) % 2)[..., None] * colour
    elif kind == 3:
        tiles = uniform(rng, -70, 70, (1 + int(rate), 1 + int(rate * 2), 3))
        image += tiles[(y * rate).astype(int), (x * rate * 2).astype(int)]
    return np.clip(image, 0, 255).astype(np.float32)


def _enlarge(grid: np.ndarray, height: int, width: int) -> np.ndarray:
    """Interpolate a grid (N, M, 3) of at least 2 x 2 points to (height, width, 3)."""
    for size in (width, height):
        # The axes swap places twice.
        grid = grid.swapaxes(0, 1)
        place = np.linspace(0, len(grid) - 1, size, dtype=np.float32)
        low = np.minimum(place.astype(int), len(grid) - 2)
        grid = grid[low] + (place - low).astype(np.float32)[:, None, None] * (grid[low + 1] - grid[low])
    return grid


def _crop(image: np.ndarray, top: float, left: float, height: int, width: int) -> np.ndarray:
    """Cut (height, width, 3) out of a larger image at a fractional position in pixels, linearly interpolated."""
    row, column = int(top), int(left)
    fy, fx = np.float32(top - row), np.float32(left - column)
    part = image[row : row + height + 1, column : column + width + 1]
    part = part[:-1] + fy * (part[1:] - part[:-1])
    return part[:, :-1] + fx * (part[:, 1:] - part[:, :-1])


def _blur(rgb: np.ndarray, weight: np.float32) -> None:
    """Let every pixel of (T, H, W, 3) take ``weight`` of each neighbour, first along y, then along x; in place."""
    for axis in (1, 2):
        wide = np.moveaxis(np.pad(rgb, [(int(i == axis),) * 2 for i in range(4)], "edge"), axis, 0)
        around = wide[:-2] + wide[2:]
        around *= weight
        line = np.moveaxis(rgb, axis, 0)
        line *= 1 - 2 * weight
        line += around


def render_scene(
    rng: np.random.Generator,
    poses: Sequence[Pose],
    shapes: Sequence[HandShape],
    h: int,
    w: int,
    *,
    places: Sequence[float] | None = None,
    clock: Sequence[float] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw T frames of one scene, random but for the hand: rgb (T, h, w, 3) uint8 and distance (T, h, w) float32.

    ``poses`` and ``shapes`` are the hand's, frame by frame. ``places`` in [-0.5, 0.5] says how far along its way all
    that drifts is in a frame, ``clock`` the time in clips, by which the camera shakes and the light flickers; both run
    evenly from -0.5 to 0.5 unless given. All but the hand is as likely to move one way as the other.

    >>> pose = Pose(x=0.0, y=0.0, z=1.0, roll=0.0, closure=0.0)
    >>> rgb, distance = render_scene(np.random.default_rng(0), [pose] * 2, [HandShape()] * 2, 24, 32)
    >>> rgb.shape, distance.shape
    ((2, 24, 32, 3), (2, 24, 32))
    """
    count, side = len(poses), min(h, w)
    even = [i / (count - 1) - 0.5 if count > 1 else 0.0 for i in range(count)]
    places, clock = even if places is None else places, even if clock is None else clock
    lx, ly = uniform(rng, -0.8, 0.8), uniform(rng, -0.9, 0.3)
    far = math.sqrt(lx * lx + ly * ly + 1.0)
    light, ambient = (lx / far, ly / far, -1.0 / far), uniform(rng, 0.4, 0.6)
    palette, pad = _palette(rng), max(h, w) // 5 + 2
    wall = _texture(rng, h + 2 * pad, w + 2 * pad)
    clutter, velocity = _clutter(rng)
    rates, phases = uniform(rng, 0.5, 3.0, 2).tolist(), rng.random(2).tolist()
    shakiness = uniform(rng, 0.0, 0.012) * side
    drift = uniform(rng, -0.17, 0.17, 2).tolist()

    tilt_x, tilt_y = uniform(rng, -0.12, 0.12, 2).tolist()
    z = np.linspace(-tilt_y, tilt_y, h)[:, None] + np.linspace(-tilt_x, tilt_x, w) + uniform(rng, 2.15, 2.45)
    canvas = Canvas(np.repeat(z[None].astype(np.float32), count, 0))
    rgb = np.empty((count, h, w, 3), np.float32)
    for i, (pose, shape, place, time) in enumerate(zip(poses, shapes, places, clock, strict=True)):
        sway = [shakiness * sin(2 * math.pi * (time * rates[k] + phases[k])) for k in range(2)]
        left, top = (pad + sway[k] + place * side * drift[k] for k in range(2))
        rgb[i] = _crop(wall, top, left, h, w)
        # Image content moves against the window that is cut out of the wall.
        centre = (w / 2 - sway[0], h / 2 - sway[1])
        moved = clutter._replace(start=clutter.start + velocity * place, end=clutter.end + velocity * place)
        for solids in (hand_solids(pose, shape, skin=1, sleeve=2), moved):
            canvas.draw(i, solids, centre=centre)
    pixels, material, brightness = canvas.shade(light=light, ambient=ambient)
    rgb.reshape(-1, 3)[pixels] = palette[material] * brightness[:, None]

    flicker, rate, phase = uniform(rng, 0, 0.06), uniform(rng, 0.5, 4), rng.random()
    tint = uniform(rng, 0.75, 1.15) * (1 + uniform(rng, -0.08, 0.08, 3))
    lamp = np.array([1 + flicker * sin(2 * math.pi * (rate * time + phase)) for time in clock])
    rgb *= (lamp[:, None, None, None] * tint).astype(np.float32)
    _blur(rgb, np.float32(uniform(rng, 0.04, 0.16)))
    noise = normal(rng, rgb.shape)
    noise *= np.float32(uniform(rng, 1.0, 5.0))
    noise += np.float32(0.5)  # the cast below rounds down
    rgb += noise
    return np.clip(rgb, 0, 255, out=rgb).astype(np.uint8), canvas.distance


class SyntheticGestures(Dataset):
    """Synthetic gesture clips as a dataset of ClipSample, rendered when asked for, the same ones every time.

    A sample has frames (T, 3, S, S) uint8, depth (T, 1, S, S) float32 in [0, 1] with nearer larger, valid (T, 1, S, S)
    bool, the label, and an id such as "synthetic/train/000012/swipe_left"; T is ``num_segments``, S is ``size`` in
    pixels. Depth is what a camera would measure, with noise and with holes, where it is 0 and ``valid`` false; with
    ``sensor`` false it is exact and valid everywhere, with ``with_depth`` false there is none. Clip i has class i %
    len(class_names). The splits train, val and test never share a clip; ``num_clips`` is by default 100 per class in
    train, 20 in val and test; ``classes`` selects and orders classes; ``transform`` maps a ClipSample to a ClipSample;
    ``flip_pairs`` of the dataset says what each class becomes when mirrored left to right. An unknown split or class or
    a bad number is a DataError.

    >>> data = SyntheticGestures("val", num_segments=2, size=32, classes=("push", "pull"))
    >>> len(data), data[1].id, tuple(data[1].frames.shape)
    (40, 'synthetic/val/000001/pull', (2, 3, 32, 32))
    """

    def __init__(
        self,
        split: str = "train",
        *,
        num_segments: int = 8,
        size: int = 112,
        num_clips: int | None = None,
        seed: int = 0,
        classes: Sequence[str] | None = None,
        sensor: bool = True,
        transform: Callable[[ClipSample], ClipSample] | None = None,
        with_depth: bool = True,
    ) -> None:
        if split not in _SPLITS:
            raise DataError(f"unknown split {split!r}: use one of {', '.join(_SPLITS)}")
        names = SYNTHETIC_CLASSES if classes is None else tuple(classes)
        if not names or len(set(names)) < len(names) or not set(names) <= set(GESTURES):
            raise DataError(f"classes must be different names out of {', '.join(GESTURES)}, got {names}")
        num_clips = _SPLITS[split] * len(names) if num_clips is None else num_clips
        check_numbers(num_segments=num_segments, size=size, num_clips=num_clips, seed=seed)
        self.split, self.class_names, self.sensor, self.transform = split, names, sensor, transform
        self.flip_pairs = {name: GESTURES[name].flipped for name in names}
        self.num_segments, self.size, self.seed, self.num_clips = num_segments, size, seed, num_clips
        self.with_depth = with_depth

    @property
    def labels(self) -> list[int]:
        """Class index of every clip, without rendering any."""
        return [index % len(self.class_names) for index in range(self.num_clips)]

    @property
    def flip_labels(self) -> dict[int, int]:
        """Class index after a left-right flip, for the classes whose mirror image is a class of this dataset."""
        index = {name: label for label, name in enumerate(self.class_names)}
        return {index[name]: index[other] for name, other in self.flip_pairs.items() if other in index}

    def __len__(self) -> int:
        return self.num_clips

    def __getitem__(self, index: int) -> ClipSample:
        if not -self.num_clips <= index < self.num_clips:
            raise IndexError(f"clip {index} of {self.num_clips}")
        index = int(index) % self.num_clips
        label = index % len(self.class_names)
        name = self.class_names[label]
        # One number per (dataset seed, split, clip), so no two splits can draw the same clip.
        seed = (int(self.seed) * len(_SPLITS) + tuple(_SPLITS).index(self.split)) * _MAX_CLIPS + index
        rgb, z, order = _render_forward(SYNTHETIC_CLASSES.index(name), seed, self.num_segments, self.size)
        depth = valid = None
        if self.with_depth and self.sensor:
            depth, valid = sense_depth(z, np.random.default_rng([_SENSOR_STREAM, seed]), rgb=rgb)
        elif self.with_depth:
            depth, valid = depth_from_distance(z), np.ones(z.shape, bool)
        sample = ClipSample(
            frames=torch.from_numpy(rgb[::order].transpose(0, 3, 1, 2).copy()),
            depth=None if depth is None else torch.from_numpy(depth[::order, None].copy()),
            valid=None if valid is None else torch.from_numpy(valid[::order, None].copy()),
            label=label,
            id=f"synthetic/{self.split}/{index:06d}/{name}",
        )
        return sample if self.transform is None else self.transform(sample)
