"""Markdown, as the cards write it."""

from __future__ import annotations

from collections.abc import Iterable


def table(header: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """A table of a header and rows.

    >>> print(table(("a", "b"), [(1, 2)]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    names = list(header)
    lines = [f"| {' | '.join(map(str, cells))} |" for cells in [names, *rows]]
    return "\n".join([lines[0], "|" + "---|" * len(names), *lines[1:]])


def listing(names: Iterable[str]) -> str:
    """Names in a sentence.

    >>> listing(["a", "b", "c"])
    'a, b and c'
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def code(names: Iterable[str]) -> str:
    """Names as code, separated by commas.

    >>> code(["a", "b"])
    '`a`, `b`'
    """
    return ", ".join(f"`{name}`" for name in names)
