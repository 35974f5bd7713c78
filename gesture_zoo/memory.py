"""Memory of large arrays on CPUs: what is given back to the system comes back page by page."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from typing import Any

# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_LARGEST = 2**30  # bytes of an array that is still kept
_VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")


def keep_freed_memory() -> bool:
    """Let this process keep what its arrays leave, for the next ones, and say whether glibc was told so.

    glibc gives large arrays back to the system at once, and every page of the next one is faulted in anew: on a CPU
    that can take longer than a network's arithmetic (benchmarks/results/malloc.md). It is told to keep them, those
    below 1 GiB (before its version 2.35 all), until the process ends. That holds for the main thread. The others have
    memory of their own, in pieces of at most 64 MiB, unless MALLOC_ARENA_MAX=1 in the environment lets all share one.
    Nothing is changed, and the answer is False, where the C library is another one, or where the environment has
    settings of glibc's for such arrays; an allocator that was loaded in its place is not seen. The command line calls
    this; in a program of your own, call it before the first forward.

    >>> from gesture_zoo.memory import keep_freed_memory
    >>> keep_freed_memory()  # doctest: +SKIP
    True
    """
    library = None if _is_told(os.environ) else _glibc()
    if library is None:
        return False
    # Before 2.35 it takes no threshold of more than 32 MiB, but a number of such arrays.
    is_kept = library.mallopt(_MMAP_THRESHOLD, _LARGEST) or library.mallopt(_MMAP_MAX, 0)
    return bool(is_kept and library.mallopt(_TRIM_THRESHOLD, -1))


def give_back_freed_memory() -> None:
    """Give the system back what is kept now, where the C library is glibc.

    A process that was forked shares it with the one that it comes from, for which every page is copied that it uses
    again.
    """
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _glibc() -> Any:
    """The C library of this process, if it is glibc."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None


def _is_told(environment: Mapping[str, str]) -> bool:
    """Whether the environment has settings of glibc's for such arrays."""
    return "glibc.malloc" in environment.get("GLIBC_TUNABLES", "") or any(name in environment for name in _VARIABLES)
