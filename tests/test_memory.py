"""What glibc does with the memory of large arrays, in processes of their own."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from gesture_zoo import memory
from gesture_zoo.memory import give_back_freed_memory, keep_freed_memory

SIZE = 200 * 2**20
PROGRAM = f"""
import os, sys
from pathlib import Path
from threading import Thread

def pages():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def work():
    array = bytearray({SIZE})
    array[::4096] = b"x" * len(array[::4096])
    del array

{{keep}}
work()
before = pages()
for _ in range(4):
    work()
    thread = Thread(target=work)
    thread.start()
    thread.join()
print(before, pages())
"""
KEEP = "from gesture_zoo.memory import keep_freed_memory; assert keep_freed_memory() is True"
LEAVE = "from gesture_zoo.memory import keep_freed_memory; assert keep_freed_memory() is False"
COMMAND = "from gesture_zoo.cli import main; sys.argv = ['gesture-zoo', 'list', 'tsm_resnet18']; assert main() == 0"
CALLED = "from gesture_zoo.cli import main; assert main(['list', 'tsm_resnet18']) == 0"  # the process is another's

glibc = pytest.mark.skipif(
    not (sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")),
    reason="the C library is not glibc",
)


def printed(program: str, **environment: str) -> list[int]:
    """Numbers that a program prints at its end; no setting of malloc reaches it, nor another malloc."""
    unset = ("LD_PRELOAD", "GLIBC_TUNABLES")
    own = {name: value for name, value in os.environ.items() if "MALLOC" not in name and name not in unset}
    done = subprocess.run(
        [sys.executable, "-c", program], env=own | environment, capture_output=True, text=True, check=True
    )
    return [int(number) for number in done.stdout.splitlines()[-1].split()]


def held(keep: str, **environment: str) -> list[int]:
    """Bytes in memory after large arrays have come and gone: one, and four more with another thread's."""
    return printed(PROGRAM.format(keep=keep), **environment)


@glibc
@pytest.mark.parametrize(("keep", "leave"), [(KEEP, ""), (COMMAND, CALLED)], ids=["function", "command"])
def test_memory_is_kept_once(keep: str, leave: str) -> None:
    given_back, _ = held(leave)
    before, after = held(keep)
    assert before > given_back + SIZE * 0.9
    assert after < before + SIZE * 1.1, "the next arrays come from it; another thread's at most once more"


FORKED = (
    PROGRAM.partition("{keep}")[0]
    + """
from gesture_zoo.memory import give_back_freed_memory, keep_freed_memory
assert keep_freed_memory()
work()
kept = pages()
if os.fork() == 0:
    give_back_freed_memory()
    print(kept, pages(), flush=True)
    os._exit(0)
os.wait()
"""
)


@glibc
def test_a_forked_process_gives_back_what_it_shares() -> None:
    kept, own = printed(FORKED)
    assert own < kept - SIZE * 0.9


@glibc
@pytest.mark.parametrize(
    "setting",
    [{"MALLOC_TRIM_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=131072"}],
    ids=["variable", "tunable"],
)
def test_the_environment_has_the_last_word(setting: dict[str, str]) -> None:
    before, _ = held(LEAVE, **setting)
    assert before < SIZE


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delattr(ctypes, "CDLL")
    assert keep_freed_memory() is False
    give_back_freed_memory()


@glibc
def test_an_older_glibc_is_asked_for_no_arrays_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It refuses the threshold."""
    asked = []

    class Library:
        def gnu_get_libc_version(self) -> str:
            return "2.31"

        def mallopt(self, parameter: int, value: int) -> int:
            asked.append((parameter, value))
            return int(not (parameter == -3 and value > 2**25))

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: Library())
    for name in (*memory._VARIABLES, "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    assert keep_freed_memory() is True
    assert asked == [(-3, 2**30), (-4, 0), (-1, -1)]
