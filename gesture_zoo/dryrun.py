"""One run of a network on nothing, to see its shapes and its structure before anything is built on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from .copies import copy_of
from .errors import ModelError, one_line

Seen = TypeVar("Seen")
Look = tuple[torch.Size, tuple[int, ...], torch.dtype]  # shape, strides and type of a tensor


class Shapes(TorchDispatchMode):
    """Remembers what operations answer on the meta device, where only the looks of their arguments matter.

    PyTorch works out in Python, and by many small operations, what a batch norm or a mean looks like; a network asks
    for the same in every block, and is run three times before it has its temporal modules and decoders.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors: list[Tensor] = []
        given = _described((args, tuple(kwargs.items())), tensors)
        if not tensors or not all(map(_is_plain, tensors)):
            return func(*args, **kwargs)
        try:
            known = _place(func, given, torch.get_default_dtype())
        except TypeError:  # an argument that cannot be looked up
            return func(*args, **kwargs)
        if not known:
            before = [_look_of(tensor) for tensor in tensors]
            answer = func(*args, **kwargs)
            changed = before != [_look_of(tensor) for tensor in tensors]
            known.append(None if changed else _parts(answer, tensors))
            return answer
        if known[0] is None:
            return func(*args, **kwargs)
        found = [tensors[part] if isinstance(part, int) else part and _like(part) for part in known[0]]
        return found[0] if len(found) == 1 else tuple(found)


