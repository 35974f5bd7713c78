"""NVGesture: 25 gestures of a driver, colour and depth of a SoftKinetic camera.

Molchanov et al., "Online Detection and Classification of Dynamic Hand Gestures with Recurrent 3D Convolutional Neural
Networks", CVPR 2016. A line of ``nvgesture_train_correct_cvpr2016_v2.lst``, in the root:
``path:./Video_data/class_01/subject3_r0 depth:sk_depth:146:226 color:sk_color:146:226 duo_left:... label:1``. The
clip is that window of the video, the end not included; whole videos cost about ten points of accuracy.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import DataError
from .base import ClipDataset
from .depth import NEARER_BRIGHTER
from .listing import ClipRecord, Listing, inside, mirrored, numbered_lines, whole_number
from .media import VideoFile

LISTS = {
    "v1": "nvgesture_{split}_correct_cvpr2016.lst",
    "v2": "nvgesture_{split}_correct_cvpr2016_v2.lst",
}
COLORS = ("sk_color", "sk_wrapped")
# In the order of the labels; left, right and clockwise as the person who gestures sees them.
CLASS_NAMES = """
move_hand_left move_hand_right move_hand_up move_hand_down move_two_fingers_left move_two_fingers_right
move_two_fingers_up move_two_fingers_down click_index_finger call_someone open_hand shaking_hand
show_index_finger show_two_fingers show_three_fingers push_hand_up push_hand_down push_hand_out pull_hand_in
rotate_fingers_clockwise rotate_fingers_counter_clockwise push_two_fingers_away close_hand_two_times thumb_up okay
""".split()
MIRRORED = (
    ("move_hand_left", "move_hand_right"),
    ("move_two_fingers_left", "move_two_fingers_right"),
    ("rotate_fingers_clockwise", "rotate_fingers_counter_clockwise"),
)


class NVGesture(ClipDataset):
    """NVGesture under ``root``, split "train" or "test".

    ``lists``: "v2", or the earlier "v1"; they share their paths, and 15 training and 8 test labels differ. The label is
    the line's, never the folder's. ``color``: "sk_color", which is not aligned with depth, or "sk_wrapped", the colour
    warped onto the depth camera, with holes. Depth is 8-bit grey, nearer = brighter, 0 = background.
    """

    name = "nvgesture"
    title = "NVGesture"
    frame_rate = 30
    splits = {"train": 1050, "test": 482}
    depth = replace(NEARER_BRIGHTER, aligned=False)
    flips = mirrored(CLASS_NAMES, MIRRORED)

    def __init__(
        self, root: str | Path, split: str = "train", *, lists: str = "v2", color: str = "sk_color", **options: Any
    ) -> None:
        if lists not in LISTS:
            raise DataError(f"the lists of NVGesture are {' or '.join(LISTS)}, not {lists!r}")
        if color not in COLORS:
            raise DataError(f"the colour of NVGesture is {' or '.join(COLORS)}, not {color!r}")
        self.lists = lists
        self.color = color
        self.depth = replace(NEARER_BRIGHTER, aligned=color == "sk_wrapped")  # type: ignore[misc]
        super().__init__(root, split, **options)

    def list_clips(self, root: Path, split: str) -> Listing:
        path = root / LISTS[self.lists].format(split=split)
        if not path.is_file():
            other = next((v for v in LISTS if (root / LISTS[v].format(split=split)).is_file()), None)
            hint = f"; there is the list of {other}: --data-option lists={other}" if other else ""
            raise DataError(f"no NVGesture list at {path}: --data-dir is the folder that holds it and Video_data{hint}")
        listing = Listing(list(CLASS_NAMES))
        for number, line in numbered_lines(path):
            where = f"{path}, line {number}"
            fields = dict(part.partition(":")[::2] for part in line.split())
            folder, label = inside(fields.get("path", "")), whole_number(fields.get("label", ""))
            color, depth = (window(fields.get(key, "")) for key in ("color", "depth"))
            if folder is None or label is None or color is None or depth is None:
                what = "expected 'path:FOLDER depth:sk_depth:START:STOP color:sk_color:START:STOP ... label:N'"
                listing.problem("malformed", where, what)
            elif not 1 <= label <= len(CLASS_NAMES):
                listing.problem("label", where, f"label {label} is not in 1 to {len(CLASS_NAMES)}")
            else:
                # The warped colour has the times of the colour it was made of.
                rgb = VideoFile(root / folder / f"{self.color}.avi", *color)
                listing.records.append(
                    ClipRecord(rgb, VideoFile(root / folder / "sk_depth.avi", *depth), label - 1, folder)
                )
        return listing

    @classmethod
    def available_splits(cls, root: Path) -> list[str]:
        return [split for split in cls.splits if any((root / LISTS[v].format(split=split)).is_file() for v in LISTS)]


def window(text: str) -> tuple[int, int] | None:
    """Start and end of ``sk_color:146:226``, or None.

    >>> window("sk_color:146:226"), window("sk_color:9:9")
    ((146, 226), None)
    """
    parts = text.split(":")
    numbers = [whole_number(part) for part in parts[1:]]
    if len(numbers) != 2 or numbers[0] is None or numbers[1] is None or numbers[0] >= numbers[1]:
        return None
    return numbers[0], numbers[1]
