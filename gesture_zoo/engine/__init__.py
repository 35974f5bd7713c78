"""Training, evaluation and prediction."""

from .datasets import for_testing, for_training, make_dataset, train_val_datasets
from .depth_error import DepthError, evaluate_depth
from .evaluate import Evaluation, evaluate
from .loader import ClipLoader, make_loader
from .predict import Prediction, predict_video
from .protocol import Protocol, make_test_dataset, parse_protocol
from .recipes import RECIPES, Recipe, load_recipe
from .report import Report, write_report
from .train import TrainResult, train

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
