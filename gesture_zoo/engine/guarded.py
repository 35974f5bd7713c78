"""Datasets whose errors are part of what they give.

Raised in a worker process, an error arrives as a page of traceback without its type's message.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

from torch.utils.data import Dataset, IterableDataset, get_worker_info

from ..data import ClipSample
from ..data.sampling import seeded
from ..errors import DataError, GestureZooError
from .batches import Key
from .distributed import rank

MAX_REPLACEMENTS = 20


class Fault(NamedTuple):
    """What went wrong with a clip; a ``fatal`` fault ends the epoch whatever the policy."""

    error: GestureZooError
    fatal: bool = False


class Loaded(NamedTuple):
    """What became of one clip: the sample, unless none could be had, and the faults met."""

    sample: ClipSample | None
    faults: list[Fault]


class Guarded(Dataset[Loaded]):
    """A dataset that hands over errors instead of raising them, and with ``replace`` another clip."""

    def __init__(self, dataset: Any, *, replace: bool, seed: int) -> None:
        self.dataset = dataset
        self.replace = replace
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Key) -> Loaded:
        with seeded(self.seed, key.epoch, key.clip):
            return self.load(key.clip)

    def load(self, index: int) -> Loaded:
        """The clip, or what stands in for it."""
        faults: list[Fault] = []
        # Far from 1: neighbours in a list are often of one recording, and damaged together.
        stride = 7919 if len(self.dataset) % 7919 else 7907
        for attempt in range(MAX_REPLACEMENTS + 1 if self.replace else 1):
            try:
                return Loaded(self.dataset[(index + attempt * stride) % len(self.dataset)], faults)
            except GestureZooError as error:
                faults.append(Fault(error, fatal=not isinstance(error, DataError)))
        if self.replace:
            reason = f"{len(faults)} clips in a row cannot be read, the last: {faults[-1].error}"
            faults.append(Fault(DataError(reason), fatal=True))
        return Loaded(None, faults)


class GuardedStream(IterableDataset[Loaded]):
    """A stream that hands over errors instead of raising them; the next clip stands in for a damaged one."""

    def __init__(self, dataset: Any, *, seed: int) -> None:
        self.dataset = copy.copy(dataset)
        self.seed = seed
        self.place = rank()
        self.epoch = 0
        if hasattr(dataset, "errors"):
            self.dataset.errors = "yield"

    def __iter__(self) -> Iterator[Loaded]:
        info = get_worker_info()
        worker = info.id if info else 0
        stream = iter(self.dataset)
        position = 0
        while True:
            try:
                with seeded(self.seed, self.epoch, self.place, worker, position):
                    item = next(stream)
            except StopIteration:
                return
            except GestureZooError as error:
                yield Loaded(None, [Fault(error, fatal=True)])
                return
            position += 1
            yield Loaded(None, [Fault(item)]) if isinstance(item, GestureZooError) else Loaded(item, [])

    def set_epoch(self, epoch: int) -> None:
        """Choose the order and the draws of the next pass."""
        self.epoch = epoch
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)
