"""The trajectories of the synthetic gestures: where the hand is, frame by frame, in every class."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError
from .exact import cos, sin, uniform
from .hand import HandShape, Pose

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
    return {"x": p["radius"] * cos(angle), "y": p["radius"] * sin(angle)}


class Gesture(NamedTuple):
    """A class: its motion, whether it is played backwards, and the class after a left-right flip.

    >>> GESTURES["pull"].backwards, GESTURES["swipe_left"].flipped
    (True, 'swipe_right')
    """

    motion: _Motion
    backwards: bool
    flipped: str


GESTURES: dict[str, Gesture] = {
    "swipe_left": Gesture(_swipe_x, True, "swipe_right"),
    "swipe_right": Gesture(_swipe_x, False, "swipe_left"),
    "swipe_up": Gesture(_swipe_y, True, "swipe_up"),
    "swipe_down": Gesture(_swipe_y, False, "swipe_down"),
    "push": Gesture(_push, False, "push"),
    "pull": Gesture(_push, True, "pull"),
    "open_hand": Gesture(_close, True, "open_hand"),
    "close_hand": Gesture(_close, False, "close_hand"),
    "rotate_clockwise": Gesture(_rotate, False, "rotate_counter_clockwise"),
    "rotate_counter_clockwise": Gesture(_rotate, True, "rotate_clockwise"),
    "circle_clockwise": Gesture(_circle, False, "circle_counter_clockwise"),
    "circle_counter_clockwise": Gesture(_circle, True, "circle_clockwise"),
}
SYNTHETIC_CLASSES: tuple[str, ...] = tuple(GESTURES)
# The smallest value of each number a caller may set.
_AT_LEAST = {"label": 0, "seed": 0, "num_frames": 1, "num_segments": 1, "num_clips": 1, "num_gestures": 1, "size": 16}
_POSE_STREAM = 0  # the streams of the scene and of the sensor are others
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
# Resting closures, thumb to little finger: open, relaxed, pointing, two fingers, fist; and how often, summed up.
_CURLS = ((0.0,) * 5, (0.2, 0.3, 0.3, 0.35, 0.4), (0.9, 0.0, 1.0, 1.0, 1.0), (0.9, 0.0, 0.0, 1.0, 1.0), (1.0,) * 5)
_CURL_SHARES = (0.45, 0.65, 0.78, 0.9)
_SLEEVES = (0.15, 0.35, 1.0)


def gesture_poses(label: int, *, seed: int, num_frames: int = 8) -> tuple[tuple[Pose, ...], HandShape]:
    """Return the hand's ``num_frames`` poses in one clip, first to last, and the hand's unchanging shape.

    The same ``seed`` gives a class and its partner the same poses in opposite order. Raises DataError for a
    label outside range(len(SYNTHETIC_CLASSES)), a negative seed or num_frames < 1.

    >>> forward, _ = gesture_poses(SYNTHETIC_CLASSES.index("push"), seed=3)
    >>> backward, _ = gesture_poses(SYNTHETIC_CLASSES.index("pull"), seed=3)
    >>> forward == backward[::-1]
    True
    """
    check_numbers(label=label, seed=seed, num_frames=num_frames)
    motion, backwards, _ = GESTURES[SYNTHETIC_CLASSES[label]]
    rng = np.random.default_rng([_POSE_STREAM, seed])
    p = {name: uniform(rng, *bounds) for name, bounds in _RANGES.items()}
    x, y = uniform(rng, -0.1, 0.1), uniform(rng, -0.04, 0.12)
    z, roll = uniform(rng, 0.98, 1.18), uniform(rng, -0.4, 0.4)
    before, after, ease = uniform(rng, 0.02, 0.16), uniform(rng, 0.02, 0.16), uniform(rng, 0.2, 0.8)
    resting = _CURLS[bisect(_CURL_SHARES, rng.random())]
    # A fist hides a turn, and a hand that closes starts from open.
    share = 0.75 if motion is _rotate else 0.0 if motion is _close else 1.0
    curl = tuple(min(max(c * share + uniform(rng, -0.1, 0.12), 0.0), 1.0) for c in resting)
    scale, pitch, yaw = uniform(rng, 0.88, 1.15), uniform(rng, -0.25, 0.25), uniform(rng, -0.3, 0.3)
    mirrored, palm = rng.random() < 0.5, rng.random() < 0.7
    sleeve = _SLEEVES[int(rng.integers(len(_SLEEVES)))] * uniform(rng, 0.9, 1.1)
    shape = HandShape(scale, mirrored, palm, curl, pitch, yaw, roll, sleeve)
    poses, rest = [], {"x": x, "y": y, "z": z, "roll": roll, "closure": 0.0}
    for i in range(num_frames):
        t = i / (num_frames - 1) if num_frames > 1 else 0.5
        u = min(max((t - before) / (1.0 - before - after), 0.0), 1.0)
        u += ease * (u * u * (3.0 - 2.0 * u) - u)
        offset = motion(u, p)
        poses.append(Pose(*(v + offset.get(k, 0.0) for k, v in rest.items())))
    return tuple(reversed(poses) if backwards else poses), shape


def check_numbers(**values: Any) -> None:
    """Raise DataError for a label, seed, size or count that is no whole number or out of its range.

    >>> check_numbers(label=0, seed=5, num_frames=8)
    """
    for name, value in values.items():
        low, high = _AT_LEAST[name], len(SYNTHETIC_CLASSES) - 1 if name == "label" else math.inf
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
            span = f"at least {low}" if high == math.inf else f"in {low}..{high}"
            raise DataError(f"{name} must be a whole number {span}, got {value!r}")
