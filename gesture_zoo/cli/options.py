"""--data-option KEY=VALUE: the options of a dataset's reader, from the command line."""

from __future__ import annotations

import inspect
from typing import Any

from ..data.factory import get_reader
from ..errors import DataError


def reader_options(name: str) -> list[str]:
    """The options that only this dataset has, such as "lists" of NVGesture."""
    if name in ("shards", "synthetic"):
        return []
    reader = get_reader(name)
    own = inspect.signature(reader.__init__).parameters.values()
    # Options of text only: the others (transform, num_segments, ...) are set by other arguments or from Python.
    return [p.name for p in own if p.kind is p.KEYWORD_ONLY and isinstance(p.default, str)]


def parse_options(name: str, pairs: list[str] | None) -> dict[str, Any]:
    """KEY=VALUE pairs as keyword arguments of the reader of dataset ``name``; an unknown key is a DataError."""
    known = reader_options(name)
    options: dict[str, Any] = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or key not in known:
            takes = f"takes {', '.join(f'{k}=...' for k in known)}" if known else "has no options"
            raise DataError(f"--data-option {pair}: {name} {takes}")
        options[key] = value
    return options
