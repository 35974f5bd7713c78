"""gesture_zoo: a model zoo for RGB dynamic gesture recognition, taught by depth.

>>> import torch, gesture_zoo
>>> model = gesture_zoo.create_model("tsm_test_resnet_msd", num_classes=5)  # gesture_zoo.list_models() names them all
>>> clip, depth, label = torch.rand(1, 8, 3, 64, 64), torch.rand(1, 8, 1, 64, 64), torch.tensor([3])
>>> loss = gesture_zoo.MSDLoss()(model.train()(clip), label, depth)  # depth teaches the network in training
>>> deploy = gesture_zoo.strip_msd(model).eval()  # and is gone at inference
>>> deploy(clip).shape
torch.Size([1, 5])
"""

# ruff: noqa: F405

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ._api import *  # noqa: F403

__all__ = [
    "ClipModel",
    "GestureZooError",
    "MSDLoss",
    "MSDModel",
    "MSDOutput",
    "PretrainedCfg",
    "Tap",
    "TemporalModule",
    "VideoModel",
    "convert_checkpoint",
    "convert_official",
    "create_dataset",
    "create_model",
    "create_transform",
    "export_model",
    "get_pretrained_cfg",
    "insertion_points",
    "is_model",
    "list_models",
    "list_pretrained",
    "model_entrypoint",
    "push_to_hub",
    "quantize_model",
    "register_family",
    "register_model",
    "register_temporal",
    "register_with_timm",
    "resolve_data_config",
    "save_pretrained",
    "strip_msd",
    "to_streaming",
    "with_msd",
    "with_temporal",
]


def __getattr__(name: str) -> Any:
    # Late, because PyTorch takes seconds to import and an exported model does not need it.
    if name in __all__:
        return getattr(importlib.import_module("._api", __name__), name)
    if not name.startswith("_"):
        try:
            return importlib.import_module(f".{name}", __name__)
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
