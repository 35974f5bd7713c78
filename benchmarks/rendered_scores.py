"""What rendered_real.py counts: right answers with their interval, directions, events where there was no gesture."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from gesture_zoo.engine.metrics import wilson_interval
from gesture_zoo.live import Event

# Classes that differ by direction alone.
PAIRS = (
    ("Swiping Left", "Swiping Right"),
    ("Swiping Up", "Swiping Down"),
    ("Turning Hand Clockwise", "Turning Hand Counterclockwise"),
    ("Pushing Hand Away", "Pulling Hand In"),
)
Span = tuple[float, float]


@dataclass(frozen=True)
class Judged:
    """A clip's true class and one way's answer to it: a score for every class (K,), and the label it decides on.

    ``said`` is None where it found nothing.
    """

    id: str
    true: str
    fit: str
    scores: np.ndarray
    said: str | None


def best_of(scores: np.ndarray, labels: Sequence[str], allowed: Iterable[str]) -> tuple[str, float]:
    """The allowed class with the highest score (K,), and its share of the scores of those allowed.

    >>> best_of(np.array([0.5, 0.3, 0.1]), ["left", "right", "up"], ["right", "up"])
    ('right', 0.75)
    """
    places = [labels.index(label) for label in labels if label in set(allowed)]
    place = max(places, key=lambda k: scores[k])
    total = float(scores[places].sum())
    return labels[place], round(float(scores[place]) / total, 6) if total > 0 else 0.0


def right_of(judged: Sequence[Judged], labels: Sequence[str], allowed: Iterable[str] | None) -> int:
    """How many answers are right: the best of the allowed classes, or with None what was decided on."""
    if allowed is None:
        return sum(clip.said == clip.true for clip in judged)
    allowed = list(allowed)
    return sum(best_of(clip.scores, labels, allowed)[0] == clip.true for clip in judged)


def direction(judged: Sequence[Judged], labels: Sequence[str], pair: tuple[str, str]) -> tuple[int, int]:
    """Of the clips of either class of a pair: how many have the higher score in the right one, and how many there are.

    >>> clips = [Judged("a", "left", "exact", np.array([0.2, 0.1, 0.7]), "up")]
    >>> direction(clips, ["left", "right", "up"], ("left", "right"))
    (1, 1)
    """
    clips = [clip for clip in judged if clip.true in pair]
    return right_of(clips, labels, pair), len(clips)


def share(right: int, count: int) -> str:
    """A share in % with its 95 % interval (Wilson), as text.

    >>> share(8, 10), share(0, 0)
    ('8 of 10: 80 % (49 to 94)', '-')
    """
    if not count:
        return "-"
    low, high = wilson_interval(right, count)
    return f"{right} of {count}: {100 * right / count:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def idle_spans(duration: float, window: Span, margin: float) -> list[Span]:
    """What is left of a recording, in seconds, without a window and a margin on both of its sides.

    >>> idle_spans(8.0, (3.0, 5.0), 0.5)
    [(0.0, 2.5), (5.5, 8.0)]
    """
    spans = [(0.0, window[0] - margin), (window[1] + margin, duration)]
    return [(start, end) for start, end in spans if end > start]


@dataclass
class Alarms:
    """Events by class over so many seconds in which they are wrong, or not known to be right."""

    seconds: float = 0.0
    streams: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, events: Iterable[Event], spans: Sequence[Span]) -> None:
        """Count the events of one stream that begin in one of the spans, and the spans' time."""
        self.streams += bool(spans)
        self.seconds += sum(end - start for start, end in spans)
        for event in events:
            if any(start <= event.start < end for start, end in spans):
                self.counts[event.label] += 1

    @property
    def a_minute(self) -> float:
        """Events a minute; 0 of no time."""
        return 60 * self.counts.total() / self.seconds if self.seconds else 0.0

    def of_class(self, label: str) -> float:
        """Events of one class a minute."""
        return 60 * self.counts[label] / self.seconds if self.seconds else 0.0
