"""From a classifier's answer to every frame to gesture events: which gesture, from when to when, each reported once.

Four steps in every frame: softmax; smoothing over the last frames; a gate, which lets only a gesture (not "no gesture")
with a high enough score count; hysteresis, so that one gesture makes one event, and the same gesture made twice makes
two. All in double precision, in plain steps: the web page does the same in JavaScript.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import ModelError

SMOOTHINGS = ("ema", "majority", "none")
# What datasets call the class of everything that is no gesture; compared without case, spaces and punctuation.
_NO_GESTURE = {
    "background",
    "d0x",
    "doingotherthings",
    "idle",
    "negative",
    "neutral",
    "noaction",
    "nogesture",
    "nohand",
    "none",
    "nongesture",
    "nothing",
    "other",
    "others",
    "rest",
}


@dataclass(frozen=True)
class Event:
    """One gesture in a stream; times are in seconds, of the frames that ``EventDetector.update`` was told.

    ``score`` in [0, 1] is the highest smoothed score while it was on, ``start`` the time of its first frame, ``end``
    that of its last one (None while it is on), ``detected`` the time of the frame with which it became known.

    >>> Event("push", 0.9, start=1.0, end=1.5, detected=1.1).label
    'push'
    """

    label: str
    score: float
    start: float
    end: float | None
    detected: float


@dataclass(frozen=True)
class _Streak:
    """Consecutive frames in which the same class counted."""

    label: int
    frames: int
    start: float
    score: float


def no_gesture_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return those of ``labels`` whose name says that they are no gesture, whatever its case and punctuation.

    >>> no_gesture_labels(["Swiping Left", "No gesture", "Doing other things", "no_gesture"])
    ('No gesture', 'Doing other things', 'no_gesture')
    """
    return tuple(label for label in labels if "".join(c for c in label.lower() if c.isalnum()) in _NO_GESTURE)


