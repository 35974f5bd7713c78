"""EgoGesture: 83 gestures of a hand seen from the head, RGB and depth frames of a RealSense camera.

Zhang et al., "EgoGesture: A New Dataset and Benchmark for Egocentric Hand Gesture Recognition", IEEE Transactions on
Multimedia 2018. Frames: ``Subject01/Scene1/Color/rgb1/000001.jpg`` and ``Subject01/Scene1/Depth/depth1/000001.jpg``, in
the root or in its folder ``images``. Labels: ``labels-final-revised1/subject01/Scene1/Group1.csv``, lines of
``class,start,end``, all counted from 1. The end frame belongs to the gesture here; the official code of ACTION-Net
drops the last two frames.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import DataError
from .base import ClipDataset
from .depth import NEARER_BRIGHTER
from .listing import ClipRecord, Listing, numbered_lines, whole_number
from .media import NumberedFrames, natural_key

LABELS = "labels-final-revised1"
VAL = (1, 7, 12, 13, 24, 29, 33, 34, 35, 37)
TEST = (2, 9, 11, 14, 18, 19, 28, 31, 41, 47)
TRAIN = tuple(subject for subject in range(1, 51) if subject not in VAL + TEST)
SUBJECTS = {"train": TRAIN, "val": VAL, "test": TEST, "trainval": tuple(sorted(TRAIN + VAL))}

CLASS_NAMES = """
Scroll_hand_towards_right Scroll_hand_towards_left Scroll_hand_downward Scroll_hand_upward Scroll_hand_forward
Scroll_hand_backward Cross_index_fingers Zoom_in_with_fists Zoom_out_with_fists Rotate_fists_clockwise
Rotate_fists_counterclockwise Zoom_in_with_fingers Zoom_out_with_fingers Rotate_fingers_clockwise
Rotate_fingers_counterclockwise Click_with_index_finger Sweep_diagonal Sweep_circle Sweep_cross Sweep_checkmark
Static_fist Measure(distance) Photo_frame Number_0 Number_1 Number_2 Number_3 Number_4 Number_5 Number_6 Number_7
Number_8 Number_9 OK Another_number_3 Pause Shape_C Make_a_phone_call Wave_hand Wave_finger Knock Beckon Palm_to_fist
Fist_to_Palm Trigger_with_thumb Trigger_with_index_finger Hold_fist_in_the_other_hand Grasp Walk Gather_fingers
Snap_fingers Applaud Dual_hands_heart Put_two_fingers_together Take_two_fingers_apart Turn_over Move_fist_upwards
Move_fist_downward Move_fist_toward_left Move_fist_toward_right Bring_hand_close Push_away Thumb_upward Thumb_downward
Thumb_toward_right Thumb_toward_left Thumbs_backward Thumbs_forward Move_hand_upward Move_hand_downward
Move_hand_towards_left Move_hand_towards_right Draw_circle_with_hand_in_horizontal_surface Bent_number_2
Bent_another_number_3 Dual_fingers_heart Scroll_fingers_toward_left Scroll_fingers_toward_right Move_fingers_upward
Move_fingers_downward Move_fingers_left Move_fingers_right Move_fingers_forward
""".split()
MIRRORED = (
    ("Scroll_hand_towards_right", "Scroll_hand_towards_left"),
    ("Rotate_fists_clockwise", "Rotate_fists_counterclockwise"),
    ("Rotate_fingers_clockwise", "Rotate_fingers_counterclockwise"),
    ("Move_fist_toward_left", "Move_fist_toward_right"),
    ("Thumb_toward_right", "Thumb_toward_left"),
    ("Move_hand_towards_left", "Move_hand_towards_right"),
    ("Scroll_fingers_toward_left", "Scroll_fingers_toward_right"),
    ("Move_fingers_left", "Move_fingers_right"),
)
# A mirrored checkmark, C or diagonal is another figure, and which way a circle is drawn is not said: never flipped.
ONE_WAY = {
    "Sweep_diagonal",
    "Sweep_circle",
    "Sweep_checkmark",
    "Shape_C",
    "Draw_circle_with_hand_in_horizontal_surface",
}


def mirror_images() -> dict[str, str]:
    """What every class becomes when mirrored; most are done with either hand and stay what they are."""
    flips = {name: name for name in CLASS_NAMES if name not in ONE_WAY}
    return {**flips, **dict(MIRRORED), **{b: a for a, b in MIRRORED}}


class EgoGesture(ClipDataset):
    """EgoGesture under ``root``, split "train", "val", "test", or "trainval", on which the paper trains.

    Rows without numbers, groups without frames and scenes that are not there cost only the clips concerned. Depth is
    8-bit grey, nearer = brighter, 0 where the sensor saw nothing near.
    """

    name = "egogesture"
    title = "EgoGesture"
    splits = {"train": 14416, "val": 4768, "test": 4977, "trainval": 19184}
    depth = NEARER_BRIGHTER
    flips = mirror_images()

    def list_clips(self, root: Path, split: str) -> Listing:
        labels, images = find_labels(root), find_images(root)
        listing = Listing(list(CLASS_NAMES))
        subjects = numbered(labels, "subject")
        for number in SUBJECTS[split]:
            if number not in subjects:
                listing.problem("missing", labels, f"no labels of subject {number} (subject{number:02d})", fatal=False)
                continue
            for scene, folder in numbered(subjects[number], "scene").items():
                frames = child(images, "subject", number, "scene", scene)
                if frames is None:
                    what = f"no frames of Subject{number:02d}/Scene{scene} in {images}: its clips are left out"
                    listing.problem("missing", folder, what, fatal=False)
                    continue
                color, depth = child(frames, "color"), child(frames, "depth")
                for group, path in numbered(folder, "group", ".csv").items():
                    streams = child(color, "rgb", group), child(depth, "depth", group)
                    if None in streams:
                        what = f"no frames of rgb{group} and depth{group} in {frames}: its clips are left out"
                        listing.problem("missing", path, what, fatal=False)
                        continue
                    self.read_group(path, streams, f"subject{number:02d}/scene{scene}/group{group}", listing)
        return listing

    def read_group(self, path: Path, streams: tuple[Path | None, ...], name: str, listing: Listing) -> None:
        """Add the gestures of one csv file."""
        for number, line in numbered_lines(path):
            where, parts = f"{path}, line {number}", line.split(",")
            values = [whole_number(part) for part in parts]
            if len(parts) == 3 and all(part.strip().lower() in ("", "nan") for part in parts[1:]):
                listing.problem("no numbers", where, "a row without start and end is left out", fatal=False)
            elif all(part.strip().lower() in ("", "nan") for part in parts):
                listing.problem("no numbers", where, "a row without numbers is left out", fatal=False)
            elif len(parts) != 3 or None in values:
                listing.problem("malformed", where, "expected 'class,start,end', three whole numbers")
            else:
                label, start, end = (int(str(value)) for value in values)
                if not 1 <= label <= len(CLASS_NAMES):
                    listing.problem("label", where, f"class {label} is not in 1 to {len(CLASS_NAMES)}")
                elif not 1 <= start <= end:
                    listing.problem("malformed", where, f"frames {start} to {end}: expected 1 <= start <= end")
                else:
                    rgb, depth = (
                        NumberedFrames(folder, "{:06d}.jpg", first=start, count=end - start + 1)
                        for folder in streams
                        if folder is not None
                    )
                    listing.records.append(ClipRecord(rgb, depth, label - 1, f"{name}/{start:06d}-{end:06d}"))

    @classmethod
    def available_splits(cls, root: Path) -> list[str]:
        there = numbered(find_labels(root), "subject")
        return [split for split, subjects in SUBJECTS.items() if any(subject in there for subject in subjects)]


def find_labels(root: Path) -> Path:
    """The folder of the label files."""
    for name in (LABELS, "labels-final-revised", "labels"):
        folder = child(root, name)
        if folder is not None:
            return folder
    raise DataError(
        f"no folder {LABELS} in {root}: --data-dir is the folder that holds it, beside Subject01, Subject02, ..."
    )


def find_images(root: Path) -> Path:
    """The folder that holds the subjects' folders."""
    for folder in (root, child(root, "images")):
        if folder is not None and numbered(folder, "subject"):
            return folder
    raise DataError(f"no folders Subject01, Subject02, ... with frames in {root} or in {root / 'images'}")


def numbered(folder: Path, word: str, suffix: str = "") -> dict[int, Path]:
    """Entries of a folder named ``word`` and a number, in any case, by that number, in order."""
    pattern = re.compile(rf"{word}[ _]?0*([0-9]{{1,4}}){re.escape(suffix)}", re.IGNORECASE)
    found: dict[int, Path] = {}
    for path in sorted(_entries(folder), key=lambda path: natural_key(path.name)):
        match = pattern.fullmatch(path.name)
        if match:
            found.setdefault(int(match[1]), path)
    return found


def child(folder: Path | None, *steps: str | int) -> Path | None:
    """A sub-folder in any case: a name alone, or names each followed by its number; None if it is not there."""
    remaining = list(steps)
    while remaining and folder is not None:
        word = str(remaining.pop(0))
        if remaining and isinstance(remaining[0], int):
            folder = numbered(folder, word).get(int(remaining.pop(0)))
        else:
            folder = next((path for path in _entries(folder) if path.name.lower() == word.lower()), None)
    return folder


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
