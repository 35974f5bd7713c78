"""The public names, those of ``gesture_zoo.engine.__all__``."""

# ruff: noqa: F401

from .datasets import for_testing, for_training, make_dataset, train_val_datasets
from .depth_error import DepthError, evaluate_depth
from .evaluation import Evaluation, evaluate
from .loader import ClipLoader, make_loader
from .predict import Prediction, predict_video
from .protocol import Protocol, parse_protocol
from .recipes import RECIPES, Recipe, load_recipe
from .report import Report, write_report
from .testing import make_test_dataset
from .training import TrainResult, train
