"""Where a step or a clip goes: what temporal modules do in front of convolutions, piece by piece. A part of speed.py.

Every piece is timed on tensors of the network's own sizes, again and again in memory that it has already: no new pages,
and what fits into the cache is there. Their sum over the modules is what PyTorch's operations take at least; what the
whole step takes beyond it are small operations on means, new memory, and a cache that is shared with other layers.
"""

import argparse
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial

import torch
from speed_models import CLASSES, FORMATS, FRAMES, clips, plain_cnn, prepare, training_step
from timing import in_turn
from torch import Tensor, nn

import gesture_zoo
from gesture_zoo.layers.action import Action
from gesture_zoo.layers.kernels import shift_channels
from gesture_zoo.layers.pointwise import (
    POINTWISE,
    conv2d_of_scaled,
    conv2d_of_scaled_backward,
    conv2d_of_shifted,
    conv2d_of_shifted_backward,
    matrices,
)
from gesture_zoo.layers.summaries import added, with_mean
from gesture_zoo.layers.temporal_shift import TemporalShift
from gesture_zoo.layers.time_filter import filter_time, filter_time_back_

MODELS = ("tsm_resnet50", "action_resnet50")
PLAIN = ("convolution", "convolution, back")
ASIDE = ("shift by itself",)  # what could be done instead
BOTH = (True, True, False)  # gradients by input and weight; there is no bias
Pieces = dict[str, Callable[[], object]]


class Example:
    """What a module and its convolution see of a clip, at random."""

    def __init__(self, shape: tuple[int, ...], layout: torch.memory_format, frames: int) -> None:
        self.channels, outputs, *self.size = shape
        self.layout, self.frames, self.together = layout, frames, layout == torch.channels_last
        torch.manual_seed(0)
        self.x, self.answers = self.maps(self.channels), self.maps(outputs)
        self.clip, self.weight = self.x.unflatten(0, (1, frames)), torch.randn(outputs, self.channels, 1, 1)

    def maps(self, count: int) -> Tensor:
        return torch.randn(self.frames, count, *self.size).contiguous(memory_format=self.layout)


def of_convolution(given: Example) -> Pieces:
    """The convolution by itself."""
    others = None, *POINTWISE[:3], False, [0, 0], 1, BOTH
    back = torch.ops.aten.convolution_backward
    return {
        "convolution": lambda: torch.conv2d(given.x, given.weight),
        "convolution, back": lambda: back(given.answers, given.x, given.weight, *others),
    }


def of_shift(given: Example) -> Pieces:
    """What TSM does with its shift of an eighth each way and the convolution behind it."""
    steps = given.channels // 8, given.channels // 8
    answers, clip, weight = given.answers, given.clip, given.weight
    return {
        "shifted, convolution": lambda: conv2d_of_shifted(clip, *steps, weight, None),
        "shifted, convolution, back": lambda: conv2d_of_shifted_backward(answers, clip, *steps, weight, BOTH),
        "shift by itself": lambda: shift_channels(clip, *steps),
    }


