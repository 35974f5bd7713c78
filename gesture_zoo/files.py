"""Files that appear under their names only once they are complete; their checksums; paths as users type them."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

_CHUNK = 1 << 20
FILLING = ".filling-"  # how the name of a folder begins that filling works in


def user_path(text: str | Path) -> Path:
    """A path as it was typed, with ~ for the home folder; one that no file can have is that of a file not there.

    >>> user_path("a\\0b").exists()
    False
    """
    return Path(os.path.expanduser(str(text).replace("\0", "\ufffd")))


def no_folder(path: str | Path) -> str:
    """How an error begins where a folder was expected at ``path`` and none is there.

    >>> no_folder("nowhere"), no_folder(__file__).endswith("files.py is a file and no folder")
    ('there is no folder nowhere', True)
    """
    return f"{path} is a file and no folder" if os.path.isfile(path) else f"there is no folder {path}"


def file_sha256(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary name to write to, which becomes ``path`` at the end; after an error ``path`` is what it was before.

    The folder is made if it is not there. What was written is on the disk before it gets its name.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "numbers.txt"
    >>> with replacing(path) as temporary:
    ...     _ = temporary.write_text("1 2 3")
    >>> path.read_text(), len(list(path.parent.iterdir()))
    ('1 2 3', 1)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target: os.replace is atomic within one disk only. The suffix stays, because writers look at it.
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    try:
        temporary.touch()
        rights = temporary.stat().st_mode  # some writers leave a file that only its owner may read
        yield temporary
        os.chmod(temporary, rights)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def filling(folder: str | Path, *, last: Sequence[str] = ()) -> Iterator[Path]:
    """A temporary folder whose files are moved to the same places in ``folder`` at the end, those called ``last`` last.

    It lies in ``folder``, on the same disk. After an error, or an exception at a signal, ``folder`` is what it was
    before: not there, if it was not. While the files are moved no signal should raise one.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with filling(folder / "out") as made:
    ...     _ = (made / "a.txt").write_text("text")
    >>> [path.name for path in (folder / "out").iterdir()]
    ['a.txt']
    """
    folder = Path(folder)
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=FILLING, dir=folder) as name:
            yield Path(name)
            names = [path.relative_to(name).as_posix() for path in Path(name).rglob("*") if path.is_file()]
            for place in names:
                if (folder / place).is_dir():
                    raise IsADirectoryError(errno.EISDIR, "a folder is where a file is to be", str(folder / place))
            for place in sorted(names, key=lambda place: (last.index(place) if place in last else -1, place)):
                (folder / place).parent.mkdir(parents=True, exist_ok=True)
                os.replace(Path(name) / place, folder / place)
    except BaseException:
        for path in new:
            with suppress(OSError):  # somebody else may have put something there
                path.rmdir()
        raise


def remove_leftovers(folder: str | Path, *, of: str | None = None, older: float = 0.0) -> None:
    """Remove what ``replacing``, or safetensors inside it, left in a folder when its process was killed.

    ``of``: only what was to become the file of that name; ``older``: only what has been left alone for so many seconds.
    """
    made, theirs = r"\..+\.[0-9a-f]{32}(\.\w+)?", r"\.tmp[0-9A-Za-z]{6}"
    if of is not None:
        made, theirs = (re.escape(end) for end in (f".{Path(of).stem}.", Path(of).suffix))
        made, theirs = f"{made}[0-9a-f]{{32}}{theirs}", "(?!)"
    for path in Path(folder).glob(".*"):
        if re.fullmatch(f"{made}|{theirs}", path.name) and path.is_file():
            with suppress(OSError):
                if older <= 0 or time.time() - path.stat().st_mtime > older:
                    path.unlink()


def write_files(folder: str | Path, contents: Mapping[str, bytes | str]) -> Path:
    """Write files (name -> contents, text as UTF-8) into ``folder``, which is made if need be, and return the folder.

    All are written beside their names first and moved there last: an error (an OSError) on the way leaves what was
    there before.

    >>> import tempfile
    >>> folder = write_files(tempfile.mkdtemp(), {"a.txt": "text", "b.bin": b"bytes"})
    >>> sorted(path.name for path in folder.iterdir())
    ['a.txt', 'b.bin']
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for name, content in contents.items():
            temporary = stack.enter_context(replacing(folder / name))
            temporary.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def sync_folder(folder: Path) -> None:
    """Make a new name last; not every system opens folders."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
