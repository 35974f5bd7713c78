"""Where temporal modules go inside a 2-D CNN, and putting them there.

The rule, for any network: a module wraps the first convolution that mixes channels (groups = 1; without one, the
first at all) of every residual branch, so that each branch sees other frames and the way past it does not. On
ResNets, RegNets and inverted residuals these are the places of the official TSM and ACTION-Net; like theirs, a network
with a stage of 23 blocks or more (ResNet-101) gets a module in every second block.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from ..dryrun import example_frames
from ..errors import ArgumentError, ModelError
from ..plugins import record
from .action import Action
from .base import TemporalModule
from .branches import residual_branches
from .tea import MotionExcitedConv, TEABlock
from .temporal_shift import TemporalShift
from .trial import put_in

Temporal = Callable[..., Any]

# By name, the module that goes in; "tsn" is the plain network. register_temporal adds to it.
TEMPORAL: dict[str, Temporal | None] = {
    "tsn": None,
    "tsm": TemporalShift,
    "tea": TEABlock,
    "me": MotionExcitedConv,
    "action": Action,
}

# The official networks shift every second block where a stage is this deep (ResNet-101).
DEEP_STAGE = 23


def register_temporal(name: str) -> Callable[[Temporal], Temporal]:
    """A class decorator that makes a temporal module known by ``name`` to ``with_temporal`` and ``register_family``.

    The class takes the wrapped module ``net`` and ``num_segments``, options by keyword only; its frames are
    (N*T, C, H, W). A static method ``insertion_points(cnn)`` may name other places than the rule's. A name that is
    taken or holds other characters than letters and digits is a ModelError.

    >>> @register_temporal("still")
    ... class Still(TemporalModule):
    ...     def __init__(self, net: nn.Module, num_segments: int = 8) -> None:
    ...         super().__init__(num_segments)
    ...         self.net = net
    ...     def forward(self, frames: Tensor) -> Tensor:
    ...         return self.net(frames)
    >>> "still" in TEMPORAL
    True
    """

    def register(module: Temporal) -> Temporal:
        if not name.isalnum():
            raise ModelError(f"a temporal module's name holds letters and digits only, got {name!r}")
        taken = TEMPORAL.get(name, module)
        if taken is not module or name == "tsn":
            by = getattr(taken, "__module__", __name__)
            raise ModelError(f"temporal module {name!r} is registered already, by {by}; choose another name")
        if name not in TEMPORAL:
            record(lambda: TEMPORAL.pop(name, None))
        TEMPORAL[name] = module
        return module

    return register


def temporal_module(temporal: str | Temporal) -> Temporal | None:
    """The temporal module of a name, or the class itself; None for "tsn". An unknown name is a ModelError.

    >>> temporal_module("tsm").__name__, temporal_module(TemporalShift).__name__, temporal_module("tsn")
    ('TemporalShift', 'TemporalShift', None)
    """
    if not isinstance(temporal, str):
        if not callable(temporal):
            raise ModelError(f"a temporal module is a name or a class, got {temporal!r}")
        return temporal
    if temporal not in TEMPORAL:
        raise ModelError(f"unknown temporal module {temporal!r}; choose one of {', '.join(TEMPORAL)}")
    return TEMPORAL[temporal]


def insertion_points(cnn: nn.Module, example_input: Tensor | None = None) -> list[str]:
    """Dotted names of the convolutions that a temporal module wraps in ``cnn``, in the order they run.

    ``example_input``: frames (B, C, H, W) for networks whose input size is not in their ``pretrained_cfg``.
    Empty for a network without residual branches.

    >>> import timm
    >>> insertion_points(timm.create_model("resnet18"))[:3]
    ['layer1.0.conv1', 'layer1.1.conv1', 'layer2.0.conv1']
    """
    branches = residual_branches(cnn, example_frames(cnn) if example_input is None else example_input)
    mixing = [[name for name in branch.convs if _groups(cnn, name) == 1] for branch in branches]
    # A depthwise convolution and a projection: the official MobileNets leave these blocks alone.
    plain = [len(branch.convs) > 1 and own == [branch.convs[-1]] for branch, own in zip(branches, mixing, strict=True)]
    stages: dict[str, dict[str, list[str]]] = defaultdict(dict)  # by stage and block
    for branch, own, leave in zip(branches, mixing, plain, strict=True):
        if not leave or all(plain):
            blocks = stages[branch.block.rpartition(".")[0]]
            blocks.setdefault(branch.block, []).append((branch.convs if leave else own or branch.convs)[0])
    step = 2 if any(len(blocks) >= DEEP_STAGE for blocks in stages.values()) else 1
    points = [conv for blocks in stages.values() for block in list(blocks.values())[::step] for conv in block]
    return list(dict.fromkeys(points))


def _groups(cnn: nn.Module, name: str) -> int:
    groups: int = cnn.get_submodule(name).groups  # type: ignore[assignment]
    return groups


def named_points(cnn: nn.Module, insert_at: str | Iterable[str]) -> list[str]:
    """The modules of ``cnn`` that ``insert_at`` names, by dotted names or fnmatch patterns ("layer3.*.conv1")."""
    patterns = [insert_at] if isinstance(insert_at, str) else list(insert_at)
    names = [name for name, _ in cnn.named_modules() if name]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ModelError(
                f"insert_at: {type(cnn).__name__} has no module {pattern!r}; its convolutions are {_some_convs(cnn)}"
            )
    found = [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
    nested = [name for name in found if any(name.startswith(f"{other}.") for other in found)]
    if nested:
        raise ModelError(f"insert_at: {nested[0]!r} lies inside another module it names; name one of them")
    if not found:
        raise ModelError("insert_at names no module; leave it out, or name at least one")
    return found


def _some_convs(cnn: nn.Module) -> str:
    convs = [name for name, module in cnn.named_modules() if isinstance(module, nn.Conv2d)]
    return ", ".join(repr(name) for name in convs[:6]) + (f" and {len(convs) - 6} more" if len(convs) > 6 else "")


def insert_temporal(
    cnn: nn.Module,
    temporal: str | Temporal,
    num_segments: int,
    *,
    insert_at: str | Iterable[str] | None = None,
    example_input: Tensor | None = None,
    **options: Any,
) -> nn.Module:
    """Put temporal modules into ``cnn``, in place, and return it.

    ``temporal`` is one of ``TEMPORAL`` ("tsn" inserts nothing) or a class like them; ``options`` go to the module
    (``shift_div``, ``reduction``). ``insert_at``: names or patterns of the modules to wrap instead of the places of
    the rule; ``example_input``: frames (B, C, H, W) for the dry run. A network without a place, a name that is not
    there, or a module that does not go around it is a ModelError, and leaves the network as it was.

    >>> import timm
    >>> insert_temporal(timm.create_model("resnet18"), "tsm", 8).layer1[0].conv1.num_segments
    8
    """
    module = temporal_module(temporal)
    label = temporal if isinstance(temporal, str) else getattr(temporal, "__name__", str(temporal))
    if any(isinstance(part, TemporalModule) for part in cnn.modules()):
        raise ModelError(f"this {type(cnn).__name__} has temporal modules already: insert them into a fresh one")
    if module is None:
        given = [*options, *([] if insert_at is None else ["insert_at"])]
        if given:
            raise ArgumentError(f"'tsn' inserts no module and takes no options, got {', '.join(given)}")
        return cnn
    taken = inspect.signature(module).parameters
    unknown = [name for name in options if name not in taken]
    if unknown and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
        raise ArgumentError(f"{label!r} takes no option {unknown[0]!r}; it takes {', '.join([*taken][2:]) or 'none'}")
    example = example_frames(cnn) if example_input is None else example_input
    if insert_at is not None:
        names = named_points(cnn, insert_at)
    elif hasattr(module, "insertion_points"):
        names = module.insertion_points(cnn)
    else:
        names = insertion_points(cnn, example)
    if not names:
        where = getattr(module, "places", None)
        raise ModelError(
            f"{label!r} found no place in {type(cnn).__name__}: it goes into "
            + (where or "residual branches, and this network has none; name the modules to wrap with ")
            + ("" if where else f"with_temporal(..., insert_at=[...]): its convolutions are {_some_convs(cnn)}")
        )
    originals = {name: cnn.get_submodule(name) for name in names}
    wrapped = {name: module(original, num_segments, **options) for name, original in originals.items()}
    reference = next(parameter for parameter in cnn.parameters() if parameter.is_floating_point())
    for name, replacement in wrapped.items():
        if not any(isinstance(part, TemporalModule) for part in replacement.modules()):
            raise ModelError(f"{label!r} is no temporal module: derive it from gesture_zoo.TemporalModule")
        _adopt(replacement, originals[name], reference)
    # A module that has two names is one module, and stays one.
    places = {
        name: wrapped[first]
        for first, original in originals.items()
        for name, module in cnn.named_modules(remove_duplicate=False)
        if module is original
    }
    put_in(cnn, places, label, example.new_empty((2 * num_segments, *example.shape[1:])))
    return cnn


def _adopt(replacement: nn.Module, original: nn.Module, like: Tensor) -> None:
    """Give what is new in ``replacement`` the device, type and mode of the network; ``original`` has them."""
    known = set(original.modules())
    for module in replacement.modules():
        if module in known:
            continue
        for name, parameter in module._parameters.items():
            if parameter is not None:
                values = parameter.detach().to(like.device, like.dtype)
                module._parameters[name] = nn.Parameter(values, requires_grad=parameter.requires_grad)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = buffer.to(like.device, like.dtype if buffer.is_floating_point() else None)
    replacement.train(original.training)
