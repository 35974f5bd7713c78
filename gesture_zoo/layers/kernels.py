"""What the temporal modules do to whole frames, in as few passes over memory as PyTorch's operations allow.

A 25 MB temporary costs more than the arithmetic on it, since its pages come fresh from the system every time. So each
operation here allocates its result alone, fills it frame by frame, so that a frame stays in the cache meanwhile, and
keeps the layout of its input (channels_last too). Their backward passes are written out for the same reason. Where a
graph is traced (torch.compile, torch.export), plain forms take their place, which a compiler fuses by itself.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from ..errors import ModelError


def shift_channels(clips: Tensor, ahead: int, behind: int) -> Tensor:
    """Clips (N, T, C, H, W) with frame t+1 in the first ``ahead`` channels, t-1 in the next ``behind``, else zero.

    >>> shift_channels(torch.arange(1.0, 7).view(1, 2, 3, 1, 1), 1, 1).flatten().tolist()
    [4.0, 0.0, 3.0, 0.0, 2.0, 6.0]
    """
    if clips.dim() != 5:
        raise ModelError(f"time is shifted in feature maps (N*T, C, H, W), not in {clips.dim() - 1} dimensions")
    if torch.compiler.is_compiling():
        # cat and pad: exporters bake assignments to slices in.
        future, past, still = clips.tensor_split((ahead, ahead + behind), dim=2)
        return torch.cat((from_future(future), from_past(past), still), dim=2)
    return _Shift.apply(clips, ahead, behind, False)


def filter_time(clips: Tensor, weight: Tensor) -> Tensor:
    """Depthwise temporal convolution, zero padding: clips (N, T, C, H, W), weight (C, 1, 3) of frames t-1, t, t+1.

    >>> filter_time(torch.arange(1.0, 4).view(1, 3, 1, 1, 1), torch.tensor([[[1.0, 0, 10]]])).flatten().tolist()
    [20.0, 31.0, 2.0]
    """
    weight = weight.squeeze(1).to(clips.dtype)
    if torch.compiler.is_compiling():
        past, present, future = (tap.view(-1, 1, 1) for tap in weight.unbind(1))
        return from_past(clips) * past + clips * present + from_future(clips) * future
    return _Filter.apply(clips, weight)


def scale_frames(clips: Tensor, channel: Tensor, place: Tensor) -> Tensor:
    """Clips (N, T, C, H, W) times (channel + place), which are (N, T, C, 1, 1) and (N, T, 1, H, W).

    >>> channel, place = torch.tensor([1.0, 2]).view(1, 1, 2, 1, 1), torch.tensor([0.0, 10]).view(1, 1, 1, 1, 2)
    >>> scale_frames(torch.ones(1, 1, 2, 1, 2), channel, place).flatten().tolist()
    [1.0, 11.0, 2.0, 12.0]
    """
    if torch.compiler.is_compiling():
        return clips * (channel + place)
    return _Scale.apply(clips, channel, place)


def from_past(clips: Tensor) -> Tensor:
    """Shift clips (N, T, C, H, W) by one step so that frame t holds frame t-1; frame 0 becomes zero."""
    return F.pad(clips[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))


def from_future(clips: Tensor) -> Tensor:
    """Shift clips (N, T, C, H, W) by one step so that frame t holds frame t+1; the last becomes zero."""
    return F.pad(clips[:, 1:], (0, 0, 0, 0, 0, 0, 0, 1))


class _Shift(Function):
    @staticmethod
    def forward(clips: Tensor, ahead: int, behind: int, back: bool) -> Tensor:
        out = torch.empty_like(clips)
        first, second = slice(0, ahead), slice(ahead, ahead + behind)
        if back:
            first, second = second, first
        out[:, :-1, first] = clips[:, 1:, first]
        out[:, -1:, first] = 0
        out[:, 1:, second] = clips[:, :-1, second]
        out[:, :1, second] = 0
        out[:, :, ahead + behind :] = clips[:, :, ahead + behind :]
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.how = inputs[1:]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        ahead, behind, back = ctx.how
        return _Shift.apply(grad, ahead, behind, not back), None, None, None


class _Filter(Function):
    @staticmethod
    def forward(clips: Tensor, weight: Tensor) -> Tensor:
        past, present, future = (tap.view(-1, 1, 1) for tap in weight.unbind(1))
        out, last = torch.empty_like(clips), clips.shape[1] - 1
        for t in range(last + 1):
            frame = torch.mul(clips[:, t], present, out=out[:, t])
            if t > 0:
                frame.addcmul_(clips[:, t - 1], past)
            if t < last:
                frame.addcmul_(clips[:, t + 1], future)
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        clips, weight = ctx.saved_tensors
        grad_clips = _Filter.apply(grad, weight.flip(1)) if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return grad_clips, None
        frames = clips.shape[1]
        taps = []
        for offset in (-1, 0, 1):
            pairs = [(t, t + offset) for t in range(frames) if 0 <= t + offset < frames]
            sums = [(grad[:, t] * clips[:, source]).sum((0, 2, 3)) for t, source in pairs]
            taps.append(torch.stack(sums).sum(0) if sums else grad.new_zeros(grad.shape[2]))
        return grad_clips, torch.stack(taps, dim=1)


class _Scale(Function):
    @staticmethod
    def forward(clips: Tensor, channel: Tensor, place: Tensor) -> Tensor:
        out = torch.empty_like(clips)
        for t in range(clips.shape[1]):
            torch.mul(clips[:, t], channel[:, t], out=out[:, t]).addcmul_(clips[:, t], place[:, t])
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        clips, channel, place = ctx.saved_tensors
        grad_clips = _Scale.apply(grad, channel, place) if ctx.needs_input_grad[0] else None
        by_channel, by_place = [], []
        for t in range(clips.shape[1]):
            product = grad[:, t] * clips[:, t]
            by_channel.append(product.sum((2, 3), keepdim=True))
            by_place.append(product.sum(1, keepdim=True))
        return grad_clips, torch.stack(by_channel, dim=1), torch.stack(by_place, dim=1)
