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
from .dryrun import stem_of
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
# Where a checkpoint keeps its state dict: the official ones and mmaction2, timm and torchvision, PyTorch's tutorials.
ENVELOPES = ("state_dict", "model", "model_state_dict")
# Where timm, torchvision and others keep the average of the weights; it counts where there is nothing else.
AVERAGES = ("state_dict_ema", "model_ema", "ema_state_dict")
# What DistributedDataParallel, torch.compile and Lightning (and our own MSDModel) put before every key.
WRAPPERS = ("module.", "_orig_mod.", "model.")
DECODERS = "decoders."
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
# The classifier, whatever its owner calls it; cannot be part of a key.
HEAD = "<classifier>"
HEADS = r"(base_model\.)?(new_fc|fc|classifier(\.1)?|head(\.fc)?)|cls_head\.fc_cls"
IMAGENET_CLASSES = 1000


class Recognised(NamedTuple):
    """A checkpoint that was recognised: its layout, its tensors under timm's names, the classes of its head.

    The names are those below ``base_model``, with the classifier under ``HEAD``; ``num_classes`` is None without one.
    ``notes``: what of the checkpoint was taken or left out.
    """

    layout: str
    state: dict[str, Tensor]
    num_classes: int | None
    notes: tuple[str, ...] = ()

    @property
    def is_image(self) -> bool:
        """Whether it is an image network, without anything temporal."""
        return self.layout == IMAGE


def recognise(checkpoint: Mapping[str, Any]) -> Recognised:
    """Say which layout a state dict has, or a checkpoint that holds one; what is none is a WeightsError.

    Every tensor is looked at: one that no network can load, or that holds a NaN, is a WeightsError with its key.

    >>> shifted = {"module.base_model.layer1.0.conv1.net.weight": torch.zeros(64, 64, 1, 1)}
    >>> recognise({**shifted, "module.new_fc.weight": torch.zeros(27, 2048)})[::2]
    ('official TSM', 27)
    """
    bare, notes = _unwrap(checkpoint)
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
    return Recognised(layout, {names[key]: value for key, value in bare.items()}, num_classes, tuple(notes))


def network_state(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The checked state dict of the bare network in a checkpoint, under its own keys; what is none is a WeightsError.

    >>> list(network_state({"state_dict": {"module.fc.bias": torch.zeros(5)}}))
    ['fc.bias']
    """
    return _unwrap(checkpoint)[0]


def _unwrap(checkpoint: Any) -> tuple[dict[str, Tensor], list[str]]:
    """The state dict of the bare network, and what was taken or left out."""
    notes = []
    state = checkpoint
    for envelope in ENVELOPES + AVERAGES:
        if isinstance(checkpoint, Mapping) and isinstance(checkpoint.get(envelope), Mapping):
            state = checkpoint[envelope]
            notes += [f"the weights are those under {envelope!r}, an average"] if envelope in AVERAGES else []
            break
    if not isinstance(state, Mapping):
        raise WeightsError("convert_official needs a state dict: pass torch.load(path, weights_only=True)")
    # A count that torch's AveragedModel (SWA, EMA) keeps beside the weights.
    state = {key: value for key, value in state.items() if str(key).rpartition(".")[2] != "n_averaged"}
    for key, value in state.items():
        if not (isinstance(key, str) and isinstance(value, Tensor)):
            raise WeightsError(f"not a state dict: {key!r} holds a {type(value).__name__}, not a tensor")
        fault = _fault(key, value)
        if fault:
            raise WeightsError(f"the tensor {key!r} {fault}")
    if not state:
        raise WeightsError("not a state dict: it is empty")
    while True:
        prefix = next((prefix for prefix in WRAPPERS if all(key.startswith(prefix) for key in state)), None)
        network = {key: value for key, value in state.items() if not key.startswith(DECODERS)}
        if prefix:
            state = {key.removeprefix(prefix): value for key, value in state.items()}
        elif (
            len(network) < len(state) and network and all(key.startswith(("model.", "base_model.")) for key in network)
        ):
            notes.append("the decoders are left out: with_msd attaches new ones")
            state = network
        else:
            return state, notes


def _fault(key: str, tensor: Tensor) -> str | None:
    """Why a tensor cannot be a network's, None if it can; nothing of its claimed size is allocated."""
    if tensor.is_nested or tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        layout = str(tensor.layout).removeprefix("torch.")
        kind = "quantised" if tensor.is_quantized else "without data" if tensor.is_meta else f"nested or {layout}"
        return f"is {kind}, expected a dense tensor: save it as float32"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return f"of shape {tuple(tensor.shape)} is larger than what is stored of it: save it as contiguous"
    if key.endswith("num_batches_tracked") and not tensor.is_complex():  # a count, which an average makes a fraction
        return None
    if tensor.dtype not in FLOATS:
        return f"is {str(tensor.dtype).removeprefix('torch.')}, expected floating point: save it as float32"
    return None if tensor.isfinite().all() else "holds NaN or infinity, expected finite numbers: take an older file"


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
    it under "state_dict", with or without the leading "module." and its like. ``arch`` is one of our names without
    "_msd" (these checkpoints have no decoders: wrap the loaded model with ``with_msd``). Keys or shapes that do not
    fit are a WeightsError that names the architectures which would.

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
    model = skeleton(arch, found)
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
            "load that, then attach decoders with with_msd(model); a state dict of ours, which has them, goes into "
            f"create_model({arch!r}) with load_state_dict(torch.load(FILE, weights_only=True))"
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
    return [name for name in names if not faults(skeleton(name, found), found)]


def faults(model: Any, found: Recognised) -> list[str]:
    """What keeps a checkpoint from filling a clip model, or its 2-D CNN, in words."""
    state = keys_for(model, found)
    return misfits(model.base_model, backbone_state(model, state)[0]) if found.is_image else misfits(model, state)


def stem_channels(model: Any, found: Recognised) -> int:
    """The channels of the frames that a checkpoint has learned from, by its first convolution; else the model's."""
    stem = stem_of(model.base_model)
    name = next(name for name, module in model.base_model.named_modules() if module is stem)
    # Clip models' first; an image network's is not wrapped.
    names = (f"base_model.{name}.weight", f"{name}.weight", f"{name.removesuffix('.net')}.weight")
    state = keys_for(model, found)
    weight = next((state[key] for key in names if key in state), None)
    told = weight is not None and weight.dim() == 4 and weight.shape[1] > 0
    return int(weight.shape[1] if weight is not None and told else model.in_chans)


def skeleton(arch: str, found: Recognised) -> Any:
    """The model that a checkpoint would fill, without memory for its weights."""
    build, classes = model_entrypoint(arch), found.num_classes or 1
    with torch.device("meta"):
        model: Any = build(num_classes=classes)
        channels = stem_channels(model, found)
        return model if channels == model.in_chans else build(num_classes=classes, in_chans=channels)
