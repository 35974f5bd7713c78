"""Recogniser: from frames to events, at the rate the model wants."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DataError, ModelError
from ..runtime import Runner, preprocess
from ..runtime.preprocess import check_frame
from .clip import best, probabilities
from .events import Event, EventDetector
from .source import Frame
from .sources import open_source

_SLACK = 0.25  # of the time between two frames: what a frame may come early; cameras jitter
_REMEMBERED = 1000  # steps whose times are kept, for the median


class Seen(NamedTuple):
    """What one frame gave: its time, the smoothed scores (K,), the event that is on, and those that ended with it.

    >>> seen = Seen(0.1, np.array([0.2, 0.8]), active=None, ended=[])
    >>> int(seen.scores.argmax()), seen.active, seen.ended
    (1, None, [])
    """

    time: float
    scores: np.ndarray
    active: Event | None
    ended: list[Event]


class Recogniser:
    """A model and an event detector that look at one frame after another.

    ``detector``: an ``EventDetector`` for the model's labels, by default one with its own settings. ``rate``: frames a
    second that the model is to see (default: the model's own, ``info.frame_rate``; where it has none, all). Others are
    skipped by their time: of every 1 / rate seconds the first frame is taken, whatever the source's rate is.
    ``mirror``: the model sees every frame with left and right exchanged, for cameras that give a mirror image, or that
    are worn on the head where the model learned from ones that face the person. Several at once need a runner each,
    ``runner.another()``, or their states mix.

    ``frames`` and ``skipped`` count; ``busy`` is the time spent on the frames that were not skipped, in seconds.

    >>> from gesture_zoo.runtime import ModelInfo
    >>> class Brightness(Runner):  # in place of open_exported("model.onnx")
    ...     def advance(self, frame):
    ...         return np.array([[9 * frame.mean(), -9 * frame.mean()]], np.float32)
    >>> runner = Brightness(ModelInfo("mine", "stream", ("flash", "nothing"), (3, 8, 8), (0.5,) * 3, (0.5,) * 3))
    >>> recogniser = Recogniser(runner, rate=10)
    >>> white = np.full((8, 8, 3), 255, np.uint8)
    >>> seen = [recogniser.see(white, time / 20) for time in range(6)]  # twenty frames a second
    >>> [round(one.time, 2) for one in seen if one], recogniser.skipped, recogniser.overall(1)[0][0]
    ([0.0, 0.1, 0.2], 3, 'flash')
    >>> [event.label for event in recogniser.flush()]
    ['flash']
    """

    def __init__(
        self,
        runner: Runner,
        detector: EventDetector | None = None,
        *,
        rate: float | None = None,
        mirror: bool = False,
    ) -> None:
        channels = runner.info.input_size[0]
        if channels != 3:
            raise ModelError(
                f"{runner.info.architecture} sees {'depth' if channels == 1 else 'depth beside colour'}: only clips "
                "that have depth can be given to it, not a stream of colour frames"
            )
        if rate is not None and not 0 < rate < math.inf:
            raise DataError(f"the rate is a number of frames a second above 0, got {rate}")
        if detector is not None and len(detector.labels) != len(runner.info.labels):
            raise ModelError(
                f"the detector is for {len(detector.labels)} classes, {runner.info.architecture} has "
                f"{len(runner.info.labels)}: EventDetector(runner.info.labels) is one for it"
            )
        self.runner = runner
        self.detector = EventDetector(runner.info.labels) if detector is None else detector
        self.rate = runner.info.frame_rate if rate is None else rate
        self.mirror = mirror
        self.reset()

    def reset(self) -> None:
        """Forget all frames: what to do before another source."""
        self.runner.reset()
        self.detector.reset()
        self.frames = self.skipped = 0
        self.busy = 0.0
        self._start: float | None = None
        self._time = -math.inf
        self._period = -1
        self._steps = np.zeros(_REMEMBERED)  # one block of memory from the start, however long a stream is
        self._sum = np.zeros(len(self.runner.info.labels))

    def see(self, rgb: np.ndarray, time: float) -> Seen | None:
        """Look at the frame (H, W, 3) uint8 RGB of ``time`` in seconds; None where it is skipped.

        A frame of another kind is a DataError, a time before that of the last frame a ModelError (another source begins
        with ``reset``); after either all is as it was before. After a gap that ends an event (the detector's
        ``max_gap``) the model, too, has forgotten what was before it.
        """
        if not (math.isfinite(time) and time >= self._time):
            raise ModelError(f"times must not go back: {time!r} s came after {self._time} s; reset() starts anew")
        check_frame(rgb)
        self._time = time
        if not self._is_due(time):
            self.skipped += 1
            return None
        started = clock.perf_counter()
        if self.detector.is_gap(time):
            self.runner.reset()
        frame = preprocess(rgb, self.runner.info)
        logits = self.runner.step(np.ascontiguousarray(frame[..., ::-1]) if self.mirror else frame)[0]
        ended = self.detector.update(logits, time)
        self._sum += probabilities(logits)
        took = clock.perf_counter() - started
        self._steps[self.frames % _REMEMBERED] = took
        self.frames += 1
        self.busy += took
        return Seen(time, self.detector.scores, self.detector.active, ended)

    def flush(self) -> list[Event]:
        """The event that is on at the end of a source, ended with its last frame."""
        return self.detector.flush()

    def overall(self, topk: int = 5) -> list[tuple[str, float]]:
        """The ``topk`` labels with the highest mean probability over all frames seen, best first."""
        return best(self.runner.info.labels, self._sum / max(1, self.frames), topk)

    @property
    def step_seconds(self) -> float:
        """The median time that the last frames took, from picture to events, in seconds; nan before the first."""
        return float(np.median(self._steps[: self.frames])) if self.frames else math.nan

    def _is_due(self, time: float) -> bool:
        if self.rate is None:
            return True
        self._start = time if self._start is None else self._start
        period = math.floor((time - self._start) * self.rate + _SLACK)
        due, self._period = period > self._period, max(period, self._period)
        return due


def recognise(
    source: str | Path | Iterable[Frame],
    runner: Runner,
    *,
    detector: EventDetector | None = None,
    rate: float | None = None,
    mirror: bool = False,
) -> Iterator[Event]:
    """The gesture events of a source, each as soon as it has ended.

    ``source`` is what ``open_source`` takes (a file, a folder, a URL, a camera's number as text), or an iterable of
    (time in seconds, frame (H, W, 3) uint8 RGB), whose times do not go back. ``runner`` is what ``open_exported``
    opened, or ``TorchRunner(model)``; it starts anew. See ``Recogniser`` for ``detector``, ``rate`` and
    ``mirror``.

    >>> from gesture_zoo.runtime import ModelInfo, Runner
    >>> class Brightness(Runner):  # in place of open_exported("model.onnx")
    ...     def advance(self, frame):
    ...         return np.array([[9 * frame.mean(), -9 * frame.mean()]], np.float32)
    >>> runner = Brightness(ModelInfo("mine", "stream", ("flash", "nothing"), (3, 8, 8), (0.5,) * 3, (0.5,) * 3))
    >>> frames = [(i / 10, np.full((8, 8, 3), 255 if 5 <= i < 9 else 0, np.uint8)) for i in range(20)]
    >>> [(event.label, event.start, event.end) for event in recognise(frames, runner)]
    [('flash', 0.6, 0.9)]
    """
    recogniser = Recogniser(runner, detector, rate=rate, mirror=mirror)
    with ExitStack() as stack:
        frames = stack.enter_context(open_source(source)) if isinstance(source, (str, Path)) else source
        for time, rgb in frames:
            seen = recogniser.see(rgb, time)
            if seen is not None:
                yield from seen.ended
        yield from recogniser.flush()
