"""MSDLoss: cross-entropy, plus the mean squared error of every mask to the depth.

Equation 3 of Fan et al. 2021 (arXiv 2110.15639): CE : local : global = 1 : 1 : 0.01.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import DataError, ModelError
from .wrapper import MSDOutput


class MSDLoss(nn.Module):
    """Loss of an ``MSDOutput`` (or of plain logits) against labels and depth.

    ``weights``: factor per tap name, instead of the taps' own. ``binarize``: threshold in [0, 1] above which
    depth counts as 1 and below as 0 (the paper's ablation: 10 / 255). ``label_smoothing``: as in
    ``torch.nn.CrossEntropyLoss``. ``all_processes``: divide the mask terms by the valid pixels of all processes instead
    of this one's, so that the mean of the processes' losses is the loss of all their clips together, however their
    valid pixels are spread; every process must then compute the loss of every step.

    Called with the output, ``target`` (N,) class indices, ``depth`` (N, T, 1, H, W) in [0, 1] with nearer =
    larger, or None, and ``valid``, a boolean mask of its shape; a sample without depth has no valid pixel.
    Without any depth the mask terms are zero but stay in the graph, so that every parameter gets a gradient
    and DistributedDataParallel is content. Depth of another shape or range, or NaN where valid, is a DataError.

    >>> out = MSDOutput(torch.zeros(2, 5), {"res1": torch.zeros(2, 8, 1, 4, 4)}, {"res1": 1.0})
    >>> round(MSDLoss()(out, torch.tensor([0, 1]), torch.ones(2, 8, 1, 4, 4)).item(), 4)
    2.6094
    """

    def __init__(
        self,
        *,
        weights: Mapping[str, float] | None = None,
        binarize: float | None = None,
        label_smoothing: float = 0.0,
        all_processes: bool = False,
    ) -> None:
        super().__init__()
        if binarize is not None and not 0 <= binarize <= 1:
            raise ModelError(f"binarize is a threshold on depth in [0, 1], got {binarize!r}; the paper's is 10 / 255")
        self.weights = dict(weights) if weights is not None else None
        self.binarize = binarize
        self.label_smoothing = label_smoothing
        self.all_processes = all_processes

    def forward(
        self, output: MSDOutput | Tensor, target: Tensor, depth: Tensor | None = None, valid: Tensor | None = None
    ) -> Tensor:
        """The weighted sum of all terms, a scalar."""
        return self.total(output, self.terms(output, target, depth, valid))

    def total(self, output: MSDOutput | Tensor, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of ``terms``, for those who want both."""
        weights = {"ce": 1.0} | self.tap_weights(output)
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum()

    def terms(
        self, output: MSDOutput | Tensor, target: Tensor, depth: Tensor | None = None, valid: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The terms before weighting: "ce" and one mean squared error per tap name."""
        logits, masks = (output, {}) if isinstance(output, Tensor) else (output.logits, output.masks)
        terms = {"ce": F.cross_entropy(logits.float(), target, label_smoothing=self.label_smoothing)}
        if depth is None:
            for mask in masks.values():
                self.count_valid(mask.new_zeros((), dtype=torch.float32))  # the others wait for this process
            return terms | {
                # Zero whatever the mask holds: half precision may overflow where nothing supervises it.
                name: mask.float().nan_to_num(0, 0, 0).sum() * 0
                for name, mask in masks.items()
            }
        if not masks:
            return terms
        depth, weight = check_depth(depth, valid, next(iter(masks.values())))
        if self.binarize is not None:
            depth = (depth > self.binarize).float()
        for name, mask in masks.items():
            target_depth, share = resize_depth(depth, weight, mask.shape[-2:])
            terms[name] = masked_mse(mask.float(), target_depth, share, count=self.count_valid(share.sum()))
        return terms

    def count_valid(self, count: Tensor) -> Tensor:
        """The number of valid pixels to divide by."""
        if self.all_processes and dist.is_initialized():
            count = count.clone()
            dist.all_reduce(count)
            count /= dist.get_world_size()
        return count

    def tap_weights(self, output: MSDOutput | Tensor) -> dict[str, float]:
        """Factor per tap: ``weights`` where given (for exactly these taps), else the taps' own."""
        if isinstance(output, Tensor):
            return {}
        if self.weights is None:
            return {name: output.weights.get(name, 1.0) for name in output.masks}
        if set(self.weights) != set(output.masks):
            raise ModelError(
                f"MSDLoss has weights for {', '.join(self.weights) or 'no tap'}, "
                f"the model has taps {', '.join(output.masks)}"
            )
        return self.weights


def check_depth(depth: Tensor, valid: Tensor | None, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Depth with zeros where invalid, and validity as 0 or 1, both float like ``depth``; else a DataError."""
    lead = tuple(mask.shape[:-3])
    shape = f"({', '.join(str(size) for size in lead)}, 1, H, W)"
    if depth.dim() != mask.dim() or tuple(depth.shape[:-2]) != (*lead, 1):
        raise DataError(f"expected depth {shape} beside the masks, got {tuple(depth.shape)}")
    if not depth.is_floating_point():
        raise DataError(f"expected float depth in [0, 1], got {depth.dtype}: divide 8-bit depth by 255")
    if valid is None:
        valid = torch.ones_like(depth, dtype=torch.bool)
    elif valid.shape != depth.shape:
        raise DataError(f"expected valid of depth's shape {tuple(depth.shape)}, got {tuple(valid.shape)}")
    valid = valid.bool()
    depth = torch.where(valid, depth.float(), 0.0)
    if not torch.compiler.is_compiling():
        low, high = torch.stack(torch.aminmax(depth)).tolist()  # one wait for a GPU, not two
        if not (low >= 0 and high <= 1):  # written so that NaN fails too
            raise DataError(
                f"expected depth in [0, 1], nearer = larger, without NaN; got values in [{low:g}, {high:g}]"
            )
    return depth, valid.float()


def resize_depth(depth: Tensor, weight: Tensor, size: tuple[int, int] | torch.Size) -> tuple[Tensor, Tensor]:
    """Depth and its weight, resized bilinearly to ``size``; only valid pixels count in a resized one."""
    if depth.shape[-2:] == torch.Size(size):
        return depth, weight
    lead = depth.shape[:-3]
    stacked = torch.cat((depth, weight), dim=-3).flatten(0, -4)  # (N*T, 2, H, W); invalid depth is zero
    resized = F.interpolate(stacked, tuple(size), mode="bilinear", align_corners=False)
    total, share = resized.unflatten(0, lead).split(1, dim=-3)
    return total / share.clamp(min=torch.finfo(share.dtype).eps), share


def masked_mse(mask: Tensor, depth: Tensor, weight: Tensor, *, count: Tensor) -> Tensor:
    """Sum of squared errors over the valid pixels divided by ``count``; zero, with a graph, where there are none."""
    return (weight * (mask - depth).square()).sum() / count.clamp(min=1.0)
