"""What reading and writing shards share: files that are whole or not there, and the library of their format."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

from ..errors import DataError
from ..files import sync_folder

TEMPORARY = ".tmp"


def webdataset() -> ModuleType:
    """The webdataset library; where it is not installed, a DataError that says how to get it."""
    try:
        import webdataset
    except ImportError:
        raise DataError('shards need the webdataset library: pip install "gesture-zoo[shards]"') from None
    return webdataset


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


def sync(file: BinaryIO) -> None:
    """Have what was written reach the disk."""
    file.flush()
    os.fsync(file.fileno())


def replace_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            sync(file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
