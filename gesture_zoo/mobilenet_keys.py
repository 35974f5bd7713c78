"""MobileNetV2's parameter names: torchvision's and the official TSM's -> timm's.

Both number the blocks through (``features.7``), timm by stage (``blocks.3.0``). Inside a block the official TSM
numbers every layer (``conv.3``), torchvision groups convolution, norm and activation (``conv.1.0``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Blocks per stage.
STAGES = (1, 2, 3, 4, 3, 3, 1)
# By the position in a block: of its first one, which has no expansion, and of all others.
OFFICIAL = (
    {"0": "conv_dw", "1": "bn1", "3": "conv_pw", "4": "bn2"},
    {"0": "conv_pw", "1": "bn1", "3": "conv_dw", "4": "bn2", "6": "conv_pwl", "7": "bn3"},
)
TORCHVISION = (
    {"0.0": "conv_dw", "0.1": "bn1", "1": "conv_pw", "2": "bn2"},
    {"0.0": "conv_pw", "0.1": "bn1", "1.0": "conv_dw", "1.1": "bn2", "2": "conv_pwl", "3": "bn3"},
)
ENDS = {"0.0": "conv_stem", "0.1": "bn1", "18.0": "conv_head", "18.1": "bn2"}


def timm_names(keys: Iterable[str]) -> dict[str, str]:
    """timm's name for every key of a MobileNetV2 of torchvision or the official TSM; other keys as they are.

    >>> timm_names(["features.2.conv.6.weight", "layer1.0.conv1.weight"])
    {'features.2.conv.6.weight': 'blocks.1.0.conv_pwl.weight', 'layer1.0.conv1.weight': 'layer1.0.conv1.weight'}
    """
    keys = list(keys)
    layers = TORCHVISION if "features.1.conv.0.0.weight" in keys else OFFICIAL
    return {key: _timm_name(key, layers) for key in keys}


def _timm_name(key: str, layers: tuple[dict[str, str], dict[str, str]]) -> str:
    if key.startswith("classifier.1."):
        return key.replace("classifier.1.", "classifier.", 1)
    end = re.match(r"features\.((?:0|18)\.[01])\.", key)
    if end:
        return f"{ENDS[end[1]]}.{key[end.end() :]}"
    match = re.match(r"features\.(\d+)\.conv\.", key)
    if match is None:
        return key
    index, rest = int(match[1]) - 1, key[match.end() :]
    position = next((p for p in layers[index > 0] if rest.startswith(f"{p}.")), None)
    if position is None:
        return key
    rest = f"{layers[index > 0][position]}{rest[len(position) :]}"
    for stage, length in enumerate(STAGES):
        if index < length:
            return f"blocks.{stage}.{index}.{rest}"
        index -= length
    return key
