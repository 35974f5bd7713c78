"""Processes for tests, forked from a server that has imported everything: to import it takes longer than most tests.

Their environment is that of the first of them.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

# A process that has run torch on several threads must not be forked: the server only imports.
METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
SERVER = multiprocessing.get_context(METHOD)
if METHOD == "forkserver":
    SERVER.set_forkserver_preload(["gesture_zoo.cli.train", "gesture_zoo._api", "torch._dynamo"])


class Done(NamedTuple):
    """A process that has ended: its exit code (of a signal: less than 0), its answer if it came to one, its stderr."""

    returncode: int | None
    answer: Any
    stderr: str


def run_alone(function: Callable[..., object], *arguments: object, folder: Path, timeout: float = 300) -> Done:
    """Run ``function(*arguments)`` on one thread in a process of its own; what it writes to stderr is in ``folder``."""
    stderr = folder / ".stderr"
    stderr.touch()
    here, there = SERVER.Pipe(duplex=False)
    process = SERVER.Process(target=_alone, args=(there, stderr, function, arguments))
    process.start()
    there.close()
    if not here.poll(timeout):  # true at its end, too
        process.kill()
        raise TimeoutError(f"{function} takes more than {timeout} s: {stderr.read_text()}")
    answer = None
    with suppress(EOFError):
        answer = here.recv()
    process.join(timeout)
    return Done(process.exitcode, answer, stderr.read_text())


def _alone(answer: Connection, stderr: Path, function: Callable[..., object], arguments: tuple) -> None:
    # That of the server may be closed, or replaced by who runs the tests.
    os.dup2(os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    torch.set_num_threads(1)
    answer.send(function(*arguments))


def in_two_processes(function: Callable[..., object], folder: Path, *arguments: object) -> list:
    """What ``function(folder, *arguments)`` answers in both of two processes of a gloo group, on one thread each."""
    mp.start_processes(_of_group, (function, str(folder), arguments), nprocs=2, start_method=METHOD)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]


def _of_group(rank: int, function: Callable[..., object], folder: str, arguments: tuple) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.save(function(Path(folder), *arguments), f"{folder}/{rank}.pt")
    dist.destroy_process_group()
