"""Put a state dict into a model, completely or not at all, whatever model it was saved from.

Files hold the bare clip model's keys, and ``decoders.*`` beside them where decoders were trained. So one file
serves a model with and without MSD.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from timm.models import adapt_input_conv
from torch import Tensor, nn

from .errors import WeightsError
from .layers import TemporalModule
from .mobilenet_keys import timm_names
from .msd import MSDModel

_logger = logging.getLogger(__name__)

DECODERS = "decoders."


def portable_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """The state dict as files hold it: the bare model's keys and, with MSD, ``decoders.*``."""
    if not isinstance(model, MSDModel):
        return dict(model.state_dict())
    decoders = {f"{DECODERS}{key}": value for key, value in model.decoders.state_dict().items()}
    return {**model.model.state_dict(), **decoders}


def load_portable(model: nn.Module, state: Mapping[str, Tensor], *, source: str, fit_head: bool = False) -> bool:
    """Load a file's state dict into a model with or without MSD.

    Decoders in the file are ignored by a bare model; a model with MSD keeps its fresh decoders for taps where the file
    has none. ``fit_head`` lets the model keep its own classifier where the file's has another shape; returns
    whether it did. Keys or shapes that do not fit are a WeightsError and leave the model untouched. ``source``
    names the file in messages.
    """
    state = dict(state)
    bare: Any = model.model if isinstance(model, MSDModel) else model
    own = set(bare.state_dict())  # a network may itself have parts of these names
    prefixed = [key for key in state if key.startswith("model.")]
    if prefixed and all(key.startswith(("model.", DECODERS)) for key in state) and own.isdisjoint(prefixed):
        state = {key.removeprefix("model."): value for key, value in state.items()}  # MSDModel.state_dict()
    of_msd = {key for key in state if key.startswith(DECODERS)} - own
    decoders = {key.removeprefix(DECODERS): state[key] for key in of_msd}
    state = {key: value for key, value in state.items() if key not in of_msd}
    if hasattr(bare, "base_model") and not any(key.startswith("base_model.") for key in state):
        raise WeightsError(
            f"{source} does not fit this model: it has no key below base_model; the weights of an image network "
            "are loaded with pretrained_cfg_overlay={'file': ..., 'backbone_only': True}"
        )
    state, new_head = _fit_head(bare, state) if fit_head else (state, False)
    parts = [(bare, _adapt_stem(bare, state), "")]
    if isinstance(model, MSDModel):
        ours = set(model.decoders.keys())
        theirs = {key.split(".")[0] for key in decoders}
        if ours - theirs:
            names = ", ".join(sorted(ours - theirs))
            _logger.info("%s has no decoders for %s: they keep their random start", source, names)
        for name in sorted(ours & theirs):
            prefix = f"{name}."
            part = {key.removeprefix(prefix): value for key, value in decoders.items() if key.startswith(prefix)}
            parts.append((model.decoders[name], part, f"{DECODERS}{prefix}"))
    _load_all(parts, source)
    return new_head


def holds_clip_model(state: Mapping[str, Tensor]) -> bool:
    """Whether the keys are those of a clip model around a 2-D CNN, with or without decoders, not of the CNN alone."""
    return any(key.startswith(("base_model.", "model.base_model.")) for key in state)


def load_backbone(model: nn.Module, state: Mapping[str, Tensor], *, source: str) -> bool:
    """Fill the 2-D CNN of a clip model from an image network's state dict, timm's or torchvision's.

    Temporal layers keep their start, and so does a classifier of another shape; returns whether it did. Errors
    as in ``load_portable``.
    """
    bare: Any = model.model if isinstance(model, MSDModel) else model
    if not hasattr(bare, "base_model"):
        raise WeightsError(
            f"{source}: a {type(bare).__name__} has no 2-D CNN that an image network could fill; the weights of the "
            "whole model are loaded with checkpoint_path"
        )
    if holds_clip_model(state):
        raise WeightsError(
            f"{source} holds a video model (its keys begin with base_model), where an image network, of timm or "
            "torchvision, is asked for: a video model is loaded with checkpoint_path, or trained on by "
            "--model local-dir:FOLDER --pretrained"
        )
    mapped, new_head = backbone_state(bare, state)
    _load_all([(bare.base_model, mapped, "")], source)
    return new_head


