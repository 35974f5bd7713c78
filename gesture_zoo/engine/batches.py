"""Which clips make the batches of an epoch, and where an interrupted epoch goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch.utils.data import Sampler

from ..data import ClipBatch
from ..data.sampling import sample_generator
from ..errors import DataError
from .distributed import rank, world_size


class Key(NamedTuple):
    """A clip in an epoch."""

    epoch: int
    clip: int


class EpochBatches(Sampler[list[Key]]):
    """Batches of one process in training, in an order of their own for every (seed, epoch).

    All processes share one order; of each stretch of world_size x batch_size clips each takes its part, so that n
    processes see together what one with n times the batch sees. ``start`` is the first clip of that order to come: the
    place where an interrupted epoch goes on. A last batch of one clip is left out: BatchNorm cannot learn from it.

    >>> batches = EpochBatches(5, 2, seed=0)
    >>> len(batches), [len(batch) for batch in batches]
    (2, [2, 2])
    """

    def __init__(self, size: int, batch_size: int, *, seed: int) -> None:
        self.size = size
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0
        self.start = 0
        self.rank, self.world_size = rank(), world_size()

    def __len__(self) -> int:
        return len(self.firsts(0))

    def firsts(self, start: int) -> range:
        """Where in the order the batches from clip ``start`` on begin."""
        together = self.batch_size * self.world_size
        rest = (self.size - start) % together
        each = rest // self.world_size  # clips of every process in the last batch
        keep = each >= min(2, self.batch_size) or (each == 1 and self.size < together)
        return range(start, self.size - rest + keep, together)

    def __iter__(self) -> Iterator[list[Key]]:
        order = torch.randperm(self.size, generator=sample_generator(self.seed, self.epoch)).tolist()
        for first in self.firsts(self.start):
            together = order[first : first + self.batch_size * self.world_size]
            each = len(together) // self.world_size
            yield [Key(self.epoch, index) for index in together[self.rank * each : (self.rank + 1) * each]]


def check_labels(batch: ClipBatch, classes: int) -> None:
    """DataError that names the first clip whose label is none of so many classes."""
    for clip, label in zip(batch.ids, batch.labels.tolist(), strict=True):
        if not 0 <= label < classes:
            raise DataError(f"clip {clip} has label {label}, the model knows {classes} classes, from 0")
