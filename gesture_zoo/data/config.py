"""resolve_data_config: what a model wants its clips to look like."""

from __future__ import annotations

from typing import Any

import timm.data
from torch import nn

from ..errors import ModelError


def resolve_data_config(
    args: dict[str, Any] | None = None,
    pretrained_cfg: dict[str, Any] | None = None,
    *,
    model: nn.Module | None = None,
    use_test_size: bool = False,
) -> dict[str, Any]:
    """timm's data configuration of a model (input_size, mean, std, interpolation, crop_pct), num_segments, with_depth.

    ``args`` override single entries; with ``use_test_size`` the size is the test size, 256 in the paper. ``with_depth``
    says whether clips need depth (``needs_depth``), so ask the model that is trained, with its decoders; without a
    model it is true.

    >>> import gesture_zoo
    >>> config = resolve_data_config(model=gesture_zoo.create_model("tsm_resnet18"))
    >>> config["input_size"], config["num_segments"], config["with_depth"]
    ((3, 224, 224), 8, False)
    """
    if isinstance(args, nn.Module):
        raise ModelError("resolve_data_config takes a model by keyword: resolve_data_config(model=model)")
    if not args and not pretrained_cfg and model is None:
        raise ModelError("resolve_data_config needs a model, a pretrained_cfg or args")
    cfg = pretrained_cfg or getattr(model, "pretrained_cfg", None) or {}
    config = timm.data.resolve_data_config(args or {}, cfg, model, use_test_size=use_test_size)
    segments = (args or {}).get("num_segments") or getattr(model, "num_segments", None) or cfg.get("num_segments", 8)
    with_depth = (args or {}).get("with_depth", model is None or needs_depth(model, config["input_size"][0]))
    return {**config, "num_segments": segments, "with_depth": with_depth}


def needs_depth(model: Any, channels: int = 3) -> bool:
    """Whether a model of so many input channels, or the loss that it learns by, has a use for the depth of a clip.

    It sees depth, has decoders, is called with depth, or brings a loss of its own, which is given depth.

    >>> import gesture_zoo
    >>> [needs_depth(gesture_zoo.create_model(name)) for name in ("tsm_test_resnet", "tsm_test_resnet_msd")]
    [False, True]
    """
    # By what it can do: data knows nothing of the classes of models.
    learns = getattr(model, "takes_depth", False) or hasattr(model, "make_loss") or hasattr(model, "predict_masks")
    return channels != 3 or bool(learns)
