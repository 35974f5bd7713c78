"""Running a model without knowing who does the arithmetic: ONNX Runtime, OpenVINO or PyTorch.

Nothing here imports torch, but ``torch_*.py`` and ``pt2_check.py`` when they are asked for: an exported file starts at
once, without PyTorch.
"""

from .files import FORMATS, open_exported
from .info import ModelInfo, StateInfo
from .preprocess import centre_box, preprocess
from .runner import Runner

__all__ = ["FORMATS", "ModelInfo", "Runner", "StateInfo", "centre_box", "open_exported", "preprocess"]
