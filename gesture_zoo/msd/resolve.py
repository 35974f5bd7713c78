"""From the name of a tap to the module it reads: dotted names, and aliases of stages in any network."""

from __future__ import annotations

import math
from difflib import get_close_matches

from torch import Tensor, nn

from ..errors import TapError
from .probe import Probe
from .taps import overwritten

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
