"""Where a training step goes: what temporal modules do in front of convolutions, piece by piece. A part of speed.py.

Every piece is timed on tensors of the network's own sizes, again and again in memory that it has already: no new pages,
and what fits into the cache is there. Their sum over the modules is what PyTorch's operations take at least; what the
whole step takes beyond it are small operations on means, new memory, and a cache that is shared with other layers.
"""

import argparse
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable

import torch
from speed_models import CLASSES, FORMATS, clips, plain_cnn, prepare, training_step
from timing import in_turn
from torch import Tensor, nn

import gesture_zoo
from gesture_zoo.layers.action import Action
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
    hooks = [part.register_forward_pre_hook(count) for part in modules]
    with torch.no_grad():
        model.eval()(clip)
    for hook in hooks:
        hook.remove()
    return type(modules[0]), found


@torch.no_grad()
def sums(model: nn.Module, clip: Tensor, layout: torch.memory_format, rounds: int) -> dict[str, float]:
    """Milliseconds of every piece over all modules."""
    total: defaultdict[str, float] = defaultdict(float)
    kind, found = inputs_of(model, clip)
    for shape, count in found.items():
        given = Example(shape, layout, clip.shape[1])
        for name, times in in_turn(of_convolution(given) | KINDS[kind](given), rounds, calls=3).items():
            total[name] += count * statistics.median(times)
    return dict(total)


def step_tables(args: argparse.Namespace) -> list[str]:
    """A table for each model and format."""
    lines, clip = [], clips(1, torch.float32)
    for name in args.models or MODELS:
        for format, layout in FORMATS.items():
            model = prepare(gesture_zoo.create_model(name, num_classes=CLASSES), format, torch.float32)
            ways = {"plain": prepare(plain_cnn(name), format, torch.float32), "ours": model}
            times = in_turn({key: training_step(way, clip) for key, way in ways.items()}, args.rounds)
            plain, ours = (statistics.median(times[key]) for key in ("plain", "ours"))
            parts = sums(model, clip, layout, args.rounds)
            least = plain + sum(-ms if part in PLAIN else ms for part, ms in parts.items())
            lines += [
                f"## {name}, {format}\n",
                f"A step of the plain CNN takes {plain:.0f} ms, of {name} {ours:.0f} ms ({ours / plain:.2f}).",
                f"The plain one, with these pieces for its convolutions: {least:.0f} ms ({least / plain:.2f}).\n",
                "| over all modules | ms | of the plain step |",
                "|---|---|---|",
                *(f"| {part} | {ms:.0f} | {100 * ms / plain:.1f} % |" for part, ms in parts.items()),
                "",
            ]
    return lines
