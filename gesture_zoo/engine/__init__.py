"""Training, evaluation and prediction."""

from .datasets import make_dataset, train_val_datasets
from .evaluate import Accuracy, DepthError, evaluate, evaluate_depth
from .loader import ClipLoader, make_loader
from .predict import Prediction, predict_video
from .train import TrainConfig, TrainResult, train

__all__ = [
    "Accuracy",
    "ClipLoader",
    "DepthError",
    "Prediction",
    "TrainConfig",
    "TrainResult",
    "evaluate",
    "evaluate_depth",
    "make_dataset",
    "make_loader",
    "predict_video",
    "train",
    "train_val_datasets",
]