def _described(value: Any, tensors: list[Tensor]) -> Any:
    """The arguments of an operation with looks in the place of tensors, which are put into ``tensors``."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return (Tensor, _look_of(value) if _is_plain(value) else None)
    if type(value) in (list, tuple):
        return (type(value), tuple(_described(part, tensors) for part in value))
    return (type(value), value)  # the type too: 1 is True


def _is_plain(tensor: Tensor) -> bool:
    return tensor.is_meta and type(tensor) in (Tensor, nn.Parameter) and tensor.layout is torch.strided


def _look_of(tensor: Tensor) -> Look:
    return tensor.shape, tensor.stride(), tensor.dtype


def _like(look: Look) -> Tensor:
    return torch.empty_strided(look[0], look[1], dtype=look[2], device="meta")


@lru_cache(maxsize=1 << 14)
def _place(func: Any, given: Any, default: torch.dtype) -> list[Any]:
    """Where it is kept what ``func`` answers to such arguments, where numbers become of the type ``default``."""
    return []


def _parts(answer: Any, tensors: list[Tensor]) -> list[int | Look | None] | None:
    """The looks of an answer's parts, or the numbers of the arguments that they are.

    None where that is not all there is to it: for views, and for what is no tensor.
    """
    storages = {tensor.untyped_storage()._cdata for tensor in tensors}
    found: list[int | Look | None] = []
    for part in answer if isinstance(answer, tuple) and len(answer) > 1 else (answer,):
        same = [number for number, tensor in enumerate(tensors) if tensor is part]
        if same:
            found.append(same[0])
        elif part is None:
            found.append(None)
        elif isinstance(part, Tensor) and _is_plain(part) and part.untyped_storage()._cdata not in storages:
            found.append(_look_of(part))
        else:
            return None
    return found


def stem_of(model: nn.Module) -> nn.Conv2d | nn.Conv3d | None:
    """The first convolution of a network in the order of its modules, None if it has none.

    >>> import timm
    >>> stem_of(timm.create_model("resnet18")).in_channels
    3
    """
    return next((module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Conv3d))), None)


def input_channels(model: nn.Module, size: tuple[int, ...] | None = None) -> int:
    """How many channels the frames (C, H, W) of a 2-D CNN have.

    Those of its first convolution; where that is not the first layer to run (pixels are folded into channels before),
    those of its ``pretrained_cfg``, else 3. ``size`` is (H, W) for the run that decides. A network without a 2-D
    convolution is a ModelError.

    >>> import timm
    >>> input_channels(timm.create_model("test_resnet", in_chans=4)), input_channels(timm.create_model("tresnet_m"))
    (4, 3)
    """
    stem = stem_of(model)
    if not isinstance(stem, nn.Conv2d):
        raise ModelError(f"{type(model).__name__} has no 2-D convolution: a ClipModel needs a 2-D CNN")
    usual = int((_cfg(model).get("input_size") or (3,))[0])
    if stem.in_channels == usual:
        return usual
    for channels in (stem.in_channels, usual):
        try:
            dry_run(model, _frames(model, 2, channels, size), lambda twin, images: nullcontext())
        except ModelError:
            continue
        return channels
    return stem.in_channels


def _cfg(model: nn.Module) -> dict[str, Any]:
    return getattr(model, "pretrained_cfg", None) or {}


def _frames(model: nn.Module, count: int, channels: int, size: tuple[int, ...] | None) -> Tensor:
    size = size or tuple(_cfg(model).get("input_size") or (3, 224, 224))[1:]
    dtype = next(parameter.dtype for parameter in model.parameters() if parameter.is_floating_point())
    return torch.empty((count, channels, *size), device="meta", dtype=dtype)


def example_frames(
    model: nn.Module, count: int = 2, size: tuple[int, ...] | None = None, channels: int | None = None
) -> Tensor:
    """Empty frames (count, C, H, W) of the size and type ``model`` was made for, on the meta device.

    ``size`` is (H, W); left out, that of its ``pretrained_cfg``, else 224 x 224. A network without a 2-D convolution is
    a ModelError.

    >>> import timm
    >>> example_frames(timm.create_model("test_resnet")).shape
    torch.Size([2, 3, 160, 160])
    """
    return _frames(model, count, channels or input_channels(model, size), size)


def dry_run(
    model: nn.Module, example: Tensor, watching: Callable[[nn.Module, Tensor], AbstractContextManager[Seen]]
) -> tuple[Any, Seen]:
    """Run ``model`` in eval mode on an empty input like ``example``; returns its output and what was seen.

    A twin of the model runs, which shares its tensors and has none of its hooks: a network that keeps something of its
    last run would otherwise keep something of this one. ``watching`` gets the twin and the input, and is entered
    around the run. On the meta device first (no memory, no arithmetic); a model that holds other tensors or looks at
    values runs where it is, on zeros. A model that cannot run on either is a ModelError with its own reason.
    """
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    if not state:
        raise ModelError(f"{type(model).__name__} has no parameters")
    if lazy := [name for name, tensor in state.items() if nn.parameter.is_lazy(tensor)]:
        raise ModelError(f"{lazy[0]} of {type(model).__name__} has no shape before its first run: run the network once")
    meta = {name: tensor.detach().to("meta") for name, tensor in state.items()}
    here = next(iter(state.values())).device
    failure: Exception | None = None
    # Hooks of the user's did not ask for empty maps; some networks, though, do not run without their own.
    for device, with_hooks in (("meta", False), ("meta", True), (here, False), (here, True)):
        images = torch.zeros(example.shape, dtype=example.dtype, device=device)
        try:
            with (
                _twin(model, state.values(), with_hooks) as twin,
                torch.no_grad(),
                Shapes(),
                watching(twin, images) as seen,
            ):
                output = functional_call(twin, meta, (images,)) if device == "meta" else twin(images)
            return output, seen
        except Exception as error:
            failure = error
    what = one_line(failure)
    raise ModelError(
        f"could not run {type(model).__name__} once on an empty input of shape {tuple(example.shape)} "
        f"({type(failure).__name__}: {what}); pass an example_input that it takes"
    ) from failure


@contextmanager
def _twin(model: nn.Module, tensors: Iterable[Tensor], with_hooks: bool) -> Iterator[nn.Module]:
    """A copy of ``model`` in eval mode that shares its tensors; itself, for a while, where that is not possible."""
    twin = model
    # A forward that was put on an object is bound to that object: its copy would run the original.
    if not any("forward" in vars(module) for module in model.modules()):
        with suppress(Exception):  # locks, files and the like
            twin = copy_of(model, tensors)
    before = [
        (module, module.training, dict(module._forward_hooks), dict(module._forward_pre_hooks))
        for module in twin.modules()
    ]
    try:
        for module, _, hooks, pre_hooks in before:
            module.training = False
            for kept, ours in ((module._forward_hooks, hooks), (module._forward_pre_hooks, pre_hooks)):
                for key, hook in ours.items():
                    # PyTorch's own make a weight out of its parts (weight_norm, spectral_norm).
                    if not with_hooks and not type(hook).__module__.startswith("torch.nn.utils"):
                        del kept[key]
        yield twin
    finally:
        for module, mode, hooks, pre_hooks in before:
            module.training = mode
            for kept, ours in ((module._forward_hooks, hooks), (module._forward_pre_hooks, pre_hooks)):
                kept.clear()
                kept.update(ours)
