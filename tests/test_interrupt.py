"""SIGTERM: what it explains, and that none is lost between the parts of a command."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from gesture_zoo.engine import interrupt
from gesture_zoo.engine.interrupt import Terminated, stop_wish
from gesture_zoo.engine.readers import naming_dead_readers
from gesture_zoo.errors import DataError

DEAD_READER = RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly")
GONE = RuntimeError("[...] Connection closed by peer [127.0.0.1]:7")


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupt, "PATIENCE", 0.5)


@pytest.fixture
def later() -> Iterator[threading.Timer]:
    """SIGTERM in a moment."""
    timer = threading.Timer(0.1, terminate)
    yield timer
    timer.cancel()


def test_a_dead_reader_is_explained_in_either_form_and_order(later: threading.Timer) -> None:
    with pytest.raises(DataError, match="a process that reads clips died") as named, naming_dead_readers():
        raise DEAD_READER
    for error in (DEAD_READER, named.value):
        with stop_wish() as wish:
            assert not wish.explains(error), "it may have died of something else"
            terminate()
            assert wish.explains(error)
            assert not wish.explains(DataError("clip 3 is damaged"))
    with stop_wish() as wish:
        later.start()
        assert wish.explains(DEAD_READER) and wish.came


def test_a_process_that_is_gone_is_explained(later: threading.Timer, caplog: pytest.LogCaptureFixture) -> None:
    with stop_wish() as wish:
        assert not wish.explains(GONE), "it may have died of something else"
        later.start()
        assert wish.explains(GONE) and wish.alone
        assert not wish.explains(RuntimeError("the size of tensor a must match"))
    with caplog.at_level("INFO", "gesture_zoo"), stop_wish() as wish:
        terminate()
        assert wish.explains(GONE)
    assert "at SIGTERM: [...] Connection closed by peer" in caplog.text


def test_one_inside_another_is_that_one() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_wish() as wish:
        with stop_wish() as inner:
            assert inner is wish
        terminate()  # between two parts of a command
        with pytest.raises(Terminated), stop_wish() as inner, inner.raising():
            pass
    assert signal.getsignal(signal.SIGTERM) is before


def test_readers_may_die_after_it() -> None:
    """torch's own handler, which its first loader sets, would raise in the middle of a step."""

    def told(number: int, frame: object) -> None:
        raise DEAD_READER

    before = signal.getsignal(signal.SIGCHLD)
    try:
        with stop_wish():
            signal.signal(signal.SIGCHLD, told)
            terminate()
            terminate()
            os.kill(os.getpid(), signal.SIGCHLD)
        assert signal.getsignal(signal.SIGCHLD) is told
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_in_a_thread_the_wish_never_comes() -> None:
    found = []

    def work() -> None:
        with stop_wish() as wish, wish.raising():
            found.append(wish)

    with stop_wish() as wish:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        terminate()
        assert wish.came and not found[0].came
