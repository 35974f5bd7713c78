"""mmaction2's parameter names for TSN and TSM on ResNet and MobileNetV2 -> timm's.

mmaction2 (github.com/open-mmlab/mmaction2, Apache-2.0; names only) keeps a convolution and its norm in one module,
``layer1.0.conv1.conv`` and ``layer1.0.conv1.bn``. Its shift wraps the convolution in a ResNet (``conv1.conv.net``) and
the whole module in a MobileNetV2 (``conv.0.net.conv``), which shifts the same channels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

BACKBONE = "backbone."
HEAD = "cls_head.fc_cls"
# By the position in a MobileNetV2 block, of its first one, which has no expansion, and of all others.
MOBILENET_BLOCKS = (
    {"0": ("conv_dw", "bn1"), "1": ("conv_pw", "bn2")},
    {"0": ("conv_pw", "bn1"), "1": ("conv_dw", "bn2"), "2": ("conv_pwl", "bn3")},
)
MOBILENET_ENDS = {"conv1": ("conv_stem", "bn1"), "conv2": ("conv_head", "bn2")}


def is_mmaction(keys: Iterable[str]) -> bool:
    """Whether a state dict has mmaction2's names.

    >>> is_mmaction(["backbone.conv1.conv.weight"]), is_mmaction(["base_model.conv1.weight"])
    (True, False)
    """
    return any(key.startswith((BACKBONE, "cls_head.")) for key in keys)


def timm_names(keys: Iterable[str]) -> dict[str, str]:
    """timm's name for every key of an mmaction2 recogniser, without the prefix; other keys as they are.

    >>> timm_names(["backbone.layer1.0.conv1.conv.net.weight", "backbone.layer1.0.downsample.bn.bias"])
    {'backbone.layer1.0.conv1.conv.net.weight': 'layer1.0.conv1.net.weight', \
'backbone.layer1.0.downsample.bn.bias': 'layer1.0.downsample.1.bias'}
    """
    keys = list(keys)
    rename = _mobilenet_name if any(re.match(r"backbone\.layer\d\.\d+\.conv\.", key) for key in keys) else _resnet_name
    return {key: rename(key.removeprefix(BACKBONE)) if key.startswith(BACKBONE) else key for key in keys}


def _resnet_name(key: str) -> str:
    key = re.sub(r"\.?\bdownsample\.(conv|bn)\.", lambda m: f".downsample.{int(m[1] == 'bn')}.", key)
    key = re.sub(r"\bconv(\d)\.bn\.", r"bn\1.", key)
    return re.sub(r"\b(conv\d)\.conv\.", r"\1.", key)


def _mobilenet_name(key: str) -> str:
    end = re.match(r"(conv[12])\.(conv|bn)\.", key)
    if end:
        return f"{MOBILENET_ENDS[end[1]][end[2] == 'bn']}.{key[end.end() :]}"
    match = re.match(r"layer(\d)\.(\d+)\.conv\.(\d)\.(net\.)?(conv|bn)\.", key)
    if match is None:
        return key
    stage, position = int(match[1]) - 1, MOBILENET_BLOCKS[match[1] != "1"].get(match[3])
    if position is None:
        return key
    name = position[1] if match[5] == "bn" else f"{position[0]}.{match[4] or ''}".rstrip(".")
    return f"blocks.{stage}.{match[2]}.{name}.{key[match.end() :]}"
