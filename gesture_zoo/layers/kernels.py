"""What the temporal modules do to whole frames, in as few passes over memory as PyTorch's operations allow.

A 25 MB temporary costs more than the arithmetic on it, since its pages come fresh from the system every time. So each
operation here allocates its result alone, fills it frame by frame, so that a frame stays in the cache meanwhile, and
keeps the layout of its input (channels_last too). Their backward passes are written out for the same reason. A GPU
takes all frames at once: there the many small steps would cost more than the memory does. In an
exported graph, and in a compiled one for GPUs, plain forms take their place, which a compiler fuses by itself; for CPUs
it gets the passes here as operators (see operators.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from ..errors import ModelError
from .operators import called, is_traced, operator, takes_operators


def shift_channels(clips: Tensor, ahead: int, behind: int) -> Tensor:
    """Clips (N, T, C, H, W) with frame t+1 in the first ``ahead`` channels, t-1 in the next ``behind``, else zero.

    >>> shift_channels(torch.arange(1.0, 7).view(1, 2, 3, 1, 1), 1, 1).flatten().tolist()
    [4.0, 0.0, 3.0, 0.0, 2.0, 6.0]
    """
    if clips.dim() != 5:
        raise ModelError(f"time is shifted in feature maps (N*T, C, H, W), not in {clips.dim() - 1} dimensions")
    if takes_operators(clips):
        return called(_shift, clips, ahead, behind, False).view_as(clips)
    if is_traced():
        # cat and pad: exporters bake assignments to slices in.
        future, past, still = clips.tensor_split((ahead, ahead + behind), dim=2)
        parts = (moved(future, 1) if ahead else None, moved(past, -1) if behind else None, still)  # no padded nothings
        return torch.cat([part for part in parts if part is not None], dim=2)
    return _Shift.apply(clips, ahead, behind, False)


def shift_channels_back(clips: Tensor, ahead: int, behind: int) -> Tensor:
    """Where what ``shift_channels`` moved came from: its transpose."""
    return _Shift.apply(clips, ahead, behind, True)


def filter_time(clips: Tensor, weight: Tensor, first: int = -1) -> Tensor:
    """Depthwise temporal convolution, zero padding: clips (N, T, C, H, W), weight (C, 1, 3) of frames t-1, t, t+1.

    ``first`` says where its first tap is: at t-1, or with -2 at t-2, so that it looks back only.

    >>> filter_time(torch.arange(1.0, 4).view(1, 3, 1, 1, 1), torch.tensor([[[1.0, 0, 10]]])).flatten().tolist()
    [20.0, 31.0, 2.0]
    """
    weight = weight.squeeze(1).to(clips.dtype)
    if takes_operators(clips):
        return called(_filter, clips, weight, first).view_as(clips)
    if is_traced():
        taps = (tap.view(-1, 1, 1) for tap in weight.unbind(1))
        one, two, three = (moved(clips, first + place) * tap for place, tap in enumerate(taps))
        return one + two + three
    return _Filter.apply(clips, weight, first)


def scale_frames(clips: Tensor, channel: Tensor, place: Tensor) -> Tensor:
    """Clips (N, T, C, H, W) times (channel + place), which are (N, T, C, 1, 1) and (N, T, 1, H, W).

    >>> channel, place = torch.tensor([1.0, 2]).view(1, 1, 2, 1, 1), torch.tensor([0.0, 10]).view(1, 1, 1, 1, 2)
    >>> scale_frames(torch.ones(1, 1, 2, 1, 2), channel, place).flatten().tolist()
    [1.0, 11.0, 2.0, 12.0]
    """
    if is_traced():
        return clips * (channel + place)
    return _Scale.apply(clips, channel, place)


def scale_frames_(clips: Tensor, channel: Tensor, place: Tensor) -> Tensor:
    """``scale_frames`` in the memory of ``clips``, without gradients."""
    turns = _turns(clips, clips.shape[1])
    gain = torch.empty_like(clips[:, turns[0]])
    for turn in turns:
        clips[:, turn].mul_(torch.add(channel[:, turn], place[:, turn], out=gain))
    return clips


def moved(clips: Tensor, step: int) -> Tensor:
    """Shift clips (N, T, C, H, W) so that frame t holds frame t + ``step``, or zeros where there is none."""
    step = max(-clips.shape[1], min(clips.shape[1], step))
    part = clips[:, max(step, 0) : clips.shape[1] + min(step, 0)]
    return part if step == 0 else F.pad(part, (0, 0, 0, 0, 0, 0, max(-step, 0), max(step, 0)))


def _turns(clips: Tensor, count: int) -> list[slice]:
    """The first ``count`` frames of clips, as what is worked on at a time: each alone, or on a GPU all of them."""
    return [slice(t, t + 1) for t in range(count)] if clips.device.type == "cpu" else [slice(0, count)]


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
    def forward(clips: Tensor, weight: Tensor, first: int) -> Tensor:
        if _is_quick_to_convolve(clips):
            return _convolved(clips, weight, first)
        # Contiguous, or channels that lie together are multiplied one by one.
        taps = [tap.view(-1, 1, 1) for tap in weight.t().contiguous()]
        out, count = torch.empty_like(clips), clips.shape[1]
        for turn in _turns(clips, count):
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
        grad_clips = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_clips = _Filter.apply(grad, weight.flip(1), -2 - ctx.first)
        if ctx.needs_input_grad[1]:
            grad_weight = _correlate(grad, clips, range(ctx.first, ctx.first + 3))
        return grad_clips, grad_weight, None


def _correlate(a: Tensor, b: Tensor, steps: Iterable[int]) -> Tensor:
    """For every step the sum of a's frame t times b's frame t + step, a number a channel: (C, steps)."""
    (clips, frames, channels), found = a.shape[:3], []
    if channels_lie_together(a) and channels_lie_together(b):
        a, b = (x.permute(0, 1, 3, 4, 2).flatten(3) for x in (a, b))
        buffer = torch.empty_like(a[:, _turns(a, frames)[0]])
        for step in steps:
            total: Tensor = a.new_zeros(a.shape[3])
            start, stop = max(-step, 0), frames - max(step, 0)
            for turn in _turns(a, max(stop - start, 0)):
                mine, other = a[:, start:][:, turn], b[:, start + step :][:, turn]
                out = None if torch.is_grad_enabled() else buffer[:, : mine.shape[1]]
                total = total + torch.mul(mine, other, out=out).sum((0, 1, 2))
            found.append(total.view(-1, channels).sum(0))
    else:
        # All pairs of frames in one matrix product a channel: each frame is read once, the few operations are free.
        a, b = (x.flatten(3).transpose(1, 2).flatten(0, 1) for x in (a, b))
        products = (a @ b.transpose(1, 2)).view(clips, channels, frames, frames).sum(0)
        found = [products.diagonal(step, 1, 2).sum(1) for step in steps]
    return torch.stack(found, dim=1)


def channels_lie_together(clips: Tensor) -> bool:
    """Whether the channels of a pixel lie side by side."""
    return clips.shape[2] > 1 and clips.stride(2) == 1


def _is_quick_to_convolve(clips: Tensor) -> bool:
    """Whether oneDNN has a depthwise convolution for clips as they lie: one pass over memory, and one rounding."""
    if clips.device.type != "cpu" or not torch.backends.mkldnn.is_available() or not channels_lie_together(clips):
        return False
    return clips.dtype in (torch.float32, torch.bfloat16) and has_quick_products(clips.dtype)


def has_quick_products(kind: torch.dtype) -> bool:
    """Whether this processor has matrix products of such numbers."""
    if kind == torch.bfloat16:
        return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return kind in (torch.float32, torch.float64)


def _convolved(clips: Tensor, weight: Tensor, first: int) -> Tensor:
    """``filter_time`` as a convolution of images of T rows, whose pixels are those of a frame."""
    reach = max(-first, first + 2)
    kernel = F.pad(weight, (first + reach, reach - 2 - first))[:, None, :, None]
    images = _pixels(clips).contiguous().flatten(2, 3).permute(0, 3, 1, 2)  # (N, C, T, H*W)
    with torch.autocast("cpu", enabled=False):  # the result is of the clips' type
        rows = F.conv2d(images, kernel, padding=(reach, 0), groups=clips.shape[2])
    found = _maps(rows.permute(0, 2, 3, 1).unflatten(2, clips.shape[3:]))
    # No view of another tensor: what a Function gives may be changed in place.
    return found.new_empty(0).set_(found.untyped_storage(), found.storage_offset(), found.shape, found.stride())


def _pixels(clips: Tensor) -> Tensor:
    """Clips (N, T, C, H, W) as (N, T, H, W, C), as they lie in memory in channels_last."""
    return clips.permute(0, 1, 3, 4, 2)


def _maps(pixels: Tensor) -> Tensor:
    """The other way round."""
    return pixels.permute(0, 1, 4, 2, 3)


class _Scale(Function):
    @staticmethod
    def forward(clips: Tensor, channel: Tensor, place: Tensor) -> Tensor:
        out = torch.empty_like(clips)
        for turn in _turns(clips, clips.shape[1]):
            frames = clips[:, turn]
            torch.mul(frames, channel[:, turn], out=out[:, turn]).addcmul_(frames, place[:, turn])
        return out

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return scale_backward(grad, *ctx.saved_tensors)


def scale_backward(grad: Tensor, clips: Tensor, channel: Tensor, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of ``scale_frames`` by its three arguments, from that by its result."""
    by_channel, by_place = [], []
    for turn in _turns(clips, clips.shape[1]):
        product = grad[:, turn] * clips[:, turn]
        by_channel.append(product.sum((3, 4), keepdim=True))
        by_place.append(product.sum(2, keepdim=True))
    return scale_frames(grad, channel, place), torch.cat(by_channel, dim=1), torch.cat(by_place, dim=1)


