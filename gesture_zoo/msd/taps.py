"""Taps: which layers of a network the decoders read, and the hooks that read them.

A name is found in one dry run of the network, which also tells the shape behind every tap. The hooks stay
on the network for good and are gated: they record only while the wrapper's own forward runs. FACTS behind
that choice: hooks that come and go break torch.compile's graph; these compile, copy and pickle.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..errors import TapError

# The paper's Res1 is the stem after max-pooling; res2 ... res5 are the four stages.
RESNET_ALIASES = {"res1": "maxpool", "res2": "layer1", "res3": "layer2", "res4": "layer3", "res5": "layer4"}
# What the same names mean on a network without modules of those names. "deepest" is the last stage.
ALIAS_STRIDES = {
    "res1": 4,
    "res2": 4,
    "layer1": 4,
    "res3": 8,
    "layer2": 8,
    "res4": 16,
    "layer3": 16,
    "res5": 32,
    "layer4": 32,
}


@dataclass(frozen=True)
class Tap:
    """One decoder: the layer it reads, the size of what it predicts, and its weight in the loss.

    ``name``: an alias (``res1`` ... ``res5``) or a dotted module name. ``scale``: side of the mask relative
    to the frame, 1 for the paper's local decoder and 1/4 for its global one. ``weight``: factor of its mean
    squared error in ``MSDLoss``. ``widths``: channels between the convolutions. Left out, a layer of stride 4
    or less gets the local decoder (scale 1, weight 1), a deeper one the global decoder (scale 1/4, weight
    0.01), with widths that fall geometrically to 32.

    >>> Tap("layer4", scale=1 / 4, weight=0.1, widths=(256, 32)).name
    'layer4'
    """

    name: str
    scale: float | None = None
    weight: float | None = None
    widths: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TapError(f"a tap's name is a string, got {self.name!r}")
        if self.scale is not None and not (_is_number(self.scale) and 0 < self.scale <= 1):
            raise TapError(f"tap {self.name!r}: scale must be in (0, 1], got {self.scale!r}")
        if self.weight is not None and not (_is_number(self.weight) and 0 <= self.weight < math.inf):
            raise TapError(f"tap {self.name!r}: weight must be a number of at least 0, got {self.weight!r}")
        if self.widths is not None and not all(isinstance(width, int) and width > 0 for width in _items(self.widths)):
            raise TapError(f"tap {self.name!r}: widths must be positive integers, got {self.widths!r}")

    def mask_size(self, height: int, width: int) -> tuple[int, int]:
        """Size of the mask for frames of a size."""
        scale = 1.0 if self.scale is None else self.scale
        return round(height * scale), round(width * scale)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _items(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (None,)


def as_tap(tap: str | Tap | dict[str, Any]) -> Tap:
    """A Tap from its name, itself, or its fields.

    >>> as_tap({"name": "res1", "widths": [32]}).widths
    (32,)
    """
    if isinstance(tap, Tap):
        return tap
    if isinstance(tap, str):
        return Tap(tap)
    if not isinstance(tap, dict):
        raise TapError(f"a tap is a name or a Tap object, got {tap!r}")
    fields = {**tap, "widths": tuple(tap["widths"])} if isinstance(tap.get("widths"), list) else tap
    try:
        return Tap(**fields)
    except TypeError as error:
        raise TapError(f"not a tap: {tap!r}; it has name, scale, weight, widths") from error


@dataclass
class TapHook:
    """A forward hook that keeps its module's output while ``is_open``; closed, it does nothing."""

    name: str
    is_open: bool = False
    calls: int = 0
    output: Any = None
    version: int | None = None
    had_grad: bool = True

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        if not self.is_open:
            return
        self.calls += 1
        self.output = output
        self.had_grad = torch.is_grad_enabled()
        self.version = version_of(output)

    def open(self) -> None:
        self.is_open = True
        self.calls = 0

    def close(self) -> None:
        # A kept non-leaf tensor would make the model uncopyable and hold its graph in memory.
        self.is_open = False
        self.output = None

    def read(self) -> Tensor:
        """The recorded feature map; a TapError if there is none or it cannot carry a gradient."""
        where = f"tap {self.name!r}"
        if self.calls == 0:
            raise TapError(
                f"{where} never fired: its module was replaced after with_msd (SyncBatchNorm conversion?) or is "
                "skipped in training (gradient checkpointing of a stage?); tap a block inside the stage, or call "
                "with_msd after changing the model"
            )
        if self.calls > 1:
            raise TapError(f"{where} fired {self.calls} times in one forward; tap a module that runs once")
        if torch.is_grad_enabled() and not self.had_grad:
            raise TapError(
                f"{where} ran without gradients, so depth could teach the network nothing: use gradient "
                "checkpointing with use_reentrant=False, and no torch.no_grad() around it"
            )
        if version_of(self.output) != self.version:
            raise TapError(overwritten(self.name))
        return self.output


