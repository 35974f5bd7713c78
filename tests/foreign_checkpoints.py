"""Checkpoints as other projects write them, made from our own models: the same tensors under those projects' names.

Written from those projects' module trees, apart from the tables that the library reads them with.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from torch import Tensor, nn

# MobileNetV2: blocks per stage, and the layers of a block in the order in which they run (activations have no names).
STAGES = (1, 2, 3, 4, 3, 3, 1)
FIRST_BLOCK = ("conv_dw", "bn1", "relu", "conv_pw", "bn2")
BLOCK = ("conv_pw", "bn1", "relu", "conv_dw", "bn2", "relu", "conv_pwl", "bn3")
ENDS = {"conv_stem": "0.0", "bn1": "0.1", "conv_head": "18.0", "bn2": "18.1"}


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """What a clip model holds, by its name below base_model."""
    return {key.removeprefix("base_model."): value.clone() for key, value in model.state_dict().items()}


def official(model: nn.Module, *, prefix: str = "module.", dropout: bool = True) -> dict[str, Tensor]:
    """TSM, TEA and ACTION-Net: the CNN below base_model; trained with dropout, its classifier is new_fc beside it."""

    def rename(key: str) -> str:
        head = is_head(key)
        return f"new_fc.{head}" if head and dropout else f"base_model.{mobilenet_name(key) if mobile else key}"

    mobile = "conv_stem.weight" in tensors(model)
    return {prefix + rename(key): value for key, value in tensors(model).items()}


def official_online(model: nn.Module) -> dict[str, Tensor]:
    """TSM's live demo: a plain MobileNetV2, without prefixes and without wrapped convolutions."""
    return {mobilenet_name(key).replace(".net.", "."): value for key, value in tensors(model).items()}


def mmaction(model: nn.Module) -> dict[str, Tensor]:
    """mmaction2: a convolution and its norm share a module; the classifier is cls_head.fc_cls."""
    rename: Callable[[str], str] = mmaction_resnet_name
    if "conv_stem.weight" in tensors(model):
        rename = mmaction_mobilenet_name
    return {
        f"cls_head.fc_cls.{is_head(key)}" if is_head(key) else f"backbone.{rename(key)}": value
        for key, value in tensors(model).items()
    }


def is_head(key: str) -> str:
    """ "weight" or "bias" of the classifier, "" for another key."""
    owner, _, rest = key.rpartition(".")
    return rest if owner in ("fc", "classifier") else ""


def mobilenet_name(key: str) -> str:
    """The official TSM's MobileNetV2: blocks and layers are numbered through."""
    layer, _, rest = key.partition(".")
    if layer in ENDS:
        return f"features.{ENDS[layer]}.{rest}"
    if layer != "blocks":
        return key
    stage, block, layer, rest = re.fullmatch(r"(\d)\.(\d)\.(\w+)\.(.*)", rest).groups()
    number = 1 + sum(STAGES[: int(stage)]) + int(block)
    return f"features.{number}.conv.{(BLOCK if number > 1 else FIRST_BLOCK).index(layer)}.{rest}"


def mmaction_resnet_name(key: str) -> str:
    key = key.replace("downsample.0.", "downsample.conv.").replace("downsample.1.", "downsample.bn.")
    return re.sub(r"\bbn(\d)\.", r"conv\1.bn.", re.sub(r"\b(conv\d)\.", r"\1.conv.", key, count=1))


def mmaction_mobilenet_name(key: str) -> str:
    layer, _, rest = key.partition(".")
    if layer in ENDS:
        module = "conv1" if layer in ("conv_stem", "bn1") else "conv2"
        return f"{module}.{'bn' if layer.startswith('bn') else 'conv'}.{rest}"
    stage, block, layer, rest = re.fullmatch(r"(\d)\.(\d)\.(\w+)\.(.*)", rest).groups()
    convs = ["conv_dw", "conv_pw"] if stage == "0" else ["conv_pw", "conv_dw", "conv_pwl"]
    position = int(layer[2]) - 1 if layer.startswith("bn") else convs.index(layer)
    # The shift wraps the convolution and its norm as one.
    wrapped = "net." if stage != "0" and block != "0" and position == 0 else ""
    part = "bn" if layer.startswith("bn") else "conv"
    return f"layer{int(stage) + 1}.{block}.conv.{position}.{wrapped}{part}.{rest.removeprefix('net.')}"