def backbone_state(model: Any, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], bool]:
    """An image network's state dict as that of ``model.base_model``, and whether the classifier is the model's own.

    Temporal layers are the model's own; what does not fit is left as it is.
    """
    base = model.base_model
    own = base.state_dict()
    # A wrapped convolution keeps its own weights one level down, at "<conv>.net.weight".
    temporal = [f"{name}." for name, module in base.named_modules() if isinstance(module, TemporalModule)]
    wrapped = {
        prefix + key.removeprefix(f"{prefix}net."): key
        for prefix in temporal
        for key in own
        if key.startswith(f"{prefix}net.")
    }
    names = timm_names(state)
    mapped = {wrapped.get(names[key], names[key]): value for key, value in state.items()}
    mapped, new_head = _fit_head(base, mapped)
    mapped.update({key: own[key] for key in _temporal_keys(base)})
    return _adapt_stem(base, mapped), new_head


def _fit_head(model: Any, state: dict[str, Tensor]) -> tuple[dict[str, Tensor], bool]:
    """The state with the model's own classifier where the file's has another shape, and whether that was so."""
    classifier = model.get_classifier() if hasattr(model, "get_classifier") else None
    name = next((n for n, module in model.named_modules() if module is classifier), None)
    if classifier is None or name is None:
        return state, False
    own = {f"{name}.{key}": value for key, value in classifier.state_dict().items()}
    given = {key: value for key, value in state.items() if key.startswith(f"{name}.")}
    if {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in given.items()}:
        return state, False
    return {**{key: value for key, value in state.items() if key not in given}, **own}, True


def _temporal_keys(base: nn.Module) -> set[str]:
    keys = set()
    for name, module in base.named_modules():
        if isinstance(module, TemporalModule):
            keys |= {f"{name}.{key}" for key in module.state_dict() if not key.startswith("net.")}
    return keys


def _adapt_stem(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Fit the convolutions that see the frames to the model's ``in_chans``, from 3-channel ones, as timm does.

    They are those that differ from the file's in their input channels alone; some stems have several branches.
    """
    own = model.state_dict()
    adapted = {}
    for key, weight in state.items():
        ours = own.get(key)
        if ours is None or weight.dim() not in (4, 5) or ours.dim() != weight.dim() or weight.shape[1] != 3:
            continue
        if ours.shape != weight.shape and ours.shape[0] == weight.shape[0] and ours.shape[2:] == weight.shape[2:]:
            flat = weight.flatten(2, -2)  # a 3-D kernel as a tall 2-D one
            adapted[key] = adapt_input_conv(ours.shape[1], flat).reshape(ours.shape)
    return {**state, **adapted}


def _load_all(parts: list[tuple[nn.Module, dict[str, Tensor], str]], source: str) -> None:
    problems = [text for module, state, prefix in parts for text in misfits(module, state, prefix)]
    if problems:
        raise WeightsError(f"{source} does not fit this model: {'; '.join(problems)}")
    for module, state, _ in parts:
        module.load_state_dict(state, strict=True)


def misfits(module: nn.Module, state: Mapping[str, Tensor], prefix: str = "") -> list[str]:
    """What keeps a state dict from loading into ``module``, in words; empty if it fits."""
    own = module.state_dict()
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    shapes = [key for key in own if key in state and own[key].shape != state[key].shape]
    problems = []
    if missing:
        problems.append(f"{len(missing)} of {len(own)} keys are missing, such as {prefix}{missing[0]}")
    if unexpected:
        problems.append(f"{len(unexpected)} keys are not in the model, such as {prefix}{unexpected[0]}")
    if shapes:
        key = shapes[0]
        problems.append(
            f"{len(shapes)} tensors have another shape, such as {prefix}{key}: "
            f"{tuple(state[key].shape)} in the file, {tuple(own[key].shape)} in the model"
        )
    return problems
