"""What the temporal modules do to whole frames, in as few passes over memory as PyTorch's operations allow.

A 25 MB temporary costs more than the arithmetic on it, since its pages come fresh from the system every time. So each
operation here allocates its result alone, fills it frame by frame, so that a frame stays in the cache meanwhile, and
keeps the layout of its input (channels_last too). Their backward passes are written out for the same reason. Small
clips, and on a GPU all, are taken as a whole: there the many small steps would cost more than the memory does. In an
exported graph, and in a compiled one for GPUs, plain forms take their place, which a compiler fuses by itself (what it
is to make again in the backward pass: recompute.py); for CPUs it gets the shift as an operator (see operators.py),
filters and gains in a form of their own (see in_passing.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from ..errors import ModelError
from .operators import called, is_traced, operator, takes_operators

_FEW_NUMBERS = 2**21  # of clips that are in the cache as a whole


def shift_channels(clips: Tensor, ahead: int, behind: int, *, anew: bool = False) -> Tensor:
    """Clips (N, T, C, H, W) with frame t+1 in the first ``ahead`` channels, t-1 in the next ``behind``, else zero.

    ``anew`` is for backward passes, as in ``filter_time``.

    >>> shift_channels(torch.arange(1.0, 7).view(1, 2, 3, 1, 1), 1, 1).flatten().tolist()
    [4.0, 0.0, 3.0, 0.0, 2.0, 6.0]
    """
    if clips.dim() != 5:
        raise ModelError(f"time is shifted in feature maps (N*T, C, H, W), not in {clips.dim() - 1} dimensions")
    if takes_operators(clips):
        return called(_shift, clips, ahead, behind, False, anew).view_as(clips)
    if is_traced():
        # cat and pad: exporters bake assignments to slices in.
        future, past, still = clips.tensor_split((ahead, ahead + behind), dim=2)
        move = partial(moved, anew=anew)
        parts = (move(future, 1) if ahead else None, move(past, -1) if behind else None, still)  # no padded nothings
        return torch.cat([part for part in parts if part is not None], dim=2)
    return _Shift.apply(clips, ahead, behind, False)


def shifted_in_parts(clips: Tensor, ahead: int, behind: int) -> Iterator[Tensor]:
    """Frames (M, C, H, W) of ``shift_channels(clips, ahead, behind)``, a few at a time, in memory that is used again.

    >>> [part.flatten().tolist() for part in shifted_in_parts(torch.arange(1.0, 7).view(1, 2, 3, 1, 1), 1, 1)]
    [[4.0, 0.0, 3.0, 0.0, 2.0, 6.0]]
    """
    count, still = clips.shape[1], ahead + behind
    few = min(count, _few_frames(clips))
    memory = clips.new_empty(few, *clips.shape[2:])
    for clip in clips:
        for start in range(0, count, few):
            stop = min(start + few, count)
            part = memory[: stop - start]
            part[:, still:] = clip[start:stop, still:]
            last, first = min(stop, count - 1), max(start, 1)  # frames that have a next one, and one before
            part[: last - start, :ahead] = clip[start + 1 : last + 1, :ahead]
            part[last - start :, :ahead] = 0
            part[first - start :, ahead:still] = clip[first - 1 : stop - 1, ahead:still]
            part[: first - start, ahead:still] = 0
            yield part


def shift_channels_back(clips: Tensor, ahead: int, behind: int) -> Tensor:
    """Where what ``shift_channels`` moved came from: its transpose."""
    return _Shift.apply(clips, ahead, behind, True)


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
    turns = in_turns(clips, clips.shape[1], buffered=True)
    gain = torch.empty_like(clips[:, turns[0]])
    for turn in turns:
        clips[:, turn].mul_(torch.add(channel[:, turn], place[:, turn], out=gain))
    return clips


def scaled_in_parts(clips: Tensor, channel: Tensor, place: Tensor) -> Iterator[Tensor]:
    """Frames (M, C, H, W) of ``scale_frames_(clips, channel, place)``, a few at a time, while they are in the cache."""
    few = _few_frames(clips)
    for frames, by_channel, by_place in zip(clips, channel, place, strict=True):
        for start in range(0, len(frames), few):
            part = frames[start : start + few]
            yield part.mul_(by_channel[start : start + few] + by_place[start : start + few])


def moved(clips: Tensor, step: int, *, anew: bool = False) -> Tensor:
    """Shift clips (N, T, C, H, W) so that frame t holds frame t + ``step``, or zeros where there is none.

    ``anew`` is for backward passes, as in ``filter_time``.
    """
    step = max(-clips.shape[1], min(clips.shape[1], step))
    part = clips[:, max(step, 0) : clips.shape[1] + min(step, 0)]
    if anew and step != 0:
        nothing = torch.zeros_like(clips[:, : abs(step)])
        return torch.cat((part, nothing) if step > 0 else (nothing, part), dim=1)
    return part if step == 0 else F.pad(part, (0, 0, 0, 0, 0, 0, max(-step, 0), max(step, 0)))


def in_turns(clips: Tensor, count: int, *, buffered: bool = False) -> list[slice]:
    """The first ``count`` frames of clips, as what is worked on at a time.

    Each alone, so that it stays in the cache. All at once: few numbers, unless a buffer of their size is needed, and on
    a GPU any.
    """
    if clips.device.type != "cpu" or (clips.numel() <= _FEW_NUMBERS and not buffered):
        return [slice(0, count)]
    return [slice(t, t + 1) for t in range(count)]


def _few_frames(clips: Tensor) -> int:
    """How many frames of clips are in the cache together."""
    return max(1, _FEW_NUMBERS // clips[0, 0].numel())


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


def channels_lie_together(clips: Tensor) -> bool:
    """Whether the channels of a pixel lie side by side."""
    return clips.shape[2] > 1 and clips.stride(2) == 1


class _Scale(Function):
    @staticmethod
    def forward(clips: Tensor, channel: Tensor, place: Tensor) -> Tensor:
        out = torch.empty_like(clips)
        for turn in in_turns(clips, clips.shape[1]):
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
    for turn in in_turns(clips, clips.shape[1]):
        product = grad[:, turn] * clips[:, turn]
        by_channel.append(product.sum((3, 4), keepdim=True))
        by_place.append(product.sum(2, keepdim=True))
    return scale_frames(grad, channel, place), torch.cat(by_channel, dim=1), torch.cat(by_place, dim=1)


def scale_backward_(grad: Tensor, clips: Tensor, channel: Tensor, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``scale_backward`` in the memory of ``grad``, without second derivatives."""
    by_channel, by_place = torch.empty_like(channel), torch.empty_like(place)
    turns = in_turns(clips, clips.shape[1], buffered=True)
    buffer = torch.empty_like(grad[:, turns[0]])
    for turn in turns:
        frames = grad[:, turn]
        torch.mul(frames, clips[:, turn], out=buffer)
        torch.sum(buffer, (3, 4), keepdim=True, out=by_channel[:, turn])
        torch.sum(buffer, 2, keepdim=True, out=by_place[:, turn])
        torch.mul(frames, place[:, turn], out=buffer)
        frames.mul_(channel[:, turn]).add_(buffer)
    return grad, by_channel, by_place


def _shift_(frames: Tensor, ahead: int, behind: int, back: bool, anew: bool, count: int) -> Tensor:
    """``anew`` makes it another call for a compiler."""
    return _Shift.forward(frames.unflatten(0, (-1, count)), ahead, behind, back).flatten(0, 1)


_shift = operator("shift", _shift_)


def _shift_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.how = inputs[1:]


def _shift_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    ahead, behind, back, anew, count = ctx.how
    return _shift(grad, ahead, behind, not back, anew, count), None, None, None, None, None


_shift.register_autograd(_shift_backward, setup_context=_shift_setup)
