"""The public names, those of ``gesture_zoo.__all__``; they need PyTorch, and are handed out when first asked for."""

# ruff: noqa: F401

from .convert import convert_checkpoint
from .data import create_dataset, create_transform, resolve_data_config
from .errors import GestureZooError
from .export import export_model, quantize_model
from .factory import create_model
from .layers import TemporalModule, insertion_points, register_temporal
from .models import ClipModel, VideoModel, register_family, with_temporal
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
