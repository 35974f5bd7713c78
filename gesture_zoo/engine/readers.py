"""The death of a process that reads clips, in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import DataError


@contextmanager
def naming_dead_readers() -> Iterator[None]:
    """Raise a DataError where a process that reads clips has died.

    torch tells of it by a RuntimeError, on the spot, so it may come in the middle of a step or of writing a file.
    """
    try:
        yield
    except RuntimeError as error:
        if not tells_of_dead_reader(error):
            raise
        raise DataError(
            f"a process that reads clips died: {str(error).partition('.')[0]}; "
            "with too little memory, fewer workers (--workers) help"
        ) from error


def tells_of_dead_reader(error: BaseException) -> bool:
    """Whether an error, or what it came from, says that a process that reads clips has died.

    Not one that such a process raised.

    >>> tells_of_dead_reader(RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"))
    True
    >>> tells_of_dead_reader(RuntimeError("Caught RuntimeError in DataLoader worker process 0."))
    False
    """
    return any(str(one).startswith("DataLoader worker (pid") for one in (error, error.__cause__))
