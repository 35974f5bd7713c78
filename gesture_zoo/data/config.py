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
    """timm's data configuration of a model (input_size, mean, std, interpolation, crop_pct) plus num_segments.

    ``args`` override single entries; with ``use_test_size`` the size is the test size, 256 in the paper.

    >>> import gesture_zoo
    >>> config = resolve_data_config(model=gesture_zoo.create_model("tsm_resnet18"))
    >>> config["input_size"], config["num_segments"]
    ((3, 224, 224), 8)
    """
    if isinstance(args, nn.Module):
        raise ModelError("resolve_data_config takes a model by keyword: resolve_data_config(model=model)")
    if not args and not pretrained_cfg and model is None:
        raise ModelError("resolve_data_config needs a model, a pretrained_cfg or args")
    cfg = pretrained_cfg or getattr(model, "pretrained_cfg", None) or {}
    config = timm.data.resolve_data_config(args or {}, cfg, model, use_test_size=use_test_size)
    segments = (args or {}).get("num_segments") or getattr(model, "num_segments", None) or cfg.get("num_segments", 8)
    return {**config, "num_segments": segments}
