"""What an excitation needs of clips, in one pass over them, and the gradient of it in another.

As in recompute.py the backward pass makes the clips again instead of keeping them.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from .kernels import channels_lie_together
from .pointwise import maps, matrices
from .recompute import Again, is_recomputable


def squeeze_and_means(
    squeeze: nn.Module, clips: Tensor, again: Again, *sources: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What an excitation needs of clips (N, T, C, H, W), in one pass: ``squeeze`` of their frames, and two means.

    ``squeeze`` is a 1x1 convolution without bias, its answer (N*T, R, H, W). The means are those over channels,
    (N, T, 1, H, W), and over space, (N, T, C, 1, 1). Before them stand the clips themselves, for ``conv_of_scaled``:
    its gradient is added to in place.

    >>> squeeze, clips = nn.Conv2d(4, 2, 1, bias=False), torch.randn(1, 3, 4, 5, 5)
    >>> [tuple(part.shape) for part in squeeze_and_means(squeeze, clips, torch.clone, clips)]
    [(1, 3, 4, 5, 5), (3, 2, 5, 5), (1, 3, 1, 5, 5), (1, 3, 4, 1, 1)]
    """
    if not is_recomputable(squeeze, clips):
        means = clips.mean(2, keepdim=True), clips.mean((3, 4), keepdim=True)
        return clips, squeeze(clips.flatten(0, 1)), *means
    same, both, over_space = _Summaries.apply(again, clips, squeeze.weight, *sources)
    both = maps(both, clips)
    squeezed, over_channels = both[:, :-1], both[:, -1:]
    return same, squeezed, over_channels.unflatten(0, clips.shape[:2]), over_space


class _Summaries(Function):
    """One matrix product gives the squeezed frames and, by a row of ones, the mean over channels."""

    @staticmethod
    def forward(again: Again, clips: Tensor, weight: Tensor, *sources: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        together = channels_lie_together(clips)
        with torch.autocast(clips.device.type, enabled=False):
            pixels, rows = matrices(clips.flatten(0, 1), together), _with_mean(weight, clips)
            both = pixels @ rows.t() if together else rows @ pixels
        return clips.view_as(clips), both, clips.mean((3, 4), keepdim=True)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.again, _, *kept = inputs
        ctx.save_for_backward(*kept)

    @staticmethod
    def backward(ctx: Any, by_clips: Tensor, by_both: Tensor, by_space: Tensor) -> tuple[Tensor | None, ...]:
        weight, *sources = ctx.saved_tensors
        clips = ctx.again(*sources)
        together = channels_lie_together(clips)
        rows, pixels = _with_mean(weight, clips), matrices(clips.flatten(0, 1), together)
        # The mean over space is one more row of such a product: its gradient times ones.
        spread = (by_space / (clips.shape[3] * clips.shape[4])).flatten(0, 1).flatten(2)  # (N*T, C, 1)
        columns = torch.cat((rows.t().expand(len(spread), -1, -1), spread), dim=2)  # (N*T, C, R+2)
        if together:
            flat = F.pad(by_both, (0, 1), value=1.0)  # (N*T, H*W, R+2)
            factors = flat, columns.transpose(1, 2)
            grad_weight = (flat.transpose(1, 2) @ pixels).sum(0)
        else:
            flat = F.pad(by_both, (0, 0, 0, 1), value=1.0)  # (N*T, R+2, H*W)
            factors = columns, flat
            grad_weight = (flat @ pixels.transpose(1, 2)).sum(0)
        grad_weight = grad_weight[:-2].to(weight.dtype).view_as(weight)
        rest = matrices(by_clips.flatten(0, 1), together)
        # A gradient by the clips has nobody else who could want it, and is a matrix of its own.
        alone = not torch.is_grad_enabled() and rest.is_contiguous()
        found = rest.baddbmm_(*factors) if alone else torch.baddbmm(rest, *factors)
        grad_clips = maps(found, clips).unflatten(0, clips.shape[:2])
        return None, grad_clips, grad_weight, *(None for _ in sources)


def _with_mean(weight: Tensor, clips: Tensor) -> Tensor:
    """Weights (R, C, 1, 1) as a matrix, and below them those of the mean over C: (R+1, C)."""
    rows = weight.flatten(1)
    return torch.cat((rows, torch.full_like(rows[:1], 1 / rows.shape[1]))).to(clips.dtype)
