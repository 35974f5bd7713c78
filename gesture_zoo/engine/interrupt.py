"""SIGTERM: the wish to stop, which schedulers and torchrun send before they kill."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch

from . import distributed


class Terminated(BaseException):  # nothing that reads clips takes it for a damaged one
    """SIGTERM came while there was nothing to save."""


class StopWish:
    """Whether SIGTERM has come."""

    def __init__(self) -> None:
        self.came = False
        self.at_once = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        if self.at_once:
            raise Terminated

    def agreed(self) -> bool:
        """Whether it has come to any process; all of them have to ask."""
        return bool(distributed.all_max(torch.tensor(float(self.came), device=distributed.device())).item())

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
    """Catch SIGTERM inside; in a thread, where Python allows no handler, the wish never comes."""
    wish = StopWish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    before = signal.signal(signal.SIGTERM, wish)
    try:
        yield wish
    finally:
        signal.signal(signal.SIGTERM, before)
