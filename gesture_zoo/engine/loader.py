"""Loaders of clip batches: what happens to a clip that cannot be read, and how many clips make a batch."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from ..data import ClipBatch, ClipSample, collate
from ..errors import DataError, GestureZooError, ModelError

_logger = logging.getLogger(__name__)

ON_ERROR = ("raise", "replace", "skip")
MAX_REPLACEMENTS = 20


class Fault(NamedTuple):
    """What went wrong with a clip; a ``fatal`` fault ends the epoch whatever the policy."""

    error: GestureZooError
    fatal: bool = False


class Loaded(NamedTuple):
    """What became of one clip: the sample, unless none could be had, and the faults met."""

    sample: ClipSample | None
    faults: list[Fault]


class LoadedBatch(NamedTuple):
    """What became of a batch of clips."""

    batch: ClipBatch | None
    faults: list[Fault]


class Guarded(Dataset[Loaded]):
    """A dataset that hands over errors instead of raising them, and with ``replace`` another clip.

    Raised in a worker process, an error arrives as a page of traceback without its type's message.
    """

    def __init__(self, dataset: Any, *, replace: bool) -> None:
        self.dataset = dataset
        self.replace = replace

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Loaded:
        faults: list[Fault] = []
        for attempt in range(MAX_REPLACEMENTS + 1 if self.replace else 1):
            try:
                # A stride far from 1: neighbours in a list are often of one recording, and damaged together.
                return Loaded(self.dataset[(index + attempt * 7919) % len(self.dataset)], faults)
            except GestureZooError as error:
                faults.append(Fault(error, fatal=not isinstance(error, DataError)))
        if self.replace:
            reason = f"{len(faults)} clips in a row cannot be read, the last: {faults[-1].error}"
            faults.append(Fault(DataError(reason), fatal=True))
        return Loaded(None, faults)


class GuardedStream(IterableDataset[Loaded]):
    """A stream that hands over errors instead of raising them; the next clip stands in for a damaged one."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = copy.copy(dataset)
        if hasattr(dataset, "errors"):
            self.dataset.errors = "yield"

    def __iter__(self) -> Iterator[Loaded]:
        try:
            for item in self.dataset:
                yield Loaded(None, [Fault(item)]) if isinstance(item, GestureZooError) else Loaded(item, [])
        except GestureZooError as error:
            yield Loaded(None, [Fault(error, fatal=True)])


def collate_loaded(group: Sequence[Loaded]) -> LoadedBatch:
    """Stack what could be read, and gather what went wrong."""
    samples = [loaded.sample for loaded in group if loaded.sample is not None]
    return LoadedBatch(collate(samples) if samples else None, [fault for loaded in group for fault in loaded.faults])


class ClipLoader:
    """Batches of clips from worker processes; ``bad`` holds the message of every clip that could not be read.

    ``on_error`` "raise" (evaluation: nothing is left out silently), "replace" by another clip (training), or "skip"
    (the batch gets smaller). Every bad clip is logged once.
    """

    def __init__(self, loader: DataLoader[Any], *, length: int, on_error: str, batch_size: int | None = None) -> None:
        self.loader = loader
        self.length = length
        self.on_error = on_error
        self.batch_size = batch_size
        self.bad: dict[str, None] = {}

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[ClipBatch]:
        for batch, faults in self.loader if self.batch_size is None else self.batched(self.batch_size):
            for fault in faults:
                self.report(fault)
            if batch is not None:
                yield batch

    def set_epoch(self, epoch: int) -> None:
        """Tell a stream which epoch comes, for another order; a shuffled list draws its own."""
        guarded = self.loader.dataset
        if isinstance(guarded, GuardedStream) and hasattr(guarded.dataset, "set_epoch"):
            guarded.dataset.set_epoch(epoch)

    def batched(self, batch_size: int) -> Iterator[LoadedBatch]:
        """The clips of a stream, ``batch_size`` at a time."""
        group: list[Loaded] = []
        batches = 0
        for loaded in self.loader:
            group.append(loaded)
            if sum(loaded.sample is not None for loaded in group) == batch_size:
                yield collate_loaded(group)
                group, batches = [], batches + 1
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


def make_loader(
    dataset: Any,
    batch_size: int,
    *,
    workers: int,
    training: bool = False,
    seed: int = 0,
    on_error: str | None = None,
) -> ClipLoader:
    """A loader of ``ClipBatch``; in training shuffled by ``seed``, without a last batch of one clip.

    ``on_error`` says what happens to a clip that cannot be read: "raise" (the default in testing), "replace" it by
    another (the default in training), or "skip".
    """
    size = len(dataset)
    on_error = on_error or ("replace" if training else "raise")
    if size == 0:
        raise DataError("there are no clips to load")
    if batch_size < 1 or workers < 0:
        raise ModelError(f"batch_size must be at least 1 and workers at least 0, got {batch_size} and {workers}")
    if on_error not in ON_ERROR:
        raise ModelError(f"on_error is one of {', '.join(ON_ERROR)}, not {on_error!r}")
    # BatchNorm cannot learn from a batch of one.
    drop_last = training and size > batch_size and size % batch_size == 1
    workers = min(workers, size)
    common: dict[str, Any] = {
        "num_workers": workers,
        "generator": torch.Generator().manual_seed(seed),
        "pin_memory": torch.cuda.is_available(),
    }
    length = size // batch_size if drop_last else -(-size // batch_size)
    if isinstance(dataset, IterableDataset):
        # Batches are made here and not in the workers, of which each would end with a part of one. Workers are new
        # in every epoch, so that they hear of it.
        stream = DataLoader(GuardedStream(dataset), batch_size=None, **common)
        return ClipLoader(stream, length=length, on_error=on_error, batch_size=batch_size)
    loader = DataLoader(
        Guarded(dataset, replace=on_error == "replace"),
        batch_size=batch_size,
        shuffle=training,
        drop_last=drop_last,
        collate_fn=collate_loaded,
        persistent_workers=workers > 0,
        **common,
    )
    return ClipLoader(loader, length=length, on_error=on_error)
