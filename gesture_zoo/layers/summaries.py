"""What an excitation needs of clips that are filtered in time, and the gradient of it.

As in recompute.py the backward pass filters the clips again instead of keeping them. Gradients by the filtered clips,
which come from two sides, are added up and brought back through the filter in the memory of the first.
"""

from __future__ import annotations

from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd import Function

from .kernels import channels_lie_together
from .operators import is_traced
from .pointwise import POINTWISE, is_pointwise, maps, matrices
from .processor import is_quickest_to_convolve
from .recompute import Again, is_recomputable, settings_of
from .time_filter import filter_time, filter_time_back_


def is_summarised(squeeze: nn.Module, clips: Tensor, weight: Tensor) -> TypeGuard[nn.Conv2d]:
    """Whether ``filter_and_summarise`` takes such a module: a 1x1 convolution without bias, in training."""
    if is_traced() or not is_recomputable(squeeze, clips if clips.requires_grad else weight):
        return False
    return squeeze.bias is None and is_pointwise(squeeze.weight, settings_of(squeeze))


def filter_and_summarise(
    squeeze: nn.Conv2d, clips: Tensor, weight: Tensor, first: int, again: Again
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``filter_time(clips, weight, first)`` of clips (N, T, C, H, W), and what an excitation needs of it.

    ``squeeze``, a 1x1 convolution without bias, of its frames, (N*T, R, H, W); its means over channels,
    (N, T, 1, H, W), and over space, (N, T, C, 1, 1). ``again(clips, weight)`` gives the filtered clips once more, for
    the backward pass. Their gradient is overwritten there, so they are for ``conv_of_scaled`` alone.

    >>> squeeze, clips = nn.Conv2d(4, 2, 1, bias=False), torch.randn(1, 3, 4, 5, 5)
    >>> parts = filter_and_summarise(squeeze, clips, torch.ones(4, 1, 3), -1, filter_time)
    >>> [tuple(part.shape) for part in parts]
    [(1, 3, 4, 5, 5), (3, 2, 5, 5), (1, 3, 1, 5, 5), (1, 3, 4, 1, 1)]
    """
    made, squeezed, over_channels, over_space = _Summaries.apply(again, first, clips, weight, squeeze.weight)
    return made, squeezed, over_channels.unflatten(0, clips.shape[:2]), over_space


class _Summaries(Function):
    """One matrix product gives the squeezed frames and, by a row of ones, the mean over channels.

    Where convolutions are the quickest it is one of them, and the mean is taken by itself.
    """

    @staticmethod
    def forward(again: Again, first: int, clips: Tensor, weight: Tensor, squeeze: Tensor) -> tuple[Tensor, ...]:
        made, together = filter_time(clips, weight, first), channels_lie_together(clips)
        frames, over_space = made.flatten(0, 1), made.mean((3, 4), keepdim=True)
        with torch.autocast(clips.device.type, enabled=False):
            if _is_convolved(made):
                return made, torch.conv2d(frames, squeeze.to(made.dtype)), frames.mean(1, keepdim=True), over_space
            pixels, rows = matrices(frames, together), with_mean(squeeze, made)
            both = maps(pixels @ rows.t() if together else rows @ pixels, clips)
        # No views of one tensor: what a Function gives may be changed in place.
        squeezed, over_channels = (part.clone() for part in (both[:, :-1], both[:, -1:]))
        return made, squeezed, over_channels, over_space

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.again, ctx.first, *kept = inputs
        ctx.save_for_backward(*kept)

    @staticmethod
    def backward(
        ctx: Any, by_made: Tensor, by_squeezed: Tensor, by_channels: Tensor, by_space: Tensor
    ) -> tuple[Tensor | None, ...]:
        clips, weight, squeeze = ctx.saved_tensors
        made, needs = ctx.again(clips, weight), ctx.needs_input_grad[2:4]
        spread = by_space / (clips.shape[3] * clips.shape[4])
        back = _back_by_convolving if _is_convolved(made) else _back_by_products
        grad, by_squeeze = back(by_made, by_squeezed, by_channels, made, squeeze)
        found = filter_time_back_(grad, clips, weight, ctx.first, spread, needs)
        return None, None, *found, by_squeeze


def _is_convolved(made: Tensor) -> bool:
    if made.device.type != "cpu" or not channels_lie_together(made) or not is_quickest_to_convolve(made.dtype):
        return False
    return torch.get_num_threads() > 1 or made.shape[0] * made.shape[1] >= 16  # else PyTorch makes it a product anyway


def _back_by_products(
    by_made: Tensor, by_squeezed: Tensor, by_channels: Tensor, made: Tensor, squeeze: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients by the filtered clips, in the memory of the first one, and by the weight of the squeeze."""
    together = channels_lie_together(made)
    rows, pixels = with_mean(squeeze, made), matrices(made.flatten(0, 1), together)
    back = matrices(by_made.flatten(0, 1), together)
    by_both = matrices(torch.cat((by_squeezed, by_channels), dim=1), together)
    if together:
        by_rows = by_both.flatten(0, 1).t() @ pixels.flatten(0, 1)
        back = added(back.flatten(0, 1), by_both.flatten(0, 1), rows).view_as(back)
    else:
        by_rows = (by_both @ pixels.transpose(1, 2)).sum(0)
        back = added(back, rows.t().expand(len(back), -1, -1), by_both)
    by_squeeze = by_rows[:-1].to(squeeze.dtype).view_as(squeeze)
    return maps(back, made).unflatten(0, made.shape[:2]), by_squeeze


def _back_by_convolving(
    by_made: Tensor, by_squeezed: Tensor, by_channels: Tensor, made: Tensor, squeeze: Tensor
) -> tuple[Tensor, Tensor]:
    """As ``_back_by_products``."""
    settings = *POINTWISE[:3], False, [0, 0], 1, [True, True, False]
    frames = made.flatten(0, 1)
    arguments = by_squeezed, frames, squeeze.to(made.dtype), None
    of_squeezed, by_squeeze, _ = torch.ops.aten.convolution_backward(*arguments, *settings)
    of_channels = by_channels / made.shape[2]
    grad = by_made.flatten(0, 1)
    if torch.is_grad_enabled():
        grad = grad + of_squeezed + of_channels
    else:
        grad.add_(of_squeezed).add_(of_channels)
    return grad.unflatten(0, made.shape[:2]), by_squeeze.to(squeeze.dtype)


def added(total: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """A matrix, or several, and the product of two others; in its memory where no derivatives of it are wanted.

    A gradient by the filtered clips has nobody else who could want it.

    >>> with torch.no_grad():
    ...     added(torch.ones(1, 1), torch.tensor([[2.0]]), torch.tensor([[3.0]])).item()
    7.0
    """
    if torch.is_grad_enabled() or not total.is_contiguous():
        return total + a @ b
    return total.addmm_(a, b) if total.dim() == 2 else total.baddbmm_(a, b)


def with_mean(weight: Tensor, clips: Tensor) -> Tensor:
    """Weights (R, C, 1, 1) as a matrix, and below them those of the mean over C: (R+1, C).

    >>> with_mean(torch.zeros(1, 4, 1, 1), torch.zeros(1)).tolist()
    [[0.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]]
    """
    rows = weight.flatten(1)
    return torch.cat((rows, torch.full_like(rows[:1], 1 / rows.shape[1]))).to(clips.dtype)
