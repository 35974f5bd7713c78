"""Depthwise filters along time: the learned shifts of TEA and ACTION on whole clips, and their derivatives.

Passes over memory as those of kernels.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from .in_passing import filter_in_passing
from .kernels import channels_lie_together, in_turns, moved
from .operators import is_compiled, is_traced, takes_operators
from .processor import has_quick_products, is_quickest_to_convolve


def filter_time(clips: Tensor, weight: Tensor, first: int = -1, *, anew: bool = False) -> Tensor:
    """Depthwise temporal convolution, zero padding: clips (N, T, C, H, W), weight (C, 1, 3) of frames t-1, t, t+1.

    ``first`` says where its first tap is: at t-1, or with -2 at t-2, so that it looks back only. ``anew`` is for
    backward passes: a compiler sees other operations, of the same result, and does not keep what the forward pass made.

    >>> filter_time(torch.arange(1.0, 4).view(1, 3, 1, 1, 1), torch.tensor([[[1.0, 0, 10]]])).flatten().tolist()
    [20.0, 31.0, 2.0]
    """
    weight = weight.squeeze(1).to(clips.dtype)
    if takes_operators(clips):
        return filter_in_passing(clips, weight, first, anew=anew)
    if is_compiled() and not anew:
        return _FilterOfMoved.apply(clips, weight, first)
    if is_traced():
        return _sum_of_moved(clips, weight, first, anew=anew)
    return _Filter.apply(clips, weight, first)


def filter_time_back_(
    grad: Tensor, clips: Tensor, weight: Tensor, first: int, spread: Tensor, needs: Sequence[bool] = (True, True)
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of ``filter_time`` by clips and weight, from that by its result, which is overwritten.

    That is the sum of ``grad`` (N, T, C, H, W) and, at every pixel, of ``spread`` (N, T, C, 1, 1). What is not needed
    is None.

    >>> clips, weight = torch.arange(1.0, 4).view(1, 3, 1, 1, 1), torch.tensor([[[1.0, 0, 10]]])
    >>> by_clips, by_weight = filter_time_back_(torch.zeros_like(clips), clips, weight, -1, torch.ones_like(clips))
    >>> by_clips.flatten().tolist(), by_weight.flatten().tolist()
    ([1.0, 11.0, 10.0], [3.0, 6.0, 5.0])
    """
    taps, parts = weight.squeeze(1).to(clips.dtype), in_turns(grad, grad.shape[1])
    if torch.is_grad_enabled():
        grad = grad + spread
    else:
        for part in parts:
            grad[:, part] += spread[:, part]
    by_clips = by_weight = None
    if needs[1]:
        by_weight = _correlate(grad, clips, first).to(weight.dtype).view_as(weight)
    if needs[0]:
        anew = torch.is_grad_enabled() or _is_quick_to_convolve(grad) or len(parts) == 1
        by_clips = (_Filter.apply if anew else _filter_)(grad, taps.flip(1), -2 - first)
    return by_clips, by_weight


class _Filter(Function):
    @staticmethod
    def forward(clips: Tensor, weight: Tensor, first: int) -> Tensor:
        if _is_quick_to_convolve(clips):
            return _convolved(clips, weight, first)
        taps, out, count = _columns(weight), torch.empty_like(clips), clips.shape[1]
        for turn in in_turns(clips, count):
            torch.mul(clips[:, turn], taps[-first], out=out[:, turn])
            for step, tap in enumerate(taps, start=first):
                start, stop = max(turn.start, -step), min(turn.stop, count - step)
                if step != 0 and start < stop:
                    out[:, start:stop].addcmul_(clips[:, start + step : stop + step], tap)
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.first = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        clips, weight = ctx.saved_tensors
        by_clips = _Filter.apply(grad, weight.flip(1), -2 - ctx.first) if ctx.needs_input_grad[0] else None
        by_weight = _correlate(grad, clips, ctx.first).to(weight.dtype) if ctx.needs_input_grad[1] else None
        return by_clips, by_weight, None


class _FilterOfMoved(Function):
    """For compilers for GPUs, which would keep two shifted copies of the clips for the gradients of the operations."""

    @staticmethod
    def forward(ctx: Any, clips: Tensor, weight: Tensor, first: int) -> Tensor:
        ctx.save_for_backward(clips, weight)
        ctx.first = first
        return _sum_of_moved(clips, weight, first)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (clips, weight), first = ctx.saved_tensors, ctx.first
        kind = torch.promote_types(grad.dtype, torch.float32)
        products = (grad * moved(clips, first + place, anew=True) for place in range(3))
        by_weight = torch.stack([product.sum((0, 1, 3, 4), dtype=kind) for product in products], dim=1)
        return _sum_of_moved(grad, weight.flip(1), -2 - first), by_weight.to(weight.dtype), None


def _sum_of_moved(clips: Tensor, weight: Tensor, first: int, *, anew: bool = False) -> Tensor:
    """``filter_time`` in a few operations."""
    taps = (tap.view(-1, 1, 1) for tap in weight.unbind(1))
    one, two, three = (moved(clips, first + place, anew=anew) * tap for place, tap in enumerate(taps))
    return one + two + three


