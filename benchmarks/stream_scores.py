"""How well detected events agree with the true ones: a part of stream_events.py. All times are frames."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from gesture_zoo.data.synthetic_stream import STREAM_RATE, StreamEvent
from gesture_zoo.live import Event


@dataclass
class Tally:
    """Counts over streams; the latencies are those of the events that match."""

    true: int = 0
    detected: int = 0
    matched: int = 0
    elsewhere: int = 0  # detected events that touch no true one
    edits: int = 0
    idle_frames: int = 0
    after_start: list[float] = field(default_factory=list)
    after_end: list[float] = field(default_factory=list)

    @property
    def precision(self) -> float:
        return self.matched / self.detected if self.detected else 0.0

    @property
    def recall(self) -> float:
        return self.matched / self.true

    @property
    def f1(self) -> float:
        return 2 * self.matched / (self.true + self.detected)

    @property
    def sequence_accuracy(self) -> float:
        """1 - edit distance / number of true events, over the sequences of labels; below 0 where there are too many."""
        return 1 - self.edits / self.true

    @property
    def false_a_minute(self) -> float:
        """Detected events that touch no true one, for every minute without a gesture."""
        return self.elsewhere / (self.idle_frames / STREAM_RATE / 60)

    @property
    def delay(self) -> float:
        """Mean frames from the start of a gesture until it is known; infinite where none is."""
        return statistics.mean(self.after_start) if self.after_start else float("inf")


def overlap(event: Event, true: StreamEvent) -> bool:
    """Whether they share a frame; both ends of an event are frames of it, the true end is the frame after the last."""
    assert event.end is not None
    return event.start < true.end and event.end >= true.start


def add_stream(tally: Tally, events: Sequence[Event], true: Sequence[StreamEvent], frames: int) -> None:
    """Count one stream.

    In order of time, an event matches the first true one of its label with which it shares a frame and that no earlier
    event matched.
    """
    free = list(true)
    for event in events:
        partner = next((t for t in free if t.label == event.label and overlap(event, t)), None)
        if partner is not None:
            free.remove(partner)
            tally.matched += 1
            tally.after_start.append(event.detected - partner.start)
            tally.after_end.append(event.detected - (partner.end - 1))
        tally.elsewhere += not any(overlap(event, t) for t in true)
    tally.true += len(true)
    tally.detected += len(events)
    tally.edits += edit_distance([event.label for event in events], [t.label for t in true])
    tally.idle_frames += frames - sum(t.end - t.start for t in true)


def edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    """The fewest insertions, deletions and replacements that make one sequence the other (Levenshtein).

    >>> edit_distance(["push", "pull"], ["push", "push", "pull"])
    1
    """
    row = list(range(len(b) + 1))
    for i, left in enumerate(a):
        last, row[0] = row[0], i + 1
        for j, right in enumerate(b):
            last, row[j + 1] = row[j + 1], min(row[j + 1] + 1, row[j] + 1, last + (left != right))
    return row[-1]
