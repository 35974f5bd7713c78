"""The loaders that training and evaluation share."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Subset

from ..data import ClipBatch, ClipSample, collate, create_dataset, create_transform, holdout_indices
from ..data.factory import available_splits
from ..errors import DataError, GestureZooError, ModelError

DEFAULT_HOLDOUT = 0.2


class ErrorsAsValues(Dataset[Any]):
    """A dataset that hands over its own errors instead of raising them.

    Raised in a worker process, an error arrives as a page of traceback without its type's message.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> ClipSample | GestureZooError:
        try:
            return self.dataset[index]
        except GestureZooError as error:
            return error


def collate_or_error(samples: list[ClipSample | GestureZooError]) -> ClipBatch | GestureZooError:
    """``collate``, or the first error among the samples."""
    error = next((sample for sample in samples if isinstance(sample, GestureZooError)), None)
    return error or collate(samples)  # type: ignore[arg-type]


class ClipLoader(DataLoader[Any]):
    """A DataLoader that raises in the main process what went wrong with a clip."""

    def __iter__(self) -> Any:
        for batch in super().__iter__():
            if isinstance(batch, GestureZooError):
                raise batch
            yield batch


def make_loader(
    dataset: Dataset[Any], batch_size: int, *, workers: int, training: bool = False, seed: int = 0
) -> DataLoader[Any]:
    """A loader of ``ClipBatch``; in training shuffled by ``seed``, without a last batch of one clip."""
    size = len(dataset)  # type: ignore[arg-type]
    if size == 0:
        raise DataError("there are no clips to load")
    if batch_size < 1 or workers < 0:
        raise ModelError(f"batch_size must be at least 1 and workers at least 0, got {batch_size} and {workers}")
    return ClipLoader(
        ErrorsAsValues(dataset),
        batch_size=batch_size,
        shuffle=training,
        # BatchNorm cannot learn from a batch of one.
        drop_last=training and size > batch_size and size % batch_size == 1,
        num_workers=min(workers, size),
        collate_fn=collate_or_error,
        generator=torch.Generator().manual_seed(seed),
        persistent_workers=min(workers, size) > 0,
        pin_memory=torch.cuda.is_available(),
    )


def make_dataset(
    name: str, root: str | None, config: dict[str, Any], *, split: str, training: bool = False, **options: Any
) -> Any:
    """A dataset whose clips are what a model with data configuration ``config`` takes."""
    if name == "synthetic":
        options.setdefault("size", max(config["input_size"][-2:]))
    return create_dataset(
        name,
        root,
        split=split,
        num_segments=config["num_segments"],
        transform=create_transform(config, is_training=training),
        random_segments=training,
        **options,
    )


def train_val_datasets(
    name: str, root: str | None, config: dict[str, Any], *, holdout: float | None = None, seed: int = 0
) -> tuple[Any, Any, str]:
    """Training and validation clips, and a sentence that says where the validation clips are from.

    The dataset's own "val" split if there is one and ``holdout`` is None; else ``holdout`` (default 0.2) of
    every class of its training split, drawn by ``seed``.
    """
    train = make_dataset(name, root, config, split="train", training=True)
    if holdout is None and "val" in available_splits(name, root):
        return train, make_dataset(name, root, config, split="val"), "validated on the split 'val'"
    fraction = DEFAULT_HOLDOUT if holdout is None else holdout
    kept, held = holdout_indices(train.labels, fraction, seed=seed)
    if not held:
        return train, None, "not validated: no class has a clip to spare"
    val = Subset(make_dataset(name, root, config, split="train"), held)
    return (
        Subset(train, kept),
        val,
        f"validated on {len(val)} clips held out of the training split (--holdout {fraction})",
    )


def holdout_part(name: str, root: str | None, config: dict[str, Any], fraction: float, *, seed: int = 0) -> Subset[Any]:
    """The part of the training split that ``train_val_datasets`` holds out, with the test transform."""
    dataset = make_dataset(name, root, config, split="train")
    return Subset(dataset, holdout_indices(dataset.labels, fraction, seed=seed)[1])
