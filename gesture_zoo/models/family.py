"""A model family: one temporal module, a table of backbones, and a ``_msd`` twin for every row."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import timm
from torch import nn

from ..layers import TEMPORAL
from ..msd import MSDModel, Tap, with_msd
from ..pretrained import PretrainedCfg, imagenet_cfg
from ..registry import register_model
from .clip_model import ClipModel
from .temporal import with_temporal

# timm starts every residual branch at zero, torchvision and the official networks do not. Time enters through
# these branches: from zero, a network without pretrained weights takes epochs to notice it.
BACKBONE_ARGUMENTS: dict[str, dict[str, Any]] = {
    name: {"zero_init_last": False}
    for name in ("resnet18", "resnet34", "resnet50", "resnet101", "res2net50_26w_4s", "test_resnet")
}


def build(
    temporal: str,
    backbone: str,
    *,
    num_classes: int = 1000,
    num_segments: int = 8,
    in_chans: int = 3,
    drop_rate: float = 0.0,
    **options: Any,
) -> ClipModel:
    """Build ``<temporal>_<backbone>`` without pretrained weights; ``options`` go to the temporal module."""
    cnn = timm.create_model(
        backbone,
        num_classes=num_classes,
        in_chans=in_chans,
        drop_rate=drop_rate,
        **BACKBONE_ARGUMENTS.get(backbone, {}),
    )
    return with_temporal(cnn, temporal, num_segments=num_segments, **options)


def build_msd(
    temporal: str, backbone: str, *, taps: Iterable[str | Tap | dict[str, Any]] = ("res1", "layer4"), **kwargs: Any
) -> MSDModel:
    """Build ``<temporal>_<backbone>_msd``: ``build``'s model with decoders on ``taps``."""
    return with_msd(build(temporal, backbone, **kwargs), taps=taps)


def register_family(
    temporal: str,
    backbones: Iterable[str],
    gesture_cfgs: Mapping[str, Mapping[str, PretrainedCfg]] | None = None,
) -> None:
    """Register ``<temporal>_<backbone>`` and ``<temporal>_<backbone>_msd`` for every backbone.

    ``gesture_cfgs``: by backbone, the tags of weights trained on gestures. The default tag is the ImageNet
    start, from which the papers train.
    """
    for backbone in backbones:
        cfgs = {"in1k": imagenet_cfg(backbone), **(gesture_cfgs or {}).get(backbone, {})}
        for suffix, builder in (("", build), ("_msd", build_msd)):
            register_model(name=f"{temporal}_{backbone}{suffix}", cfgs=cfgs)(member(builder, temporal, backbone))


def member(builder: Callable[..., nn.Module], temporal: str, backbone: str) -> Callable[..., nn.Module]:
    """``builder`` for one row of the table, with a signature that names every argument it takes."""
    factory = partial(builder, temporal, backbone)
    sources = [build, builder] if builder is not build else [build]
    module = TEMPORAL[temporal]
    arguments = {
        name: parameter
        for source in [*sources, *([module] if module else [])]
        for name, parameter in inspect.signature(source).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    factory.__signature__ = inspect.Signature(list(arguments.values()), return_annotation=nn.Module)  # type: ignore[attr-defined]
    return factory
