"""Source: where frames come from, one after another, each with its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import numpy as np

from ..errors import DataError

Frame = tuple[float, np.ndarray]

_POLL = 0.1  # seconds after which a wait for a frame looks whether it is to stop
_GOODBYE = 1.0  # seconds that close waits for a thread that is reading


class Source:
    """An iterable of (time in seconds, frame (H, W, 3) uint8 RGB); made by ``open_source``.

    ``name``: what was opened. ``live``: whether frames come in their own time, and are dropped where nobody takes
    them; times are then seconds on the clock since the first frame, else seconds in the file. ``frame_rate``: frames
    a second, ``length``: seconds in all, None where they are not known before. ``note``: after the end, what is to be
    said of it, such as why a stream broke off. A source that gives no frame at all is a DataError. It can be gone
    through once.

    >>> class Black(Source):
    ...     def frames(self):
    ...         for number in range(3):
    ...             yield number / self.frame_rate, np.zeros((4, 6, 3), np.uint8)
    >>> with Black("black", frame_rate=10) as source:
    ...     [(time, frame.shape) for time, frame in source]
    [(0.0, (4, 6, 3)), (0.1, (4, 6, 3)), (0.2, (4, 6, 3))]
    """

    live = False

    def __init__(self, name: str, *, frame_rate: float | None = None, length: float | None = None) -> None:
        self.name = name
        self.frame_rate = frame_rate
        self.length = length
        self.note = ""
        self.stopped = False
        self.dropped = 0

    def frames(self) -> Iterator[Frame]:
        """The frames, as a subclass reads them."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Frame]:
        seen = False
        for frame in self.frames():
            if self.stopped:
                return
            seen = True
            yield frame
        if not seen and not self.stopped:
            raise DataError(f"{self.name} gave no frame" + (f": {self.note}" if self.note else ""))

    def stop(self) -> None:
        """Let the iteration end before its next frame; it may be called from another thread or a signal handler."""
        self.stopped = True

    def close(self) -> None:
        """Let go of the file, connection or camera."""
        self.stop()

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Reader:
    """What a LiveSource reads: ``__iter__`` waits for frames in whatever form, ``convert`` makes one into an array.

    An OSError ends it, and says why. ``note`` is what else is to be said at the end.

    >>> class Counter(Reader):
    ...     def __iter__(self):
    ...         yield from range(3)
    ...     def convert(self, raw):
    ...         return np.full((2, 2, 3), raw, np.uint8)
    >>> reader = Counter()
    >>> [int(reader.convert(raw).max()) for raw in reader]
    [0, 1, 2]
    """

    note = ""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError

    def convert(self, raw: Any) -> np.ndarray:
        """A frame as (H, W, 3) uint8 RGB; called only for those that somebody takes."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the connection or camera; called by the thread that read."""


class LiveSource(Source):
    """A source whose frames come in their own time: a thread reads all of them and keeps only the newest.

    So a slow model sees fewer frames, but never old ones. It ends when none has come for ``patience`` seconds, which is
    for a reader that may wait for ever: a driver does, and cannot be interrupted.

    >>> class Counter(Reader):  # in place of a camera
    ...     def __iter__(self):
    ...         yield from range(3)
    ...     def convert(self, raw):
    ...         return np.full((2, 2, 3), raw, np.uint8)
    >>> with LiveSource("counter", Counter()) as source:
    ...     frames = [frame for time, frame in source]
    >>> int(frames[-1].max()), len(frames) + source.dropped  # the last one is always seen
    (2, 3)
    """

    live = True

    def __init__(self, name: str, reader: Reader, *, patience: float = float("inf")) -> None:
        super().__init__(name)
        self._reader = reader
        self._patience = patience
        self._heard = time.monotonic()  # when a frame came last
        self._arrived = threading.Condition()
        self._newest: tuple[float, Any] | None = None
        self._ended = False
        self._fault: Exception | None = None
        # A daemon: a driver or a network that does not answer must not keep the program from ending.
        self._thread = threading.Thread(target=self._read, name=f"frames of {name}", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        why = ""
        try:
            for raw in self._reader:
                now = time.monotonic()
                if self.stopped or self._ended:
                    break
                with self._arrived:
                    self.dropped += self._newest is not None
                    self._newest = (now, raw)
                    self._heard = now
                    self._arrived.notify()
        except OSError as error:
            why = error.strerror or str(error)
        except Exception as error:
            self._fault = error  # a fault of ours: the thread that asks for frames shall see it
        finally:
            self._reader.close()
            with self._arrived:
                if not self._ended:
                    self.note = "; ".join(part for part in (why, self._reader.note) if part)
                self._ended = True
                self._arrived.notify()

    def frames(self) -> Iterator[Frame]:
        start = None
        while (taken := self._take()) is not None:
            now, raw = taken
            start = now if start is None else start
            yield now - start, self._reader.convert(raw)
        if self._fault is not None:
            raise self._fault

    def _take(self) -> tuple[float, Any] | None:
        with self._arrived:
            while self._newest is None and not self._ended and not self.stopped:
                self._arrived.wait(_POLL)
                if self._newest is None and not self._ended and time.monotonic() - self._heard > self._patience:
                    self.note, self._ended = f"no frame for {self._patience:g} s", True
            taken, self._newest = self._newest, None
            return taken

    def close(self) -> None:
        super().close()
        self._thread.join(_GOODBYE)
