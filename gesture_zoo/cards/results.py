"""Results files of ``benchmarks/results``: where their numbers come from, and their Markdown tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import GestureZooError


class Row(dict[str, str]):
    """A row of a table by its columns; one that is not there is a GestureZooError."""

    def __missing__(self, column: str) -> str:
        raise GestureZooError(f"a table of benchmarks/results has no column {column!r}; it has {', '.join(self)}")


_NUMBER = r"[0-9]{1,15}(?:\.[0-9]+)?"


class Results(NamedTuple):
    """A results file: its name, the command and commit in its first line, its paragraphs and tables."""

    name: str
    command: str
    commit: str
    paragraphs: list[str]
    tables: list[list[Row]]

    def text(self, pattern: str) -> re.Match[str]:
        """The first match of a pattern in the paragraphs; a file without one is a GestureZooError."""
        for paragraph in self.paragraphs:
            if match := re.search(pattern, paragraph):
                return match
        raise GestureZooError(f"benchmarks/results/{self.name} says nothing that reads {pattern!r}: run {self.command}")

    def table(self, column: str) -> list[Row]:
        """The rows of the first table with that column; a file without one is a GestureZooError."""
        for table in self.tables:
            if column in table[0]:
                return table
        raise GestureZooError(
            f"benchmarks/results/{self.name} has no table with a column {column!r}: run {self.command}"
        )

    @property
    def origin(self) -> str:
        """File, command and commit, for a text that quotes from it."""
        return f"[`{self.name}`](benchmarks/results/{self.name}), commit {self.commit}"


def read_results(path: Path) -> Results:
    """Read a results file; one that is missing, or does not say its command and commit, is a GestureZooError.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "speed.md"
    >>> lines = "Command: `python benchmarks/speed.py`, commit abc.", "", "| a | b |", "|---|---|", "| 1 | 2 |"
    >>> _ = path.write_text("\\n".join(lines))
    >>> results = read_results(path)
    >>> results.commit, results.table("b")
    ('abc', [{'a': '1', 'b': '2'}])
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GestureZooError(
            f"{path} cannot be read: `python benchmarks/{path.stem}.py > benchmarks/results/{path.name}` writes it"
        ) from error
    head = re.match(r"Command: `([^`]+)`, commit ([^.\n]+)\.", text)
    if head is None:
        raise GestureZooError(f"{path} does not begin with 'Command: `...`, commit ....' as a results file does")
    blocks = [block.splitlines() for block in re.split(r"\n\s*\n", text.strip())]
    paragraphs = [" ".join(block) for block in blocks if not block[0].startswith("|")]
    tables = [table for block in blocks if len(table := list(_rows(block)))]
    return Results(path.name, head[1], head[2], paragraphs, tables)


def _rows(block: list[str]) -> Iterator[Row]:
    if len(block) < 2 or not re.fullmatch(r"\|(-+\|)+", block[1]):
        return
    header = _cells(block[0])
    for line in block[2:]:
        cells = _cells(line)
        if len(cells) != len(header):
            raise GestureZooError(
                f"a table of benchmarks/results has the columns {block[0]}, and the row {line[:80]!r}"
            )
        yield Row(zip(header, cells, strict=True))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip()[1:-1].split("|")]


def interval(cell: str) -> tuple[float, float]:
    """The interval in a cell such as "+1.7 (-9.7 to +13.1)".

    >>> interval("+1.7 (-9.7 to +13.1)")
    (-9.7, 13.1)
    """
    match = re.search(rf"\(([-+]?{_NUMBER}) to ([-+]?{_NUMBER})\)", cell)
    if match is None:
        raise GestureZooError(f"expected a number with its interval, as '+1.7 (-9.7 to +13.1)', got {cell!r}")
    return float(match[1]), float(match[2])


def pairs(cell: str) -> list[tuple[float, float]]:
    """The pairs in a cell such as "22.1 -> 28.3, 24.0 -> 25.8".

    >>> pairs("22.1 -> 28.3, 24.0 -> 25.8")
    [(22.1, 28.3), (24.0, 25.8)]
    """
    return [(float(a), float(b)) for a, b in re.findall(rf"({_NUMBER}) -> ({_NUMBER})", cell)]


def number(cell: str) -> float:
    """The number in a cell; another cell is a GestureZooError.

    >>> number("3.5")
    3.5
    """
    if not re.fullmatch(_NUMBER, cell):
        raise GestureZooError(f"expected a number in a table of benchmarks/results, got {cell[:80]!r}")
    return float(cell)
