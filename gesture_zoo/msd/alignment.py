"""AlignmentLoss: two networks, of RGB and of depth, learn from each other where the other knows better.

Abavisani, Joze and Patel, "Improving the Performance of Unimodal Dynamic Hand-Gesture Recognition with Multimodal
Training", CVPR 2019, arXiv 1812.06145: spatiotemporal semantic alignment with a focal regulariser.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGEST_EXPONENT = 10.0  # a clip that one network is sure of and the other misses would else drown all others


@dataclass
class StreamsOutput:
    """What a network of RGB and one of depth answer in training.

    ``logits`` and ``depth_logits`` (N, K); ``maps`` and ``depth_maps`` (N, t, C, h, w), what is aligned; ``has_depth``
    (N,), which clips have depth at all.

    >>> maps = torch.rand(2, 2, 8, 3, 3)
    >>> out = StreamsOutput(torch.zeros(2, 5), torch.zeros(2, 5), maps, maps, torch.tensor([True, False]))
    >>> out.logits.shape, out.has_depth.tolist()
    (torch.Size([2, 5]), [True, False])
    """

    logits: Tensor
    depth_logits: Tensor
    maps: Tensor
    depth_maps: Tensor
    has_depth: Tensor


class AlignmentLoss(nn.Module):
    """Cross-entropy of both networks, and ``weight`` times the alignment of each with the other.

    Of a clip, the network with the larger cross-entropy is drawn towards the other's correlations between places and
    times, by exp(``beta`` * difference) - 1; the better one is not drawn at all. A clip without depth counts in the RGB
    network's cross-entropy alone. Means are over the clips of the batch.

    >>> maps = torch.rand(2, 2, 8, 3, 3)
    >>> output = StreamsOutput(torch.zeros(2, 5), torch.zeros(2, 5), maps, maps, torch.tensor([True, True]))
    >>> round(AlignmentLoss()(output, torch.tensor([0, 1])).item(), 4)
    3.2189
    """

    def __init__(self, *, weight: float = 0.05, beta: float = 2.0, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.weight, self.beta, self.label_smoothing = weight, beta, label_smoothing

    def forward(
        self,
        output: StreamsOutput | Tensor,
        target: Tensor,
        depth: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Tensor:
        """The weighted sum of all terms, a scalar; ``depth`` and ``valid`` were the network's to see."""
        return self.total(output, self.terms(output, target, depth, valid))

    def total(self, output: StreamsOutput | Tensor, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of ``terms``."""
        return torch.stack([term * (self.weight if name == "ssa" else 1.0) for name, term in terms.items()]).sum()

    def terms(
        self,
        output: StreamsOutput | Tensor,
        target: Tensor,
        depth: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The terms before weighting: "ce" of RGB, "depth_ce", and "ssa", the alignment both ways."""
        if isinstance(output, Tensor):
            return {"ce": self.cross_entropy(output, target).mean()}
        ce, depth_ce = (self.cross_entropy(logits, target) for logits in (output.logits, output.depth_logits))
        rgb, other = correlations(output.maps.float()), correlations(output.depth_maps.float())
        # Deviation: the mean over the matrix, not its sum, which grows with the fourth power of the maps' side. One nat
        # more between the networks counts e^beta times as much: summed, a few clips throw training off its course.
        to_depth = (rgb - other.detach()).square().mean((1, 2))
        to_rgb = (other - rgb.detach()).square().mean((1, 2))
        ssa = self.focus(ce - depth_ce) * to_depth + self.focus(depth_ce - ce) * to_rgb
        there = output.has_depth.float()
        return {"ce": ce.mean(), "depth_ce": (there * depth_ce).mean(), "ssa": (there * ssa).mean()}

    def cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        """Of every clip, (N,)."""
        return F.cross_entropy(logits.float(), target, reduction="none", label_smoothing=self.label_smoothing)

    def focus(self, difference: Tensor) -> Tensor:
        """The focal regulariser: how much to learn from a network whose cross-entropy is this much smaller, (N,)."""
        return (self.beta * difference.detach()).clamp(0, LARGEST_EXPONENT).expm1()


def correlations(maps: Tensor) -> Tensor:
    """Cosines between the features of all places and times of a clip: (N, t, C, h, w) to (N, thw, thw).

    >>> correlations(torch.rand(2, 2, 8, 3, 3)).shape
    torch.Size([2, 18, 18])
    """
    features = F.normalize(maps.permute(0, 1, 3, 4, 2).flatten(1, 3), dim=2)
    return features @ features.transpose(1, 2)
