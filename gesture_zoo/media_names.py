"""Which files are videos and which are pictures, by their names, and in which order; for all who read any."""

from __future__ import annotations

import re
from collections.abc import Collection

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")
WRITABLE_SUFFIXES = (".avi", ".mkv", ".mov", ".mp4")  # of videos that are written
RECORDED_SUFFIXES = (".mkv", ".mov", ".mp4")  # of those whose frames keep their times; an .avi stores none

# What systems and archives leave behind in folders, in any case; beside all that begins with a dot.
CLUTTER = ("__macosx", "desktop.ini", "thumbs.db")


def is_clutter(name: str) -> bool:
    """Whether a file or folder is none of the user's: hidden, or left behind by a system or an archive.

    >>> [is_clutter(name) for name in (".DS_Store", "Thumbs.db", "__MACOSX", "wave")]
    [True, True, True, False]
    """
    return name.startswith(".") or name.lower() in CLUTTER


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """A sort key by which "frame10" comes after "frame9".

    >>> sorted(["f10.png", "f9.png", "f010.png"], key=natural_key)
    ['f9.png', 'f010.png', 'f10.png']
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts] + [(2, 0, name)]


def is_depth_name(name: str, beside: Collection[str] = ()) -> bool:
    """Whether a file or folder is the depth of another: NAME.depth or NAME.depth.mkv, or IsoGD's K_ ``beside`` its M_.

    >>> is_depth_name("001.depth.mkv"), is_depth_name("001.DEPTH.MKV"), is_depth_name("001.mp4")
    (True, True, False)
    >>> is_depth_name("K_00001.avi", ["K_00001.avi", "M_00001.avi"]), is_depth_name("K_1.avi")
    (True, False)
    """
    return re.search(r"\.depth(\.\w+)?$", name, re.IGNORECASE) is not None or (
        name.startswith("K_") and f"M_{name[2:]}" in beside
    )
