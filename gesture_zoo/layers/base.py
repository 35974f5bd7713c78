"""What every temporal module shares: the clip length, and the way between frames and clips.

Inside a 2-D CNN a batch of clips is a batch of frames, (N*T, C, H, W); a temporal module looks at it as
(N, T, C, H, W). ``to_clips`` and ``to_frames`` are the only two places where one becomes the other.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..errors import ModelError
from .recompute import is_watched
from .time_filter import filter_time


def to_clips(frames: Tensor, num_segments: int) -> Tensor:
    """View a batch of frames (N*T, ...) as clips (N, T, ...).

    >>> to_clips(torch.zeros(16, 3, 4, 4), 8).shape
    torch.Size([2, 8, 3, 4, 4])
    """
    return rearrange(frames, "(n t) ... -> n t ...", t=num_segments)


def to_frames(clips: Tensor) -> Tensor:
    """View clips (N, T, ...) as a batch of frames (N*T, ...).

    >>> to_frames(torch.zeros(2, 8, 3, 4, 4)).shape
    torch.Size([16, 3, 4, 4])
    """
    return rearrange(clips, "n t ... -> (n t) ...")


def causal_conv(clips: Tensor, weight: Tensor) -> Tensor:
    """Depthwise temporal convolution with kernel 3 that looks back: (N, T + 2, C, H, W) to (N, T, C, H, W).

    Two frames stand before the T of a clip; ``weight`` (C, 1, 3) is of frames t-2, t-1 and t.
    """
    frames = clips.shape[1] - 2
    taps = (tap.view(-1, 1, 1) for tap in weight.squeeze(1).unbind(-1))
    older, past, present = (clips[:, start : start + frames] * tap for start, tap in enumerate(taps))
    return older + past + present


def shift_weight(channels: int, shift_div: int = 8, *, causal: bool = False) -> Tensor:
    """Weights (C, 1, 3) with which a temporal convolution is the TSM shift: 1/shift_div of the channels each way.

    ``causal``: those of ``causal_conv`` for the online shift, 1/shift_div of the channels from frame t-1.

    >>> shift_weight(8)[:3, 0].tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    >>> shift_weight(8, causal=True)[:2, 0].tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    fold = channels // shift_div
    weight = torch.zeros(channels, 1, 3)
    if causal:
        weight[:fold, 0, 1] = 1
        weight[fold:, 0, 2] = 1
    else:
        weight[:fold, 0, 2] = 1
        weight[fold : 2 * fold, 0, 0] = 1
        weight[2 * fold :, 0, 1] = 1
    return weight


def channels_into(net: nn.Module) -> int:
    """How many channels a wrapped module takes: its own ``in_channels``, else those of the first convolution in it.

    >>> channels_into(nn.Sequential(nn.ReLU(), nn.Conv2d(16, 4, 1)))
    16
    """
    for module in net.modules():
        channels = getattr(module, "in_channels", None)
        if isinstance(channels, int):
            return channels
    raise ModelError(f"a {type(net).__name__} does not say how many channels it takes: wrap a convolution instead")


def check_count(name: str, value: int) -> int:
    """``value`` if it is an integer of at least 1; another is a ModelError.

    >>> check_count("shift_div", 8)
    8
    """
    if type(value) is not int or value < 1:
        raise ModelError(f"{name} must be an integer of at least 1, got {value!r}")
    return value


def _itself(tensor: Tensor) -> Tensor:
    return tensor


class Memory(NamedTuple):
    """What the temporal modules of a stream keep: ``before`` is of the last frame, ``after`` is for the next one."""

    before: dict[str, Tensor]
    after: dict[str, Tensor]


class TemporalModule(nn.Module):
    """Base of the layers that mix frames: it knows how many consecutive frames make a clip.

    ``ClipModel.num_segments`` sets ``num_segments`` on every one of them; no weight depends on it. A ``causal`` module
    looks into the past only, and in a stream only through ``with_past``: so a clip can also come frame by frame
    (``gesture_zoo.to_streaming``), with ``memory`` for what came before. Outside a stream ``memory`` is None.

    >>> class Change(TemporalModule):  # what is new since the frame before
    ...     def forward(self, frames):
    ...         clips = to_clips(frames, self.num_segments)
    ...         return to_frames(clips - self.with_past("frames", clips, 1)[:, :-1])
    >>> Change(num_segments=3)(torch.tensor([1.0, 3.0, 4.0]).view(3, 1, 1, 1)).flatten()
    tensor([1., 2., 1.])
    """

    causal = False
    memory: Memory | None = None

    def __init__(self, num_segments: int) -> None:
        super().__init__()
        self.num_segments = num_segments

    def with_past(self, key: str, clips: Tensor, steps: int) -> Tensor:
        """Clips (N, T, ...) with the ``steps`` frames before them in front, (N, steps + T, ...).

        They are zero at the start of a clip; in a stream they are those that the last frame left under ``key``: in a
        module that the network calls twice, the first call those of the first, and the second those of the second.
        """
        memory, name = self.memory or Memory({}, {}), key
        for call in itertools.count(2):
            if name not in memory.after:
                break
            name = f"{key}_{call}"
        before = memory.before.get(name)
        if before is None:
            before = clips.new_zeros((clips.shape[0], steps, *clips.shape[2:]))
        extended = torch.cat((before, clips), dim=1)
        memory.after[name] = extended[:, -steps:]
        return extended

    def convolve(self, clips: Tensor, conv: nn.Module) -> tuple[Any, ...]:
        """Depthwise temporal convolution ``conv`` of clips (N, T, C, H, W), kernel 3; of the past if ``causal``.

        The result, and a function and its arguments that give it once more, for a backward pass (see recompute.py).
        """
        if type(conv) is not nn.Conv1d or is_watched(conv):  # it must be called
            extended = self.with_past("frames", clips, 2) if self.causal else clips
            lines = conv(rearrange(extended, "n t c h w -> (n h w) c t"))
            result = rearrange(lines, "(n h w) c t -> n t c h w", n=len(clips), h=clips.shape[3], w=clips.shape[4])
            result = result[:, 1:-1] if self.causal else result
            return result, _itself, result
        weight = conv.weight
        if self.memory is not None:
            result = causal_conv(self.with_past("frames", clips, 2), weight)
            return result, _itself, result
        first = -2 if self.causal else -1
        return filter_time(clips, weight, first), partial(filter_time, first=first, anew=True), clips, weight

    def difference(self, squeezed: Tensor, transformed: Tensor) -> Tensor:
        """What moves between neighbouring frames, of spatial means (N*T, C, 1, 1), which commute with the subtraction.

        (transformed frame t+1) - (squeezed frame t), or if ``causal`` (transformed frame t) - (squeezed frame t-1);
        zero where there is no such neighbour.
        """
        after, before = to_clips(transformed, self.num_segments), to_clips(squeezed, self.num_segments)
        if not self.causal:
            return to_frames(F.pad(after[:, 1:] - before[:, :-1], (0, 0, 0, 0, 0, 0, 0, 1)))
        earlier = self.with_past("squeezed", before, 1)[:, :-1]
        is_there = self.with_past("seen", torch.ones_like(before[:, :, :1]), 1)[:, :-1]
        return to_frames((after - earlier) * is_there)

    def extra_repr(self) -> str:
        return f"num_segments={self.num_segments}" + (", causal=True" if self.causal else "")
