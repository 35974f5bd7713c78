"""Packages whose public names need PyTorch, which takes seconds to import, and hand them out when first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection
from typing import Any


def late_names(package: str, names: Collection[str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package (PEP 562): ``names`` come from its module ``_api``, others are its modules.

    No module may have a name of ``names``: once it is imported, it would be what the package has by that name.
    """

    def find(name: str) -> Any:
        if name in names:
            return getattr(importlib.import_module("._api", package), name)
        if not name.startswith("_"):
            try:
                return importlib.import_module(f".{name}", package)
            except ModuleNotFoundError as error:
                if error.name != f"{package}.{name}":
                    raise
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find