def _columns(weight: Tensor) -> list[Tensor]:
    """The columns of weights (C, 3), each as (C, 1, 1) that lie together: else they are multiplied one by one."""
    return [tap.view(-1, 1, 1) for tap in weight.t().contiguous()]


def _filter_(clips: Tensor, weight: Tensor, first: int) -> Tensor:
    """``filter_time`` in the memory of clips, frame by frame: what a later frame needs of it is kept."""
    taps, count = _columns(weight), clips.shape[1]
    kept = [torch.empty_like(clips[:, :1]) for _ in range(1 - first)] if first < 0 else []
    for t in range(count):
        frame = clips[:, t : t + 1]
        if kept:
            kept[t % len(kept)].copy_(frame)
        frame.mul_(taps[-first])
        for step, tap in enumerate(taps, start=first):
            if step != 0 and 0 <= t + step < count:
                frame.addcmul_(clips[:, t + step, None] if step > 0 else kept[(t + step) % len(kept)], tap)
    return clips


def _correlate(a: Tensor, b: Tensor, first: int) -> Tensor:
    """For steps from ``first`` the sum of a's frame t times b's frame t + step, a number a channel: (C, 3).

    Summed in single precision at least, but for the pixels of a contiguous frame, whose sums are of the clips' type.
    """
    kind, steps, found = torch.promote_types(a.dtype, torch.float32), range(first, first + 3), []
    frames, channels = a.shape[1:3]
    if not (channels_lie_together(a) and channels_lie_together(b)):
        # All pairs of frames in one matrix product a channel: each frame is read once, the few operations are free.
        a, b = (x.flatten(3).transpose(1, 2) for x in (a, b))
        clips = 1 if a.device.type == "cpu" else max(1, len(a))  # of several a product would copy them first
        pairs = zip(a.split(clips), b.split(clips), strict=True)
        products = torch.stack([(mine @ other.transpose(2, 3)).sum(0, dtype=kind) for mine, other in pairs]).sum(0)
        return torch.stack([products.diagonal(step, 1, 2).sum(1) for step in steps], dim=1)
    if a.device.type == "cpu" and a.dtype == b.dtype and is_quickest_to_convolve(a.dtype):
        return _by_convolving(a, b, first)
    a, b = (x.permute(0, 1, 3, 4, 2).flatten(3) for x in (a, b))  # (N, T, H, W*C), as they lie in memory
    parts = in_turns(a, frames)
    buffer = torch.empty_like(a[:, parts[0]])
    for step in steps:
        start, stop = max(-step, 0), frames - max(step, 0)
        total = a.new_zeros(a.shape[3], dtype=kind)
        for turn in in_turns(a, max(stop - start, 0)):
            mine, other = a[:, start:][:, turn], b[:, start + step :][:, turn]
            out = None if torch.is_grad_enabled() else buffer[:, : mine.shape[1]]
            total = total + torch.mul(mine, other, out=out).sum((0, 1, 2), dtype=kind)
        found.append(total.view(-1, channels).sum(0))
    return torch.stack(found, dim=1)


def _is_quick_to_convolve(clips: Tensor) -> bool:
    """Whether oneDNN is to convolve clips as they lie: one pass over memory, and one rounding of half precision."""
    if clips.device.type != "cpu" or not channels_lie_together(clips):
        return False
    is_quick_bfloat16 = clips.dtype == torch.bfloat16 and has_quick_products(clips.dtype)
    return is_quick_bfloat16 or is_quickest_to_convolve(clips.dtype)


def _convolved(clips: Tensor, weight: Tensor, first: int) -> Tensor:
    """``filter_time`` as a convolution of images of T rows, whose pixels are those of a frame."""
    reach = max(-first, first + 2)
    kernel = F.pad(weight, (first + reach, reach - 2 - first))[:, None, :, None]
    with torch.autocast("cpu", enabled=False):  # the result is of the clips' type
        rows = F.conv2d(_images(clips), kernel, padding=(reach, 0), groups=clips.shape[2])
    found = rows.permute(0, 2, 3, 1).unflatten(2, clips.shape[3:]).permute(0, 1, 4, 2, 3)
    # No view of another tensor: what a Function gives may be changed in place.
    return found.new_empty(0).set_(found.untyped_storage(), found.storage_offset(), found.shape, found.stride())


def _by_convolving(a: Tensor, b: Tensor, first: int) -> Tensor:
    """``_correlate`` as the gradient of that convolution of ``b`` by its kernel, from ``a`` by its answer."""
    channels, reach = a.shape[2], max(-first, first + 2)
    images, kernel = _images(b), a.new_empty(channels, 1, 2 * reach + 1, 1)
    settings = (1, 1), (reach, 0), (1, 1), False, [0, 0], channels, [False, True, False]
    _, found, _ = torch.ops.aten.convolution_backward(_images(a), images, kernel, None, *settings)
    return found[:, 0, first + reach : first + reach + 3, 0]


def _images(clips: Tensor) -> Tensor:
    """Clips (N, T, C, H, W) in channels_last as images (N, C, T, H*W), without a copy if they are whole."""
    return clips.permute(0, 1, 3, 4, 2).contiguous().flatten(2, 3).permute(0, 3, 1, 2)
