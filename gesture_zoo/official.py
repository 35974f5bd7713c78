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
from .mobilenet_keys import timm_names
from .registry import model_entrypoint
from .weights import misfits


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
    state = state_dict.get("state_dict", state_dict) if isinstance(state_dict, Mapping) else None
    if not isinstance(state, Mapping):
        raise WeightsError("convert_official needs a state dict: pass torch.load(path, weights_only=True)")
    stray = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if stray:
        raise WeightsError(f"not a state dict: {stray[0]!r} holds a {type(state[stray[0]]).__name__}, not a tensor")
    keys = {key: re.sub(r"^(module\.)+", "", key) for key in state}
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
    names = timm_names(key.removeprefix("base_model.") for key in keys.values())

    def rename(key: str) -> str:
        if key.rpartition(".")[0] == official_head:
            return f"{our_head}.{key.rpartition('.')[2]}"
        return f"base_model.{names[key.removeprefix('base_model.')]}"

    converted = {rename(bare): state[key] for key, bare in keys.items()}
    _add_batch_counters(model, converted)
    problems = misfits(model, converted)
    if problems:
        raise WeightsError(f"not an official checkpoint for {arch!r}: {'; '.join(problems)}")
    return converted


def _add_batch_counters(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Checkpoints from before torch 0.4.1 have no BatchNorm step counters; they start at zero."""
    for key in model.state_dict():
        if key.endswith("num_batches_tracked"):
            state.setdefault(key, torch.tensor(0))
