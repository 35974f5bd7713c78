"""Your own clips: a sub-folder per class, or a table per split; depth beside the clips if you have it.

root/train/wave/001.mp4        root/train/wave/001.depth.mkv    a video and its depth
root/train/wave/002/0001.jpg   root/train/wave/002.depth/0001.png    frames and their depth
root/val/wave/...              or no splits at all: root/wave/001.mp4
root/train.csv, root/val.csv   path,label[,start,end][,depth_path], paths relative to root (see clip_table.py)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import DataError
from ..media_names import IMAGE_SUFFIXES, VIDEO_SUFFIXES, is_clutter
from .base import ClipDataset
from .clip_table import read_table
from .depth import MILLIMETRES, NEARER_BRIGHTER, DepthEncoding, encoding_of
from .listing import SPLITS, ClipRecord, Listing, cells_of, numbered_lines, utf8_fault
from .media import Media, is_video, media

DEPTH = ".depth"
_VIDEOS = ", ".join(VIDEO_SUFFIXES)
CLASSES = "classes.txt"
FLIPS = "flips.csv"


class ClipFolder(ClipDataset):
    """Clips in class sub-folders of ``root/<split>``, or of ``root`` where there are no split folders, or of tables.

    A clip is a video or a folder of images. ``NAME.depth.SUFFIX`` or the folder ``NAME.depth`` is the depth of the clip
    ``NAME``; of two folders, images with the same last number in their names belong together. Class names are those of
    the training split in alphabetical order, or the lines of ``root/classes.txt``. Depth of 8 bits has the encoding
    ``depth8`` (by default nearer = brighter, all of it valid), of 16 bits (PNG) ``depth16`` (by default millimetres,
    0 = not measured, depth 1 at 300 and depth 0 at 3000). ``flips`` says what each class becomes when mirrored left to
    right, as do lines of ``class,mirrored class`` in ``root/flips.csv``. A folder without clips is a DataError.
    """

    name = "folder"
    title = "your own clips"
    splits = dict.fromkeys(SPLITS)
    depth = NEARER_BRIGHTER

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        *,
        flips: Mapping[str, str] | None = None,
        depth8: DepthEncoding = NEARER_BRIGHTER,
        depth16: DepthEncoding = MILLIMETRES,
        **options: Any,
    ) -> None:
        self.depth = self.depth8 = depth8  # type: ignore[misc]
        self.depth16 = depth16
        super().__init__(root, split, **options)
        self.flips = read_flips(self.root / FLIPS) if flips is None else dict(flips)  # type: ignore[misc]
        unknown = sorted({name for pair in self.flips.items() for name in pair} - set(self.class_names))
        if unknown:
            where = self.root / FLIPS if flips is None else "flips"
            raise DataError(f"{where} names the class {unknown[0]!r}; the classes are {', '.join(self.class_names)}")
        for name, mirrored in self.flips.items():
            if self.flips.get(mirrored, name) != name:
                other = self.flips[mirrored]
                raise DataError(f"{name!r} becomes {mirrored!r} when mirrored, but {mirrored!r} becomes {other!r}")

    def decode_depth(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        return encoding_of(raw, self.depth8, self.depth16).decode(raw)

    def list_clips(self, root: Path, split: str) -> Listing:
        fixed = read_classes(root / CLASSES) if (root / CLASSES).is_file() else None
        tables, folders = find_splits(root)
        if tables:
            return self.list_table(root, split, fixed, tables)
        if not folders and split != "train":
            raise DataError(
                f"{root} has no sub-folders train, {split} and no {split}.csv: it is one split, 'train'{_nearby(root)}"
            )
        base = root / split if folders else root
        if folders and split not in folders:
            raise DataError(f"{root} has no split folder {split!r}, only {', '.join(folders)}")
        if fixed is None and folders and "train" not in folders:
            raise DataError(f"{root} needs the folder train or the file {CLASSES}: they say what the classes are")
        # The classes of all splits are those of train: a class may be absent from a small val folder.
        source = root / CLASSES if fixed else root / "train"
        names = fixed or [path.name for path in _folders(source if folders else root)]
        listing = Listing(names)
        for folder in _folders(base):
            if folder.name in names:
                _add_clips(listing, folder, names.index(folder.name), root, needed=split == "train")
            else:
                listing.problem("label", folder, f"the class {folder.name!r} is not in {source}")
        if not listing.records:
            what = f"no clips: expected {base}/<class>/<clip>.mp4 ({_VIDEOS}), folders of images"
            nearby = _nearby(root)
            listing.problem("empty", base, f"{what} in place of videos, or {root / 'train.csv'}{nearby}")
            if nearby:  # that says more than what is wrong with each class
                listing.problems.insert(0, listing.problems.pop())
        return listing

    def list_table(self, root: Path, split: str, fixed: list[str] | None, tables: list[str]) -> Listing:
        """The clips of ``root/<split>.csv``."""
        if split not in tables:
            raise DataError(f"{root} has no {split}.csv, only {', '.join(f'{name}.csv' for name in tables)}")
        if fixed is not None or split == "train":
            return read_table(root / f"{split}.csv", root, fixed, root / CLASSES)
        if "train" not in tables:
            raise DataError(f"{root} needs train.csv or {CLASSES}: they say what the classes are")
        train = read_table(root / "train.csv", root)
        listing = read_table(root / f"{split}.csv", root, train.class_names, root / "train.csv")
        # A row that cannot be read in train.csv may be the only one of its class.
        listing.problems[:0] = train.problems
        return listing

    @classmethod
    def available_splits(cls, root: Path) -> list[str]:
        tables, folders = find_splits(root)
        return tables or folders or ["train"]


def read_flips(path: Path) -> dict[str, str]:
    """What every class becomes when mirrored, both ways; nothing where there is no such file."""
    if not path.is_file():
        return {}
    flips = {}
    for number, line in numbered_lines(path):
        if fault := utf8_fault(line):
            raise DataError(f"{path}, line {number}: {fault}")
        parts = cells_of(line) or []
        if len(parts) != 2 or not all(parts):
            raise DataError(
                f"{path}, line {number}: expected 'class,mirrored class', such as 'swipe_left,swipe_right', and quotes "
                "around a name with a comma"
            )
        flips[parts[0]], flips[parts[1]] = parts[1], parts[0]
    return flips


def find_splits(root: Path) -> tuple[list[str], list[str]]:
    """The splits that have a table and those that have a folder; where there are tables, folders do not count."""
    folders = [split for split in SPLITS if (root / split).is_dir()]
    # Without train, "val" and "test" are splits only if nothing is beside them: they may be names of classes.
    if "train" not in folders and any(path.name not in folders for path in _folders(root)):
        folders = []
    return [split for split in SPLITS if (root / f"{split}.csv").is_file()], folders


def read_classes(path: Path) -> list[str]:
    """The class names of a file, one a line; none or one twice is a DataError."""
    names: list[str] = []
    for number, name in numbered_lines(path):
        if fault := utf8_fault(name):
            raise DataError(f"{path}, line {number}: {fault}")
        if name in names:
            raise DataError(f"{path}, line {number}: the class {name[:80]!r} is there twice")
        names.append(name)
    if not names:
        raise DataError(f"{path} names no classes: expected one in each line")
    return names


def _nearby(root: Path) -> str:
    """Where the clips may be instead, if a folder above or below looks like a dataset."""
    for folder in (root.parent, root.parent.parent):
        if any(folder / name in (root, root.parent) for name in SPLITS):
            return f"; did you mean {folder}?"
    for folder in _folders(root):
        if os.path.isdir(folder / "train") or os.path.isfile(folder / "train.csv"):  # also where nothing can be read
            return f"; did you mean {folder}?"
    return ""


def _folders(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.is_dir()]


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not is_clutter(path.name))
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror}") from error


def _add_clips(listing: Listing, folder: Path, label: int, root: Path, *, needed: bool) -> None:
    """Videos and folders of frames, each with its depth; ``needed``: a class whose files are no clips is a fault."""
    clips, depths, others = [], {}, []
    for path in _visible(folder):
        name = path.name if path.is_dir() else path.stem
        if not is_video(path) and not (path.is_dir() and _has_images(path)):
            others.append(path)
        elif name.lower().endswith(DEPTH):
            depths[name[: -len(DEPTH)]] = path
        else:
            clips.append((name, path))
    if others:
        # A class that is there in name alone would be trained on nothing. One that is empty may yet be filled.
        lost = f"the class {folder.name!r} has no clip: " if not clips else ""
        listing.problem("no clip", folder, f"{lost}{_left_out(others)}", fatal=bool(lost) and needed)
    for name, path in clips:
        depth = media(depths[name]) if name in depths else None
        listing.records.append(ClipRecord(media(path), depth, label, path.relative_to(root).as_posix()))
    for name in sorted(depths.keys() - {name for name, _ in clips}):
        what = f"depth without a clip: expected {name}.mp4 or a folder {name} beside it"
        listing.problem("no clip", depths[name], what, fatal=False)


def _left_out(others: list[Path]) -> str:
    """What is wrong with files and folders in the folder of a class that are no clips."""
    for path in filter(Path.is_dir, others):
        deeper = [clip for clip in _visible(path) if is_video(clip) or (clip.is_dir() and _has_images(clip))]
        if deeper:
            where, right = (clip.relative_to(path.parent.parent).as_posix() for clip in (deeper[0], path.parent))
            return f"clips lie one level too deep: {where}; they belong right into {right}"
    what = f"{others[0].name!r} is no clip, and left out"
    if others[1:]:
        what = f"{len(others)} files or folders that are no clips are left out, such as {others[0].name!r}"
    return f"{what}: a clip is a video ({_VIDEOS}) or a folder of images"


def depth_beside(path: Path) -> Media | None:
    """The depth of a clip that is in no dataset, NAME.depth beside NAME; None if there is none."""
    name = path.name if path.is_dir() else path.stem
    found = [
        other
        for other in _visible(path.parent)
        if (stem := other.name if other.is_dir() else other.stem)[: -len(DEPTH)] == name
        and stem.lower().endswith(DEPTH)
        and (is_video(other) or (other.is_dir() and _has_images(other)))
    ]
    return media(found[0]) if found else None


def _has_images(folder: Path) -> bool:
    # The first image will do: a clip can have thousands, and there are thousands of clips.
    try:
        with os.scandir(folder) as found:
            return any(entry.name.lower().endswith(IMAGE_SUFFIXES) for entry in found)
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror}") from error
