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

from typing import TYPE_CHECKING

from ._late import late_names

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


__getattr__ = late_names(__name__, __all__)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
