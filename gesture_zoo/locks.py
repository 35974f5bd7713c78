"""One writer at a time in a folder."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import GestureZooError

LOCK_NAME = ".lock"
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOTSUP)


@contextmanager
def sole_writer(folder: str | Path, error: type[GestureZooError] = GestureZooError) -> Iterator[None]:
    """Keep other processes that ask from writing to ``folder``, which is made if it is not there.

    Where another is writing, that is an ``error``, at once. The lock is the system's: it ends with its process, in
    whatever way that ends, and processes forked from it do not have it. On a disk without locks nothing is kept.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with sole_writer(folder):
    ...     (folder / LOCK_NAME).exists()
    True
    >>> (folder / LOCK_NAME).exists()
    False
    """
    folder = Path(folder)
    made = not folder.exists()
    lock = FileLock(folder / LOCK_NAME)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise error(
            f"another process is writing to {folder}: wait until it has ended, or give another folder"
        ) from None
    except OSError as fault:
        if fault.errno not in _WITHOUT_LOCKS:
            raise error(f"cannot write {folder}: {fault.strerror or fault}") from fault
    try:
        yield
    finally:
        if lock.is_locked:
            with suppress(OSError):  # Windows keeps what is open
                # While it is held: who has the file open by now sees that it is gone, and makes another.
                (folder / LOCK_NAME).unlink()
            lock.release()
        if made:
            with suppress(OSError):
                folder.rmdir()  # if nothing was written
