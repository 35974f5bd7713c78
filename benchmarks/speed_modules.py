"""Each temporal module alone: against its textbook form, and against the bytes it must move. A part of speed.py."""

import argparse
import statistics
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from gpu_rates import Card
from textbook import TextbookAction, TextbookMotionExcitation, TextbookShift, TextbookTemporalConv
from timing import in_turn, in_turn_on_gpu, paired_ratio, replay_of
from torch import Tensor, nn

from gesture_zoo.layers.action import Action
from gesture_zoo.layers.tea import MotionExcitation, TemporalConv
from gesture_zoo.layers.temporal_shift import TemporalShift

FRAMES, GPU_FRAMES = 8, 256
# Where the modules of a ResNet-50 are, at 224 x 224: channels and side.
PLACES = ((64, 56), (256, 56), (512, 28), (1024, 14), (2048, 7))
COPY_BYTES = 256 * 2**20


class Pair(NamedTuple):
    """Our module and its textbook form; ``passes``: how often it must read or write all of its frames at least."""

    ours: nn.Module
    textbook: nn.Module
    passes: int


def pairs(channels: int) -> dict[str, Pair]:
    """Every module for frames of so many channels, the textbook forms with our weights."""
    made = {
        # Read and write once each.
        "TSM": Pair(TemporalShift(nn.Identity(), FRAMES), TextbookShift(channels, FRAMES), 2),
        # The gain depends on means of all frames: read for these, read again and written with the gain.
        "ACTION": Pair(Action(_identity(channels), FRAMES), TextbookAction(channels, FRAMES), 3),
        "ME": Pair(MotionExcitation(channels, FRAMES), TextbookMotionExcitation(channels, FRAMES), 3),
        "MTA": Pair(TemporalConv(channels, FRAMES, shift=True), TextbookTemporalConv(channels, FRAMES), 2),
    }
    for pair in made.values():
        pair.textbook.load_state_dict(pair.ours.state_dict())
    return made


def _identity(channels: int) -> nn.Module:
    """Something that says how many channels it takes, and does nothing."""
    module: Any = nn.Identity()
    module.in_channels = channels
    return module


def copy_bandwidth(rounds: int = 9) -> float:
    """Bytes a second that a copy reads and writes, together."""
    source = torch.rand(COPY_BYTES // 4)
    target = torch.empty_like(source)
    times = in_turn({"copy": lambda: target.copy_(source)}, rounds)["copy"]
    return 2 * COPY_BYTES / (statistics.median(times) / 1000)


@torch.inference_mode()
def module_tables(args: argparse.Namespace) -> list[str]:
    """A row for every module and place."""
    bandwidth = copy_bandwidth()
    lines = [
        f"A copy of {COPY_BYTES >> 20} MiB moves {bandwidth / 1e9:.1f} GB/s (read and written together); the floor of "
        "a module is the time for the bytes it must move at that rate, each frame read and written as often as its "
        "formula needs. One clip, float32, eval, without the convolution they wrap.\n",
        "| module | frames | format | textbook, ms | ours, ms | ours / textbook | floor, ms | ours / floor |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for channels, side in PLACES:
        frames = torch.randn(FRAMES, channels, side, side, generator=torch.Generator().manual_seed(0))
        for name, pair in pairs(channels).items():
            floor = pair.passes * frames.numel() * 4 / bandwidth * 1000
            torch.testing.assert_close(pair.ours.eval()(frames), pair.textbook.eval()(frames), rtol=1e-4, atol=1e-4)
            last = frames.contiguous(memory_format=torch.channels_last)
            ways = {
                "textbook": lambda pair=pair, frames=frames: pair.textbook(frames),
                "contiguous": lambda pair=pair, frames=frames: pair.ours(frames),
                "channels_last": lambda pair=pair, last=last: pair.ours(last),
            }
            times = in_turn(ways, args.rounds, calls=10, pause=0.01)
            for format in ("contiguous", "channels_last"):
                lines.append(_row(name, frames, format, times, floor))
    return lines


@torch.inference_mode()
def gpu_module_rows(card: Card, *, channels: int, side: int, dtype: torch.dtype, device: str = "cuda") -> Iterator[str]:
    """The rows of one place on a GPU: so many frames that they do not stay in its cache."""
    generator = torch.Generator(device).manual_seed(0)
    frames = torch.randn(GPU_FRAMES, channels, side, side, generator=generator, device=device).to(dtype)
    for name, pair in pairs(channels).items():
        ours, textbook = (module.eval().to(device, dtype) for module in (pair.ours, pair.textbook))
        expected = textbook(frames)
        difference = ((ours(frames) - expected).abs().max() / expected.abs().max()).item()
        del expected
        floor = pair.passes * frames.nbytes / card.bandwidth * 1000
        last = frames.contiguous(memory_format=torch.channels_last)
        ways = {
            "textbook": partial(textbook, frames),
            "contiguous": partial(ours, frames),
            "channels_last": partial(ours, last),
        }
        times = in_turn_on_gpu({key: replay_of(way) for key, way in ways.items()}, 5, turn=0.02)
        middle = {key: statistics.median(values) for key, values in times.items()}
        for format in ("contiguous", "channels_last"):
            shape, kind = " x ".join(map(str, frames.shape)), str(dtype).removeprefix("torch.")
            ratio = paired_ratio(times[format], times["textbook"])
            yield (
                f"| {name} | {shape} | {format} | {kind} | {middle['textbook']:.3f} | {middle[format]:.3f} "
                f"| {ratio:.2f} | {floor:.3f} | {middle[format] / floor:.1f} | {difference:.0e} |"
            )


def _row(name: str, frames: Tensor, format: str, times: dict[str, list[float]], floor: float) -> str:
    ours, textbook = statistics.median(times[format]), statistics.median(times["textbook"])
    ratio = paired_ratio(times[format], times["textbook"])
    shape = " x ".join(map(str, frames.shape))
    numbers = f"{textbook:.2f} | {ours:.2f} | {ratio:.2f} | {floor:.2f} | {ours / floor:.1f}"
    return f"| {name} | {shape} | {format} | {numbers} |"
