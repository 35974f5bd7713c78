"""Gesture datasets, the way from video to clip, and what models want clips to look like."""

# ruff: noqa: F405

from __future__ import annotations

from typing import TYPE_CHECKING

from .._late import late_names
from .names import DATASETS

if TYPE_CHECKING:
    from ._api import *  # noqa: F403

__all__ = [
    "DATASETS",
    "ClipBatch",
    "ClipSample",
    "ClipTransform",
    "collate",
    "count_frames",
    "create_dataset",
    "create_transform",
    "holdout_indices",
    "read_frames",
    "resolve_data_config",
    "segment_indices",
    "write_video",
]

__getattr__ = late_names(__name__, __all__)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
