"""Where a temporal module goes inside a 2-D CNN.

One row per kind of block: a shift (or ACTION) wraps the first convolution of the residual branch, TEA
replaces a Res2Net block as a whole. A new backbone family is one new row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

from timm.models import _efficientnet_blocks as timm_efficientnet
from timm.models import regnet as timm_regnet
from timm.models import res2net as timm_res2net
from timm.models import resnet as timm_resnet
from torch import nn
from torchvision.models import mobilenetv2 as tv_mobilenet
from torchvision.models import resnet as tv_resnet

from ..errors import ModelError
from .action import Action
from .base import TemporalModule
from .tea import TEABlock
from .temporal_shift import TemporalShift


class BlockKind(NamedTuple):
    """Classes of one kind of block, the name of the convolution to wrap in it, and which blocks count."""

    classes: tuple[type[nn.Module], ...]
    conv: str
    counts: Callable[[Any], bool] = lambda block: True


BLOCK_KINDS = (
    BlockKind(
        (
            timm_resnet.BasicBlock,
            timm_resnet.Bottleneck,
            timm_res2net.Bottle2neck,
            tv_resnet.BasicBlock,
            tv_resnet.Bottleneck,
        ),
        "conv1",
    ),
    BlockKind((timm_regnet.Bottleneck,), "conv1.conv"),
    BlockKind((timm_efficientnet.UniversalInvertedResidual,), "pw_exp.conv", lambda block: block.has_skip),
    # Only where there is an expansion and a skip, as in the official TSM MobileNetV2.
    BlockKind((timm_efficientnet.InvertedResidual,), "conv_pw", lambda block: block.has_skip),
    BlockKind(
        (tv_mobilenet.InvertedResidual,),
        "conv.0.0",
        lambda block: block.use_res_connect and len(block.conv) > 3,
    ),
)

# By name, the module that goes in; "tsn" is the plain network.
TEMPORAL: dict[str, type[nn.Module] | None] = {"tsn": None, "tsm": TemporalShift, "tea": TEABlock, "action": Action}

# The official networks shift every second block where a stage is this deep (ResNet-101).
DEEP_STAGE = 23


def insertion_points(cnn: nn.Module) -> list[str]:
    """Dotted names of the convolutions that a temporal module wraps in ``cnn``, in order of depth.

    >>> import timm
    >>> insertion_points(timm.create_model("resnet18"))[:3]
    ['layer1.0.conv1', 'layer1.1.conv1', 'layer2.0.conv1']
    """
    stages: dict[str, list[str]] = defaultdict(list)
    for name, block in cnn.named_modules():
        for kind in BLOCK_KINDS:
            if isinstance(block, kind.classes) and kind.counts(block):
                stages[name.rpartition(".")[0]].append(f"{name}.{kind.conv}")
    step = 2 if any(len(stage) >= DEEP_STAGE for stage in stages.values()) else 1
    return [conv for stage in stages.values() for conv in stage[::step]]


def insert_temporal(cnn: nn.Module, temporal: str, num_segments: int, **options: Any) -> nn.Module:
    """Put temporal modules into ``cnn``, in place, and return it.

    ``temporal`` is one of ``TEMPORAL`` ("tsn" inserts nothing); ``options`` go to the module
    (``shift_div``, ``reduction``). A CNN without a known block is a ModelError.

    >>> import timm
    >>> insert_temporal(timm.create_model("resnet18"), "tsm", 8).layer1[0].conv1.num_segments
    8
    """
    if temporal not in TEMPORAL:
        raise ModelError(f"unknown temporal module {temporal!r}; choose one of {', '.join(TEMPORAL)}")
    if any(isinstance(module, TemporalModule) for module in cnn.modules()):
        raise ModelError(f"this {type(cnn).__name__} has temporal modules already: insert them into a fresh one")
    module = TEMPORAL[temporal]
    if module is None:
        if options:
            raise TypeError(f"'tsn' inserts no module and takes no options, got {', '.join(options)}")
        return cnn
    if module is TEABlock:
        names = [name for name, block in cnn.named_modules() if isinstance(block, timm_res2net.Bottle2neck)]
        place = "Res2Net blocks of timm"
    else:
        names = insertion_points(cnn)
        place = "residual or inverted-residual blocks of timm or torchvision"
    if not names:
        raise ModelError(f"{temporal!r} found no place in {type(cnn).__name__}: it goes into {place}")
    for name in names:
        cnn.set_submodule(name, module(cnn.get_submodule(name), num_segments, **options))
    return cnn
