"""Memory of large arrays on CPUs: what is given back to the system comes back page by page."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping

# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_LARGEST = 2**30  # bytes of an array that is still kept
_VARIABLES = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")


def keep_freed_memory() -> bool:
    """Let this process keep what its arrays leave, for the next ones, and say whether it does.

    glibc gives large arrays back to the system at once, and every page of the next one is faulted in anew: on a CPU
    that can take longer than a network's arithmetic (benchmarks/results/malloc.md). It is told to keep them, those
    below 1 GiB, until the process ends. Nothing is changed, and the answer is no, where the C library is another one,
    or where the environment tells glibc's malloc what to do. The command line calls this; in a program of your own,
    call it before the first forward.

    >>> from gesture_zoo.memory import keep_freed_memory
    >>> keep_freed_memory() in (True, False)
    True
    """
    if not sys.platform.startswith("linux") or _is_told(os.environ):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    # Before 2.35 it takes no threshold of more than 32 MiB, but a number of such arrays.
    is_kept = library.mallopt(_MMAP_THRESHOLD, _LARGEST) or library.mallopt(_MMAP_MAX, 0)
    return bool(is_kept and library.mallopt(_TRIM_THRESHOLD, -1))


def _is_told(environment: Mapping[str, str]) -> bool:
    """Whether the environment has settings of glibc's for such arrays."""
    return "glibc.malloc" in environment.get("GLIBC_TUNABLES", "") or any(name in environment for name in _VARIABLES)
