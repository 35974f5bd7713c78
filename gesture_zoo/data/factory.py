"""create_dataset: a dataset by name, and a held-out part of one that has no validation split."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files import no_folder
from .base import ClipDataset
from .egogesture import EgoGesture
from .folder import ClipFolder
from .isogd import IsoGD
from .jester import Jester
from .listing import SPLITS
from .names import DATASETS
from .nvgesture import NVGesture
from .shards import ShardedClips
from .synthetic import SyntheticGestures

READERS: dict[str, type[ClipDataset]] = {
    reader.name: reader for reader in (EgoGesture, ClipFolder, IsoGD, Jester, NVGesture)
}


def create_dataset(name: str, root: str | Path | None = None, *, split: str = "train", **options: Any) -> Any:
    """A dataset of ``ClipSample`` by name, one of ``DATASETS``.

    ``root``: the folder it was downloaded to (synthetic clips are rendered and need none). ``options``:
    ``num_segments`` (T), ``transform``, ``random_segments``, ``num_views``, ``with_depth`` (false: depth is not looked
    for) and those of the reader; ``size`` and ``num_clips`` for synthetic clips. An unknown name, folder or split is a
    DataError, an unknown option a TypeError.

    >>> data = create_dataset("synthetic", split="train", num_segments=8, size=64, num_clips=4)
    >>> data[0].frames.shape, data.class_names[0]
    (torch.Size([8, 3, 64, 64]), 'swipe_left')
    """
    if name == "synthetic":
        # Rendered clips have exactly T frames, and another seed is another timing: there is nothing to sample.
        options.pop("random_segments", None)
        return SyntheticGestures(split, **options)
    if name == "shards":
        return ShardedClips(named_root(name, root), split, **options)
    return get_reader(name)(existing_root(name, root), split, **options)


def get_reader(name: str) -> type[ClipDataset]:
    """The class that reads the dataset ``name`` from files; a name without one is a DataError."""
    if name == "shards":
        raise DataError("shards are what 'gesture-zoo prepare' made of a dataset: check or prepare that dataset itself")
    if name not in READERS:
        raise DataError(f"unknown dataset {name!r}; choose one of {', '.join(DATASETS)}")
    return READERS[name]


def named_root(name: str, root: str | Path | None) -> str:
    """The folder or URL of a dataset; none is a DataError."""
    if root is None:
        raise DataError(f"dataset {name!r} needs the folder it is in (--data-dir)")
    return str(root)


def existing_root(name: str, root: str | Path | None) -> Path:
    """The folder of a dataset; none is a DataError."""
    root = named_root(name, root)
    if not os.path.isdir(root):
        raise DataError(f"{no_folder(root)}: expected the one that dataset {name!r} is in")
    return Path(root)


def available_splits(name: str, root: str | Path | None) -> list[str]:
    """The splits that dataset ``name`` has under ``root``."""
    if name == "synthetic":
        return list(SPLITS)
    if name == "shards":
        return ShardedClips.available_splits(named_root(name, root))
    return get_reader(name).available_splits(existing_root(name, root))


def class_names(name: str, root: str | Path | None, *, split: str = "train", **options: Any) -> list[str]:
    """The class names of a split of dataset ``name``, in label order."""
    return list(create_dataset(name, root, split=split, **options).class_names)


def holdout_indices(labels: Sequence[int], fraction: float, *, seed: int = 0) -> tuple[list[int], list[int]]:
    """Split sample indices into (kept, held out), class by class: about ``fraction`` of each class is held out.

    A class with one sample keeps it. The same labels, fraction and seed give the same split everywhere.

    >>> holdout_indices([0, 0, 0, 0, 1], 0.25, seed=1)
    ([0, 1, 2, 4], [3])
    """
    if not 0 < fraction < 1:
        raise DataError(f"the held-out fraction must be between 0 and 1, got {fraction}")
    by_class: dict[int, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        by_class[label].append(index)
    shuffler = random.Random(seed)
    held: list[int] = []
    for label in sorted(by_class):
        members = by_class[label]
        shuffler.shuffle(members)
        held += members[: min(len(members) - 1, max(1, round(len(members) * fraction)))]
    hidden = set(held)
    return [index for index in range(len(labels)) if index not in hidden], sorted(held)
