"""EgoGesture: 83 gestures of a hand seen from the head, RGB and depth frames of a RealSense camera.

Zhang et al., "EgoGesture: A New Dataset and Benchmark for Egocentric Hand Gesture Recognition", IEEE Transactions on
Multimedia 2018. Frames: ``Subject01/Scene1/Color/rgb1/000001.jpg`` and ``Subject01/Scene1/Depth/depth1/000001.jpg``, in
the root or in a folder ``images*`` of it. Labels: ``labels-final-revised1/subject01/Scene1/Group1.csv``, lines of
``class,start,end``, all counted from 1. Names are found in any case. The end frame belongs to the gesture here; the
official code of ACTION-Net drops the last two frames.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import replace
from pathlib import Path

from ..errors import DataError
from .base import ClipDataset
from .depth import NEARER_BRIGHTER
from .listing import ClipRecord, Listing, mirrored, numbered_lines, whole_number
from .media import NumberedFrames

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


class EgoGesture(ClipDataset):
    """EgoGesture under ``root``, split "train", "val", "test", or "trainval", on which the paper trains.

    Rows without numbers and label files whose frames are not there cost only the clips concerned; clips whose depth
    alone is not there have none. Depth is 8-bit grey, nearer = brighter, 0 where the sensor saw nothing near.
    """

    name = "egogesture"
    title = "EgoGesture"
    frame_rate = 30
    splits = {"train": 14416, "val": 4768, "test": 4977, "trainval": 19184}
    depth = NEARER_BRIGHTER
    # Most are done with either hand and stay what they are.
    flips = mirrored((name for name in CLASS_NAMES if name not in ONE_WAY), MIRRORED)

    def list_clips(self, root: Path, split: str) -> Listing:
        labels, images = find_labels(root), find_images(root)
        listing = Listing(list(CLASS_NAMES))
        wanted = set(SUBJECTS[split])
        tables: dict[tuple[int, ...], Path] = {}
        for key, path in matches(labels, "subject#", "scene#", "group#.csv", first=wanted):
            if key in tables:
                what = f"{tables[key]} is of the same subject, scene and group: this file is left out"
                listing.problem("twice", path, what, fatal=False)
            tables.setdefault(key, path)
        colors, depths = find_frames(images, wanted)
        for subject in sorted(wanted - {key[0] for key in tables}):
            listing.problem("missing", labels, f"no labels of subject {subject} (subject{subject:02d})", fatal=False)
        for key in sorted(tables):
            subject, scene, group = key
            folder = images / f"Subject{subject:02d}" / f"Scene{scene}"
            if key not in colors:
                what = f"no frames in {folder}/Color/rgb{group}: its clips are left out"
                listing.problem("missing", tables[key], what, fatal=False)
                continue
            if key not in depths:
                what = f"no frames in {folder}/Depth/depth{group}: its clips have no depth"
                listing.problem("no depth", tables[key], what, fatal=False)
            name = f"subject{subject:02d}/scene{scene}/group{group}"
            read_group(listing, tables[key], colors[key], depths.get(key), name)
        return listing

    @classmethod
    def available_splits(cls, root: Path) -> list[str]:
        there = {key[0] for key, _ in matches(find_labels(root), "subject#")}
        return [split for split, subjects in SUBJECTS.items() if there.intersection(subjects)]


def read_group(listing: Listing, path: Path, color: Path, depth: Path | None, name: str) -> None:
    """Add the gestures of one csv file."""
    for number, line in numbered_lines(path):
        where, parts = f"{path}, line {number}", [part.strip() for part in line.split(",")]
        values = [whole_number(part) for part in parts]
        blank = [part.lower() in ("", "nan") for part in parts]
        if all(blank) or (len(parts) == 3 and any(blank)):
            listing.problem("no numbers", where, "a row without class, start or end is left out", fatal=False)
        elif len(parts) != 3 or None in values:
            listing.problem("malformed", where, "expected 'class,start,end', three whole numbers")
        else:
            label, start, end = (int(str(value)) for value in values)
            if not 1 <= label <= len(CLASS_NAMES):
                listing.problem("label", where, f"class {label} is not in 1 to {len(CLASS_NAMES)}")
            elif not 1 <= start <= end:
                listing.problem("malformed", where, f"frames {start} to {end}: expected 1 <= start <= end")
            else:
                frames = NumberedFrames(color, "{:06d}.jpg", first=start, count=end - start + 1)
                pair = None if depth is None else replace(frames, path=depth)
                listing.records.append(ClipRecord(frames, pair, label - 1, f"{name}/{start:06d}-{end:06d}"))


def find_labels(root: Path) -> Path:
    """The folder of the label files: the official one, or another whose name begins with "labels"."""
    folders = [path for path in entries(root) if path.name.lower().startswith("labels") and path.is_dir()]
    if not folders:
        raise DataError(
            f"no folder {LABELS} in {root}: --data-dir is the folder that holds it, beside Subject01, Subject02, ..."
        )
    return min(folders, key=lambda path: path.name.lower() != LABELS)


def find_images(root: Path) -> Path:
    """The folder that holds the subjects' folders: the root, or one whose name begins with "images"."""
    for folder in (root, *(path for path in entries(root) if path.name.lower().startswith("images"))):
        if next(matches(folder, "subject#"), None):
            return folder
    raise DataError(f"no folders Subject01, Subject02, ... with frames in {root} or in a folder images* of it")


def find_frames(images: Path, subjects: Container[int]) -> tuple[dict[tuple[int, ...], Path], ...]:
    """The folders of colour and of depth frames by subject, scene and group."""
    colors: dict[tuple[int, ...], Path] = {}
    depths: dict[tuple[int, ...], Path] = {}
    for scene, folder in matches(images, "subject#", "scene#", first=subjects):
        for found, kind, name in ((colors, "color", "rgb#"), (depths, "depth", "depth#")):
            found.update((scene + group, path) for group, path in matches(folder, kind, name))
    return colors, depths


def matches(
    folder: Path, pattern: str, *deeper: str, first: Container[int] | None = None
) -> Iterator[tuple[tuple[int, ...], Path]]:
    """Paths under ``folder`` whose parts match the patterns in any case, "#" being a number, with these numbers.

    ``first``: what the first number may be. Of names that differ only in case all are taken.
    """
    expected = re.compile(re.escape(pattern).replace(re.escape("#"), "0*([0-9]{1,4})"), re.IGNORECASE)
    for path in entries(folder):
        match = expected.fullmatch(path.name)
        if match is None:
            continue
        own = tuple(int(text) for text in match.groups())
        if own and first is not None and own[0] not in first:
            continue
        if not deeper:
            yield own, path
            continue
        for key, found in matches(path, *deeper):
            yield own + key, found


def entries(folder: Path) -> list[Path]:
    """What is in a folder, in order; nothing where it is a file."""
    try:
        return sorted(folder.iterdir())
    except NotADirectoryError:
        return []
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror}") from error
