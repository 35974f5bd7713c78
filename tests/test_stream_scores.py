"""What benchmarks/stream.py counts: which events match, when they were known, how far a sequence of labels is off."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gesture_zoo.data.synthetic_stream import StreamEvent
from gesture_zoo.live import Event

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from stream_scores import Tally, add_stream, edit_distance

TRUE = (StreamEvent("push", 10, 20), StreamEvent("pull", 40, 50))


def found(label: str, start: int, end: int) -> Event:
    return Event(label, 0.9, start, end, detected=start + 1)


def count(*events: Event) -> Tally:
    tally = Tally()
    add_stream(tally, events, TRUE, frames=620)
    return tally


def test_all_found() -> None:
    tally = count(found("push", 15, 21), found("pull", 42, 47))
    assert (tally.precision, tally.recall, tally.f1, tally.sequence_accuracy) == (1, 1, 1, 1)
    assert tally.after_start == [6, 3] and tally.after_end == [-3, -6]  # the last frames are 19 and 49
    assert tally.false_a_minute == 0


@pytest.mark.parametrize(("start", "end", "matches"), [(19, 25, 1), (20, 25, 0), (5, 10, 1), (5, 9, 0)])
def test_a_shared_frame_is_enough_and_none_is_not(start: int, end: int, matches: int) -> None:
    tally = count(found("push", start, end))
    assert (tally.matched, tally.elsewhere) == (matches, 1 - matches)


def test_each_matches_once() -> None:
    tally = count(found("push", 11, 13), found("push", 15, 18), found("pull", 41, 48))
    assert (tally.detected, tally.matched, tally.elsewhere, tally.edits) == (3, 2, 0, 1)
    assert tally.precision == pytest.approx(2 / 3) and tally.recall == 1


def test_wrong_labels_and_events_in_idle_time() -> None:
    tally = count(found("wave", 12, 18), found("push", 25, 30))
    assert (tally.matched, tally.elsewhere, tally.edits) == (0, 1, 2)
    assert tally.idle_frames == 600 and tally.false_a_minute == 1  # a minute of idle time at 10 frames a second
    assert tally.f1 == 0 and tally.delay == float("inf")


def test_nothing_found() -> None:
    tally = count()
    assert (tally.precision, tally.recall, tally.f1, tally.sequence_accuracy) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [("", "", 0), ("abc", "", 3), ("", "ab", 2), ("abc", "abc", 0), ("kitten", "sitting", 3), ("ab", "ba", 2)],
)
def test_edit_distance(a: str, b: str, distance: int) -> None:
    assert edit_distance(list(a), list(b)) == edit_distance(list(b), list(a)) == distance
