"""Following streams for gesture-zoo predict: events as JSON lines, a window, a recording, and how fast it was."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time as clock
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
from tqdm import tqdm

from ..errors import GestureZooError
from ..live import Event, Overlay, Recogniser, Recorder, Seen, Source, open_source
from ..live.opencv import has_display
from ..live.window import Window
from .parser import error_line

FAILED = 2  # of several sources, at least one could not be read
_SLOW = 0.7  # of the rate that a model is for: a source with fewer frames shows it something else
_RECENT = 4  # events in the window
_MEASURED = 30  # frames that the window's frames a second are measured over
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f} of {total:.0f} s [{elapsed}<{remaining}]"


@dataclass
class Settings:
    """What the user wants to see of a stream, besides its events; ``display`` None: where it makes sense."""

    display: bool | None = None
    record: Path | None = None
    font: Path | None = None
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.max_seconds is not None and not self.max_seconds > 0:
            raise GestureZooError(f"--max-seconds is a number of seconds above 0, got {self.max_seconds}")


def say(text: str) -> None:
    """A line for people: standard output is for events."""
    print(text, file=sys.stderr, flush=True)


def print_event(event: Event, source: str | None) -> None:
    """An event as a JSON line, at once; ``source`` where there are several."""
    record = {} if source is None else {"source": source}
    times = {"start": round(event.start, 3), "end": None if event.end is None else round(event.end, 3)}
    with tqdm.external_write_mode():  # where a bar is drawn, the line goes above it
        print(json.dumps({**record, "label": event.label, "score": round(event.score, 4), **times}), flush=True)


def run_streams(
    recogniser: Recogniser,
    names: list[str],
    settings: Settings,
    *,
    topk: int,
    folder_rate: float,
    several: bool = False,
    quiet: bool = False,
) -> int:
    """Follow one source after another and return the exit code; ``quiet``: no window unless one was asked for.

    Of several, one that cannot be read is said, and the others go on.
    """
    code = 0
    with ExitStack() as stack:
        view = None
        for name in names:
            try:
                with open_source(name, folder_rate=folder_rate) as source:
                    if view is None:  # not before there is something to show
                        view = stack.enter_context(open_view(recogniser, settings, topk=topk, quiet=quiet))
                    follow(recogniser, source, view, settings, topk=topk, name=name if several else None)
            except GestureZooError as error:
                if not several:
                    raise
                say(error_line(error))
                code = FAILED
            if view is not None and view.ended:
                break
    return code


def follow(
    recogniser: Recogniser, source: Source, view: View, settings: Settings, *, topk: int, name: str | None
) -> None:
    """Print the events of one source, and at its end what it was and how fast.

    Ctrl-C, or SIGTERM, ends a live source, which has no other end; of a file it is an interruption.
    """
    recogniser.reset()
    view.start()
    info, last, events = recogniser.runner.info, 0.0, 0
    if recogniser.rate is None:
        rate = "" if source.frame_rate is None else f", {source.frame_rate:g} a second"
        say(f"note: {info.architecture} does not say how many frames a second it is for: it sees all{rate} (--rate)")
    elif source.frame_rate is not None and source.frame_rate < _SLOW * recogniser.rate:
        say(
            f"note: the source has {source.frame_rate:g} frames a second and {info.architecture} is for "
            f"{recogniser.rate:g}: gestures look faster to it than they are"
        )
    started, how = clock.perf_counter(), "stopped"
    limit = float("inf") if settings.max_seconds is None else settings.max_seconds
    with stopped_by_signals(source), progress(source, limit) as bar:
        try:
            for time, rgb in source:
                if time >= limit:
                    break
                last = time
                bar.update(min(time, bar.total or 0) - bar.n)
                seen = recogniser.see(rgb, time)
                for event in seen.ended if seen else ():
                    print_event(event, name)
                    events += 1
                if not view.show(rgb, time, seen, live=source.live):
                    break
            else:
                how = "stopped" if source.stopped else "ended"
        finally:  # what was on when a file turned out to be damaged, or Ctrl-C came, is an event too
            took = clock.perf_counter() - started - view.waited
            interrupted = source.stopped
            for event in recogniser.flush():
                print_event(event, name)
                events += 1
    why = f" ({source.note})" if source.note else ""
    prefix = "" if name is None else f"{name}: "
    say(f"{prefix}source {how} after {last:.1f} s{why}")
    say(prefix + speed(recogniser, source, last, took))
    if not events and not source.live and recogniser.frames:
        best = ", ".join(f"{label} {100 * score:.1f} %" for label, score in recogniser.overall(topk))
        say(f"{prefix}no gesture; mean over all frames: {best}")
    if interrupted and not source.live:
        raise KeyboardInterrupt


def progress(source: Source, limit: float) -> tqdm:
    """A bar of the seconds of a source that has an end, on a terminal."""
    total = None if source.live or source.length is None else min(source.length, limit)
    name = Path(source.name).name
    return tqdm(desc=name, total=total, bar_format=_BAR, disable=True if total is None else None, leave=False)


def speed(recogniser: Recogniser, source: Source, seconds: float, took: float) -> str:
    """How fast it was, in a line."""
    frames = recogniser.frames
    text = f"{frames} frames in {took:.1f} s: {frames / max(took, 1e-9):.1f} a second"
    if frames:
        text += f", {1000 * recogniser.step_seconds:.1f} ms a step (median)"
    if seconds and not source.live:
        text += f", {seconds / max(took, 1e-9):.1f} times real time"
    if recogniser.skipped:
        text += f"; {recogniser.skipped} frames between were skipped, for {recogniser.rate:g} a second"
    if source.dropped:
        text += f"; {source.dropped} frames were dropped, because newer ones were there"
    return text


@contextmanager
def stopped_by_signals(source: Source) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM end the source, so that everything is closed in order; a second acts as ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(number: int, frame: FrameType | None) -> None:
        source.stop()
        restore()

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        restore()


class View:
    """What people see of a stream: a window, a recording, both or nothing."""

    def __init__(self, overlay: Overlay, window: Window | None, recorder: Recorder | None) -> None:
        self.overlay, self.window, self.recorder = overlay, window, recorder
        self.ended = False
        self.start()

    def start(self) -> None:
        """Begin with another source."""
        self.seen: Seen | None = None
        self.recent: deque[Event] = deque(maxlen=_RECENT)
        self.moments: deque[float] = deque(maxlen=_MEASURED)
        self.began = clock.perf_counter()
        self.waited = 0.0

    def show(self, rgb: np.ndarray, time: float, seen: Seen | None, *, live: bool) -> bool:
        """Show a frame, or one that was skipped (None) with what was seen last; False once the user has ended it."""
        if seen is not None:
            self.seen = seen
            self.recent.extend(seen.ended)
            self.moments.append(clock.perf_counter())
        if self.window is None and self.recorder is None:
            return True
        drawn = self.overlay.draw(rgb, self.seen, recent=self.recent, rate=self.rate())
        if self.recorder is not None:
            self.recorder.write(drawn, time)
        if self.window is not None:
            self.ended = not self.window.show(drawn)
            early = 0.0 if live else self.began + time - clock.perf_counter()
            if early > 0 and not self.ended:  # a file is shown as fast as it was filmed
                self.ended = not self.window.wait(early)
                self.waited += early
        return not self.ended

    def rate(self) -> float | None:
        """Frames a second that the model has seen of late; None where nobody waits for them."""
        if self.window is None or len(self.moments) < 2:
            return None
        return (len(self.moments) - 1) / max(1e-9, self.moments[-1] - self.moments[0])


@contextmanager
def open_view(recogniser: Recogniser, settings: Settings, *, topk: int, quiet: bool) -> Iterator[View]:
    """The window and the recording that the settings ask for.

    Not asked, a window is opened where somebody is likely to look: on a terminal with a display and OpenCV.
    """
    with ExitStack() as stack:
        overlay = Overlay(recogniser.runner.info.labels, topk=topk, font=settings.font)
        window = None
        if settings.display or (settings.display is None and not quiet and has_display() and sys.stdout.isatty()):
            if not Path(os.environ.get("QT_QPA_FONTDIR", "")).is_dir():
                # OpenCV's wheel names a folder that it does not bring, and its Qt complains of that.
                os.environ["QT_QPA_FONTDIR"] = str(Path(overlay.font_file).parent)
            try:
                window = Window("gesture-zoo")
                stack.callback(window.close)
            except GestureZooError as error:
                if settings.display:
                    raise
                say(f"note: no window: {error}")
        recorder = None if settings.record is None else stack.enter_context(Recorder(settings.record))
        yield View(overlay, window, recorder)
        if recorder is not None:
            recorder.close()
            say(f"recorded: {settings.record}")
