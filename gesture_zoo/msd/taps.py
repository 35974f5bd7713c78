"""Taps: which layers of a network the decoders read, and the hooks that read them.

A name is found in one dry run of the network, which also tells the shape behind every tap. The hooks stay
on the network for good and are gated: they record only while the wrapper's own forward runs. FACTS behind
that choice: hooks that come and go break torch.compile's graph; these compile, copy and pickle.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from ..dryrun import dry_run, stem_of
from ..errors import ModelError, TapError
from ..outputs import feature_map

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
    to_frames: str | None = None  # einops pattern, None where the output is (frames, C, h, w) already
    is_open: bool = False
    calls: int = 0
    output: Any = None
    version: int | None = None
    had_grad: bool = True

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        if not self.is_open:
            return
        self.calls += 1
        self.output = feature_map(output)
        self.had_grad = torch.is_grad_enabled()
        self.version = version_of(self.output)

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
        return self.output if self.to_frames is None else rearrange(self.output, self.to_frames)


def version_of(tensor: Tensor) -> int | None:
    """How often a tensor was changed in place; None where PyTorch does not count (compiling, inference mode)."""
    return None if torch.compiler.is_compiling() or tensor.is_inference() else tensor._version


def overwritten(name: str) -> str:
    """The message for a tap whose output a later layer changes in place."""
    return f"tap {name!r} is overwritten in place by the layer after it; tap that layer (its activation) instead"


@dataclass(frozen=True)
class Probe:
    """What a dry run saw at a module: its output's shape as frames (B, C, h, w) and the einops pattern to them,
    whether a later layer overwrote it, and how often it ran."""

    shape: tuple[int, ...]
    to_frames: str | None
    overwritten: bool
    calls: int

    def fits(self, example: Tensor) -> bool:
        """Whether its sides are those of a map of the frames in ``example``, to a pixel: parts of frames are not."""
        height, width = self.shape[-2:]
        return abs(height * example.shape[-1] / example.shape[-2] - width) <= 1

    @property
    def channels(self) -> int:
        return self.shape[1]

    def stride(self, side: int) -> int:
        """The power of two that is nearest to how many pixels of frames of this height one row stands for."""
        return int(2 ** round(math.log2(max(1.0, side / self.shape[-2]))))


def probe(model: nn.Module, example: Tensor) -> dict[str, Probe]:
    """Run ``model`` once without data and see every feature map by module name, in the order they are finished.

    A feature map is (frames, C, h, w), or with its channels last; of a clip it may also be (N, T, C, h, w) or, in a
    3-D CNN, (N, C, T, h, w).
    """
    frames = math.prod(example.shape[:2]) if example.dim() == 5 else example.shape[0]

    @contextmanager
    def watching(twin: nn.Module, images: Tensor) -> Iterator[tuple[dict[str, tuple[Tensor, int]], Counter[str]]]:
        seen: dict[str, tuple[Tensor, int]] = {}
        calls: Counter[str] = Counter()

        def record(name: str, module: nn.Module, args: Any, output: Any) -> None:
            found = feature_map(output)
            is_map = isinstance(found, Tensor) and found.dim() in (4, 5)
            if is_map and found.shape[0] == (frames if found.dim() == 4 else example.shape[0]):
                seen.pop(name, None)
                seen[name] = (found, found._version)
                calls[name] += 1

        for name, module in twin.named_modules():
            if name:
                module.register_forward_hook(partial(record, name))
        yield seen, calls

    try:
        _, (seen, calls) = dry_run(model, example, watching)
    except ModelError as error:
        raise TapError(str(error)) from error
    is_3d = isinstance(stem_of(model), nn.Conv3d)
    return {
        name: Probe(*as_frames(tuple(output.shape), example, is_3d), output._version != version, calls[name])
        for name, (output, version) in seen.items()
    }


def as_frames(shape: tuple[int, ...], example: Tensor, is_3d: bool = False) -> tuple[tuple[int, ...], str | None]:
    """A map's shape as frames (B, C, h, w), and the einops pattern that brings it there, None where it is there.

    Where the channels are follows from the sides, whose ratio is that of the frames in ``example``.

    >>> as_frames((2, 7, 7, 768), torch.zeros(2, 3, 224, 224))
    ((2, 768, 7, 7), 'b h w c -> b c h w')
    >>> as_frames((1, 512, 2, 7, 7), torch.zeros(1, 3, 16, 112, 112), is_3d=True)
    ((2, 512, 7, 7), 'n c t h w -> (n t) c h w')
    """
    aspect = example.shape[-2] / example.shape[-1]

    def off(height: int, width: int) -> float:
        return abs(math.log(height / width / aspect))

    channels_last = off(*shape[-3:-1]) < off(*shape[-2:])
    if len(shape) == 4:
        return ((shape[0], shape[3], *shape[1:3]), "b h w c -> b c h w") if channels_last else (shape, None)
    if channels_last:
        return (shape[0] * shape[1], shape[4], *shape[2:4]), "n t h w c -> (n t) c h w"
    if is_3d:
        return (shape[0] * shape[2], shape[1], *shape[3:]), "n c t h w -> (n t) c h w"
    return (shape[0] * shape[1], *shape[2:]), "n t c h w -> (n t) c h w"


def find_module(model: nn.Module, name: str) -> str | None:
    """The full name of ``name``: itself, or the shallowest module whose dotted name ends in it."""
    # Decoders of another wrapper are not part of the network.
    names = [full for full, _ in model.named_modules() if not f".{full}".startswith(".decoders.")]
    if name in names:
        return name
    endings = [full for full in names if full.endswith(f".{name}")]
    return min(endings, key=lambda full: (full.count("."), names.index(full)), default=None)


def resolve(model: nn.Module, name: str, seen: dict[str, Probe], example: Tensor) -> str:
    """The full module name behind a tap name; ``example`` is the input of the dry run.

    Aliases on a network without a ResNet's modules go by stride, to the nearest one that it has: through timm's
    ``feature_info`` if there is one, else to the last of the outermost modules of that stride. ``layer4`` and
    ``res5`` are the deepest stage.
    """
    candidate = find_module(model, name) or _of_a_resnet(model, RESNET_ALIASES.get(name))
    if name in ALIAS_STRIDES and (candidate is None or not _is_readable(last_block(model, candidate), seen)):
        candidate = _by_stride(model, ALIAS_STRIDES[name], seen, example)
    if candidate is None:
        names = {full.rpartition("base_model.")[2] for full in seen}
        near = [match for match in get_close_matches(name, [*ALIAS_STRIDES, *names], n=4, cutoff=0.5) if match != name]
        hint = f"; did you mean {', '.join(dict.fromkeys(near))}?" if near else "."
        raise TapError(
            f"no tap {name!r} in {type(model).__name__}{hint} Valid: {', '.join(RESNET_ALIASES)}, layer1 to layer4, "
            "or the dotted name of a module with a 4-D output"
        )
    candidate = last_block(model, candidate)
    if candidate not in seen:
        raise TapError(f"tap {name!r}: module {candidate!r} has no feature map as its output")
    if seen[candidate].overwritten:
        raise TapError(overwritten(name))
    if seen[candidate].calls > 1:
        times = seen[candidate].calls
        raise TapError(f"tap {name!r}: module {candidate!r} runs {times} times in one forward; tap one that runs once")
    return candidate


def last_block(model: nn.Module, name: str) -> str:
    """The last block of a stage, whose own hook never fires when gradient checkpointing runs its blocks one by one."""
    module = model.get_submodule(name)
    while type(module) is nn.Sequential and len(module):
        name = f"{name}.{next(reversed(module._modules))}"
        module = model.get_submodule(name)
    return name


def _is_readable(name: str, seen: dict[str, Probe]) -> bool:
    return name in seen and not seen[name].overwritten and seen[name].calls == 1


def _of_a_resnet(model: nn.Module, name: str | None) -> str | None:
    """The module of that name where all of a ResNet's stages are beside it."""
    found = find_module(model, name) if name else None
    if found is None:
        return None
    beside = dict(model.get_submodule(found.rpartition(".")[0]).named_children())
    return found if beside.keys() >= set(RESNET_ALIASES.values()) else None


