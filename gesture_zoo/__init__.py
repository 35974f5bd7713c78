"""gesture_zoo: a model zoo for RGB dynamic gesture recognition, taught by depth."""

__version__ = "0.1.0"

from .convert import convert_checkpoint
from .data import create_dataset, create_transform, resolve_data_config
from .errors import GestureZooError
from .factory import create_model
from .layers import TemporalModule, insertion_points, register_temporal
from .models import ClipModel, register_family, with_temporal
from .msd import MSDLoss, MSDModel, MSDOutput, Tap, strip_msd, with_msd
from .official import convert_official
from .pretrained import PretrainedCfg
from .registry import (
    get_pretrained_cfg,
    is_model,
    list_models,
    list_pretrained,
    model_entrypoint,
    register_model,
)
from .saving import push_to_hub, save_pretrained
from .streaming import to_streaming
from .timm_compat import register_with_timm

__all__ = [
    "ClipModel",
    "GestureZooError",
    "MSDLoss",
    "MSDModel",
    "MSDOutput",
    "PretrainedCfg",
    "Tap",
    "TemporalModule",
    "convert_checkpoint",
    "convert_official",
    "create_dataset",
    "create_model",
    "create_transform",
    "get_pretrained_cfg",
    "insertion_points",
    "is_model",
    "list_models",
    "list_pretrained",
    "model_entrypoint",
    "push_to_hub",
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
