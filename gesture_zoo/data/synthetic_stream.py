"""Long synthetic RGB streams: several gestures of one person before one scene, and what the hand does in between.

The gestures are those of the synthetic clips. Between two of them the hand is never just still: it goes from where the
last one ended to where the next one begins, on the way through places and shapes taken at random (most of them low,
far and relaxed, as of a hand that is let down; some anywhere, as of one that does something else), and stays at some of
them. That time is ``no_gesture``. It holds movement as fast as that of gestures, so neither the lack of movement nor a
single frame tells the two apart.

A stream is the same to the last bit on every machine, as the clips are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from .exact import sin, uniform
from .hand import HandShape, Pose
from .motions import SYNTHETIC_CLASSES, check_numbers, gesture_poses
from .synthetic import render_scene

__all__ = ["NO_GESTURE", "STREAM_CLASSES", "STREAM_RATE", "StreamEvent", "SyntheticStream", "render_stream"]

NO_GESTURE = "no_gesture"
STREAM_CLASSES: tuple[str, ...] = (*SYNTHETIC_CLASSES, NO_GESTURE)
STREAM_RATE = 10.0  # frames a second that a stream stands for: a gesture then takes 0.8 to 1.4 s

_PLAN_STREAM, _SCENE_STREAM = 3, 4  # those of the clips are 0 to 2
_SEED_BITS = 62
_CLIP = 10.0  # frames in which the scene moves on as far as in a clip
# Of the stops between gestures: low ones, those where it stays, those with the fingers as in the next gesture.
_SHARE_LOW, _SHARE_STAY, _SHARE_READY = 0.65, 0.25, 0.5
_SHORTEST_MOVE = 4  # frames
# Where the hand goes in between, low and far or anywhere: x, y, z, roll, closure (below 0 is 0: often it is open).
_LOW = ((-0.22, 0.22), (0.14, 0.34), (1.12, 1.42), (-0.5, 0.5), (-0.4, 0.8))
_ANYWHERE = ((-0.28, 0.28), (-0.22, 0.2), (0.9, 1.35), (-0.7, 0.7), (-0.6, 1.0))


class StreamEvent(NamedTuple):
    """A true gesture in a stream: its frames are ``start`` to ``end`` - 1.

    >>> StreamEvent("push", 10, 19).label
    'push'
    """

    label: str
    start: int
    end: int


@dataclass(frozen=True)
class SyntheticStream:
    """A rendered stream: ``frames`` (T, H, W, 3) uint8 RGB and its true ``events`` in order.

    >>> render_stream(seed=0, num_gestures=1, size=16).events[0].label in SYNTHETIC_CLASSES
    True
    """

    frames: np.ndarray
    events: tuple[StreamEvent, ...]

    @property
    def frame_labels(self) -> np.ndarray:
        """The class of every frame, (T,) int64 into ``STREAM_CLASSES``; ``no_gesture`` is the last."""
        labels = np.full(len(self.frames), STREAM_CLASSES.index(NO_GESTURE), np.int64)
        for label, start, end in self.events:
            labels[start:end] = STREAM_CLASSES.index(label)
        return labels


def render_stream(
    *,
    seed: int,
    num_gestures: int = 10,
    size: tuple[int, int] | int = 112,
    gesture_frames: tuple[int, int] = (8, 14),
    idle_frames: tuple[int, int] = (10, 26),
    repeat: float = 0.2,
    classes: Sequence[str] | None = None,
) -> SyntheticStream:
    """Render one stream of ``num_gestures`` gestures; the arguments alone decide every bit of it.

    A gesture takes one of ``gesture_frames`` (fewest, most) frames, and so many of ``idle_frames`` are before the
    first, between two and after the last; the fewest are 2 and 4. A synthetic clip of 8 frames shows a whole gesture,
    as the shortest ones here; 8 frames in a row of a longer one are a part of it. ``STREAM_RATE`` is the rate that the
    defaults stand for. With the chance ``repeat`` in [0, 1] a gesture is of the same class as the one before, else of
    any of the others of ``classes`` (default: all 12). ``size`` is the side of a square image or (H, W), in pixels, at
    least 16. Rendering takes some 40 bytes of memory for every pixel of the stream.

    Raises DataError for a bad number or class.

    >>> stream = render_stream(seed=1, num_gestures=2, size=32)
    >>> stream.frames.shape[1:], [event.label for event in stream.events]
    ((32, 32, 3), ['open_hand', 'swipe_down'])
    """
    height, width = size if isinstance(size, (tuple, list)) and len(size) == 2 else (size, size)
    check_numbers(size=height)
    check_numbers(size=width)
    poses, shapes, events = stream_poses(
        seed=seed,
        num_gestures=num_gestures,
        gesture_frames=gesture_frames,
        idle_frames=idle_frames,
        repeat=repeat,
        classes=classes,
    )
    rng = np.random.default_rng([_SCENE_STREAM, seed])
    clock = [i / _CLIP for i in range(len(poses))]
    # What drifts through a clip must stay in the picture here: it goes to and fro, at no pace that a gesture has.
    slow, fast = uniform(rng, 0.1, 0.2), uniform(rng, 0.25, 0.4)
    phase, other = rng.random(), rng.random()
    places = [0.3 * sin(2 * math.pi * (t * slow + phase)) + 0.2 * sin(2 * math.pi * (t * fast + other)) for t in clock]
    return SyntheticStream(render_scene(rng, poses, shapes, height, width, places=places, clock=clock)[0], events)


def stream_poses(
    *,
    seed: int,
    num_gestures: int = 10,
    gesture_frames: tuple[int, int] = (8, 14),
    idle_frames: tuple[int, int] = (10, 26),
    repeat: float = 0.2,
    classes: Sequence[str] | None = None,
) -> tuple[tuple[Pose, ...], tuple[HandShape, ...], tuple[StreamEvent, ...]]:
    """Return the hand of a stream, its pose and shape in every frame, and the true events.

    The arguments are those of ``render_stream``. Only the fingers' resting curl changes in a hand's shape.

    >>> poses, shapes, events = stream_poses(seed=1, num_gestures=2)
    >>> len(poses) == len(shapes), events[1].start - events[0].end >= 10
    (True, True)
    """
    names = SYNTHETIC_CLASSES if classes is None else tuple(classes)
    if not names or len(set(names)) < len(names) or not set(names) <= set(SYNTHETIC_CLASSES):
        raise DataError(f"classes must be different names out of {', '.join(SYNTHETIC_CLASSES)}, got {names}")
    check_numbers(seed=seed, num_gestures=num_gestures)
    for what, span, least in (("gesture_frames", gesture_frames, 2), ("idle_frames", idle_frames, _SHORTEST_MOVE)):
        whole = len(span) == 2 and all(isinstance(n, (int, np.integer)) for n in span)
        if not whole or not least <= span[0] <= span[1]:
            raise DataError(f"{what} must be two whole numbers, {least} <= fewest <= most, got {span!r}")
    if not 0.0 <= repeat <= 1.0:
        raise DataError(f"repeat must be a chance in 0..1, got {repeat!r}")

    rng = np.random.default_rng([_PLAN_STREAM, seed])
    person = gesture_poses(0, seed=_derived_seed(rng))[1]
    before = (_somewhere(rng), person)
    poses: list[Pose] = []
    shapes: list[HandShape] = []
    events: list[StreamEvent] = []
    label = ""
    for _ in range(num_gestures):
        label = _next_label(rng, names, label, repeat)
        count, idle = (int(rng.integers(low, high + 1)) for low, high in (gesture_frames, idle_frames))
        moves, hand = gesture_poses(SYNTHETIC_CLASSES.index(label), seed=_derived_seed(rng), num_frames=count)
        shape = person._replace(curl=hand.curl)
        _wander(rng, poses, shapes, before, (moves[0], shape), idle)
        events.append(StreamEvent(label, len(poses), len(poses) + count))
        poses += moves
        shapes += [shape] * count
        before = (moves[-1], shape)
    _wander(
        rng, poses, shapes, before, (_somewhere(rng), before[1]), int(rng.integers(idle_frames[0], idle_frames[1] + 1))
    )
    return tuple(poses), tuple(shapes), tuple(events)


def _derived_seed(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << _SEED_BITS))


def _next_label(rng: np.random.Generator, names: tuple[str, ...], last: str, repeat: float) -> str:
    others = [name for name in names if name != last]
    again = last and rng.random() < repeat
    return last if again or not others else others[int(rng.integers(len(others)))]


def _somewhere(rng: np.random.Generator) -> Pose:
    """A pose that the hand passes through between gestures."""
    ranges = _LOW if rng.random() < _SHARE_LOW else _ANYWHERE
    pose = Pose(*(uniform(rng, low, high) for low, high in ranges))
    return pose._replace(closure=max(pose.closure, 0.0))


def _wander(
    rng: np.random.Generator,
    poses: list[Pose],
    shapes: list[HandShape],
    start: tuple[Pose, HandShape],
    end: tuple[Pose, HandShape],
    count: int,
) -> None:
    """Append ``count`` frames that lead from the hand ``start`` to the hand ``end``, both of them not included."""
    stops = [(0, *start)]
    most = 2 * _SHORTEST_MOVE
    # Every move takes 4 to 8 frames, and one more to the end is always left.
    while count + 1 - stops[-1][0] > most:
        left = count + 1 - stops[-1][0]
        frame = stops[-1][0] + min(int(rng.integers(_SHORTEST_MOVE, most + 1)), left - _SHORTEST_MOVE)
        stay = len(stops) > 1 and rng.random() < _SHARE_STAY
        pose = stops[-1][1] if stay else _somewhere(rng)
        curl = tuple(uniform(rng, 0.0, 1.0) for _ in end[1].curl)
        shape = end[1] if rng.random() < _SHARE_READY else end[1]._replace(curl=curl)
        stops.append((frame, pose, stops[-1][2] if stay else shape))
    stops.append((count + 1, *end))
    for (first, pose, shape), (last, next_pose, next_shape) in pairwise(stops):
        for frame in range(first, last):
            u = (frame - first) / (last - first)
            u = u * u * (3.0 - 2.0 * u)
            if frame:
                poses.append(Pose(*(a + u * (b - a) for a, b in zip(pose, next_pose, strict=True))))
                curl = tuple(a + u * (b - a) for a, b in zip(shape.curl, next_shape.curl, strict=True))
                shapes.append(shape._replace(curl=curl))
