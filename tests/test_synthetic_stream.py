"""Rendered streams: the same everywhere, what they promise, and that idle time is no giveaway."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from gesture_zoo.data.motions import SYNTHETIC_CLASSES
from gesture_zoo.data.synthetic_stream import NO_GESTURE, STREAM_CLASSES, render_stream, stream_poses
from gesture_zoo.errors import DataError

# sha256 of the frames that the test below renders; as those of the clips, not to be recorded anew lightly.
RECORDED = "0c4144d0223cd22663d748dc3bde813ecc544adadf50da092d9ad1bf73c76d0f"
SMALL: dict[str, Any] = {"num_gestures": 2, "size": 32, "gesture_frames": (3, 4), "idle_frames": (4, 6)}


def many(count: int = 40, **options: Any) -> list[tuple]:
    return [stream_poses(seed=seed, **options) for seed in range(count)]


def test_the_frames_are_the_recorded_ones() -> None:
    options = {**SMALL, "idle_frames": (12, 20)}
    streams = [render_stream(seed=3, **options), render_stream(seed=2**40, **{**options, "size": (24, 40)})]
    digest = hashlib.sha256()
    for stream in streams:
        digest.update(stream.frames)
        digest.update(repr([tuple(event) for event in stream.events]).encode())
    assert digest.hexdigest() == RECORDED


def test_a_stream_is_its_seed() -> None:
    first, again, other = (render_stream(seed=seed, **SMALL) for seed in (5, 5, 6))
    assert np.array_equal(first.frames, again.frames) and first.events == again.events
    assert first.events != other.events


def test_no_inexact_operation_on_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("an operation on arrays that is not the same everywhere")

    for name in "sin cos exp log power dot matmul einsum interp mean std sum cumsum".split():
        monkeypatch.setattr(np, name, refuse)
    render_stream(seed=0, **SMALL)


def test_shapes_and_labels() -> None:
    stream = render_stream(seed=1, **{**SMALL, "size": (20, 36)})
    assert stream.frames.shape[1:] == (20, 36, 3) and stream.frames.dtype == np.uint8
    labels = stream.frame_labels
    assert labels.shape == (len(stream.frames),) and STREAM_CLASSES[-1] == NO_GESTURE
    for label, start, end in stream.events:
        assert {STREAM_CLASSES[k] for k in labels[start:end]} == {label}
    assert (labels != len(STREAM_CLASSES) - 1).sum() == sum(end - start for _, start, end in stream.events)


def test_lengths_are_as_asked() -> None:
    for poses, shapes, events in many(gesture_frames=(5, 9), idle_frames=(6, 7), num_gestures=4):
        assert len(events) == 4 and len(poses) == len(shapes)
        assert all(5 <= end - start <= 9 for _, start, end in events)
        ends, starts = [0, *(e.end for e in events)], [*(e.start for e in events), len(poses)]
        assert all(6 <= start - end <= 7 for end, start in zip(ends, starts, strict=True))


def test_the_hand_never_jumps() -> None:
    for poses, shapes, _ in many(gesture_frames=(8, 14)):
        path = np.array(poses)
        assert np.abs(np.diff(path[:, :2], axis=0)).max() < 0.3  # image sides
        assert np.abs(np.diff(path[:, 2:], axis=0)).max() < 0.6  # scene units, radians, closure
        curls = np.array([shape.curl for shape in shapes])
        assert np.abs(np.diff(curls, axis=0)).max() < 0.45
        assert len({shape._replace(curl=()) for shape in shapes}) == 1


def test_idle_time_moves_as_much_as_gestures() -> None:
    """In the picture and in depth; so a classifier of movement would be none of gestures."""
    moving, idle = [], []
    for poses, _, events in many():
        speed = np.abs(np.diff(np.array(poses)[:, :3], axis=0)).sum(1)
        gesture = np.zeros(len(poses), bool)
        for _, start, end in events:
            gesture[start:end] = True
        moving += speed[gesture[1:]].tolist()
        idle += speed[~gesture[1:]].tolist()
    assert 0.7 < np.mean(idle) / np.mean(moving) < 2
    assert np.quantile(idle, 0.9) > np.quantile(moving, 0.5)


def test_gestures_of_every_class_and_some_twice_in_a_row() -> None:
    labels = [[event.label for event in events] for *_, events in many()]
    assert {label for stream in labels for label in stream} == set(SYNTHETIC_CLASSES)
    pairs = [a == b for stream in labels for a, b in pairwise(stream)]
    assert 0.1 < np.mean(pairs) < 0.3


def test_repeat_and_classes() -> None:
    for repeat, same in ((0.0, False), (1.0, True)):
        events = stream_poses(seed=0, num_gestures=6, classes=("push", "pull"), repeat=repeat)[2]
        assert {a.label == b.label for a, b in pairwise(events)} == {same}
    assert {event.label for event in stream_poses(seed=0, classes=("push",))[2]} == {"push"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed must be"),
        ({"num_gestures": 0}, "num_gestures must be"),
        ({"size": 8}, "size must be"),
        ({"gesture_frames": (1, 5)}, "gesture_frames must be two whole numbers, 2 <= fewest <= most"),
        ({"gesture_frames": (8, 7)}, "gesture_frames must be"),
        ({"gesture_frames": (8.0, 9.0)}, "gesture_frames must be"),
        ({"idle_frames": (3, 9)}, "idle_frames must be"),
        ({"idle_frames": (9,)}, "idle_frames must be"),
        ({"repeat": 1.5}, "repeat must be a chance"),
        ({"classes": ("push", "push")}, "classes must be different names"),
        ({"classes": ()}, "classes must be"),
        ({"classes": ("wave",)}, "classes must be"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        render_stream(**{"seed": 0, **SMALL, **options})
