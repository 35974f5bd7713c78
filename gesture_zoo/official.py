"""Which project's checkpoint a state dict is, and its keys as ours.

Key names seen in the repositories mit-han-lab/temporal-shift-module (MIT), V-Sense/ACTION-Net (MIT),
open-mmlab/mmaction2 (Apache-2.0) and Phoenix1327/tea-action-recognition (no licence; names only), and in torchvision
and timm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from . import mmaction_keys
from .errors import WeightsError
from .layers import TEMPORAL
from .mobilenet_keys import timm_names
from .registry import list_models, model_entrypoint
from .weights import backbone_state, misfits

ONLINE = "official online TSM"
IMAGE = "image network of torchvision or timm"
# What tells the official clip models apart, the most particular first.
MARKS = {"official ACTION-Net": ".action_shift.", "official TEA": ".me.conv1.", "official TSM": ".net."}
# Which families can have such a checkpoint; an image network fills any.
FAMILIES = {
    ONLINE: ("tsm",),
    "official TSM": ("tsm",),
    "official TSN": ("tsn",),
    "official TEA": ("tea",),
    "official ACTION-Net": ("action",),
    "mmaction2": ("tsm", "tsn"),
}
# Where a checkpoint keeps its state dict: the official ones and mmaction2, then timm and torchvision.
ENVELOPES = ("state_dict", "model")
# The classifier, whatever its owner calls it; cannot be part of a key.
HEAD = "<classifier>"
HEADS = r"(base_model\.)?(new_fc|fc|classifier(\.1)?|head(\.fc)?)|cls_head\.fc_cls"
IMAGENET_CLASSES = 1000


class Recognised(NamedTuple):
    """A checkpoint that was recognised: its layout, its tensors under timm's names, the classes of its head.

    The names are those below ``base_model``, with the classifier under ``HEAD``; ``num_classes`` is None without one.
    """

    layout: str
    state: dict[str, Tensor]
    num_classes: int | None

    @property
    def is_image(self) -> bool:
        """Whether it is an image network, without anything temporal."""
        return self.layout == IMAGE


def recognise(checkpoint: Mapping[str, Any]) -> Recognised:
    """Say which layout a state dict has, or a checkpoint that holds one; what is none is a WeightsError.

    >>> shifted = {"module.base_model.layer1.0.conv1.net.weight": torch.zeros(64, 64, 1, 1)}
    >>> recognise({**shifted, "module.new_fc.weight": torch.zeros(27, 2048)})[::2]
    ('official TSM', 27)
    """
    state = _unwrap(checkpoint)
    bare = {re.sub(r"^(module\.)+", "", key): value for key, value in state.items()}
    head = next((key for key in bare if re.fullmatch(rf"({HEADS})\.weight", key)), None)
    owner = head.removesuffix(".weight") if head else None
    num_classes = int(bare[head].shape[0]) if head and bare[head].dim() else None
    layout = _layout(bare, owner, num_classes)
    if layout == "mmaction2":
        names = mmaction_keys.timm_names(bare)
    else:
        below = {key: key.removeprefix("base_model.") for key in bare}
        timms = timm_names(below.values())
        names = {key: timms[name] for key, name in below.items()}
    names |= {key: f"{HEAD}.{key.rpartition('.')[2]}" for key in bare if key.rpartition(".")[0] == owner}
    return Recognised(layout, {names[key]: value for key, value in bare.items()}, num_classes)


def _unwrap(checkpoint: Any) -> dict[str, Tensor]:
    state = checkpoint
    for envelope in ENVELOPES:
        if isinstance(checkpoint, Mapping) and isinstance(checkpoint.get(envelope), Mapping):
            state = checkpoint[envelope]
            break
    if not isinstance(state, Mapping):
        raise WeightsError("convert_official needs a state dict: pass torch.load(path, weights_only=True)")
    stray = next(
        (key for key, value in state.items() if not (isinstance(key, str) and isinstance(value, Tensor))), None
    )
    if stray is not None:
        raise WeightsError(f"not a state dict: {stray!r} holds a {type(state[stray]).__name__}, not a tensor")
    if not state:
        raise WeightsError("not a state dict: it is empty")
    return dict(state)


def _layout(keys: Mapping[str, Tensor], head: str | None, num_classes: int | None) -> str:
    if mmaction_keys.is_mmaction(keys):
        return "mmaction2"
    mark = next((name for name, part in MARKS.items() if any(part in key for key in keys)), None)
    if mark:
        return mark
    if any(key.startswith(("base_model.", "new_fc.")) for key in keys):
        return "official TSN"
    # The live demo's network is the MobileNetV2 that TSM starts from, name by name: its shift has no module. That
    # one counts ImageNet's classes.
    if "features.1.conv.0.weight" in keys and head == "classifier" and num_classes != IMAGENET_CLASSES:
        return ONLINE
    return IMAGE


def keys_for(model: Any, found: Recognised) -> dict[str, Tensor]:
    """The tensors under the keys of our clip model (without decoders), or of its 2-D CNN for an image network."""
    base = model.base_model
    head = next((name for name, module in base.named_modules() if module is base.get_classifier()), "")
    own = base.state_dict()
    # The demo's convolutions are not wrapped, ours are.
    wrapped = {key.replace(".net.", "."): key for key in own if ".net." in key} if found.layout == ONLINE else {}
    state = {wrapped.get(key, key): value for key, value in found.state.items()}
    state = {key.replace(HEAD, head, 1): value for key, value in state.items()}
    for key in own:
        if key.endswith("num_batches_tracked"):  # not in checkpoints from before torch 0.4.1
            state.setdefault(key, torch.tensor(0))
    return state if found.is_image else {f"base_model.{key}": value for key, value in state.items()}


def convert_official(state_dict: Mapping[str, Any], arch: str) -> dict[str, Tensor]:
    """Rename a published checkpoint's keys to those of our model ``arch``, ready for ``load_state_dict``.

    ``state_dict`` is a dictionary of the official TSM, TEA, ACTION-Net or of mmaction2, or the checkpoint that holds
    it under "state_dict", with or without the leading "module.". ``arch`` is one of our names without "_msd" (these
    checkpoints have no decoders: wrap the loaded model with ``with_msd``). Keys or shapes that do not fit are a
    WeightsError that names the architectures which would.

    >>> import gesture_zoo
    >>> model = gesture_zoo.create_model("tsm_resnet18", num_classes=27)
    >>> official = {f"module.{key}": value for key, value in model.state_dict().items()}
    >>> model.load_state_dict(convert_official(official, "tsm_resnet18"))
    <All keys matched successfully>
    """
    check_no_decoders(arch)
    found = recognise(state_dict)
    if found.num_classes is None:
        raise WeightsError(f"no classifier among the {len(found.state)} keys: not an official checkpoint for {arch!r}")
    model = skeleton(arch, found.num_classes)
    converted = keys_for(model, found)
    if found.is_image:
        converted = {f"base_model.{key}": value for key, value in converted.items()}
    problem = misfit(arch, found, misfits(model, converted))
    if problem:
        raise WeightsError(f"not an official checkpoint for {arch!r} {problem}")
    return converted


def check_no_decoders(arch: str) -> None:
    """A WeightsError for an architecture with decoders, which no published checkpoint has."""
    if arch.endswith("_msd"):
        raise WeightsError(
            f"official checkpoints have no decoders: convert for {arch.removesuffix('_msd')!r}, "
            "load that, then attach decoders with with_msd(model)"
        )


def misfit(arch: str, found: Recognised, problems: list[str]) -> str | None:
    """What was recognised, the problems with ``arch``, and the architectures it would fit; None without a problem."""
    if found.layout == ONLINE and not arch.endswith("_online"):
        # Its names fit a network without any shift just as well; its weights do not.
        problems = problems or ["it has learned to see the frame before, through a shift that has no keys"]
    if not problems:
        return None
    fits = ", ".join(fitting_architectures(found))
    return f"({found.layout}): {'; '.join(problems)}; it fits {fits or 'no model here'}"


def fitting_architectures(found: Recognised) -> list[str]:
    """The registered architectures, without decoders, whose keys and shapes a checkpoint has."""
    families = tuple(f"{family}_" for family in FAMILIES.get(found.layout, TEMPORAL))
    names = [name for name in list_models(exclude_filters="*_msd") if name.startswith(families)]
    if found.layout == ONLINE:
        names = [name for name in names if name.endswith("_online")]
    return [name for name in names if not faults(skeleton(name, found.num_classes or 1), found)]


def faults(model: Any, found: Recognised) -> list[str]:
    """What keeps a checkpoint from filling a clip model, or its 2-D CNN, in words."""
    state = keys_for(model, found)
    return misfits(model.base_model, backbone_state(model, state)[0]) if found.is_image else misfits(model, state)


def skeleton(arch: str, num_classes: int) -> Any:
    """The model, without memory for its weights."""
    with torch.device("meta"):
        return model_entrypoint(arch)(num_classes=num_classes)
