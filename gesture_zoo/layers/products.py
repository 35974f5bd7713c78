"""The products of pointwise.py as operators, for compiled models on CPUs (see operators.py)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .operators import operator
from .pointwise import conv2d_of_scaled, conv2d_of_scaled_backward, conv2d_of_shifted, conv2d_of_shifted_backward


def _clips(frames: Tensor, count: int) -> Tensor:
    return frames.unflatten(0, (-1, count))


def _answers(frames: Tensor, weight: Tensor) -> Tensor:
    """What answers to frames look like."""
    shape = (len(frames), len(weight), *frames.shape[2:])
    return frames.new_empty(shape).contiguous(memory_format=torch.channels_last)


def _of_shifted(
    frames: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    ahead: int,
    behind: int,
    count: int,
) -> Tensor:
    return conv2d_of_shifted(_clips(frames, count), ahead, behind, weight, bias)


def _by_shifted(
    grad: Tensor, frames: Tensor, weight: Tensor, ahead: int, behind: int, count: int
) -> tuple[Tensor, Tensor]:
    needs = (True, True, False)
    by_clips, by_weight, _ = conv2d_of_shifted_backward(grad, _clips(frames, count), ahead, behind, weight, needs)
    assert by_clips is not None and by_weight is not None
    return by_clips.flatten(0, 1), by_weight


def _of_scaled(
    frames: Tensor,
    channel: Tensor,
    place: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    count: int,
) -> Tensor:
    return conv2d_of_scaled(_clips(frames, count), _clips(channel, count), _clips(place, count), weight, bias)


def _by_scaled(
    grad: Tensor, frames: Tensor, channel: Tensor, place: Tensor, weight: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    clips, channel, place = (_clips(values, count) for values in (frames, channel, place))
    found = conv2d_of_scaled_backward(grad, clips, channel, place, weight, None)
    return found.clips.flatten(0, 1), found.channel.flatten(0, 1), found.place.flatten(0, 1), found.weight


of_shifted = operator("conv_of_shifted", _of_shifted, lambda frames, weight, *_: _answers(frames, weight))
by_shifted = operator(
    "conv_of_shifted_backward",
    _by_shifted,
    lambda grad, frames, weight, *_: (torch.empty_like(frames), torch.empty_like(weight)),
)
of_scaled = operator("conv_of_scaled", _of_scaled, lambda frames, channel, place, weight, *_: _answers(frames, weight))
by_scaled = operator(
    "conv_of_scaled_backward", _by_scaled, lambda grad, *values: tuple(torch.empty_like(value) for value in values[:4])
)


def _shifted_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    frames, weight, _, *ctx.how = inputs
    ctx.save_for_backward(frames, weight)


def _shifted_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    grad = grad.contiguous(memory_format=torch.channels_last)
    by_bias = grad.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None
    return *by_shifted(grad, *ctx.saved_tensors, *ctx.how), by_bias, None, None, None


def _scaled_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *kept, _, ctx.count = inputs
    ctx.save_for_backward(*kept)


def _scaled_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    grad = grad.contiguous(memory_format=torch.channels_last)
    by_bias = grad.sum((0, 2, 3)) if ctx.needs_input_grad[4] else None
    return *by_scaled(grad, *ctx.saved_tensors, ctx.count), by_bias, None


of_shifted.register_autograd(_shifted_backward, setup_context=_shifted_setup)
of_scaled.register_autograd(_scaled_backward, setup_context=_scaled_setup)
