"""What an annotation says: the clips of a split, and everything that is wrong with it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ..errors import DataError
from .media import Media

UNLABELLED = -1
SPLITS = ("train", "val", "test")  # the usual parts of a dataset


class ClipRecord(NamedTuple):
    """Where one clip is: its frames, its depth if there is any, its class index (-1 unknown), and a unique id."""

    rgb: Media
    depth: Media | None
    label: int
    id: str


class Problem(NamedTuple):
    """Something wrong with a dataset: its kind in a word or two, where, and what would be right.

    A ``fatal`` one keeps the dataset from being used; the others are what is known to be in the wild (a row
    without numbers, a scene that was never recorded) and costs only the clips concerned.
    """

    kind: str
    where: str
    message: str
    fatal: bool = True


@dataclass
class Listing:
    """The clips of a split, the class names in label order, and the problems met on the way."""

    class_names: list[str]
    records: list[ClipRecord] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, kind: str, where: object, message: str, *, fatal: bool = True) -> None:
        """Note a problem."""
        self.problems.append(Problem(kind, str(where), message, fatal))


def mirrored(names: Iterable[str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What every class becomes when mirrored left to right: those of a pair swap, the others of ``names`` stay.

    >>> mirrored(["swipe_left", "swipe_right", "fist"], [("swipe_left", "swipe_right")])
    {'swipe_left': 'swipe_right', 'swipe_right': 'swipe_left', 'fist': 'fist'}
    """
    pairs = list(pairs)
    return {**{name: name for name in names}, **dict(pairs), **{b: a for a, b in pairs}}


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text, stripped, of every line of an annotation that is not blank.

    Bytes that are no UTF-8 become replacement characters: they are for the parser to refuse (``utf8_fault``). A file
    that cannot be read is a DataError.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    # Not splitlines(), which also splits at form feeds and the like: editors would count other lines.
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        if line.strip():
            yield number, line.strip()


def utf8_fault(text: str) -> str:
    """What is wrong with a line that has characters which could not be read, or nothing.

    Taken as it is, two names could become the same.

    >>> utf8_fault("caf\ufffd")
    "'caf\ufffd' is not UTF-8: save the file as UTF-8 (Excel: CSV UTF-8)"
    """
    return f"{text[:80]!r} is not UTF-8: save the file as UTF-8 (Excel: CSV UTF-8)" if "\ufffd" in text else ""


def cells_of(line: str) -> list[str] | None:
    """The values of a line of a table; None if its quotes are in disorder."""
    try:
        return [cell.strip() for cell in next(csv.reader([line], strict=True), [])]
    except csv.Error:
        return None


def inside(text: str) -> str | None:
    """A path of an annotation as a clean relative one, or None if it leaves its root or is no path.

    >>> inside("./a/b.avi"), inside("a/../../b"), inside("/etc/passwd")
    ('a/b.avi', None, None)
    """
    path = PurePosixPath(text.replace("\\", "/"))
    if _size(text) > 1000 or any(_size(part) > 255 for part in path.parts):  # no file system has such names
        return None
    # A name of dots and blanks alone is the folder above to some systems.
    if not path.parts or path.is_absolute() or not all(part.strip(". ") for part in path.parts):
        return None
    if "\0" in text or ":" in path.parts[0]:
        return None
    return str(path)


def _size(text: str) -> int:
    return len(text.encode(errors="replace"))


def whole_number(text: str) -> int | None:
    """A number of an annotation, also written as 98.0; None for anything else.

    >>> whole_number("98.0"), whole_number(" 7"), whole_number("nan"), whole_number("1e3"), whole_number("-1")
    (98, 7, None, None, None)
    """
    digits, _, rest = text.strip().partition(".")
    if not digits.isascii() or not digits.isdigit() or rest.strip("0") or len(digits) > 9:
        return None
    return int(digits)
