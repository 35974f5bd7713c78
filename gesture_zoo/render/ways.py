"""How a hand comes to where a stroke begins and goes from where it ends: how long that takes, and by way of what."""

from __future__ import annotations

import torch

from .classes import GESTURES
from .draws import Draw
from .hand import POSITION
from .ranges import MotionRanges

LINES = tuple(i for i, name in enumerate(GESTURES) if name.startswith(("Swiping", "Pushing", "Pulling")))
"""Gestures that go from one place to another, and could be taken for the way there or back."""


def calm_seconds(
    way: torch.Tensor, seconds: torch.Tensor, poses: torch.Tensor, stroke: torch.Tensor, calmer: torch.Tensor
) -> torch.Tensor:
    """Seconds (n,) for a way (n, 3), of poses (n, M, 15) that are a stroke of so many seconds (n,): along the stroke's
    line the hand is `calmer` (n,) times slower than in the stroke, or more.

    >>> poses = torch.zeros(1, 2, 15)
    >>> poses[0, 1, 0] = 0.3  # 0.3 m to the left in 0.5 s; the way there is 0.2 m to the right
    >>> half = torch.tensor([0.5])
    >>> calm_seconds(torch.tensor([[-0.2, 0.4, 0.0]]), 0 * half, poses, half, torch.tensor([1.5]))
    tensor([0.5000])
    """
    path = poses[:, -1, POSITION] - poses[:, 0, POSITION]
    length = path.norm(dim=-1)
    along = (way * path).sum(-1).abs() / length.clamp(min=1e-3)
    needed = along * calmer * stroke / length.clamp(min=1e-3)
    return seconds.maximum(torch.where(length > 0.08, needed, 0 * needed).clamp(max=1.4))


def goes_both_ways(labels: torch.Tensor, ranges: MotionRanges, draw: Draw) -> torch.Tensor:
    """Which of the events (n,) have a hand that makes the stroke's way backwards too: (n,) bool.

    >>> goes_both_ways(torch.arange(8), MotionRanges(to_and_fro=1.0), Draw(torch.Generator())).tolist()
    [True, True, True, True, True, True, False, False]
    """
    return torch.isin(labels, torch.tensor(LINES, device=labels.device)) & draw.chance(ranges.to_and_fro, len(labels))


def turning_seconds(
    one: torch.Tensor, turn: torch.Tensor, two: torch.Tensor, stroke: torch.Tensor, ranges: MotionRanges, draw: Draw
) -> torch.Tensor:
    """Seconds (n,) of a way from one pose (n, 15) to a turn and from there to another pose, half of them for each.

    The part that is the stroke's way takes as long as the stroke or longer, or which is which could not be told; none
    is faster than 2 m/s on average.

    >>> pose, stroke = torch.zeros(1, 15), torch.tensor([0.5])
    >>> turning_seconds(pose, pose, pose, stroke, MotionRanges(calmer=(2.0, 2.0)), Draw(torch.Generator()))
    tensor([2.])
    """
    parts = torch.stack([turn - one, two - turn])[..., POSITION].norm(dim=-1)
    slower = draw.log_uniform(ranges.calmer, len(stroke)).clamp(min=1)
    return (2 * stroke * slower).clamp(max=2.4).maximum(parts.amax(0))
