"""20BN-Jester: 27 gestures before a webcam, RGB frames.

Materzynska et al., "The Jester Dataset: A Large-Scale Video Dataset of Human Gestures", ICCV Workshops 2019. Frames:
``20bn-jester-v1/34870/00001.jpg``. Labels: ``jester-v1-train.csv`` and so on, lines of ``34870;Drumming Fingers``; the
labels of the test clips are withheld.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..errors import DataError
from .base import ClipDataset
from .listing import UNLABELLED, ClipRecord, Listing, mirrored, numbered_lines
from .media import NumberedFrames

FRAMES = "20bn-jester-v1"
LISTS = {"train": "jester-v1-train.csv", "val": "jester-v1-validation.csv", "test": "jester-v1-test.csv"}
# In the order of the official labels file.
CLASS_NAMES = (
    "Swiping Left",
    "Swiping Right",
    "Swiping Down",
    "Swiping Up",
    "Pushing Hand Away",
    "Pulling Hand In",
    "Sliding Two Fingers Left",
    "Sliding Two Fingers Right",
    "Sliding Two Fingers Down",
    "Sliding Two Fingers Up",
    "Pushing Two Fingers Away",
    "Pulling Two Fingers In",
    "Rolling Hand Forward",
    "Rolling Hand Backward",
    "Turning Hand Clockwise",
    "Turning Hand Counterclockwise",
    "Zooming In With Full Hand",
    "Zooming Out With Full Hand",
    "Zooming In With Two Fingers",
    "Zooming Out With Two Fingers",
    "Thumb Up",
    "Thumb Down",
    "Shaking Hand",
    "Stop Sign",
    "Drumming Fingers",
    "No gesture",
    "Doing other things",
)
ORDERS = {"official": CLASS_NAMES, "alphabetical": tuple(sorted(CLASS_NAMES))}
MIRRORED = (
    ("Swiping Left", "Swiping Right"),
    ("Sliding Two Fingers Left", "Sliding Two Fingers Right"),
    ("Turning Hand Clockwise", "Turning Hand Counterclockwise"),
)


class Jester(ClipDataset):
    """Jester under ``root``, split "train", "val" or "test" (without labels: -1); RGB only.

    ``label_order``: "official" (0 is Swiping Left), or "alphabetical" (0 is Doing other things), in which TSM's demo
    and other published weights count.
    """

    name = "jester"
    title = "20BN-Jester"
    frame_rate = 12
    splits = {"train": 118562, "val": 14787, "test": 14743}
    flips = mirrored(CLASS_NAMES, MIRRORED)

    def __init__(
        self, root: str | Path, split: str = "train", *, label_order: str = "official", **options: Any
    ) -> None:
        if label_order not in ORDERS:
            raise DataError(f"the label orders of Jester are {' and '.join(ORDERS)}, not {label_order!r}")
        self.label_order = label_order
        super().__init__(root, split, **options)

    def list_clips(self, root: Path, split: str) -> Listing:
        path = root / LISTS[split]
        if not path.is_file():
            raise DataError(f"no Jester list at {path}: --data-dir is the folder that holds it and {FRAMES}")
        listing = Listing(list(ORDERS[self.label_order]))
        index = {name: label for label, name in enumerate(listing.class_names)}
        # A list of another dataset has a wrong name in every line: what is near is looked for once a name.
        faults: dict[str, str] = {}
        frames = root / FRAMES
        for number, line in numbered_lines(path):
            clip, _, name = (part.strip() for part in line.partition(";"))
            label = index.get(name, UNLABELLED)
            if not (clip.isascii() and clip.isdigit()) or (not name and split != "test"):
                what = "expected 'number;class name', such as '34870;Drumming Fingers'"
                listing.problem("malformed", f"{path}, line {number}", what)
            elif name and label == UNLABELLED:
                if name not in faults:
                    faults[name] = unknown_class(name)
                listing.problem("label", f"{path}, line {number}", faults[name])
            else:
                listing.records.append(ClipRecord(NumberedFrames(frames / clip, "{:05d}.jpg"), None, label, clip))
        return listing

    @classmethod
    def available_splits(cls, root: Path) -> list[str]:
        return [split for split, file in LISTS.items() if (root / file).is_file()]


def unknown_class(name: str) -> str:
    """What to say of a class that there is not, with the one that may have been meant."""
    near = get_close_matches(name[:80], CLASS_NAMES, n=1)
    return f"Jester has no class {name[:80]!r}" + (f"; did you mean {near[0]!r}?" if near else "")
