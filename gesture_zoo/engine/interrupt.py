"""SIGTERM: the wish to stop, which schedulers and torchrun send before they kill."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch

from . import distributed
from .readers import tells_of_dead_reader

PATIENCE = 5.0  # seconds between the SIGTERM of one process and that of another


class Terminated(BaseException):  # nothing that reads clips takes it for a damaged one
    """SIGTERM came while there was nothing to save."""


class StopWish:
    """Whether SIGTERM has come."""

    def __init__(self) -> None:
        self.came = False
        self.at_once = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        # Now the processes that read clips die too, at once or soon: torch would tell of it in the middle of a step.
        if hasattr(signal, "SIGCHLD"):
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if self.at_once:
            raise Terminated

    def agreed(self) -> bool:
        """Whether it has come to any process; all of them have to ask."""
        return bool(distributed.all_max(torch.tensor(float(self.came), device=distributed.device())).item())

    def explains(self, error: BaseException) -> bool:
        """Whether an error is there because SIGTERM came, to this process or to another one just before.

        Where all of a job are told to stop, a process that reads clips, or another that trains, may be gone first.
        """
        if isinstance(error, Terminated):
            return True
        others = isinstance(error, RuntimeError) and distributed.world_size() > 1
        if not others and not tells_of_dead_reader(error):
            return False
        until = time.monotonic() + PATIENCE
        while not self.came and time.monotonic() < until:
            time.sleep(0.05)
        return self.came

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Raise ``Terminated`` as soon as it comes: what is done inside can be done again."""
        self.at_once = True
        try:
            if self.came:
                raise Terminated
            yield
        finally:
            self.at_once = False


@contextmanager
def stop_wish() -> Iterator[StopWish]:
    """Catch SIGTERM inside; in a thread, where Python allows no handler, the wish never comes.

    Inside another it is that one: what came between two parts of a command is not lost.
    """
    wish, before = StopWish(), signal.getsignal(signal.SIGTERM)
    if isinstance(before, StopWish) or threading.current_thread() is not threading.main_thread():
        yield before if isinstance(before, StopWish) else wish
        return
    children = signal.getsignal(signal.SIGCHLD) if hasattr(signal, "SIGCHLD") else None
    signal.signal(signal.SIGTERM, wish)
    try:
        yield wish
    finally:
        signal.signal(signal.SIGTERM, before)
        if wish.came and children is not None:
            signal.signal(signal.SIGCHLD, children)