def _by_stride(model: nn.Module, stride: int, seen: dict[str, Probe], example: Tensor) -> str | None:
    maps = {
        name: own
        for name, own in seen.items()
        if own.shape[-1] * own.shape[-2] > 1 and own.fits(example) and _is_readable(last_block(model, name), seen)
    }
    stages: dict[str, int] = {}
    infos = getattr(model, "feature_info", None) or ()
    for info in getattr(infos, "info", infos):
        name = find_module(model, info["module"])
        if name in maps and maps[name].channels == info["num_chs"]:
            stages[name] = info["reduction"]
    if not stages:
        stages = {name: own.stride(example.shape[-2]) for name, own in _before_the_head(model, maps).items()}
    if not stages:
        return None
    if stride == max(ALIAS_STRIDES.values()):
        nearest = max(stages.values())
    else:
        nearest = min(stages.values(), key=lambda own: (abs(math.log2(own / stride)), own))
    there = [name for name, own in stages.items() if own == nearest]
    # A stage rather than what lies inside it: the first layers of a block that strides have the stride before.
    shallowest = min(name.count(".") for name in there)
    return [name for name in there if name.count(".") == shallowest][-1]


def _before_the_head(model: nn.Module, maps: dict[str, Probe]) -> dict[str, Probe]:
    """Without the maps of logits at the end of a network whose classifier is a 1 x 1 convolution."""
    modules = dict(model.named_modules())
    names = list(maps)
    convs = [name for name in names if isinstance(modules[name], nn.Conv2d)]
    linear = any(isinstance(module, nn.Linear) for module in modules.values())
    if linear or not convs or modules[convs[-1]].kernel_size != (1, 1):
        return maps
    return {name: maps[name] for name in names[: names.index(convs[-1])]}
