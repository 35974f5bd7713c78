"""Whose doing a registration is, and taking back what a package that failed has registered.

What is registered is there exactly as long as the module that did it is imported: Python forgets a module whose import
failed and keeps the others that it had imported by then, and so do the tables of models and temporal modules.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from types import FrameType
from typing import Any, NamedTuple


class Made(NamedTuple):
    """A registration: the module whose import made it, or the entry point that was called, and how to undo it."""

    owner: str
    undo: Callable[[], object]


# What the entry points that are being loaded have registered so far; a package may make others load meanwhile.
_LOADING: list[list[Made]] = []


def record(undo: Callable[[], object]) -> str:
    """Note that something is being registered, and how that is undone; returns whose doing it is.

    That is the module whose import runs, or the entry point "module:function" that is being called.

    >>> record(lambda: None) != ""
    True
    """
    made = Made(_owner(), undo)
    for loading in _LOADING:
        loading.append(made)
    return made.owner


def _owner() -> str:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is _call.__code__:
            return str(frame.f_locals["owner"])
        if frame.f_code.co_name == "<module>":
            return str(frame.f_globals.get("__name__", ""))
        frame = frame.f_back
    return ""


def load(point: EntryPoint, *, is_known: Callable[[Any], bool]) -> None:
    """Import the module of an entry point, and call its function if it names one that is not known already.

    If that fails, what it has registered is taken back before the error goes on; what other modules have registered
    that were imported whole on the way stays, since nobody imports them again.

    >>> load(EntryPoint("mine", "gesture_zoo.errors:one_line", "gesture_zoo.models"), is_known=callable)
    """
    made: list[Made] = []
    _LOADING.append(made)
    try:
        named = point.load()
        if point.attr and callable(named) and not isinstance(named, type) and not is_known(named):
            _call(named, owner=point.value)
    except BaseException:
        _take_back(made, point.module)
        raise
    finally:
        _LOADING[:] = [loading for loading in _LOADING if loading is not made]


def _call(function: Callable[[], object], owner: str) -> None:
    function()


def _take_back(made: list[Made], module: str) -> None:
    """Undo what ``module``, those below it and those that are not imported any more have registered."""
    failed = [one for one in made if _is_below(one.owner, module) or not _is_imported(one.owner)]
    for one in reversed(failed):
        one.undo()
    for one in failed:
        if ":" not in one.owner:
            sys.modules.pop(one.owner, None)  # whoever imports it next registers it again


def _is_below(owner: str, module: str) -> bool:
    return f"{owner.partition(':')[0]}.".startswith(f"{module}.")


def _is_imported(owner: str) -> bool:
    parts = owner.partition(":")[0].split(".")
    return all(".".join(parts[:count]) in sys.modules for count in range(1, len(parts) + 1))
