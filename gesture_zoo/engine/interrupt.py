"""SIGTERM: the wish to stop, which schedulers and torchrun send before they kill."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch

from ..errors import one_line
from . import distributed
from .readers import tells_of_dead_reader

_logger = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds between the SIGTERM of one process and that of another


class Terminated(BaseException):  # nothing that reads clips takes it for a damaged one
    """SIGTERM came while there was nothing to save."""


class StopWish:
    """Whether SIGTERM has come."""

    def __init__(self) -> None:
        self.came = False
        self.at_once = False
        self.alone = False  # other processes have left: there is no waiting for them
        self.of_children: Any = None  # what SIGCHLD called before

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        # Now the processes that read clips die too, at once or soon: torch would tell of it in the middle of a step.
        if hasattr(signal, "SIGCHLD"):
            before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self.of_children = before if self.of_children is None else self.of_children
        if self.at_once:
            raise Terminated

    def agreed(self) -> bool:
        """Whether it has come to any process; all of them have to ask."""
        return bool(distributed.all_max(torch.tensor(float(self.came), device=distributed.device())).item())

    def explains(self, error: BaseException) -> bool:
        """Whether an error may be there because SIGTERM came, to this process or to another one just before.

        Where all of a job are told to stop, a process that reads clips, or another that trains, may be gone first.
        """
        if isinstance(error, Terminated):
            return True
        lost = distributed.tells_of_lost_process(error)
        if not lost and not tells_of_dead_reader(error):
            return False
        until = time.monotonic() + PATIENCE
        while not self.came and time.monotonic() < until:
            time.sleep(0.05)
        if self.came:
            self.alone |= lost
            _logger.info("at SIGTERM: %s", one_line(error))
        return self.came

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Raise ``Terminated`` as soon as it comes: what is done inside can be done again."""
        before, self.at_once = self.at_once, True
        try:
            if self.came:
                raise Terminated
            yield
        finally:
            self.at_once = before


@contextmanager
def stop_wish() -> Iterator[StopWish]:
    """Catch SIGTERM inside; in a thread, where Python allows no handler, the wish never comes.

    Inside another it is that one: what came between two parts of a command is not lost.
    """
    wish, before = StopWish(), signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    if isinstance(before, StopWish):
        yield before
        return
    signal.signal(signal.SIGTERM, wish)
    try:
        yield wish
    finally:
        signal.signal(signal.SIGTERM, before)
        if wish.of_children is not None:
            signal.signal(signal.SIGCHLD, wish.of_children)
