"""ChaLearn IsoGD: 249 isolated gestures, pairs of RGB (M_) and depth (K_) videos.

Wan et al., "ChaLearn Looking at People RGB-D Isolated and Continuous Datasets for Gesture Recognition",
CVPR Workshops 2016. Lists: ``train_list.txt``, ``valid_list.txt``, ``test_list.txt`` in the root, a line each:
``train/001/M_00001.avi train/001/K_00001.avi 26``, labels from 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import DataError
from .base import ClipRecord, VideoDataset

NUM_CLASSES = 249
LISTS = {"train": "train_list.txt", "val": "valid_list.txt", "test": "test_list.txt"}
# 0 is shadow, 255 the border outside the sensor's view; lossy video smears both by some levels.
SHADOW, BORDER = 8, 251


class IsoGD(VideoDataset):
    """IsoGD under ``root``, split "train", "val" or "test"; a list without labels is a DataError.

    The classes have no names: they are called "001" to "249". Depth is stored far = brighter and inverted here.
    """

    def __init__(self, root: str | Path, split: str = "train", **options: Any) -> None:
        names = [f"{label:03d}" for label in range(1, NUM_CLASSES + 1)]
        super().__init__(read_list(Path(root), split), names, **options)

    def decode_depth(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        return 1 - raw.float() / 255, (raw > SHADOW) & (raw < BORDER)


def read_list(root: Path, split: str) -> list[ClipRecord]:
    """The clips of a split; a missing or malformed list is a DataError that names file and line."""
    if split not in LISTS:
        raise DataError(f"IsoGD has the splits {', '.join(LISTS)}, not {split!r}")
    path = root / LISTS[split]
    if not path.is_file():
        raise DataError(f"no IsoGD list at {path}: --data-dir is the folder that holds {LISTS[split]}")
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        parts = line.split()
        if len(parts) == 2:
            raise DataError(f"{path}, line {number}: no label; this list is the unlabelled one of the challenge")
        if len(parts) != 3 or not parts[2].isdecimal() or not 1 <= int(parts[2]) <= NUM_CLASSES:
            raise DataError(f"{path}, line {number}: expected 'M_video K_video label' with label 1 to {NUM_CLASSES}")
        records.append(ClipRecord(root / parts[0], root / parts[1], int(parts[2]) - 1, parts[0]))
    if not records:
        raise DataError(f"{path} lists no clips")
    return records
