"""Whether nearer really is larger in decoded depth, told from the pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# A clip votes if this share of what passes is on one side of what it passes.
CLEAR = 0.6
# Clips that vote agree to this share, and by chance with less than this probability, or the verdict stays open.
MAJORITY, SIGNIFICANCE = 2 / 3, 0.05
MIN_PIXELS = 50


@dataclass(frozen=True)
class Polarity:
    """How many clips say that nearer is larger (``agree``), the opposite (``disagree``) or neither (``open``)."""

    agree: int
    disagree: int
    open: int

    @property
    def chance(self) -> float:
        """Probability of votes at least as one-sided from clips that know nothing (two-sided sign test)."""
        return sign_test(self.agree, self.disagree)

    @property
    def verdict(self) -> str:
        """ "agrees", "disagrees", or "cannot tell" where the votes are few or divided."""
        most, votes = max(self.agree, self.disagree), self.agree + self.disagree
        if most < MAJORITY * votes or self.chance > SIGNIFICANCE:
            return "cannot tell"
        return "agrees" if most == self.agree else "disagrees"


def depth_polarity(scores: Sequence[float | None]) -> Polarity:
    """The verdict on a dataset from ``nearer_share`` of its clips.

    >>> depth_polarity([0.9, 0.8, 0.95, 0.7, 0.5, 0.9, 0.85, None]).verdict
    'agrees'
    >>> depth_polarity([0.9, 0.8]).verdict
    'cannot tell'
    """
    agree = sum(score is not None and score >= CLEAR for score in scores)
    disagree = sum(score is not None and score <= 1 - CLEAR for score in scores)
    return Polarity(agree, disagree, len(scores) - agree - disagree)


def nearer_share(depth: Tensor, valid: Tensor) -> float | None:
    """Share of the pixels in which something passes by where that something has the larger depth.

    ``depth`` (T, 1, H, W) in [0, 1] and ``valid`` of the same shape. What passes before a pixel hides what the
    pixel shows most of the time, so it is nearer: in a clip with the right polarity the levels that a pixel has
    only for a moment are larger than its median over time. None where hardly anything passes, as in a clip of
    one or two frames, or before a background without measured depth.

    >>> depth = torch.full((8, 1, 16, 16), 0.2)
    >>> for t in range(8):
    ...     depth[t, 0, 4:12, 2 * t : 2 * t + 2] = 0.9
    >>> nearer_share(depth, torch.ones_like(depth, dtype=torch.bool))
    1.0
    """
    levels = depth[valid]
    if len(depth) < 3 or levels.numel() < MIN_PIXELS:
        return None
    # Steps finer than a tenth of the clip's range are sensor noise and compression.
    low, high = torch.quantile(levels[:: 1 + levels.numel() // 100_000].float(), torch.tensor([0.005, 0.995])).tolist()
    threshold = max(3 / 255, (high - low) / 10)
    deviation = depth - depth.masked_fill(~valid, math.nan).nanquantile(0.5, dim=0)
    # A median of few measurements is not what the pixel shows most of the time, and NaN compares as false.
    passing = valid & (deviation.abs() > threshold) & (valid.sum(0) >= 0.75 * len(depth))
    passing &= passing.sum(0) < len(depth) / 2
    count = int(passing.sum())
    return float((deviation[passing] > 0).float().mean()) if count >= MIN_PIXELS else None


def sign_test(first: int, second: int) -> float:
    """Probability that fair coins fall at least as unevenly as ``first`` to ``second``.

    >>> round(sign_test(7, 0), 4), sign_test(2, 2), sign_test(0, 0)
    (0.0156, 1.0, 1.0)
    """
    votes = first + second
    # Logarithms, because the binomial coefficients of a large dataset overflow.
    log_coins = math.lgamma(votes + 1) - votes * math.log(2)
    tail = (
        math.exp(log_coins - math.lgamma(k + 1) - math.lgamma(votes - k + 1)) for k in range(min(first, second) + 1)
    )
    return min(1.0, 2 * sum(tail))