class EventDetector:
    """Turns the logits of one frame after another into events; no two events overlap.

    - ``labels``: the K class names, in the order of the logits.
    - ``no_gesture``: names of classes that never make an event (default: those that ``no_gesture_labels`` finds).
    - ``smoothing``: of the probabilities p, to scores s. "ema": s = a p + (1 - a) s, a = 2 / (window + 1), from s = p
      at the first frame. "majority": s[k] is the share of the last ``window`` frames whose highest probability is that
      of k. "none": s = p. Of equally high classes the first is taken, everywhere.
    - ``window``: of the smoothing, in frames, at least 1.
    - ``on``: the highest of the scores of gestures counts in a frame where it is at least this.
    - ``off``: an event stays on while its score is at least this; 0 < off <= on <= 1.
    - ``min_frames``: an event starts once the same gesture has counted in so many frames in a row, at the first of
      them.
    - ``release``: an event ends once its score was below ``off`` in so many frames in a row. It also ends when another
      gesture starts. Its end is the last frame where its score was at least ``off`` and no other gesture counted.
    - ``min_duration``: in seconds; an event whose end is less than this after its start is dropped when it ends (one of
      a single frame lasts 0 s). ``active`` shows it until then.
    - ``max_gap``: in seconds, above 0; frames further apart are of two streams (a camera stalled, a computer slept):
      the event that is on ends with its last frame, and smoothing and counting start anew.

    A bad parameter is a ModelError.

    >>> detector = EventDetector(["push", "no gesture"], smoothing="none", min_frames=1)
    >>> frames = [(0, 9), (9, 0), (9, 0), (0, 9), (0, 9)]
    >>> events = [event for i, logits in enumerate(frames) for event in detector.update(logits, i / 10)]
    >>> [(event.label, event.start, event.end) for event in events]
    [('push', 0.1, 0.2)]
    """

    def __init__(
        self,
        labels: Sequence[str],
        *,
        no_gesture: Sequence[str] | None = None,
        smoothing: str = "ema",
        window: int = 3,
        on: float = 0.6,
        off: float = 0.4,
        min_frames: int = 2,
        release: int = 1,
        min_duration: float = 0.0,
        max_gap: float = 2.0,
    ) -> None:
        self.labels = tuple(labels)
        self.no_gesture = no_gesture_labels(self.labels) if no_gesture is None else tuple(no_gesture)
        if twice := next((label for label in self.labels if self.labels.count(label) > 1), None):
            raise ModelError(f"labels has {twice!r} twice: events are told by their names")
        unknown = [label for label in self.no_gesture if label not in self.labels]
        if unknown:
            raise ModelError(f"no_gesture: {unknown[0]!r} is none of the classes {', '.join(self.labels)}")
        self._gestures = np.flatnonzero([label not in self.no_gesture for label in self.labels])
        if not len(self._gestures):
            raise ModelError("there is no gesture to detect: labels needs a class that is not in no_gesture")
        if smoothing not in SMOOTHINGS:
            raise ModelError(f"smoothing must be one of {', '.join(SMOOTHINGS)}, got {smoothing!r}")
        for name, count in (("window", window), ("min_frames", min_frames), ("release", release)):
            if not isinstance(count, int) or isinstance(count, bool) or count < 1:
                raise ModelError(f"{name} must be a whole number of frames of at least 1, got {count!r}")
        if not 0 < off <= on <= 1:
            raise ModelError(f"expected 0 < off <= on <= 1, got off {off!r} and on {on!r} (by default 0.4 and 0.6)")
        if not (math.isfinite(min_duration) and min_duration >= 0):
            raise ModelError(f"min_duration must be a number of seconds of at least 0, got {min_duration!r}")
        if not max_gap > 0:
            raise ModelError(f"max_gap must be a number of seconds above 0, got {max_gap!r}")
        self.smoothing, self.window = smoothing, window
        self.on, self.off = float(on), float(off)
        self.min_frames, self.release = min_frames, release
        self.min_duration, self.max_gap = float(min_duration), float(max_gap)
        self._time = -math.inf
        self.reset()

    @property
    def scores(self) -> np.ndarray:
        """The smoothed scores (K,) float64 after the last frame; zeros before the first."""
        return self._scores.copy()

    @property
    def active(self) -> Event | None:
        """The event that is on, with ``end`` None; None where there is none."""
        return self._active

    def update(self, logits: np.ndarray | Sequence[float], time: float) -> list[Event]:
        """Take the logits (K,) of the next frame, at ``time`` in seconds; return the events that ended with it.

        Logits of another shape or that are not finite, or a time before that of the last frame, are a ModelError, after
        which the detector is as it was before.
        """
        values = np.asarray(logits, np.float64)
        if values.shape != (len(self.labels),) or not np.isfinite(values).all():
            raise ModelError(f"expected {len(self.labels)} finite logits, one per class, got {values.shape}: {values}")
        if not (math.isfinite(time) and time >= self._time):
            raise ModelError(f"times must not go back: {time!r} s came after {self._time} s; reset() starts anew")
        before = self.flush() if self.is_gap(time) else []
        self._time = float(time)
        self._smooth(values)
        return before + self._follow(self._time)

    def is_gap(self, time: float) -> bool:
        """Whether a frame at ``time`` comes more than ``max_gap`` after the last one."""
        return math.isfinite(self._time) and time - self._time > self.max_gap

    def flush(self) -> list[Event]:
        """Return the event that is on, ended with its last frame, and start anew: what to do at the end of a stream."""
        ended = self._ended()
        self.reset()
        return ended

    def reset(self) -> None:
        """Forget all frames and the event that is on."""
        self._time = -math.inf
        self._scores = np.zeros(len(self.labels))
        self._best: deque[int] = deque(maxlen=self.window)
        self._started = False
        self._streak: _Streak | None = None
        self._active: Event | None = None
        self._label = -1  # the class of the active event
        self._last = 0.0  # the time of its last frame so far
        self._below = 0  # consecutive frames with its score below ``off``

    def _smooth(self, logits: np.ndarray) -> None:
        p = np.exp(logits - logits.max())
        p /= p.sum()
        if self.smoothing == "majority":
            self._best.append(int(p.argmax()))
            self._scores = np.bincount(self._best, minlength=len(p)) / len(self._best)
        elif self.smoothing == "ema" and self._started:
            share = 2 / (self.window + 1)
            self._scores = share * p + (1 - share) * self._scores
        else:
            self._scores = p
        self._started = True

    def _follow(self, time: float) -> list[Event]:
        """The gate and the hysteresis, with the scores of the frame at ``time``."""
        self._streak = streak = self._counted(time)
        starting = streak if streak is not None and streak.frames >= self.min_frames else None
        ended: list[Event] = []
        if self._active is not None:
            score = float(self._scores[self._label])
            self._below = self._below + 1 if score < self.off else 0
            # A frame that counts for another gesture belongs to that one, so that events do not overlap.
            if not self._below and (streak is None or streak.label == self._label):
                self._last = time
            if self._below >= self.release or (starting is not None and starting.label != self._label):
                ended = self._ended()
                self._active = None
            else:
                self._active = replace(self._active, score=max(self._active.score, score))
        if self._active is None and starting is not None:
            self._active = Event(self.labels[starting.label], starting.score, starting.start, None, time)
            self._label, self._last, self._below = starting.label, time, 0
        return ended

    def _counted(self, time: float) -> _Streak | None:
        """The streak that the frame at ``time`` begins or goes on with; None where no gesture's score is enough."""
        best = int(self._gestures[self._scores[self._gestures].argmax()])
        score, streak = float(self._scores[best]), self._streak
        if score < self.on:
            return None
        if streak is None or streak.label != best:
            return _Streak(best, 1, time, score)
        return replace(streak, frames=streak.frames + 1, score=max(streak.score, score))

    def _ended(self) -> list[Event]:
        """The active event with its end, unless it is too short."""
        if self._active is None or self._last - self._active.start < self.min_duration:
            return []
        return [replace(self._active, end=self._last)]
