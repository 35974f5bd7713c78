"""Datasets for a model: its transform, its number of frames, and a part held out for validation."""

from __future__ import annotations

import copy
import logging
from typing import Any, NamedTuple

from torch.utils.data import Subset

from ..data import create_dataset, create_transform, holdout_indices
from ..data.factory import available_splits
from ..errors import DataError
from .clips import has_depth, without_depth
from .recipes import overlap

DEFAULT_HOLDOUT = 0.2

_logger = logging.getLogger(__name__)


class TrainVal(NamedTuple):
    """Training clips, validation clips if there are any, and what these are, or why there are none.

    ``split``: the split that the validation clips are, where they are one of their own.
    """

    train: Any
    val: Any | None
    origin: str
    split: str | None = None

    def __str__(self) -> str:
        return f"validated on {self.origin}" if self.val is not None else f"not validated: {self.origin}"


def make_dataset(
    name: str,
    root: str | None,
    config: dict[str, Any],
    *,
    split: str,
    training: bool = False,
    hflip: float = 0.0,
    **options: Any,
) -> Any:
    """A dataset whose clips are what a model with data configuration ``config`` takes.

    ``hflip``: probability of a horizontal flip in training; a dataset that does not say how its labels swap is a
    DataError. ``options`` are the reader's; ``with_depth`` is the configuration's unless given: depth that the model
    has no use for is neither looked for nor decoded.

    >>> config = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3, "num_segments": 2}
    >>> data = make_dataset("synthetic", None, config, split="train", training=True, num_clips=4)
    >>> len(data), data[0].frames.shape
    (4, torch.Size([2, 3, 32, 32]))
    """
    if name == "synthetic":
        options.setdefault("size", max(config["input_size"][-2:]))
    options.setdefault("with_depth", config.get("with_depth", True))
    dataset = create_dataset(name, root, split=split, num_segments=config["num_segments"], **options)
    return for_training(dataset, config, hflip=hflip) if training else for_testing(dataset, config)


def for_training(dataset: Any, config: dict[str, Any], *, hflip: float = 0.0) -> Any:
    """The dataset with random frames of every segment and random crops.

    >>> config = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3}
    >>> clips = create_dataset("synthetic", num_segments=2, size=48, num_clips=4)
    >>> for_training(clips, config)[0].frames.shape, clips[0].frames.shape
    (torch.Size([2, 3, 32, 32]), torch.Size([2, 3, 48, 48]))
    """
    flips = dataset.flip_labels if hflip else None
    return _with(dataset, create_transform(config, is_training=True, hflip=hflip, flip_labels=flips), training=True)


def for_testing(dataset: Any, config: dict[str, Any]) -> Any:
    """The dataset with the middle frame of every segment and a crop of the centre.

    >>> config = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3}
    >>> data = for_testing(create_dataset("synthetic", num_segments=2, size=48, num_clips=4), config)
    >>> data[0].frames.equal(data[0].frames)  # the same crop every time
    True
    """
    return _with(dataset, create_transform(config), training=False)


def _with(dataset: Any, transform: Any, *, training: bool) -> Any:
    # A copy: listing the clips again would take longer, and both ways are in use at once.
    dataset = copy.copy(dataset)
    dataset.transform = transform
    dataset.random_segments = training
    return dataset


def train_val_datasets(
    name: str,
    root: str | None,
    config: dict[str, Any],
    *,
    train_split: str = "train",
    val_split: str = "auto",
    holdout: float | None = None,
    seed: int = 0,
    hflip: float = 0.0,
    **options: Any,
) -> TrainVal:
    """Training and validation clips for a model with data configuration ``config``.

    ``val_split``: a split of its own, "none", or "auto": the split "val" if there is one with labels and ``holdout`` is
    None, else ``holdout`` (default 0.2) of every class of the training split, drawn by ``seed``. ``options`` are the
    reader's. Splits without labels are DataErrors.

    >>> config = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3, "num_segments": 2}
    >>> data = train_val_datasets("synthetic", None, config, holdout=0.25, num_clips=48)
    >>> len(data.train), len(data.val), str(data)
    (36, 12, 'validated on 12 clips held out of the training split (--holdout 0.25)')
    """
    train = make_dataset(name, root, config, split=train_split, training=True, hflip=hflip, **options)
    if min(train.labels) < 0:
        raise DataError(
            f"the training clips of {name} in {root} have no labels: train on a split that has some (--train-split)"
        )
    check_depth(train, config["input_size"][0])
    if config.get("with_depth") and not has_depth(getattr(train, "dataset", train)):
        _logger.warning("no training clip has depth: decoders, and what else learns from depth, learn nothing")
    names, there = list(train.class_names), set(train.labels)
    if without := [names[label] for label in range(len(names)) if label not in there]:
        listed = ", ".join(without[:6]) + (", ..." if len(without) > 6 else "")
        _logger.warning("%d of %d classes have no training clip: %s", len(without), len(names), listed)
    if val_split == "none":
        return TrainVal(train, None, "none is asked for")
    if overlap(val_split, train_split):
        raise DataError(f"the split {val_split!r} cannot be trained and validated on: hold out a part of it instead")
    reason = ""
    if val_split != "auto" or looks_for_val(name, root, train_split, holdout):
        split = "val" if val_split == "auto" else val_split
        val = make_dataset(name, root, config, split=split, **options)
        check_depth(val, config["input_size"][0])
        if min(val.labels) >= 0:
            return TrainVal(train, val, f"the split {split!r}", split)
        if val_split != "auto":
            raise DataError(f"the split {split!r} of {name} in {root} has no labels to validate with")
        reason = "; the split 'val' has no labels"
    fraction = DEFAULT_HOLDOUT if holdout is None else holdout
    kept, held = holdout_indices(train.labels, fraction, seed=seed)
    if not held:
        return TrainVal(train, None, "no class has a clip to spare")
    val = part(for_testing(train, config), held)
    origin = f"{len(held)} clips held out of the training split (--holdout {fraction}){reason}"
    return TrainVal(part(train, kept), val, origin)


def looks_for_val(name: str, root: str | None, train_split: str, holdout: float | None) -> bool:
    """Whether ``val_split="auto"`` means the split "val", as long as its clips have labels."""
    # Clips of "trainval" and the like may be those of "val".
    return train_split == "train" and holdout is None and "val" in available_splits(name, root)


def check_depth(dataset: Any, channels: int) -> None:
    """Raise DataError if a network of so many input channels sees depth and some clips have none."""
    lacking = without_depth(dataset) if channels != 3 else []
    if lacking:
        raise DataError(
            f"{len(lacking)} of {len(dataset)} clips have no depth, such as {lacking[0]}: a network of {channels} "
            "input channels sees the depth of every clip"
        )


def part(dataset: Any, indices: list[int]) -> Any:
    """Some clips of a dataset; a stream leaves out the others."""
    return dataset.subset(indices) if hasattr(dataset, "subset") else Subset(dataset, indices)
