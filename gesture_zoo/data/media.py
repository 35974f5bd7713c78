"""Where the frames of a clip are: a video file or a folder of images, or a stretch of either."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from ..errors import DataError
from ..media_names import IMAGE_SUFFIXES, VIDEO_SUFFIXES, is_clutter, is_depth_name, natural_key
from .images import read_images
from .video import count_frames, read_frames


class Media(Protocol):
    """Frames by index, counted from the start of the clip."""

    @property
    def path(self) -> Path:
        """The file or folder."""

    def length(self) -> int:
        """Number of frames."""

    def read(self, indices: Sequence[int], *, gray: bool = False) -> Tensor:
        """uint8 (len(indices), 3, H, W), or (.., 1, H, W) with ``gray``; 16-bit grey images are uint16."""


@dataclass(frozen=True)
class VideoFile:
    """Frames ``start`` up to and without ``stop`` of a video file; all of it without ``stop``."""

    path: Path
    start: int = 0
    stop: int | None = None

    def length(self) -> int:
        """Number of frames; the file is opened only where ``stop`` does not say."""
        stop = count_frames(self.path) if self.stop is None else self.stop
        if stop <= self.start:
            raise DataError(f"video {self.path} has {stop} frames, and the clip starts at frame {self.start}")
        return stop - self.start

    def read(self, indices: Sequence[int], *, gray: bool = False) -> Tensor:
        """Frames by index."""
        return read_frames(self.path, [self.start + index for index in indices], gray=gray)


@dataclass(frozen=True)
class NumberedFrames:
    """Images of a folder whose names are numbers: frame 0 of the clip is ``pattern.format(first)``.

    ``count`` is the number of frames; without it the images of the folder are counted.
    """

    path: Path
    pattern: str
    first: int = 1
    count: int | None = None

    def length(self) -> int:
        """Number of frames."""
        if self.count is not None:
            return self.count
        count = len(self.numbered())
        if not count:
            raise DataError(f"the folder {self.path} holds no frames ({self.pattern.format(self.first)}, ...)")
        return count

    def numbered(self) -> set[str]:
        """Names of the images of the folder that are numbers."""
        suffix = Path(self.pattern).suffix
        names = _file_names(self.path)
        return {name for name in names if name.endswith(suffix) and name.removesuffix(suffix).isdecimal()}

    def shifted(self) -> str:
        """What to say of frames that are numbered from 0, where 1 is the first; nothing of others."""
        zeroth = self.pattern.format(0)
        if self.first < 1 or not os.path.exists(self.path / zeroth):
            return ""
        return f"the frames of {self.path} are numbered from 0 ({zeroth}), and have to be from 1, as the official ones"

    def read(self, indices: Sequence[int], *, gray: bool = False) -> Tensor:
        """Frames by index."""
        try:
            return read_images([self.path / self.pattern.format(self.first + index) for index in indices], gray=gray)
        except DataError as error:
            if shifted := self.shifted():
                raise DataError(f"{error}; {shifted}") from error
            raise


@dataclass(frozen=True)
class FrameFolder:
    """All images of a folder, ordered by the numbers in their names, or a stretch of them."""

    path: Path
    start: int = 0
    stop: int | None = None

    def names(self) -> list[str]:
        """File names of the frames, first to last."""
        names = (name for name in _file_names(self.path) if Path(name).suffix.lower() in IMAGE_SUFFIXES)
        return sorted((name for name in names if not name.startswith(".")), key=natural_key)[self.start : self.stop]

    def length(self) -> int:
        """Number of frames; none is a DataError."""
        count = len(self.names())
        if count == 0 or (self.stop is not None and count < self.stop - self.start):
            wanted = "any" if self.stop is None else f"frames {self.start} to {self.stop - 1}"
            raise DataError(f"the folder {self.path} does not hold {wanted} images ({', '.join(IMAGE_SUFFIXES)})")
        return count

    def read(self, indices: Sequence[int], *, gray: bool = False) -> Tensor:
        """Frames by index."""
        names = self.names()
        if indices and max(indices) >= len(names):
            raise DataError(f"the folder {self.path} has {len(names)} frames, not {max(indices) + 1}")
        return read_images([self.path / names[index] for index in indices], gray=gray)


def media(path: Path, start: int = 0, stop: int | None = None) -> VideoFile | FrameFolder:
    """The media at a path: a folder holds frames, a file is a video."""
    return FrameFolder(path, start, stop) if os.path.isdir(path) else VideoFile(path, start, stop)


def clips_under(path: Path) -> list[Path]:
    """The clips at a path, in order: a video, a folder of frames, or all of these in a folder and those below it.

    The depth of a clip is none itself: NAME.depth, or IsoGD's K_00001.avi beside M_00001.avi. A path without any clip
    is a DataError, and so is a folder that holds images and videos.
    """
    if os.path.isfile(path):
        return [path]
    if not os.path.isdir(path):
        raise DataError(f"there is no file or folder {path}")
    found = _clips_in(path)
    if not found:
        raise DataError(f"the folder {path} holds no videos ({', '.join(VIDEO_SUFFIXES)}) and no folders of images")
    return found


def _clips_in(folder: Path) -> list[Path]:
    names = sorted((name for name in _file_names(folder) if not is_clutter(name)), key=natural_key)
    names = [name for name in names if not is_depth_name(name, names)]
    if any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in names):
        if any(name.lower().endswith(VIDEO_SUFFIXES) for name in names):
            raise DataError(f"the folder {folder} holds images and videos: is it a clip, or does it hold clips?")
        return [folder]
    paths = [folder / name for name in names]
    return [clip for path in paths for clip in (_clips_in(path) if path.is_dir() else [path] * is_video(path))]


def is_video(path: Path) -> bool:
    """Whether the name is a video file's."""
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")


def _file_names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError as error:
        raise DataError(f"cannot read the folder of frames {folder}: {error.strerror}") from error
