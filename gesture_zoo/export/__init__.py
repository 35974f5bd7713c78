"""export_model: a model as one file that runs without this library, and that was seen to answer as the model does."""

# ruff: noqa: F405

from __future__ import annotations

from typing import TYPE_CHECKING

from .._late import late_names
from .names import METHODS, TOLERANCE

if TYPE_CHECKING:
    from ._api import *  # noqa: F403

__all__ = [
    "FORMATS",
    "METHODS",
    "TOLERANCE",
    "Compared",
    "ExportError",
    "ExportReport",
    "Int8Report",
    "export_model",
    "quantize_model",
]

__getattr__ = late_names(__name__, __all__)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
