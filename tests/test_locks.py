"""One writer at a time, and no lock that outlives its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gesture_zoo.errors import DataError
from gesture_zoo.locks import LOCK_NAME, sole_writer

# Holds the lock, says so, and has a child that lives on, as readers of clips do for some seconds.
HOLDER = """
import os, sys, time
from gesture_zoo.locks import sole_writer
with sole_writer(sys.argv[1]):
    child = os.fork()
    if not child:
        print(os.getpid(), flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(out)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    refusal = f"another process is writing to {out}: wait until it has ended, or give another folder"
    with pytest.raises(DataError, match=refusal), sole_writer(out, DataError):
        pass
    holder.kill()
    holder.wait()
    assert (out / LOCK_NAME).exists()
    os.kill(child, 0)  # it lives
    with sole_writer(out, DataError):
        pass
    assert not (out / LOCK_NAME).exists()
    os.kill(child, signal.SIGKILL)


def test_a_folder_is_left_only_where_something_was_written(tmp_path: Path) -> None:
    with sole_writer(tmp_path / "empty"):
        assert (tmp_path / "empty").is_dir()
    with sole_writer(tmp_path / "full"):
        (tmp_path / "full" / "file").touch()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["full", "full/file"]


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(DataError, match=r"cannot write .*file/out: Not a directory"),
        sole_writer(tmp_path / "file/out", DataError),
    ):
        pass
