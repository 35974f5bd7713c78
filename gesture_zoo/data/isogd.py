"""ChaLearn IsoGD: 249 isolated gestures, pairs of RGB (M_) and depth (K_) videos.

Wan et al., "ChaLearn Looking at People RGB-D Isolated and Continuous Datasets for Gesture Recognition",
CVPR Workshops 2016. Lists: ``train_list.txt``, ``valid_list.txt``, ``test_list.txt`` in the root, a line each:
``train/001/M_00001.avi train/001/K_00001.avi 26``, labels from 1. The challenge's own lists of valid and test
have no label; such clips have the label -1.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import DataError
from .base import ClipDataset
from .depth import DepthEncoding
from .listing import UNLABELLED, ClipRecord, Listing, inside, numbered_lines, whole_number
from .media import VideoFile

NUM_CLASSES = 249
LISTS = {"train": "train_list.txt", "val": "valid_list.txt", "test": "test_list.txt"}


class IsoGD(ClipDataset):
    """IsoGD under ``root``, split "train", "val" or "test".

    The classes have no names: they are called "001" to "249"; how they swap under a flip is not known.
    """

    name = "isogd"
    title = "ChaLearn IsoGD"
    frame_rate = 10
    splits = {"train": 35878, "val": 5784, "test": 6271}
    # Stored far = brighter. 0 is shadow, 255 the border outside the sensor's view; lossy video smears both, and what is
    # smeared of 0 looks near. On 21 real clips, pixels next to a hole are 0.19 off the median around them (mean
    # absolute difference), the next ones 0.04, those after them 0.02. A margin of 2 takes 7 % of the valid pixels, and
    # outliers (nearer than that median by 0.25) fall from 1.2 to 0.06 % of them, from 6 to 0.3 % of depth's variance.
    depth = DepthEncoding(near=0, far=255, valid=(9, 250), margin=2)

    def list_clips(self, root: Path, split: str) -> Listing:
        path = root / LISTS[split]
        if not path.is_file():
            raise DataError(f"no IsoGD list at {path}: --data-dir is the folder that holds {LISTS[split]}")
        listing = Listing([f"{label:03d}" for label in range(1, NUM_CLASSES + 1)])
        for number, line in numbered_lines(path):
            where, parts = f"{path}, line {number}", line.split()
            names = [inside(part) for part in parts[:2]]
            label = whole_number(parts[2]) if len(parts) == 3 else None
            kinds = [str(name).rpartition("/")[2][:2] for name in names]
            if len(parts) not in (2, 3) or None in names or (len(parts) == 3 and label is None):
                listing.problem("malformed", where, "expected 'M_video K_video label' or 'M_video K_video'")
            elif kinds == ["K_", "M_"]:
                what = f"{names[0]} is depth (K_) and {names[1]} colour (M_): expected the colour first"
                listing.problem("pairs", where, what)
            elif label is not None and not 1 <= label <= NUM_CLASSES:
                listing.problem("label", where, f"label {label} is not in 1 to {NUM_CLASSES}")
            else:
                index = UNLABELLED if label is None else label - 1
                rgb, depth = (VideoFile(root / str(name)) for name in names)
                listing.records.append(ClipRecord(rgb, depth, index, str(names[0])))
        return listing

    @classmethod
    def available_splits(cls, root: Path) -> list[str]:
        return [split for split, file in LISTS.items() if (root / file).is_file()]
