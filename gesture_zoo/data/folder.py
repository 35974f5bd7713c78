"""Your own clips: one sub-folder of videos per class, depth beside them if you have it.

root/train/wave/001.mp4        root/train/wave/001.depth.mkv   (8-bit grey, nearer = brighter, optional)
root/val/wave/...              or no splits at all: root/wave/001.mp4
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import DataError
from .base import ClipRecord, VideoDataset
from .video import VIDEO_SUFFIXES

SPLITS = ("train", "val", "test")


class ClipFolder(VideoDataset):
    """Videos in class sub-folders of ``root/<split>``, or of ``root`` where there are no split folders.

    Class names are the sub-folders', in alphabetical order. A file ``NAME.depth.SUFFIX`` is the depth of the
    video ``NAME.*``: 8-bit grey, nearer = brighter. A folder without videos is a DataError.
    """

    def __init__(self, root: str | Path, split: str = "train", **options: Any) -> None:
        names, records = scan(Path(root), split)
        super().__init__(records, names, **options)


def scan(root: Path, split: str) -> tuple[list[str], list[ClipRecord]]:
    """Class names and clips of a split."""
    if split not in SPLITS:
        raise DataError(f"a clip folder has the splits {', '.join(SPLITS)}, not {split!r}")
    if not root.is_dir():
        raise DataError(f"there is no folder {root}")
    has_splits = (root / "train").is_dir()
    if not has_splits and split != "train":
        raise DataError(f"{root} has no sub-folders train, {split}: it is one split, 'train'")
    base = root / split if has_splits else root
    if not base.is_dir():
        raise DataError(f"{root} has no split folder {split!r}")
    # The classes of all splits are those of train: a class may be absent from a small val folder.
    names = sorted(f.name for f in (root / "train" if has_splits else root).iterdir() if _is_class(f))
    extra = sorted({f.name for f in base.iterdir() if _is_class(f)} - set(names))
    if extra:
        raise DataError(f"{base / extra[0]}: the class {extra[0]!r} is not in {root / 'train'}")
    records = [record for label, name in enumerate(names) for record in _clips(base / name, label, root)]
    if not records:
        raise DataError(f"no videos in {base}: expected {base}/<class>/<clip>.mp4 ({', '.join(VIDEO_SUFFIXES)})")
    return names, records


def _is_class(folder: Path) -> bool:
    return folder.is_dir() and not folder.name.startswith(".")


def _clips(folder: Path, label: int, root: Path) -> list[ClipRecord]:
    if not folder.is_dir():
        return []
    videos = sorted(f for f in folder.iterdir() if f.suffix.lower() in VIDEO_SUFFIXES and not f.name.startswith("."))
    depths = {f.name.partition(".depth.")[0]: f for f in videos if ".depth." in f.name}
    return [
        ClipRecord(video, depths.get(video.stem), label, str(video.relative_to(root)))
        for video in videos
        if ".depth." not in video.name
    ]