def version_of(tensor: Tensor) -> int | None:
    """How often a tensor was changed in place; None where PyTorch does not count (compiling, inference mode)."""
    return None if torch.compiler.is_compiling() or tensor.is_inference() else tensor._version


def overwritten(name: str) -> str:
    """The message for a tap whose output a later layer changes in place."""
    return f"tap {name!r} is overwritten in place by the layer after it; tap that layer (its activation) instead"


@dataclass(frozen=True)
class Probe:
    """What a dry run saw at a module: its output's shape, and whether a later layer overwrote it."""

    shape: tuple[int, ...]
    overwritten: bool


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module in eval mode for a while, and each back into its own mode after."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def probe(model: nn.Module, example: Tensor) -> dict[str, Probe]:
    """Run ``model`` once on the meta device (no memory, no arithmetic) and see every 4-D output by module name."""
    seen: dict[str, tuple[Tensor, int]] = {}

    def recorder(name: str) -> Any:
        def record(module: nn.Module, args: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.dim() == 4:
                seen.pop(name, None)
                seen[name] = (output, output._version)

        return record

    handles = [m.register_forward_hook(recorder(name)) for name, m in model.named_modules() if name]
    try:
        with evaluating(model), torch.no_grad():
            _dry_run(model, example, seen)
    except Exception as error:
        what = " ".join(str(error).split())
        raise TapError(
            f"could not run {type(model).__name__} once on an empty input of shape {tuple(example.shape)} "
            f"({type(error).__name__}: {what}); pass with_msd an example_input that it takes"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    return {name: Probe(tuple(out.shape), out._version != version) for name, (out, version) in seen.items()}


def _dry_run(model: nn.Module, example: Tensor, seen: dict[str, Any]) -> None:
    """Run on the meta device or, for a model that holds other tensors or looks at values, where the model is."""
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    meta = {name: tensor.detach().to("meta") for name, tensor in state.items()}
    try:
        functional_call(model, meta, (example.to("meta"),))
    except Exception:
        seen.clear()
        model(torch.zeros(example.shape, dtype=example.dtype, device=next(iter(state.values())).device))


def find_module(model: nn.Module, name: str) -> str | None:
    """The full name of ``name``: itself, or the shallowest module whose dotted name ends in it."""
    # Decoders of another wrapper are not part of the network.
    names = [full for full, _ in model.named_modules() if not f".{full}".startswith(".decoders.")]
    if name in names:
        return name
    endings = [full for full in names if full.endswith(f".{name}")]
    return min(endings, key=lambda full: (full.count("."), names.index(full)), default=None)


def resolve(model: nn.Module, name: str, seen: dict[str, Probe], side: int) -> str:
    """The full module name behind a tap name; ``side`` is the height of the frames in the dry run.

    Aliases on a network without those modules go by stride: timm's ``feature_info`` if there is one, else
    the last module at that stride; ``layer4`` and ``res5`` are the deepest stage.
    """
    candidate = find_module(model, name) or find_module(model, RESNET_ALIASES.get(name, name))
    if candidate is None and name in ALIAS_STRIDES:
        candidate = _by_stride(model, ALIAS_STRIDES[name], seen, side)
    if candidate is None:
        names = {full.rpartition("base_model.")[2] for full in seen}
        near = [match for match in get_close_matches(name, [*ALIAS_STRIDES, *names], n=4, cutoff=0.5) if match != name]
        hint = f"; did you mean {', '.join(dict.fromkeys(near))}?" if near else "."
        raise TapError(
            f"no tap {name!r} in {type(model).__name__}{hint} Valid: {', '.join(RESNET_ALIASES)}, layer1 to layer4, "
            "or the dotted name of a module with a 4-D output"
        )
    # Gradient checkpointing runs a stage's blocks one by one: the stage's own hook would never fire.
    module = model.get_submodule(candidate)
    while type(module) is nn.Sequential and len(module):
        candidate = f"{candidate}.{next(reversed(module._modules))}"
        module = model.get_submodule(candidate)
    if candidate not in seen:
        raise TapError(f"tap {name!r}: module {candidate!r} has no feature map (N, C, H, W) as its output")
    if seen[candidate].overwritten:
        raise TapError(overwritten(name))
    return candidate


def _by_stride(model: nn.Module, stride: int, seen: dict[str, Probe], side: int) -> str | None:
    maps = {name: side / p.shape[2] for name, p in seen.items() if p.shape[2] > 1 or p.shape[3] > 1}
    deepest = stride == max(ALIAS_STRIDES.values())
    infos = getattr(model, "feature_info", None) or ()
    stages = [info for info in getattr(infos, "info", infos) if deepest or info["reduction"] == stride]
    if stages:
        name = find_module(model, stages[-1]["module"])
        if name in seen and seen[name].shape[1] != stages[-1]["num_chs"]:
            raise TapError(
                f"module {name!r} gives {seen[name].shape}, which is not (N, C, H, W): decoders need channels first"
            )
        return name
    at_stride = [name for name, own in maps.items() if round(own) == stride]
    return next(reversed(at_stride or (list(maps) if deepest else [])), None)
