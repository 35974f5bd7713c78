"""Training, evaluation and prediction."""

from .evaluate import Accuracy, DepthError, evaluate, evaluate_depth
from .loader import make_loader, train_val_datasets
from .predict import Prediction, predict_video
from .train import TrainConfig, TrainResult, train

__all__ = [
    "Accuracy",
    "DepthError",
    "Prediction",
    "TrainConfig",
    "TrainResult",
    "evaluate",
    "evaluate_depth",
    "make_loader",
    "predict_video",
    "train",
    "train_val_datasets",
]