def of_action(given: Example) -> Pieces:
    """What ACTION does in front of the convolution, and this."""
    frames, channels, together = given.frames, given.channels, given.together
    answers, clip, weight = given.answers, given.clip, given.weight
    taps = torch.full((channels, 1, 3), 0.3)  # what is filtered in its own memory is to stay finite
    squeeze = with_mean(torch.randn(max(1, channels // 16), channels, 1, 1), clip)
    channel, place = torch.rand(1, frames, channels, 1, 1), torch.rand(1, frames, 1, *given.size)
    pixels, total = matrices(given.x, together), matrices(torch.zeros_like(given.x), together)
    grad = torch.zeros_like(clip)

    def squeezed() -> Tensor:
        return pixels @ squeeze.t() if together else squeeze @ pixels

    both = squeezed()

    def by_squeeze() -> Tensor:
        if together:
            return both.flatten(0, 1).t() @ pixels.flatten(0, 1)
        return (both @ pixels.transpose(1, 2)).sum(0)

    def by_summaries() -> Tensor:
        if together:
            return added(total.flatten(0, 1), both.flatten(0, 1), squeeze)
        return added(total, squeeze.t().expand(frames, -1, -1), both)

    return {
        "filter": lambda: filter_time(clip, taps),
        "squeeze and mean over channels": squeezed,
        "mean over space": lambda: clip.mean((3, 4)),
        "scaled, convolution": lambda: conv2d_of_scaled(clip, channel, place, weight, None),
        "filter again": lambda: filter_time(clip, taps),
        "scaled, convolution, back": lambda: conv2d_of_scaled_backward(answers, clip, channel, place, weight, None),
        "squeeze, back": by_squeeze,
        "squeeze and mean over channels, back": by_summaries,
        "filter and mean over space, back": lambda: filter_time_back_(grad, clip, taps, -1, channel),
    }


KINDS: dict[type[nn.Module], Callable[[Example], Pieces]] = {TemporalShift: of_shift, Action: of_action}


def inputs_of(model: nn.Module, clip: Tensor) -> tuple[type[nn.Module], Counter[tuple[int, ...]]]:
    """Channels in and out, and height and width of what every temporal module sees, and how often; and its kind."""
    found: Counter[tuple[int, ...]] = Counter()

    def count(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found[(inputs[0].shape[1], module.net.out_channels, *inputs[0].shape[2:])] += 1  # type: ignore[union-attr]

    modules = [part for part in model.modules() if type(part) in KINDS]
    if not modules:
        raise SystemExit(f"speed.py steps knows the modules of {', '.join(MODELS)} and their like, of no other")
    hooks = [part.register_forward_pre_hook(count) for part in modules]
    with torch.no_grad():
        model.eval()(clip)
    for hook in hooks:
        hook.remove()
    return type(modules[0]), found


@torch.no_grad()
def sums(
    kind: type[nn.Module], found: Counter[tuple[int, ...]], layout: torch.memory_format, frames: int, rounds: int
) -> dict[str, float]:
    """Milliseconds of every piece over all modules."""
    total: defaultdict[str, float] = defaultdict(float)
    for shape, count in found.items():
        given = Example(shape, layout, frames)
        for name, times in in_turn(of_convolution(given) | KINDS[kind](given), rounds, calls=3).items():
            total[name] += count * statistics.median(times)
    return dict(total)


def changes(parts: dict[str, float], *, back: bool) -> Iterator[float]:
    """What the pieces change of the plain CNN's time: those of a clip, and with ``back`` all of a training step."""
    for name, ms in parts.items():
        if name not in ASIDE and (back or not name.endswith((", back", " again"))):
            yield -ms if name in PLAIN else ms


@torch.no_grad()
def forward(model: nn.Module, clip: Tensor) -> object:
    return model.eval()(clip)


def step_tables(args: argparse.Namespace) -> list[str]:
    """A table for each model and format."""
    lines, clip = [], clips(1, torch.float32)
    for name in args.models or MODELS:
        for format, layout in FORMATS.items():
            model = prepare(gesture_zoo.create_model(name, num_classes=CLASSES), format, torch.float32)
            kind, found = inputs_of(model, clip)
            ways = {"plain": prepare(plain_cnn(name), format, torch.float32), "ours": model}
            timed = {
                "training step": in_turn({key: training_step(way, clip) for key, way in ways.items()}, args.rounds)
            }
            if kind is TemporalShift:  # ACTION goes another way in evaluation
                timed["clip"] = in_turn({key: partial(forward, way, clip) for key, way in ways.items()}, args.rounds)
            parts = sums(kind, found, layout, FRAMES, args.rounds)
            lines += [
                f"## {name}, {format}\n",
                "| | plain CNN, ms | ms | ratio | with these pieces, ms | ratio |",
                "|---" * 6 + "|",
            ]
            for what, times in timed.items():
                plain, ours = (statistics.median(times[key]) for key in ("plain", "ours"))
                least = plain + sum(changes(parts, back=what != "clip"))
                numbers = f"{plain:.0f} | {ours:.0f} | {ours / plain:.2f} | {least:.0f} | {least / plain:.2f}"
                lines.append(f"| {what} | {numbers} |")
            lines += [
                "",
                "| over all modules | ms |",
                "|---|---|",
                *(f"| {key} | {ms:.0f} |" for key, ms in parts.items()),
                "",
            ]
    return lines
