"""The residual branches of any network, seen in one dry run.

No table of block classes: the run is watched, and wherever two feature maps are added (or, in networks that
never add, concatenated) the convolutions that only one of them came through are a branch. So a network of one's
own is read like one of timm's, whatever its blocks are called and return.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..dryrun import dry_run

ADDITIONS = {torch.ops.aten.add.Tensor, torch.ops.aten.add_.Tensor}
CONCATENATIONS = {torch.ops.aten.cat.default, torch.ops.aten.stack.default}
POOLINGS = {
    torch.ops.aten.mean.dim,
    torch.ops.aten.amax.default,
    torch.ops.aten.avg_pool2d.default,
    torch.ops.aten.max_pool2d.default,
    torch.ops.aten._adaptive_avg_pool2d.default,
    torch.ops.aten.adaptive_max_pool2d.default,
}
# The two lowest bits of a tensor's history. It depends on the input, so it is a feature map and not a parameter; it is
# one value of a whole map, so what is made of it is a gate. The bits above them are the convolutions, as they ran.
INPUT, POOLED = 1, 2
FIRST_CONV = 2


class Branch(NamedTuple):
    """The convolutions of one branch by name, in the order they run, and the module that joins it."""

    convs: tuple[str, ...]
    block: str


@dataclass
class Frame:
    """One call of a module: the convolutions that ran in it, the joins in its own forward, the calls below it."""

    name: str
    first_conv: int
    joins: list[tuple[bool, list[int]]] = field(default_factory=list)  # (is it an addition, histories)
    calls: list[Frame] = field(default_factory=list)


class Watcher(TorchDispatchMode):
    """Keeps for every tensor which convolutions it came through, as bits of an integer, and notes every join."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.histories: dict[int, int] = {}
        self.alive: list[Any] = []  # the identity of a tensor is its history's key
        self.convs: list[str] = []
        self.root = Frame("", 0)
        self.stack = [self.root]

    def history(self, value: Any) -> int:
        return self.histories.get(id(value), 0) if isinstance(value, Tensor) else 0

    def remember(self, tensor: Tensor, history: int) -> None:
        self.histories[id(tensor)] = history
        self.alive.append(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        histories = [self.history(tensor) for tensor in inputs]
        merged = 0
        for history in histories:
            merged |= history
        # A map that a gate opens is a map.
        if merged & POOLED and not all(history & POOLED for history in histories if history & INPUT):
            merged &= ~POOLED
        if func in POOLINGS and isinstance(result, Tensor) and result.dim() == 4 and result.shape[2:].numel() == 1:
            merged |= POOLED
        if merged:
            for leaf in tree_leaves(result):
                if isinstance(leaf, Tensor):
                    self.remember(leaf, merged)
        if func in ADDITIONS | CONCATENATIONS and len(inputs) > 1 and all(history & INPUT for history in histories):
            is_addition = func in ADDITIONS
            if not is_addition or inputs[0].shape == inputs[1].shape:
                self.stack[-1].joins.append((is_addition, histories))
        return result

    def enter(self, name: str, module: nn.Module, args: Any) -> None:
        frame = Frame(name, len(self.convs))
        self.stack[-1].calls.append(frame)
        self.stack.append(frame)

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:
        frame = self.stack.pop()
        if not (isinstance(module, nn.Conv2d) and isinstance(output, Tensor) and output.dim() == 4):
            return
        maps = args[0] if args and isinstance(args[0], Tensor) else output
        history = self.history(maps)
        # A convolution on another batch than the frames' sees parts of a frame; the stem sees the frames themselves.
        if maps.shape[0] == self.frames and not history & POOLED:
            self.convs.append("" if history == INPUT else frame.name)
            self.remember(output, self.history(output) | history | 1 << (FIRST_CONV + len(self.convs) - 1))


@contextmanager
def watching(twin: nn.Module, images: Tensor) -> Iterator[Watcher]:
    """Watch ``twin`` run on ``images``."""
    watcher = Watcher(len(images))
    watcher.remember(images, INPUT)
    for name, module in twin.named_modules():
        module.register_forward_pre_hook(partial(watcher.enter, name))
        module.register_forward_hook(watcher.leave)
    # Without autograd's own views a tensor keeps its identity from one operation to the next.
    with torch.inference_mode(), watcher:
        yield watcher


def residual_branches(cnn: nn.Module, example: Tensor) -> list[Branch]:
    """The branches of ``cnn`` beside which something of the same frames goes past, in the order they run.

    Where branches are nested the outer one counts, unless it holds several inner ones.

    >>> import timm
    >>> branches = residual_branches(timm.create_model("resnet18"), torch.zeros(2, 3, 64, 64))
    >>> len(branches), branches[2]
    (8, Branch(convs=('layer2.0.conv1', 'layer2.0.conv2'), block='layer2.0'))
    """
    _, watcher = dry_run(cnn, example, watching)
    for additions in (True, False):
        found = sorted(_resolve(watcher.root, additions), key=lambda item: item[0] & -item[0])
        if found:
            break
    return [
        Branch(convs, block)
        for bits, block in found
        if (convs := tuple(name for index, name in enumerate(watcher.convs) if bits >> index & 1 and name))
    ]


def _resolve(frame: Frame, additions: bool) -> list[tuple[int, str]]:
    """Branches (bits of convolutions, block) of a call and of those below it."""
    found = [branch for call in frame.calls for branch in _resolve(call, additions)]
    own = {bits for is_addition, joined in frame.joins if is_addition == additions for bits in _split(frame, joined)}
    for bits in own:
        if any(bits != other and bits & ~other == 0 for other in own):
            continue  # a part of a longer branch in the same forward, as between the splits of a Res2Net block
        inner = [branch for branch in found if branch[0] & ~bits == 0]
        if len(inner) < 2:
            found = [branch for branch in found if branch not in inner] + [(bits, frame.name)]
    return found


def _split(frame: Frame, histories: list[int]) -> Iterator[int]:
    """What each joined feature map came through beyond the shorter ones; the shortest is the way past."""
    own = [history >> FIRST_CONV >> frame.first_conv << frame.first_conv for history in histories]
    own.sort(key=int.bit_count)
    past = own[0]
    for bits in own[1:]:
        if bits & ~past:
            yield bits & ~past
        past |= bits
