"""EventDetector: smoothing, the gate, hysteresis, and what always holds of the events of any stream."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesture_zoo.errors import ModelError
from gesture_zoo.live import Event, EventDetector, no_gesture_labels

LABELS = ("left", "right", "no gesture")
# What a frame may say, as probabilities of LABELS.
LEFT, RIGHT, NOTHING = (0.9, 0.05, 0.05), (0.05, 0.9, 0.05), (0.05, 0.05, 0.9)
PLAIN: dict[str, Any] = {"smoothing": "none", "min_frames": 1}


def detect(frames: Sequence[Sequence[float]], **options: Any) -> list[Event]:
    """The events of a stream of probabilities at 10 frames a second, to the end."""
    detector = EventDetector(LABELS, **options)
    events = [event for i, p in enumerate(frames) for event in detector.update(np.log(p), i / 10)]
    return events + detector.flush()


def spans(events: Sequence[Event]) -> list[tuple[str, float, float | None]]:
    return [(event.label, event.start, event.end) for event in events]


def two(share: float) -> tuple[float, float, float]:
    """Probabilities with ``share`` on the left and the rest on no gesture."""
    return share, 1e-9, 1 - share


# One gesture, one event


@pytest.mark.parametrize("smoothing", ["ema", "majority", "none"])
def test_a_steady_gesture_is_one_event(smoothing: str) -> None:
    events = detect([NOTHING] * 5 + [LEFT] * 10 + [NOTHING] * 5, smoothing=smoothing)
    assert [event.label for event in events] == ["left"]


def test_start_end_detection_and_score() -> None:
    frames = [NOTHING, two(0.7), two(0.8), two(0.95), two(0.5), NOTHING, NOTHING]
    (event,) = detect(frames, smoothing="none", min_frames=3)
    assert (event.start, event.detected, event.end) == (0.1, 0.3, 0.4)
    assert event.score == pytest.approx(0.95)


def test_fewer_frames_than_min_frames_are_none() -> None:
    assert detect([NOTHING, LEFT, LEFT, NOTHING], smoothing="none", min_frames=3) == []


def test_frames_must_be_in_a_row() -> None:
    assert detect([LEFT, RIGHT, LEFT, NOTHING, LEFT, RIGHT], smoothing="none", min_frames=2) == []


def test_a_repeated_gesture_is_two_events() -> None:
    frames = [LEFT] * 3 + [two(0.3)] + [LEFT] * 3
    assert spans(detect(frames, **PLAIN)) == [("left", 0.0, 0.2), ("left", 0.4, 0.6)]


def test_a_dip_that_stays_above_off_is_none() -> None:
    frames = [LEFT] * 3 + [two(0.41)] + [LEFT] * 3
    assert spans(detect(frames, **PLAIN)) == [("left", 0.0, 0.6)]


def test_release_bridges_short_dips() -> None:
    frames = [LEFT] * 3 + [two(0.1)] + [LEFT] * 3 + [two(0.1)] * 2 + [LEFT] * 2
    assert spans(detect(frames, **PLAIN, release=2)) == [("left", 0.0, 0.6), ("left", 0.9, 1.0)]


def test_frames_far_apart_are_of_two_streams() -> None:
    detector, fresh = (EventDetector(LABELS, max_gap=1.0) for _ in range(2))
    times = [0.0, 0.1, 0.2, 0.3, 60.0, 60.1, 61.1]
    ended = [detector.update(np.log(LEFT), time) for time in times]
    assert [spans(events) for events in ended] == [[]] * 4 + [[("left", 0.0, 0.3)]] + [[]] * 2
    for time in times[4:]:
        fresh.update(np.log(LEFT), time)
    assert detector.scores.tolist() == fresh.scores.tolist() and detector.active == fresh.active
    assert spans(detector.flush()) == [("left", 60.0, 61.1)]


# Another gesture


def test_one_gesture_after_another_without_a_pause() -> None:
    events = detect([LEFT] * 4 + [RIGHT] * 4, **PLAIN)
    assert spans(events) == [("left", 0.0, 0.3), ("right", 0.4, 0.7)]


def test_another_gesture_ends_the_first_even_while_release_waits() -> None:
    events = detect([LEFT] * 4 + [RIGHT] * 4, smoothing="none", min_frames=2, release=10)
    assert spans(events) == [("left", 0.0, 0.3), ("right", 0.4, 0.7)]


def test_a_gesture_that_could_stay_on_gives_way_to_a_better_one() -> None:
    both = (0.35, 0.6, 0.05)
    events = detect([LEFT] * 4 + [both] * 4, smoothing="none", on=0.5, off=0.3)
    # Frames that count for the second are none of the first, although its score is not below ``off``.
    assert spans(events) == [("left", 0.0, 0.3), ("right", 0.4, 0.7)]


def test_one_frame_of_another_gesture_does_not_end_it() -> None:
    both = (0.35, 0.6, 0.05)
    events = detect([LEFT] * 4 + [both] + [LEFT] * 2, smoothing="none", on=0.5, off=0.3)
    assert spans(events) == [("left", 0.0, 0.6)]


# The gate


def test_no_gesture_makes_no_event_however_sure() -> None:
    assert detect([NOTHING] * 10, **PLAIN) == []
    assert spans(detect([NOTHING] * 3, **PLAIN, no_gesture=())) == [("no gesture", 0.0, 0.2)]


def test_a_gesture_counts_although_no_gesture_is_higher() -> None:
    assert spans(detect([two(0.45)] * 3, **PLAIN, on=0.44)) == [("left", 0.0, 0.2)]


def test_the_gate_is_open_at_on_itself() -> None:
    # Equal logits of two classes are exactly a half each.
    options: dict[str, Any] = {**PLAIN, "no_gesture": ["b"]}
    assert EventDetector("ab", **options, on=0.5).update((0, 0), 0.0) == []
    for on, active in ((0.5, True), (np.nextafter(0.5, 1), False)):
        detector = EventDetector("ab", **options, on=on)
        detector.update((0, 0), 0.0)
        assert (detector.active is not None) is active


@pytest.mark.parametrize(
    "label", ["No gesture", "no_gesture", "Doing other things", "NON-GESTURE", "Background", "D0X"]
)
def test_names_of_no_gesture(label: str) -> None:
    assert no_gesture_labels(["wave", label, "nothing like it"]) == (label,)
    assert EventDetector(["wave", label]).no_gesture == (label,)


def test_without_a_class_for_no_gesture_the_gate_is_on_alone() -> None:
    detector = EventDetector(["a", "b"], **PLAIN, on=0.9, off=0.5)
    times = [detector.update(logits, i) for i, logits in enumerate([(0, 0), (0.5, 0), (5, 0), (5, 0), (0, 0.5)])]
    assert [spans(events) for events in times] == [[], [], [], [], [("a", 2.0, 3.0)]]


# Smoothing


def test_ema_is_the_written_formula() -> None:
    detector, scores = EventDetector(LABELS, smoothing="ema", window=4), np.zeros(3)
    for i, p in enumerate([LEFT, RIGHT, two(0.3), NOTHING]):
        detector.update(np.log(p), i)
        scores = np.array(p) if i == 0 else 0.4 * np.array(p) + 0.6 * scores
        assert detector.scores == pytest.approx(scores)


def test_majority_is_the_share_of_the_window() -> None:
    detector, shares = EventDetector(LABELS, smoothing="majority", window=3), []
    for i, p in enumerate([LEFT, RIGHT, RIGHT, NOTHING, NOTHING]):
        detector.update(np.log(p), i)
        shares.append(detector.scores.tolist())
    third = 1 / 3
    assert shares == [[1, 0, 0], [0.5, 0.5, 0], [third, 2 / 3, 0], [0, 2 / 3, third], [0, third, 2 / 3]]


def test_of_equal_classes_the_first_is_taken() -> None:
    for smoothing in ("none", "majority"):
        detector = EventDetector("abc", smoothing=smoothing, min_frames=1, on=0.3, off=0.3)
        detector.update((0, 0, 0), 0.0)
        assert detector.active is not None and detector.active.label == "a"


def test_smoothing_bridges_a_wrong_frame() -> None:
    frames = [NOTHING] * 3 + [LEFT] * 4 + [RIGHT] + [LEFT] * 4 + [NOTHING] * 3
    assert len(detect(frames, **PLAIN)) == 3
    for smoothing in ("ema", "majority"):
        assert [e.label for e in detect(frames, smoothing=smoothing, window=5, on=0.5, off=0.3)] == ["left"]


def test_large_logits_do_not_overflow() -> None:
    detector = EventDetector(LABELS, smoothing="none")
    detector.update((1e4, -1e4, 0.0), 0.0)
    assert detector.scores.tolist() == [1.0, 0.0, 0.0]


# Ends, starts, durations


def test_min_duration_drops_short_events() -> None:
    frames = [LEFT] * 2 + [NOTHING] + [LEFT] * 6 + [NOTHING] + [RIGHT] * 2
    assert spans(detect(frames, **PLAIN, min_duration=0.3)) == [("left", 0.3, 0.8)]


def test_active_shows_what_is_on() -> None:
    detector = EventDetector(LABELS, smoothing="none")
    shown = []
    for i, p in enumerate([LEFT, LEFT, LEFT, NOTHING]):
        detector.update(np.log(p), float(i))
        shown.append(detector.active)
    assert shown[0] is None and shown[3] is None
    assert shown[1] is not None and (shown[1].start, shown[1].end, shown[1].detected) == (0.0, None, 1.0)


def test_flush_ends_what_is_on_and_starts_anew() -> None:
    detector = EventDetector(LABELS, **PLAIN)
    assert [detector.update(np.log(LEFT), t) for t in (5.0, 6.0)] == [[], []]
    assert spans(detector.flush()) == [("left", 5.0, 6.0)]
    assert detector.flush() == [] and detector.active is None
    assert detector.update(np.log(LEFT), 0.0) == []  # an earlier time is no error now


def test_reset_forgets_everything() -> None:
    detector, fresh = (EventDetector(LABELS, window=5) for _ in range(2))
    for i in range(5):
        detector.update(np.log(LEFT), i)
    detector.reset()
    assert detector.active is None and detector.flush() == [] and not detector.scores.any()
    for i, p in enumerate([RIGHT] * 4 + [NOTHING] * 4):
        assert detector.update(np.log(p), i) == fresh.update(np.log(p), i)
        assert detector.scores.tolist() == fresh.scores.tolist()


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smoothing": "median"}, "smoothing must be one of ema, majority, none, got 'median'"),
        ({"window": 0}, "window must be a whole number of frames of at least 1, got 0"),
        ({"window": 2.5}, "window must be"),
        ({"min_frames": 0}, "min_frames must be"),
        ({"min_frames": True}, "min_frames must be"),
        ({"release": -1}, "release must be"),
        ({"on": 0.3, "off": 0.4}, "0 < off <= on <= 1"),
        ({"off": 0.0}, "0 < off"),
        ({"on": 1.1}, "on <= 1"),
        ({"on": float("nan")}, "got off 0.4 and on nan .by default 0.4 and 0.6"),
        ({"min_duration": -1.0}, "min_duration must be"),
        ({"min_duration": float("inf")}, "min_duration must be"),
        ({"max_gap": 0.0}, "max_gap must be a number of seconds above 0, got 0.0"),
        ({"max_gap": float("nan")}, "max_gap must be"),
        ({"no_gesture": ["nothing"]}, "'nothing' is none of the classes left, right, no gesture"),
        ({"no_gesture": LABELS}, "there is no gesture to detect"),
    ],
)
def test_bad_parameters(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        EventDetector(LABELS, **options)
    assert "\n" not in str(caught.value)


def test_labels_are_told_apart() -> None:
    with pytest.raises(ModelError, match="labels has 'wave' twice"):
        EventDetector(["wave", "push", "wave"])


def test_bad_logits_and_times_leave_the_detector_as_it_was() -> None:
    detector = EventDetector(LABELS, **PLAIN)
    detector.update(np.log(LEFT), 1.0)
    scores = detector.scores
    for logits, time in (((1, 2), 2.0), ((1, 2, np.nan), 2.0), ((1, 2, np.inf), 2.0), (((1, 2, 3),), 2.0)):
        with pytest.raises(ModelError, match="expected 3 finite logits"):
            detector.update(logits, time)
    for time in (0.9, float("nan"), float("inf")):
        with pytest.raises(ModelError, match="times must not go back"):
            detector.update((1, 2, 3), time)
    assert detector.scores.tolist() == scores.tolist()
    assert detector.update(np.log(LEFT), 1.0) == []  # the same time again may be


# What holds of any stream

_frames = st.lists(st.tuples(*[st.floats(-6, 6)] * 3), min_size=1, max_size=60)
_options = st.fixed_dictionaries(
    {
        "smoothing": st.sampled_from(["ema", "majority", "none"]),
        "window": st.integers(1, 6),
        "on": st.floats(0.3, 1.0),
        "off": st.floats(0.05, 0.3),
        "min_frames": st.integers(1, 4),
        "release": st.integers(1, 4),
        "min_duration": st.sampled_from([0.0, 0.0, 0.25]),
        "max_gap": st.sampled_from([1.0, 2.0]),
    }
)


@given(frames=_frames, options=_options)
def test_events_are_in_order_apart_and_as_promised(frames: list, options: dict[str, Any]) -> None:
    detector, events, scores = EventDetector(LABELS, **options), [], []
    for i, logits in enumerate(frames):
        ended = detector.update(logits, i / 10)
        assert len(ended) <= 1
        events += ended
        scores.append(detector.scores)
    events += detector.flush()
    last = -1.0
    for event in events:
        assert event.end is not None
        assert last < event.start <= event.detected <= event.end
        assert event.end - event.start >= options["min_duration"]
        first, known, end = (round(10 * time) for time in (event.start, event.detected, event.end))
        assert known - first == options["min_frames"] - 1
        own = [score[LABELS.index(event.label)] for score in scores]
        assert event.label != "no gesture"
        assert min(own[first : known + 1]) >= options["on"] and own[end] >= options["off"]
        # It may have been higher still in a frame that counted for another gesture.
        assert max(own[first : end + 1]) <= event.score <= max(own[first:])
        last = event.end


@given(frames=_frames, options=_options)
def test_a_stream_is_reported_as_well_in_two_runs_as_in_one(frames: list, options: dict[str, Any]) -> None:
    """A detector has no memory beyond reset, and what it says does not depend on the clock's zero."""
    detector = EventDetector(LABELS, **options)

    def run(offset: int) -> list[tuple[str, float, float, float]]:
        events = [event for i, logits in enumerate(frames) for event in detector.update(logits, offset + i)]
        events += detector.flush()
        return [(e.label, e.score, e.start - offset, (e.end or 0) - offset) for e in events]

    assert run(0) == run(1024)


def test_importing_it_needs_no_torch() -> None:
    code = "import sys, gesture_zoo.live; assert not {'torch', 'timm', 'torchvision'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
