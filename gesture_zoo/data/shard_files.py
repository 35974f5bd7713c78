"""Files that are whole or not there, and one writer at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import DataError
from ..files import sync_folder

TEMPORARY = ".tmp"


class HashingFile:
    """A file that knows the size and the SHA-256 of what was written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = 0
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write all of it."""
        self.sha256.update(data)
        self.size += len(data)
        return self.file.write(data)


def hash_file(path: Path) -> str:
    """The SHA-256 of a file."""
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while data := file.read(1 << 20):
            total.update(data)
    return total.hexdigest()


def sync(file: BinaryIO) -> None:
    """Have what was written reach the disk."""
    file.flush()
    os.fsync(file.fileno())


def replace_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(path.name + TEMPORARY)
    with open(temporary, "wb") as file:
        file.write(data)
        sync(file)
    os.replace(temporary, path)
    sync_folder(path.parent)


@contextmanager
def sole_writer(out: Path) -> Iterator[None]:
    """Keep a second process away; where there are no locks, nothing does."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = open(out / ".lock", "ab")  # noqa: SIM115 - it is open as long as the lock is held
    except OSError as error:
        raise DataError(f"cannot write {out}: {error.strerror}") from error
    with file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass  # Windows
        except BlockingIOError:
            raise DataError(f"another process is preparing {out}") from None
        except OSError:
            pass  # a file system without locks
        yield
