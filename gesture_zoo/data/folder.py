"""Your own clips: a sub-folder per class, or a table per split; depth beside the clips if you have it.

root/train/wave/001.mp4        root/train/wave/001.depth.mkv    a video and its depth
root/train/wave/002/0001.jpg   root/train/wave/002.depth/0001.png    frames and their depth
root/val/wave/...              or no splits at all: root/wave/001.mp4
root/train.csv, root/val.csv   path,label[,start,end][,depth_path], paths relative to root (see clip_table.py)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import DataError
from .base import ClipDataset
from .clip_table import read_table
from .depth import MILLIMETRES, NEARER_BRIGHTER, DepthEncoding, encoding_of
from .images import IMAGE_SUFFIXES
from .listing import ClipRecord, Listing, numbered_lines
from .media import is_video, media
from .video import VIDEO_SUFFIXES

SPLITS = ("train", "val", "test")
DEPTH = ".depth"
CLASSES = "classes.txt"


class ClipFolder(ClipDataset):
    """Clips in class sub-folders of ``root/<split>``, or of ``root`` where there are no split folders, or of tables.

    A clip is a video or a folder of images. ``NAME.depth.SUFFIX`` or the folder ``NAME.depth`` is the depth of the clip
    ``NAME``. Class names are those of the training split in alphabetical order, or the lines of ``root/classes.txt``.
    Depth of 8 bits has the encoding ``depth8`` (by default nearer = brighter, all of it valid), of 16 bits (PNG)
    ``depth16`` (by default millimetres, 0 = not measured, depth 1 at 300 and depth 0 at 3000). ``flips`` says what each
    class becomes when mirrored. A folder without clips is a DataError.
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
        self.depth8 = depth8
        self.depth16 = depth16
        self.flips = dict(flips or {})  # type: ignore[misc]
        super().__init__(root, split, **options)
        unknown = sorted({name for pair in self.flips.items() for name in pair} - set(self.class_names))
        if unknown:
            raise DataError(f"flips names the class {unknown[0]!r}; the classes are {', '.join(self.class_names)}")

    def decode_depth(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        return encoding_of(raw, self.depth8, self.depth16).decode(raw)

    def list_clips(self, root: Path, split: str) -> Listing:
        fixed = [line for _, line in numbered_lines(root / CLASSES)] if (root / CLASSES).is_file() else None
        if (root / "train.csv").is_file():
            return self.list_table(root, split, fixed)
        # One level too low is the likeliest mistake: its class folders would be taken for those of another dataset.
        has_splits = (root / "train").is_dir()
        if not has_splits and split != "train":
            raise DataError(f"{root} has no sub-folders train, {split} and no {split}.csv: it is one split, 'train'")
        base = root / split if has_splits else root
        if not base.is_dir():
            raise DataError(f"{root} has no split folder {split!r}")
        # The classes of all splits are those of train: a class may be absent from a small val folder.
        names = fixed or sorted(path.name for path in _visible(root / "train" if has_splits else root) if path.is_dir())
        listing = Listing(names)
        for folder in _visible(base):
            if folder.is_dir() and folder.name not in names:
                source = CLASSES if fixed else root / "train"
                listing.problem("label", folder, f"the class {folder.name!r} is not in {source}")
            elif folder.is_dir():
                listing.records += _clips(folder, names.index(folder.name), root)
        if not listing.records:
            what = f"no clips: expected {base}/<class>/<clip>.mp4 ({', '.join(VIDEO_SUFFIXES)}), folders of images"
            listing.problem("empty", base, f"{what} in place of videos, or {root / 'train.csv'}")
        return listing

    def list_table(self, root: Path, split: str, fixed: list[str] | None) -> Listing:
        """The clips of ``root/<split>.csv``."""
        if not (root / f"{split}.csv").is_file():
            raise DataError(f"{root} has train.csv and no {split}.csv")
        if fixed is None and split != "train":
            fixed = read_table(root / "train.csv", root).class_names
        return read_table(root / f"{split}.csv", root, fixed)

    @classmethod
    def available_splits(cls, root: Path) -> list[str]:
        tables = [split for split in SPLITS if (root / f"{split}.csv").is_file()]
        return tables or [split for split in SPLITS if (root / split).is_dir()] or ["train"]


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _clips(folder: Path, label: int, root: Path) -> list[ClipRecord]:
    """Videos and folders of frames, each with its depth."""
    clips, depths = [], {}
    for path in _visible(folder):
        name = path.name if path.is_dir() else path.stem
        if not is_video(path) and not (path.is_dir() and _has_images(path)):
            continue
        if name.endswith(DEPTH):
            depths[name.removesuffix(DEPTH)] = path
        else:
            clips.append((name, path))
    return [
        ClipRecord(
            media(path), media(depths[name]) if name in depths else None, label, path.relative_to(root).as_posix()
        )
        for name, path in clips
    ]


def _has_images(folder: Path) -> bool:
    return any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())
