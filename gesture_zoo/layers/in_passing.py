"""Filters along time, and ACTION's gain, in a form that Inductor fuses with what stands around them.

The frames that have the same neighbours are one loop over the pixels as they lie in channels_last, (N, T, H, W, C),
vector by vector. Looked at in any other way Inductor would copy the maps, and of padded clips it makes slow code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from .operators import operator


def filter_in_passing(clips: Tensor, weight: Tensor, first: int, *, anew: bool = False) -> Tensor:
    """``filter_time(clips, weight, first, anew=anew)`` with weights (C, 3); what is made ``anew`` has no gradients.

    >>> filter_in_passing(torch.arange(1.0, 4).view(1, 3, 1, 1, 1), torch.tensor([[1.0, 0, 10]]), -1).flatten().tolist()
    [20.0, 31.0, 2.0]
    """
    frames = clips.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    if anew:
        pixels = _filtered(pixels_of(frames, clips.shape[1]), weight, first, anew=True)
    else:
        pixels = _FilterInPassing.apply(frames, weight, first, clips.shape[1])
    return frames_of(pixels.view(_shape(frames, clips.shape[1]))).view_as(clips)


class _FilterInPassing(Function):
    """Of frames (N*T, C, H, W), as (N, T*H*W, C): a view would not be for those who work in place."""

    @staticmethod
    def forward(ctx: Any, frames: Tensor, weight: Tensor, first: int, count: int) -> Tensor:
        ctx.save_for_backward(frames, weight)
        ctx.how = first, count
        return _filtered(pixels_of(frames, count), weight, first)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (frames, weight), (first, count) = ctx.saved_tensors, ctx.how
        pixels = grad.contiguous().view(_shape(frames, count))
        by_weight = correlated(pixels, pixels_of(frames, count), first).to(weight.dtype)
        return frames_of(filtered(pixels, weight.flip(1), -2 - first)), by_weight, None, None


def _shape(frames: Tensor, count: int) -> tuple[int, ...]:
    """The shape of ``pixels_of(frames, count)``."""
    return len(frames) // count, count, *frames.shape[2:], frames.shape[1]


def scale_in_passing(clips: Tensor, channel: Tensor, place: Tensor) -> Tensor:
    """Frames (N*T, C, H, W) of ``scale_frames(clips, channel, place)``.

    >>> scale_in_passing(torch.ones(1, 1, 1, 1, 2), torch.full((1, 1, 1, 1, 1), 2.0), torch.zeros(1, 1, 1, 1, 2)).shape
    torch.Size([1, 1, 1, 2])
    """
    frames = clips.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    return _ScaleInPassing.apply(frames, channel.flatten(0, 1), place.flatten(0, 1))


class _ScaleInPassing(Function):
    @staticmethod
    def forward(ctx: Any, frames: Tensor, channel: Tensor, place: Tensor) -> Tensor:
        ctx.save_for_backward(frames, channel, place)
        return frames * (channel + place)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        return scale_in_passing_backward(grad, *ctx.saved_tensors)


def scale_in_passing_backward(grad: Tensor, frames: Tensor, channel: Tensor, place: Tensor) -> tuple[Tensor, ...]:
    """Gradients by frames (N*T, C, H, W) and the two parts of their gain, from that by their product."""
    kind = torch.promote_types(grad.dtype, torch.float32)
    if grad.device.type == "cpu":
        grad = grad.contiguous(memory_format=torch.channels_last)
        product = grad * frames
        by_channel = product.sum(3, keepdim=True, dtype=kind).sum(2, keepdim=True)  # row by row, as in correlated
    else:
        product = grad * frames
        by_channel = product.sum((2, 3), keepdim=True, dtype=kind)
    grads = grad * (channel + place), by_channel, product.sum(1, keepdim=True)
    return tuple(found.to(like.dtype) for found, like in zip(grads, (frames, channel, place), strict=True))


def pixels_of(frames: Tensor, count: int) -> Tensor:
    """Frames (N*T, C, H, W) in channels_last as they lie in memory, (N, T, H, W, C).

    >>> pixels_of(torch.zeros(6, 2, 4, 5), 3).shape
    torch.Size([2, 3, 4, 5, 2])
    """
    return frames.permute(0, 2, 3, 1).unflatten(0, (-1, count))


def frames_of(pixels: Tensor) -> Tensor:
    """What ``pixels_of`` was made of.

    >>> frames_of(torch.zeros(2, 3, 4, 5, 2)).shape
    torch.Size([6, 2, 4, 5])
    """
    return pixels.flatten(0, 1).permute(0, 3, 1, 2)


def filtered(pixels: Tensor, weight: Tensor, first: int, gains: Sequence[Tensor] = ()) -> Tensor:
    """Filtered pixels (N, T, H, W, C), times the sum of the ``gains``, if there are any; weights (C, 3).

    >>> filtered(torch.ones(1, 3, 1, 1, 1), torch.ones(1, 3), -1, [torch.full((1, 3, 1, 1, 1), 2.0)]).flatten().tolist()
    [4.0, 6.0, 4.0]
    """
    return _filtered(pixels, weight, first, gains).view_as(pixels)


def _filtered(
    pixels: Tensor, weight: Tensor, first: int, gains: Sequence[Tensor] = (), *, anew: bool = False
) -> Tensor:
    """``filtered`` as (N, T*H*W, C): in five dimensions Inductor takes a single frame for one that lies otherwise."""
    taps, made = rows_of(weight.to(pixels.dtype)).unbind(0), []
    for start, stop, steps in _runs(pixels.shape[1], first):
        pairs = ((pixels[:, start + step : stop + step], taps[step - first]) for step in steps)
        frames: Any = sum(b * a if anew else a * b for a, b in pairs)
        made.append((frames * sum(gain[:, start:stop] for gain in gains) if gains else frames).flatten(1, 3))
    return torch.cat(made, dim=1)


def correlated(a: Tensor, b: Tensor, first: int) -> Tensor:
    """For steps from ``first`` the sum of a's frame t times b's frame t + step, a number a channel: (C, 3).

    In single precision at least. Row by row: a row is in the cache when a few channels of it are summed up at a time.

    >>> correlated(torch.ones(1, 4, 1, 2, 1), torch.ones(1, 4, 1, 2, 1), -1).tolist()
    [[6.0, 8.0, 6.0]]
    """
    kind = torch.promote_types(a.dtype, torch.float32)
    sums = [a.new_zeros(a.shape[-1], dtype=kind) for _ in range(3)]
    for start, stop, steps in _runs(a.shape[1], first):
        mine = a[:, start:stop].to(kind)
        for step in steps:
            rows = (mine * b[:, start + step : stop + step].to(kind)).sum(3)
            sums[step - first] = sums[step - first] + rows.sum((0, 1, 2))
    return torch.stack(sums, dim=1)


def _runs(count: int, first: int) -> list[tuple[int, int, list[int]]]:
    """From which to which of ``count`` frames the same neighbours are there, and these: steps from ``first``.

    >>> _runs(5, -1)
    [(0, 1, [0, 1]), (1, 4, [-1, 0, 1]), (4, 5, [-1, 0])]
    """
    steps = [[step for step in range(first, first + 3) if 0 <= t + step < count] for t in range(count)]
    starts = [t for t in range(count) if t == 0 or steps[t] != steps[t - 1]]
    return [(start, stop, steps[start]) for start, stop in zip(starts, [*starts[1:], count], strict=True)]


def _rows_(matrix: Tensor) -> Tensor:
    return matrix.t().clone(memory_format=torch.contiguous_format)  # never the matrix itself, as of one channel


rows_of = operator("rows", _rows_, lambda matrix: matrix.new_empty(matrix.shape[::-1]))
