"""Synthetic RGB-D gesture clips: a moving articulated hand before a cluttered, moving background.

Every class is a trajectory of the hand through one clip, and classes come in pairs: the partner is the same
clip played backwards. So both classes of a pair have exactly the same distribution of single frames, and only
the order of the frames tells them apart.

Left, right and clockwise are meant as seen in the image: `swipe_left` moves towards smaller x, and
`rotate_clockwise` and `circle_clockwise` turn as a clock's hands do for whoever looks at the picture. `push`
comes towards the camera. A circle needs about 6 frames a clip to show which way it goes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from gesture_zoo.data import hand as hands
from gesture_zoo.data.hand import HandShape, Pose, Solids
from gesture_zoo.data.sample import ClipSample
from gesture_zoo.errors import DataError

# A motion maps progress in [0, 1] and a clip's parameters to offsets from the resting pose.
_Motion = Callable[[float, Mapping[str, float]], dict[str, float]]


def _swipe_x(u: float, p: Mapping[str, float]) -> dict[str, float]:
    s = 2 * u - 1
    return {"x": p["extent"] * s, "y": p["slant"] * s + p["bow"] * (1 - s * s), "roll": p["lean"] * s}


def _swipe_y(u: float, p: Mapping[str, float]) -> dict[str, float]:
    s = 2 * u - 1
    # A little shorter than the other swipe: the forearm needs room below the hand.
    return {"y": 0.85 * p["extent"] * s, "x": p["slant"] * s + p["bow"] * (1 - s * s)}


def _push(u: float, p: Mapping[str, float]) -> dict[str, float]:
    return {"z": p["travel"] * (0.5 - u), "x": p["slant"] * (u - 0.5), "y": p["bow"] * (u - 0.5)}


def _close(u: float, p: Mapping[str, float]) -> dict[str, float]:
    return {"closure": u, "x": p["slant"] * (u - 0.5), "y": p["bow"] * (u - 0.5)}


def _rotate(u: float, p: Mapping[str, float]) -> dict[str, float]:
    return {"roll": p["turn"] * (2 * u - 1)}


def _circle(u: float, p: Mapping[str, float]) -> dict[str, float]:
    angle = p["phase"] + 2 * math.pi * p["rounds"] * (u - 0.5)
    return {"x": p["radius"] * math.cos(angle), "y": p["radius"] * math.sin(angle)}


# Class: (motion, played backwards, class after a left-right flip).
_GESTURES: dict[str, tuple[_Motion, bool, str]] = {
    "swipe_left": (_swipe_x, True, "swipe_right"),
    "swipe_right": (_swipe_x, False, "swipe_left"),
    "swipe_up": (_swipe_y, True, "swipe_up"),
    "swipe_down": (_swipe_y, False, "swipe_down"),
    "push": (_push, False, "push"),
    "pull": (_push, True, "pull"),
    "open_hand": (_close, True, "open_hand"),
    "close_hand": (_close, False, "close_hand"),
    "rotate_clockwise": (_rotate, False, "rotate_counter_clockwise"),
    "rotate_counter_clockwise": (_rotate, True, "rotate_clockwise"),
    "circle_clockwise": (_circle, False, "circle_counter_clockwise"),
    "circle_counter_clockwise": (_circle, True, "circle_clockwise"),
}
SYNTHETIC_CLASSES: tuple[str, ...] = tuple(_GESTURES)
_SPLITS = {"train": 100, "val": 20, "test": 20}  # clips per class unless the caller says how many
_MAX_CLIPS = 2**32  # keeps the clip seeds of different splits and dataset seeds apart
# The smallest value of each number a caller may set.
_AT_LEAST = {"label": 0, "seed": 0, "num_frames": 1, "num_segments": 1, "num_clips": 1, "size": 16}
_POSE_STREAM, _SCENE_STREAM = 0, 1
_RANGES = {
    "extent": (0.19, 0.29),  # of a swipe, half of it, in image sides
    "slant": (-0.07, 0.07),
    "bow": (-0.07, 0.07),
    "lean": (-0.3, 0.3),  # radians
    "travel": (0.55, 0.75),  # of a push, in scene units
    "turn": (0.6, 1.05),  # of a rotation, half of it, in radians
    "phase": (0.0, 2 * math.pi),
    "rounds": (0.8, 1.15),
    "radius": (0.14, 0.21),  # of a circle, in image sides
}
# Resting closures, thumb to little finger: open, relaxed, pointing, two fingers, fist.
_CURLS = np.array([(0,) * 5, (0.2, 0.3, 0.3, 0.35, 0.4), (0.9, 0, 1, 1, 1), (0.9, 0, 0, 1, 1), (1,) * 5])
_SKIN = ((255, 219, 188), (236, 188, 148), (208, 152, 112), (166, 112, 76), (118, 76, 50), (84, 54, 38))
# Torso, neck, head and hair: start, end, two radii, palette row, flatness.
_PERSON = (
    (0, 0.55, 2.0, 0, 1.40, 2.0, 0.46, 0.50, 2, 0.3),
    (0, -0.05, 2.0, 0, 0.20, 2.0, 0.11, 0.12, 1, 0.9),
    (0, -0.28, 1.97, 0, -0.16, 1.97, 0.20, 0.17, 1, 0.9),
    (0, -0.37, 2.05, 0, -0.30, 2.05, 0.23, 0.23, 3, 0.9),
)


def gesture_poses(label: int, *, seed: int, num_frames: int = 8) -> tuple[tuple[Pose, ...], HandShape]:
    """Return the hand's `num_frames` poses in one clip, first to last, and the hand's unchanging shape.

    The same `seed` gives a class and its partner the same poses in opposite order. Raises DataError for a
    label outside range(len(SYNTHETIC_CLASSES)), a negative seed or num_frames < 1.

    >>> forward, _ = gesture_poses(SYNTHETIC_CLASSES.index("push"), seed=3)
    >>> backward, _ = gesture_poses(SYNTHETIC_CLASSES.index("pull"), seed=3)
    >>> forward == backward[::-1]
    True
    """
    _check(label=label, seed=seed, num_frames=num_frames)
    motion, backwards, _ = _GESTURES[SYNTHETIC_CLASSES[label]]
    rng = np.random.default_rng([_POSE_STREAM, seed])
    p = {name: rng.uniform(*bounds) for name, bounds in _RANGES.items()}
    x, y = rng.uniform(-0.1, 0.1), rng.uniform(-0.04, 0.12)
    z, roll = rng.uniform(0.98, 1.18), rng.uniform(-0.4, 0.4)
    before, after, ease = *rng.uniform(0.02, 0.16, 2), rng.uniform(0.2, 0.8)
    curl = _CURLS[rng.choice(5, p=(0.45, 0.2, 0.13, 0.12, 0.1))]
    # A fist hides a turn, and a hand that closes starts from open.
    curl = curl * (0.75 if motion is _rotate else 0.0 if motion is _close else 1.0) + rng.uniform(-0.1, 0.12, size=5)
    curl = tuple(np.clip(curl, 0.0, 1.0).tolist())
    scale, pitch, yaw = rng.uniform(0.88, 1.15), rng.uniform(-0.25, 0.25), rng.uniform(-0.3, 0.3)
    mirrored, palm = bool(rng.random() < 0.5), bool(rng.random() < 0.7)
    sleeve = rng.choice((0.15, 0.35, 1.0)) * rng.uniform(0.9, 1.1)
    shape = HandShape(scale, mirrored, palm, curl, pitch, yaw, roll, sleeve)
    poses, rest = [], {"x": x, "y": y, "z": z, "roll": roll, "closure": 0.0}
    for t in np.linspace(0.0, 1.0, num_frames) if num_frames > 1 else (0.5,):
        u = min(max((float(t) - before) / (1.0 - before - after), 0.0), 1.0)
        u += ease * (u * u * (3.0 - 2.0 * u) - u)
        offset = motion(u, p)
        poses.append(Pose(*(v + offset.get(k, 0.0) for k, v in rest.items())))
    return tuple(reversed(poses) if backwards else poses), shape


def render_clip(
    label: int, *, seed: int, num_frames: int = 8, size: tuple[int, int] | int = 112
) -> tuple[np.ndarray, np.ndarray]:
    """Render one clip: rgb (T, H, W, 3) uint8 and depth (T, H, W) float32 in [0, 1], nearer is larger.

    `size` is the side of a square image or (H, W), in pixels, at least 16. The arguments alone decide the
    clip. The partner class renders the same one backwards, background and noise included. Raises DataError
    for a bad label, seed, num_frames or size.

    >>> rgb, depth = render_clip(0, seed=1, num_frames=2, size=32)
    >>> rgb.shape, depth.shape
    ((2, 32, 32, 3), (2, 32, 32))
    """
    height, width = size if isinstance(size, (tuple, list)) and len(size) == 2 else (size, size)
    _check(size=height)
    _check(size=width)
    poses, shape = gesture_poses(label, seed=seed, num_frames=num_frames)
    rng = np.random.default_rng([_SCENE_STREAM, seed])
    # Everything is drawn in the forward order, so that a clip and its partner share each frame to the bit.
    order = -1 if _GESTURES[SYNTHETIC_CLASSES[label]][1] else 1
    rgb, depth = _render(rng, poses[::order], shape, height, width)
    return rgb[::order].copy(), depth[::order].copy()


def _clutter(rng: np.random.Generator) -> tuple[Solids, np.ndarray]:
    """Balls, rods, panels and often a person, all behind the hand, and their velocities (N, 3) per clip."""
    n = int(rng.integers(2, 7))
    start = np.concatenate([rng.uniform(-0.9, 0.9, (n, 2)), rng.uniform(1.95, 2.15, (n, 1))], 1)
    bend = np.concatenate([rng.uniform(-0.5, 0.5, (n, 2)), np.zeros((n, 1))], 1)
    end = start + bend * (rng.random((n, 1)) < 0.6)
    radius = rng.uniform(0.06, 0.17, n)
    flat = np.where((rng.random(n) < 0.3) & (end != start).any(1), 0.0, 0.9)
    solids = Solids(start, end, radius, radius, 4 + np.arange(n), flat)
    velocity = rng.uniform(-0.9, 0.9, (n, 3)) * (1.0, 1.0, 0.0)
    place, drift = (rng.uniform(-a, a) * np.array((1.0, 0.0, 0.0)) for a in (0.7, 0.15))
    if rng.random() < 0.5:
        c = np.array(_PERSON).T
        person = (c[:3].T + place, c[3:6].T + place, c[6], c[7], c[8].astype(int), c[9])
        solids = Solids(*(np.concatenate(pair) for pair in zip(solids, person, strict=True)))
        velocity = np.vstack([velocity, np.tile(drift, (len(_PERSON), 1))])
    return solids, velocity


def _palette(rng: np.random.Generator) -> np.ndarray:
    """Colours by material: 0 none, 1 skin, 2 clothes, 3 hair, 4 and up loose objects, some like skin."""
    tone = rng.uniform(0, len(_SKIN) - 1)
    skin = [np.interp(tone, np.arange(len(_SKIN)), c) for c in zip(*_SKIN, strict=True)] + rng.normal(0, 3, 3)
    loose = rng.uniform(15, 240, (8, 3))
    alike = rng.random(8) < 0.4
    loose[alike] = skin + rng.normal(0, 12, (int(alike.sum()), 3))
    clothes, hair = rng.uniform(15, 240, 3), rng.uniform(10, 110) * np.array((1.0, 0.8, 0.6))
    return np.vstack([np.zeros(3), skin, clothes, hair, loose]).astype(np.float32)


def _render(
    rng: np.random.Generator, poses: Sequence[Pose], shape: HandShape, h: int, w: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a clip. All that moves but the hand is as likely to move one way as the other."""
    count, side = len(poses), min(h, w)
    times = np.linspace(-0.5, 0.5, count) if count > 1 else np.zeros(1)
    light = np.array((rng.uniform(-0.8, 0.8), rng.uniform(-0.9, 0.3), -1.0))
    light, ambient = light / np.linalg.norm(light), rng.uniform(0.4, 0.6)
    palette, pad = _palette(rng), max(h, w) // 5 + 2
    wall = hands.texture(rng, h + 2 * pad, w + 2 * pad)
    clutter, velocity = _clutter(rng)
    shake = np.sin(2 * math.pi * (np.outer(times, rng.uniform(0.5, 3.0, 2)) + rng.random(2)))
    shake *= rng.uniform(0.0, 0.012) * side
    scroll = pad + shake + np.outer(times, rng.uniform(-0.17, 0.17, 2) * side)

    tilt_x, tilt_y = rng.uniform(-0.12, 0.12, 2)
    z = np.linspace(-tilt_y, tilt_y, h)[:, None] + np.linspace(-tilt_x, tilt_x, w) + rng.uniform(2.15, 2.45)
    z = np.repeat(z[None].astype(np.float32), count, 0)
    shade, material = np.ones((count, h, w), np.float32), np.zeros((count, h, w), np.uint8)
    rgb = np.empty((count, h, w, 3), np.float32)
    for i, (t, pose) in enumerate(zip(times, poses, strict=True)):
        rgb[i] = hands.crop(wall, scroll[i, 1], scroll[i, 0], h, w)
        # Image content moves against the window that is cut out of the wall.
        centre = (w / 2 - shake[i, 0], h / 2 - shake[i, 1])
        moved = clutter._replace(start=clutter.start + velocity * t, end=clutter.end + velocity * t)
        for solids in (hands.hand_solids(pose, shape, skin=1, sleeve=2), moved):
            hands.draw(solids, (z[i], shade[i], material[i]), light=light, ambient=ambient, centre=centre)
    solid = material > 0
    rgb[solid] = palette[material[solid]] * shade[solid][:, None]

    flicker = 1 + rng.uniform(0, 0.06) * np.sin(2 * math.pi * (rng.uniform(0.5, 4) * times + rng.random()))
    tint = rng.uniform(0.75, 1.15) * (1 + rng.uniform(-0.08, 0.08, 3))
    rgb *= (flicker[:, None, None, None] * tint).astype(np.float32)
    blur = np.float32(rng.uniform(0.04, 0.16))
    wide = np.pad(rgb, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    wide = (1 - 2 * blur) * wide[:, 1:-1] + blur * (wide[:, :-2] + wide[:, 2:])
    rgb = (1 - 2 * blur) * wide[:, :, 1:-1] + blur * (wide[:, :, :-2] + wide[:, :, 2:])
    rgb += rng.standard_normal(rgb.shape, dtype=np.float32) * np.float32(rng.uniform(1.0, 5.0))
    return np.clip(rgb + 0.5, 0, 255).astype(np.uint8), hands.depth_from_distance(z)


class SyntheticGestures(Dataset):
    """Synthetic gesture clips as a dataset of ClipSample, rendered when asked for, the same ones every time.

    A sample has frames (T, 3, S, S) uint8, depth (T, 1, S, S) float32 in [0, 1] with nearer larger, valid
    (T, 1, S, S) bool, all true, the label, and an id such as "synthetic/train/000012/swipe_left"; T is
    `num_segments`, S is `size` in pixels. Clip i has class i % len(class_names). The `split`s train, val and
    test never share a clip; `num_clips` is by default 100 per class in train, 20 in val and test; `classes`
    selects and orders classes; `transform` maps a ClipSample to a ClipSample; `flip_pairs` says what each
    class becomes when mirrored left to right. Raises DataError for an unknown split, class or bad number.

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
        transform: Callable[[ClipSample], ClipSample] | None = None,
    ) -> None:
        if split not in _SPLITS:
            raise DataError(f"unknown split {split!r}: use one of {', '.join(_SPLITS)}")
        names = SYNTHETIC_CLASSES if classes is None else tuple(classes)
        if not names or len(set(names)) < len(names) or not set(names) <= set(_GESTURES):
            raise DataError(f"classes must be different names out of {', '.join(_GESTURES)}, got {names}")
        num_clips = _SPLITS[split] * len(names) if num_clips is None else num_clips
        _check(num_segments=num_segments, size=size, num_clips=num_clips, seed=seed)
        self.split, self.class_names, self.transform = split, names, transform
        self.flip_pairs = {name: _GESTURES[name][2] for name in names}
        self.num_segments, self.size, self.seed, self.num_clips = num_segments, size, seed, num_clips

    @property
    def labels(self) -> list[int]:
        """Class index of every clip, without rendering any."""
        return [index % len(self.class_names) for index in range(self.num_clips)]

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
        cls = SYNTHETIC_CLASSES.index(name)
        rgb, depth = render_clip(cls, seed=seed, num_frames=self.num_segments, size=self.size)
        sample = ClipSample(
            frames=torch.from_numpy(rgb).permute(0, 3, 1, 2).contiguous(),
            depth=torch.from_numpy(depth)[:, None],
            valid=torch.ones(depth.shape[0], 1, *depth.shape[1:], dtype=torch.bool),
            label=label,
            id=f"synthetic/{self.split}/{index:06d}/{name}",
        )
        return sample if self.transform is None else self.transform(sample)


def _check(**values: Any) -> None:
    for name, value in values.items():
        low, high = _AT_LEAST[name], len(SYNTHETIC_CLASSES) - 1 if name == "label" else math.inf
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
            span = f"at least {low}" if high == math.inf else f"in {low}..{high}"
            raise DataError(f"{name} must be a whole number {span}, got {value!r}")
