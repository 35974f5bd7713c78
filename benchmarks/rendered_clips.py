"""Real recordings to test models of rendered gestures on, and which class each of them is of.

ROOT may hold any of: nvgesture/ (the official layout), nvgesture_frames/ (rgb/SUBJECT/*.jpg, 30 a second, a gesture
each) and isogd/ (the official layout). Only what is there of a list is taken, and how much is not there is said.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gesture_zoo.data.isogd import IsoGD
from gesture_zoo.data.media import VideoFile
from gesture_zoo.data.nvgesture import COLORS, LISTS, NVGesture
from gesture_zoo.errors import DataError
from gesture_zoo.live import open_source
from gesture_zoo.live.files import pictures

CLASSES = Path(__file__).with_name("nvgesture_classes.csv")
FRAMES = Path(__file__).with_name("nvgesture_frames.csv")
DATASETS = ("nvgesture", "nvgesture_frames", "isogd")


class Mapped(NamedTuple):
    """The class of ours that a class of NVGesture is, and how well it corresponds: "exact" or "near"."""

    label: str
    fit: str


class Recording(NamedTuple):
    """A video or a folder of frames, ``rate`` a second, with its own dataset's class from 1 on.

    ``window``: frames from the first to the one after the last of the gesture; None where it is not marked.
    ``mapped``: our class; None where there is none, or it is not known.
    """

    dataset: str
    id: str
    path: Path
    rate: float
    number: int
    window: tuple[int, int] | None = None
    mapped: Mapped | None = None


def read_classes(path: Path = CLASSES) -> dict[int, Mapped]:
    """The classes of NVGesture that are one of ours, by number.

    >>> read_classes()[1], 9 in read_classes()
    (Mapped(label='Swiping Left', fit='exact'), False)
    """
    with path.open(newline="", encoding="utf-8") as file:
        return {int(row["id"]): Mapped(row["class"], row["fit"]) for row in csv.DictReader(file) if row["class"]}


def read_frame_ids(path: Path = FRAMES) -> dict[str, int]:
    """The class of NVGesture of each recording of nvgesture_frames: their own lists do not say it.

    >>> read_frame_ids()["subject11_r0"]
    1
    """
    with path.open(newline="", encoding="utf-8") as file:
        return {row["id"]: int(row["nvgesture_id"]) for row in csv.DictReader(file)}


def find_recordings(
    root: Path, *, lists: str | None = None, color: str | None = None, only: Sequence[str] = DATASETS
) -> tuple[list[Recording], list[str]]:
    """What there is under ``root``, and sentences on what there is not; nothing at all is a DataError.

    ``lists`` and ``color`` are NVGesture's; by default v2 where it is there, and of every recording the colour camera's
    own picture where it is there, else the one that was warped onto the depth.
    """
    finders = {"nvgesture": nvgesture, "nvgesture_frames": nvgesture_frames, "isogd": isogd}
    found: list[Recording] = []
    notes: list[str] = []
    for name in only:
        if not (root / name).is_dir():
            notes.append(f"There is no {name}/.")
            continue
        recordings, note = finders[name](
            root / name, **({"lists": lists, "color": color} if name == DATASETS[0] else {})
        )
        found += recordings
        notes += note
    if not found:
        raise DataError(f"{root} holds no recordings: expected one of the folders {', '.join(f'{n}/' for n in only)}")
    return found, notes


def nvgesture(root: Path, *, lists: str | None, color: str | None) -> tuple[list[Recording], list[str]]:
    """The recordings of NVGesture's lists; one that is in two of them is taken once."""
    classes, found, absent, warped = read_classes(), {}, 0, 0
    for split in NVGesture.available_splits(root):
        there = [v for v in ("v2", "v1") if (root / LISTS[v].format(split=split)).is_file()]
        which = lists or there[0]
        if which not in there:
            continue
        for record in NVGesture(root, split, lists=which, strict=False).records:
            folder = record.rgb.path.parent
            names = [color] if color else list(COLORS)
            path = next((folder / f"{name}.avi" for name in names if (folder / f"{name}.avi").is_file()), None)
            if path is None or not isinstance(record.rgb, VideoFile):
                absent += 1
                continue
            warped += path.stem == "sk_wrapped"
            number = record.label + 1
            window = (record.rgb.start, int(record.rgb.stop or 0))
            name = record.id.removeprefix("./").removeprefix("Video_data/")
            found[name] = Recording("nvgesture", name, path, 30.0, number, window, classes.get(number))
    said = (
        f"nvgesture/: {len(found)} recordings, {warped} of them colour warped onto depth; {absent} listed ones absent."
    )
    return list(found.values()), [said]


def nvgesture_frames(root: Path) -> tuple[list[Recording], list[str]]:
    """Folders of frames that are one gesture each."""
    classes, ids, found = read_classes(), read_frame_ids(), []
    folders = sorted(path for path in (root / "rgb").iterdir() if path.is_dir()) if (root / "rgb").is_dir() else []
    for folder in folders:
        count = len(pictures(folder))
        number = ids.get(folder.name, 0)
        if count:
            mapped = classes.get(number)
            found.append(Recording("nvgesture_frames", folder.name, folder, 30.0, number, (0, count), mapped))
    unknown = sum(recording.number == 0 for recording in found)
    return found, [f"nvgesture_frames/: {len(found)} recordings; {unknown} of them are not in {FRAMES.name}."]


def isogd(root: Path) -> tuple[list[Recording], list[str]]:
    """The clips of IsoGD's lists."""
    found, absent = {}, 0
    for split in IsoGD.available_splits(root):
        for record in IsoGD(root, split, strict=False).records:
            path = record.rgb.path
            if path.is_file():
                name = record.id.removesuffix(".avi")
                found[name] = Recording("isogd", name, path, 10.0, record.label + 1)
            else:
                absent += 1
    return list(found.values()), [f"isogd/: {len(found)} clips; {absent} listed ones absent."]


def frames_of(recording: Recording) -> Iterator[tuple[float, np.ndarray]]:
    """The frames (H, W, 3) uint8 RGB of a recording with their times in seconds, at the rate of its dataset."""
    source: Any
    with open_source(recording.path, folder_rate=recording.rate) as source:
        for number, (_, rgb) in enumerate(source):
            yield number / recording.rate, rgb
