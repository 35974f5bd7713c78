"""Loaders of clip batches: which clips make a batch, and what happens to a clip that cannot be read.

What is drawn for a clip in training (its frames, crop, colours) depends on the seed, the epoch and the clip alone: not
on how many worker processes there are, and not on whether the run was interrupted.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, IterableDataset

from ..data import ClipBatch, collate
from ..errors import DataError, ModelError
from ..memory import give_back_freed_memory
from .batches import EpochBatches, Key
from .distributed import rank, world_size
from .guarded import Fault, Guarded, GuardedStream, Loaded
from .readers import naming_dead_readers

_logger = logging.getLogger(__name__)

ON_ERROR = ("raise", "replace", "skip")


class LoadedBatch(NamedTuple):
    """What became of a batch of clips."""

    batch: ClipBatch | None
    faults: list[Fault]


def collate_loaded(group: Sequence[Loaded]) -> LoadedBatch:
    """Stack what could be read, and gather what went wrong."""
    samples = [loaded.sample for loaded in group if loaded.sample is not None]
    return LoadedBatch(collate(samples) if samples else None, [fault for loaded in group for fault in loaded.faults])


class ClipLoader:
    """Batches of clips from worker processes; ``bad`` holds the message of every clip that could not be read.

    ``on_error`` "raise" (evaluation: nothing is left out silently), "replace" by another clip (training), or "skip"
    (the batch gets smaller). Every bad clip is logged once. ``len`` is the number of batches of an epoch, ``size`` that
    of its clips, of all processes.

    >>> from gesture_zoo.data import create_dataset
    >>> loader = make_loader(create_dataset("synthetic", num_segments=2, size=32, num_clips=5), 2, workers=0)
    >>> len(loader), [batch.labels.tolist() for batch in loader], list(loader.bad)
    (3, [[0, 1], [2, 3], [4]], [])
    """

    def __init__(
        self,
        loader: DataLoader[Any],
        *,
        length: int,
        size: int,
        on_error: str,
        batch_size: int,
        batches: EpochBatches | None = None,
        endless: bool = False,
    ) -> None:
        self.loader = loader
        self.length = length
        self.size = size
        self.on_error = on_error
        self.batch_size = batch_size
        self.batches = batches
        self.endless = endless
        self.skip = 0
        self.number = 0  # of the batch that was yielded last, from 0: one of which no clip can be read is passed over
        self.bad: dict[str, None] = {}

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[ClipBatch]:
        is_stream = isinstance(self.loader.dataset, GuardedStream)
        with naming_dead_readers():
            batches = islice(self.batched(), self.skip, None) if is_stream else self.loader
            for self.number, (batch, faults) in enumerate(batches):
                for fault in faults:
                    self.report(fault)
                if batch is not None:
                    yield batch

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Choose the epoch that comes, and how many of its clips (of all processes) are done with already.

        A stream has no places to go to: it is read from its start, and what is done with is thrown away.
        """
        if self.batches is not None:
            self.batches.epoch, self.batches.start = epoch, start
        elif isinstance(self.loader.dataset, GuardedStream):
            self.loader.dataset.set_epoch(epoch)
            self.skip = start // (self.batch_size * world_size())

    def batches_from(self, start: int) -> int:
        """How many batches are left of an epoch of which so many clips (of all processes) are done with."""
        if self.batches is not None:
            return len(self.batches.firsts(start))
        return max(0, self.length - start // (self.batch_size * world_size())) if start < self.size else 0

    def batched(self) -> Iterator[LoadedBatch]:
        """The clips of a stream, ``batch_size`` at a time."""
        group: list[Loaded] = []
        readable = batches = 0
        for loaded in _over_and_over(self.loader) if self.endless else self.loader:
            group.append(loaded)
            readable += loaded.sample is not None
            if readable == self.batch_size:
                yield collate_loaded(group)
                group, readable, batches = [], 0, batches + 1
                if self.endless and batches == self.length:
                    return
            elif any(fault.fatal for fault in loaded.faults):
                break
        if group and (batches < self.length or any(loaded.faults for loaded in group)):
            yield collate_loaded(group)

    def report(self, fault: Fault) -> None:
        """Raise, or note, what went wrong with a clip."""
        if fault.fatal or self.on_error == "raise":
            raise fault.error
        message = str(fault.error)
        if message not in self.bad:
            self.bad[message] = None
            _logger.warning("%s: %s", "replaced by another" if self.on_error == "replace" else "left out", message)


def _over_and_over(loader: Iterable[Loaded]) -> Iterator[Loaded]:
    """One pass after the other; the last thing is a fault when no clip of a pass could be read."""
    while True:
        readable, last = False, Fault(DataError("its shards hold none"))
        for loaded in loader:
            readable |= loaded.sample is not None
            last = [last, *loaded.faults][-1]
            yield loaded
        if not readable:
            error = DataError(f"process {rank()} can read no clip of its share of the stream, the last: {last.error}")
            yield Loaded(None, [Fault(error, fatal=True)])


def make_loader(
    dataset: Any,
    batch_size: int,
    *,
    workers: int,
    training: bool = False,
    seed: int = 0,
    on_error: str | None = None,
) -> ClipLoader:
    """A loader of ``ClipBatch``; in training shuffled by ``seed`` and epoch, without a last batch of one clip.

    ``batch_size`` is that of each process. Of n processes in testing, process r gets the batches r, r + n, ... of one
    process: no clip twice, and each in the same company. ``on_error`` says what happens to a clip that cannot be read:
    "raise" (the default in testing), "replace" it by another (the default in training), or "skip".

    >>> from gesture_zoo.data import create_dataset
    >>> data = create_dataset("synthetic", num_segments=2, size=32, num_clips=6)
    >>> loader = make_loader(data, 2, workers=0, training=True, seed=1)
    >>> sorted(label for batch in loader for label in batch.labels.tolist())
    [0, 1, 2, 3, 4, 5]
    """
    size = len(dataset)
    on_error = on_error or ("replace" if training else "raise")
    if size == 0:
        raise DataError("there are no clips to load")
    if batch_size < 1 or workers < 0:
        raise ModelError(f"batch_size must be at least 1 and workers at least 0, got {batch_size} and {workers}")
    if on_error not in ON_ERROR:
        raise ModelError(f"on_error is one of {', '.join(ON_ERROR)}, not {on_error!r}")
    if training and size < world_size():
        raise DataError(f"{size} clips are too few for {world_size()} processes")
    workers = min(workers, size)
    common: dict[str, Any] = {
        "num_workers": workers,
        # The loader's own draws, of which nothing depends, must not disturb the model's.
        "generator": torch.Generator().manual_seed(seed),
        "pin_memory": torch.cuda.is_available(),
        "worker_init_fn": _stand_apart,
    }
    batches = EpochBatches(size, batch_size, seed=seed)
    mine = [range(size)[first : first + batch_size] for first in range(0, size, batch_size)][rank() :: world_size()]
    if isinstance(dataset, IterableDataset):
        return _stream_loader(dataset, batches, mine, training, on_error, common)
    loader = DataLoader(
        Guarded(dataset, replace=on_error == "replace", seed=seed),
        batch_sampler=batches if training else [[Key(0, index) for index in indices] for indices in mine],
        collate_fn=collate_loaded,
        persistent_workers=workers > 0,
        **common,
    )
    length = len(batches) if training else len(mine)
    return ClipLoader(
        loader,
        length=length,
        size=size,
        on_error=on_error,
        batch_size=batch_size,
        batches=batches if training else None,
    )


def _stand_apart(worker: int) -> None:
    """SIGTERM to a run's process group is for the main process, which needs its clips until it has saved its state."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    give_back_freed_memory()  # the main process', for which each page would be copied as long as this one has it too


def _stream_loader(
    dataset: Any, batches: EpochBatches, mine: list[range], training: bool, on_error: str, common: dict[str, Any]
) -> ClipLoader:
    """Batches of a stream.

    They are made here and not in the workers, of which each would end with a part of one. Workers are new in every
    epoch, so that they hear of it.
    """
    if world_size() > 1 and not training:
        dataset = dataset.subset([index for indices in mine for index in indices])
        dataset.share_nodes = False
    stream = GuardedStream(dataset, seed=batches.seed)
    return ClipLoader(
        DataLoader(stream, batch_size=None, **common),
        length=len(batches) if training else len(mine),
        size=batches.size,
        on_error=on_error,
        batch_size=batches.batch_size,
        # Processes share out shards, which differ in size; all must take the same number of steps.
        endless=training and world_size() > 1,
    )
