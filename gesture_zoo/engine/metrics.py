"""Numbers that describe how often a classifier is right, and how sure that number is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ModelError

Z95 = 1.959964  # of the normal distribution, 95 % lie within this many standard deviations


@dataclass(frozen=True)
class ClassAccuracy:
    """How many clips of one class were recognised, of how many."""

    right: int
    count: int

    @property
    def accuracy(self) -> float | None:
        """Share in [0, 1]; None for a class without clips."""
        return self.right / self.count if self.count else None


def wilson_interval(right: int, count: int, z: float = Z95) -> tuple[float, float]:
    """Where the true accuracy lies, in [0, 1], given ``right`` of ``count`` clips: by default with 95 % confidence.

    Wilson's score interval (E. B. Wilson, Probable inference, the law of succession, and statistical inference, Journal
    of the American Statistical Association 22, 1927), which stays sensible near 0 and 1 and for few clips. Without any
    clip nothing is known: (0, 1).

    >>> low, high = wilson_interval(8, 10)
    >>> round(low, 4), round(high, 4)
    (0.4902, 0.9433)
    """
    if not 0 <= right <= count:
        raise ModelError(f"right must be in 0 to count, got {right} of {count}")
    if not count:
        return 0.0, 1.0
    share, spread = right / count, z * z / count
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    # At 0 and at all of them one end is exact, and rounding must not move it.
    return (0.0 if right == 0 else max(0.0, centre - half)), (1.0 if right == count else min(1.0, centre + half))


def confusion_matrix(labels: Tensor, predictions: Tensor, num_classes: int) -> Tensor:
    """Counts (true, predicted) of class indices (N,), as int64 (num_classes, num_classes).

    >>> confusion_matrix(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    return torch.bincount(labels * num_classes + predictions, minlength=num_classes**2).view(num_classes, num_classes)


def per_class_accuracy(confusion: Tensor) -> list[ClassAccuracy]:
    """Accuracy of every class from a confusion matrix (true, predicted) of counts.

    >>> [(part.right, part.count, part.accuracy) for part in per_class_accuracy(torch.tensor([[3, 1], [0, 0]]))]
    [(3, 4, 0.75), (0, 0, None)]
    """
    pairs = zip(confusion.diagonal().tolist(), confusion.sum(1).tolist(), strict=True)
    return [ClassAccuracy(int(right), int(count)) for right, count in pairs]


def macro_accuracy(confusion: Tensor) -> float:
    """Mean accuracy, in [0, 1], of the classes that occur: each counts the same, however many clips it has.

    0 where there is no clip at all.

    >>> macro_accuracy(torch.tensor([[3, 1, 0], [2, 2, 0], [0, 0, 0]]))
    0.625
    """
    known = [part.accuracy for part in per_class_accuracy(confusion) if part.accuracy is not None]
    return math.fsum(known) / len(known) if known else 0.0


def weighted_means(parts: Sequence[tuple[Mapping[str, float], int]]) -> dict[str, float]:
    """The mean of every value over parts of so many clips; a value that some parts lack is a mean over the others.

    >>> weighted_means([({"top1": 1.0, "res1": 0.5}, 2), ({"top1": 0.0}, 2)])
    {'top1': 0.5, 'res1': 0.5}
    """
    means = {}
    for name in dict.fromkeys(name for values, _ in parts for name in values):
        there = [(values[name], clips) for values, clips in parts if name in values]
        means[name] = sum(value * clips for value, clips in there) / sum(clips for _, clips in there)
    return means
