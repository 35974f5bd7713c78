"""The products of shifted channels in pointwise.py as operators, for compiled models on CPUs (see operators.py)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .operators import operator
from .pointwise import conv2d_of_shifted, conv2d_of_shifted_backward


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


of_shifted = operator("conv_of_shifted", _of_shifted, lambda frames, weight, *_: _answers(frames, weight))
by_shifted = operator(
    "conv_of_shifted_backward",
    _by_shifted,
    lambda grad, frames, weight, *_: (torch.empty_like(frames), torch.empty_like(weight)),
)


def _shifted_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    frames, weight, _, *ctx.how = inputs
    ctx.save_for_backward(frames, weight)


def _shifted_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    grad = grad.contiguous(memory_format=torch.channels_last)
    by_bias = grad.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None
    return *by_shifted(grad, *ctx.saved_tensors, *ctx.how), by_bias, None, None, None


of_shifted.register_autograd(_shifted_backward, setup_context=_shifted_setup)
