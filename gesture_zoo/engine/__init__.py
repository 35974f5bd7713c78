"""Training, evaluation and prediction."""

# ruff: noqa: F405

from __future__ import annotations

from typing import TYPE_CHECKING

from .._late import late_names

if TYPE_CHECKING:
    from ._api import *  # noqa: F403

__all__ = [
    "RECIPES",
    "ClipLoader",
    "DepthError",
    "Evaluation",
    "Prediction",
    "Protocol",
    "Recipe",
    "Report",
    "TrainResult",
    "evaluate",
    "evaluate_depth",
    "for_testing",
    "for_training",
    "load_recipe",
    "make_dataset",
    "make_loader",
    "make_test_dataset",
    "parse_protocol",
    "predict_video",
    "train",
    "train_val_datasets",
    "write_report",
]

__getattr__ = late_names(__name__, __all__)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
