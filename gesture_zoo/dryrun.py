"""One run of a network on nothing, to see its shapes and its structure before anything is built on it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .errors import ModelError

Seen = TypeVar("Seen")


def stem_of(model: nn.Module) -> nn.Conv2d | nn.Conv3d | None:
    """The first convolution of a network in the order of its modules, None if it has none.

    >>> import timm
    >>> stem_of(timm.create_model("resnet18")).in_channels
    3
    """
    return next((module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Conv3d))), None)


def input_channels(model: nn.Module) -> int:
    """How many channels the frames of a 2-D CNN have: those of its first convolution.

    A timm model that computes something else first says so by an empty ``first_conv``. A network without a 2-D
    convolution is a ModelError.

    >>> import timm
    >>> input_channels(timm.create_model("test_resnet", in_chans=4))
    4
    """
    stem = stem_of(model)
    if not isinstance(stem, nn.Conv2d):
        raise ModelError(f"{type(model).__name__} has no 2-D convolution: a ClipModel needs a 2-D CNN")
    cfg = getattr(model, "pretrained_cfg", None) or {}
    computes_first = cfg.get("first_conv") in ([], ())
    return int(cfg["input_size"][0]) if computes_first else stem.in_channels


def example_frames(model: nn.Module, count: int = 2, size: tuple[int, ...] | None = None) -> Tensor:
    """Empty frames (count, C, H, W) of the size and type ``model`` was made for, on the meta device.

    ``size`` is (H, W); left out, that of its ``pretrained_cfg``, else 224 x 224. A network without a 2-D convolution
    is a ModelError.

    >>> import timm
    >>> example_frames(timm.create_model("test_resnet")).shape
    torch.Size([2, 3, 160, 160])
    """
    channels = input_channels(model)
    cfg = getattr(model, "pretrained_cfg", None) or {}
    size = size or tuple(cfg.get("input_size") or (3, 224, 224))[1:]
    dtype = next(parameter.dtype for parameter in model.parameters() if parameter.is_floating_point())
    return torch.empty((count, channels, *size), device="meta", dtype=dtype)


def dry_run(
    model: nn.Module, example: Tensor, watching: Callable[[nn.Module, Tensor], AbstractContextManager[Seen]]
) -> tuple[Any, Seen]:
    """Run ``model`` in eval mode on an empty input like ``example``; returns its output and what was seen.

    A twin of the model runs, which shares its tensors: a network that keeps something of its last run would
    otherwise keep something of this one. ``watching`` gets the twin and the input, and is entered around the run. On
    the meta device first (no memory, no arithmetic); a model that holds other tensors or looks at values runs where
    it is, on zeros. A model that cannot run on either is a ModelError with its own reason.
    """
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    if not state:
        raise ModelError(f"{type(model).__name__} has no parameters")
    meta = {name: tensor.detach().to("meta") for name, tensor in state.items()}
    failure: Exception | None = None
    for device in ("meta", next(iter(state.values())).device):
        images = torch.zeros(example.shape, dtype=example.dtype, device=device)
        try:
            twin = copy.deepcopy(model, {id(tensor): tensor for tensor in state.values()}).eval()
            for module in twin.modules():
                module._forward_hooks.clear()  # whoever hooked the model did not ask for empty feature maps
            with torch.no_grad(), watching(twin, images) as seen:
                output = functional_call(twin, meta, (images,)) if device == "meta" else twin(images)
            return output, seen
        except Exception as error:
            failure = error
    what = " ".join(str(failure).split())
    raise ModelError(
        f"could not run {type(model).__name__} once on an empty input of shape {tuple(example.shape)} "
        f"({type(failure).__name__}: {what}); pass an example_input that it takes"
    ) from failure
