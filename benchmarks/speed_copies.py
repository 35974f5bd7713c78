"""What it costs to make the convolutions' input in a pass of its own: copies in the plain CNN. A part of speed.py.

A copy is the quickest pass over memory there is. What is quicker makes no input, or not in a pass of its own: in what
comes before it, or a few frames at a time, which are in the cache when they are convolved.
"""

import argparse
import itertools
import statistics
from collections.abc import Callable

import torch
from speed_models import CLASSES, FORMATS, clips, plain_cnn, prepare
from timing import in_turn, paired_ratio
from torch import Tensor, nn

import gesture_zoo
from gesture_zoo.layers import TemporalModule

MODELS = ("tsm_resnet50", "action_resnet50")


# As an operator, or a compiler would leave the copy out; it has the maps around convolutions in channels_last.
@torch.library.custom_op("benchmarks::copied", mutates_args=(), tags=(torch.Tag.needs_fixed_stride_order,))
def copied(frames: Tensor) -> Tensor:
    return frames.clone()


@copied.register_fake
def _(frames: Tensor) -> Tensor:
    return torch.empty_like(frames)


class Copy(nn.Module):
    """A copy in front of a convolution."""

    def __init__(self, net: nn.Module, *, compiled: bool) -> None:
        super().__init__()
        self.net, self.compiled = net, compiled

    def forward(self, frames: Tensor) -> Tensor:
        if not self.compiled:
            return self.net(frames.clone())  # type: ignore[no-any-return]
        return self.net(copied(frames.contiguous(memory_format=torch.channels_last)))  # type: ignore[no-any-return]


def with_copies(name: str, *, compiled: bool) -> nn.Module:
    """The plain CNN under a model, with copies where that has temporal modules."""
    model = gesture_zoo.create_model(name, num_classes=CLASSES)
    wrapped = {path: part.net for path, part in model.named_modules() if isinstance(part, TemporalModule)}
    for path, net in wrapped.items():
        model.set_submodule(path, Copy(net, compiled=compiled))  # type: ignore[arg-type]
    return model


def copy_tables(args: argparse.Namespace, inference: Callable[..., Callable[[], object]]) -> list[str]:
    """A row for each model, format, and eager or compiled."""
    rows = ["| model | format | mode | plain CNN, ms | with copies, ms | ratio | ours, ms | ratio |", "|---" * 8 + "|"]
    clip = clips(1, torch.float32)
    modes = (False,) if args.no_compile else (False, True)
    for name, format, compiled in itertools.product(args.models or MODELS, FORMATS, modes):
        torch.manual_seed(0)
        torch.compiler.reset()
        models = {
            "plain": plain_cnn(name),
            "copies": with_copies(name, compiled=compiled),
            "ours": gesture_zoo.create_model(name, num_classes=CLASSES),
        }
        ways = {
            key: inference(prepare(model, format, torch.float32), clip, compiled=compiled)
            for key, model in models.items()
        }
        times = in_turn(ways, args.rounds)
        plain, copies, ours = (f"{statistics.median(times[key]):.0f}" for key in ways)
        ratios = (f"{paired_ratio(times[key], times['plain']):.2f}" for key in ("copies", "ours"))
        cells = (plain, copies, next(ratios), ours, next(ratios))
        rows.append(f"| {name} | {format} | {'compiled' if compiled else 'eager'} | {' | '.join(cells)} |")
        print(rows[-1], flush=True)
    return rows