def scale_backward_(grad: Tensor, clips: Tensor, channel: Tensor, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``scale_backward`` in the memory of ``grad``, without second derivatives."""
    by_channel, by_place = torch.empty_like(channel), torch.empty_like(place)
    turns = _turns(clips, clips.shape[1])
    buffer = torch.empty_like(grad[:, turns[0]])
    for turn in turns:
        frames = grad[:, turn]
        torch.mul(frames, clips[:, turn], out=buffer)
        torch.sum(buffer, (3, 4), keepdim=True, out=by_channel[:, turn])
        torch.sum(buffer, 2, keepdim=True, out=by_place[:, turn])
        torch.mul(frames, place[:, turn], out=buffer)
        frames.mul_(channel[:, turn]).add_(buffer)
    return grad, by_channel, by_place


def _shift_(frames: Tensor, ahead: int, behind: int, back: bool, count: int) -> Tensor:
    return _Shift.forward(frames.unflatten(0, (-1, count)), ahead, behind, back).flatten(0, 1)


def _filter_(frames: Tensor, weight: Tensor, first: int, count: int) -> Tensor:
    return _Filter.forward(frames.unflatten(0, (-1, count)), weight, first).flatten(0, 1)


def _filter_weight_(weight: Tensor, grad: Tensor, frames: Tensor, first: int, count: int) -> Tensor:
    grad, frames = (maps.unflatten(0, (-1, count)) for maps in (grad, frames))
    return _correlate(grad, frames, range(first, first + 3)).contiguous()


_shift = operator("shift", _shift_)
_filter = operator("filter", _filter_)
_filter_weight = operator("filter_weight", _filter_weight_)


def _shift_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.how = inputs[1:]


def _shift_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    ahead, behind, back, count = ctx.how
    return _shift(grad, ahead, behind, not back, count), None, None, None, None


def _filter_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.first, ctx.count = inputs
    ctx.save_for_backward(*tensors)


def _filter_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    (frames, weight), first, count = ctx.saved_tensors, ctx.first, ctx.count
    by_frames = _filter(grad, weight.flip(1), -2 - first, count) if ctx.needs_input_grad[0] else None
    by_weight = _filter_weight(weight, grad, frames, first, count) if ctx.needs_input_grad[1] else None
    return by_frames, by_weight, None, None


_shift.register_autograd(_shift_backward, setup_context=_shift_setup)
_filter.register_autograd(_filter_backward, setup_context=_filter_setup)
