"""create_dataset: a dataset by name, and a held-out part of one that has no validation split."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError
from .folder import SPLITS, ClipFolder
from .isogd import LISTS as ISOGD_LISTS
from .isogd import IsoGD
from .synthetic import SyntheticGestures


def _synthetic(root: str | Path | None, split: str, *, random_segments: bool = False, **options: Any) -> Any:
    # Rendered clips have exactly T frames, and another seed is another timing: there is nothing to sample.
    return SyntheticGestures(split, **options)


DATASETS: dict[str, Callable[..., Any]] = {"folder": ClipFolder, "isogd": IsoGD, "synthetic": _synthetic}


def create_dataset(name: str, root: str | Path | None = None, *, split: str = "train", **options: Any) -> Any:
    """A dataset of ``ClipSample`` by name: "folder", "isogd" or "synthetic".

    ``root``: the folder it was downloaded to (synthetic clips are rendered and need none). ``options``:
    ``num_segments`` (T), ``transform``, ``random_segments`` for files, ``size`` and ``num_clips`` for synthetic
    clips. An unknown name, folder or split is a DataError.

    >>> data = create_dataset("synthetic", split="train", num_segments=8, size=64, num_clips=4)
    >>> data[0].frames.shape, data.class_names[0]
    (torch.Size([8, 3, 64, 64]), 'swipe_left')
    """
    if name not in DATASETS:
        raise DataError(f"unknown dataset {name!r}; choose one of {', '.join(DATASETS)}")
    if root is None and name != "synthetic":
        raise DataError(f"dataset {name!r} needs the folder it is in (--data-dir)")
    return DATASETS[name](root, split, **options)


def available_splits(name: str, root: str | Path | None) -> list[str]:
    """The splits that dataset ``name`` has under ``root``."""
    if name == "isogd":
        return [split for split, file in ISOGD_LISTS.items() if root is not None and (Path(root) / file).is_file()]
    if name == "folder":
        return [split for split in SPLITS if root is not None and (Path(root) / split).is_dir()] or ["train"]
    return list(SPLITS)


def class_names(name: str, root: str | Path | None) -> list[str]:
    """The class names of dataset ``name``, in label order."""
    return list(create_dataset(name, root, split="train").class_names)


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
