"""The official TSM, TEA and ACTION-Net checkpoints' keys -> ours.

Key names seen in the repositories mit-han-lab/temporal-shift-module (MIT), V-Sense/ACTION-Net (MIT) and
Phoenix1327/tea-action-recognition (no licence; names only).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .errors import WeightsError
from .registry import model_entrypoint
from .weights import misfits

# Blocks per stage of MobileNetV2; torchvision numbers them through, timm by stage.
_MOBILENET_STAGES = (1, 2, 3, 4, 3, 3, 1)
_PLAIN = {0: "conv_dw", 1: "bn1", 3: "conv_pw", 4: "bn2"}
_EXPANDED = {0: "conv_pw", 1: "bn1", 3: "conv_dw", 4: "bn2", 6: "conv_pwl", 7: "bn3"}


def convert_official(state_dict: Mapping[str, Any], arch: str) -> dict[str, Tensor]:
    """Rename an official checkpoint's keys to those of our model ``arch``, ready for ``load_state_dict``.

    ``state_dict`` is the official dictionary, or the checkpoint that holds it under "state_dict", with or
    without the leading "module.". ``arch`` is one of our names without "_msd" (official checkpoints have no
    decoders: wrap the loaded model with ``with_msd``). Keys or shapes that do not fit are a WeightsError.

    >>> import gesture_zoo
    >>> model = gesture_zoo.create_model("tsm_resnet18", num_classes=27)
    >>> official = {f"module.{key}": value for key, value in model.state_dict().items()}
    >>> model.load_state_dict(convert_official(official, "tsm_resnet18"))
    <All keys matched successfully>
    """
    if arch.endswith("_msd"):
        raise WeightsError(
            f"official checkpoints have no decoders: convert for {arch.removesuffix('_msd')!r}, "
            "load that, then attach decoders with with_msd(model)"
        )
    state = state_dict.get("state_dict", state_dict)
    stray = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if stray:
        raise WeightsError(f"not a state dict: {stray[0]!r} holds a {type(state[stray[0]]).__name__}, not a tensor")
    keys = {key: key.removeprefix("module.") for key in state}
    head = next(
        (k for k in keys.values() if re.fullmatch(r"(base_model\.)?(new_fc|fc|classifier(\.1)?)\.weight", k)), None
    )
    if head is None:
        raise WeightsError(f"no classifier among the {len(keys)} keys: not an official checkpoint for {arch!r}")
    official_head = head.removesuffix(".weight")
    num_classes = state[next(key for key, bare in keys.items() if bare == head)].shape[0]

    with torch.device("meta"):
        model: Any = model_entrypoint(arch)(num_classes=num_classes)
    our_head = next(name for name, module in model.named_modules() if module is model.get_classifier())

    def rename(key: str) -> str:
        if key.rpartition(".")[0] == official_head:
            return f"{our_head}.{key.rpartition('.')[2]}"
        return f"base_model.{_mobilenet_name(key.removeprefix('base_model.'))}"

    converted = {rename(bare): state[key] for key, bare in keys.items()}
    _add_batch_counters(model, converted)
    problems = misfits(model, converted)
    if problems:
        raise WeightsError(f"not an official checkpoint for {arch!r}: {'; '.join(problems)}")
    return converted


def _mobilenet_name(key: str) -> str:
    """torchvision's (and the official TSM's) MobileNetV2 key as timm's; any other key unchanged."""
    match = re.fullmatch(r"features\.(\d+)\.(?:conv\.)?(\d+)\.(.+)", key)
    if match is None:
        return key
    block, layer, rest = int(match[1]), int(match[2]), match[3]
    if block in (0, 18):
        names = ("conv_stem", "bn1") if block == 0 else ("conv_head", "bn2")
        return f"{names[layer]}.{rest}"
    names_in_block = _PLAIN if block == 1 else _EXPANDED
    index = block - 1
    for stage, length in enumerate(_MOBILENET_STAGES):
        if index < length:
            return f"blocks.{stage}.{index}.{names_in_block.get(layer, layer)}.{rest}"
        index -= length
    return key


def _add_batch_counters(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Checkpoints from before torch 0.4.1 have no BatchNorm step counters; they start at zero."""
    for key in model.state_dict():
        if key.endswith("num_batches_tracked"):
            state.setdefault(key, torch.tensor(0))
