"""open_source: a video file, a folder of frames, a camera or a URL as one kind of thing, a Source."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..media_names import IMAGE_SUFFIXES
from .files import pictures, read_picture
from .opencv import opencv
from .source import Frame, LiveSource, Reader, Source
from .video import SCHEMES, VideoSource, open_url, without_password

FOLDER_RATE = 30.0


def open_source(text: str | Path, *, folder_rate: float = FOLDER_RATE, timeout: float = 10.0) -> Source:
    """Open what ``text`` names, as frames with their times.

    A video file; a folder of frames (JPEG, PNG, WebP, in the order of the numbers in their names, ``folder_rate`` of
    them a second); a URL (rtsp, http or https, and what else FFmpeg opens of ``SCHEMES``); or the number of a camera,
    such as "0". Of cameras and URLs without an end only the newest frame is kept; what a URL gives is read as a file
    where it says how long it is. ``timeout``: seconds without data after which a connection or a camera counts as
    broken. What cannot be opened is a DataError, OpenCV missing for a camera a GestureZooError.

    >>> import tempfile
    >>> from PIL import Image
    >>> folder = Path(tempfile.mkdtemp())
    >>> for number in range(3):
    ...     Image.new("RGB", (8, 6)).save(folder / f"{number}.png")
    >>> with open_source(folder, folder_rate=10) as source:
    ...     [(time, frame.shape) for time, frame in source]
    [(0.0, (6, 8, 3)), (0.1, (6, 8, 3)), (0.2, (6, 8, 3))]
    """
    if timeout <= 0:
        raise DataError(f"timeout is a number of seconds above 0, got {timeout}")
    name = str(text)
    if not isinstance(text, Path):  # a Path is a file or folder, whatever it is called
        if is_camera(name):
            return open_camera(int(name), timeout=timeout)
        if is_url(name):
            return open_url(name, timeout=timeout)
    path = Path(name)
    return FolderSource(path, frame_rate=folder_rate) if path.is_dir() else VideoSource(name)


def is_camera(text: str) -> bool:
    """Whether it is the number of a camera; ``./0`` is a file or folder of that name."""
    return text.isdecimal() and text.isascii()


def is_url(text: str) -> bool:
    """Whether it is a URL, whose scheme is known or not.

    >>> is_url("rtsp://camera/1"), is_url("clip.mp4")
    (True, False)
    """
    scheme, separator, _ = text.partition("://")
    if separator and scheme.isalnum() and scheme.lower() not in SCHEMES:
        raise DataError(
            f"cannot open {without_password(text)}: a URL starts with {', '.join(f'{known}://' for known in SCHEMES)}"
        )
    return bool(separator) and scheme.lower() in SCHEMES


class FolderSource(Source):
    """The pictures of a folder, so many a second."""

    def __init__(self, path: Path, *, frame_rate: float) -> None:
        if not 0 < frame_rate < float("inf"):
            raise DataError(f"the frames of a folder need a number a second above 0, got {frame_rate}")
        self.paths = pictures(path)
        if not self.paths:
            raise DataError(f"the folder {path} does not hold any images ({', '.join(IMAGE_SUFFIXES)})")
        self.rate = frame_rate
        super().__init__(str(path), frame_rate=frame_rate, length=len(self.paths) / frame_rate)

    def frames(self) -> Iterator[Frame]:
        for number, path in enumerate(self.paths):
            yield number / self.rate, read_picture(path)


def open_camera(index: int, *, patience: float = 2.0, timeout: float = 10.0) -> LiveSource:
    """The camera of this number, read by OpenCV.

    It ends when it has said for ``patience`` seconds that it has no frame, or has said nothing at all for ``timeout``.
    """
    cv2 = opencv(f"camera {index}")
    capture = cv2.VideoCapture(index)
    if not capture.isOpened():
        capture.release()
        raise DataError(f"cannot open camera {index}: is it connected, and used by nothing else? The first one is 0")
    # Some drivers queue frames by themselves, against what we do; one that cannot be told so ignores it.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return LiveSource(f"camera {index}", CameraReader(capture, patience), patience=timeout)


class CameraReader(Reader):
    """The frames of a cv2.VideoCapture."""

    def __init__(self, capture: Any, patience: float) -> None:
        self.capture, self.patience = capture, patience

    def __iter__(self) -> Iterator[np.ndarray]:
        last = time.monotonic()
        while time.monotonic() - last < self.patience:
            given, frame = self.capture.read()
            if given and frame is not None:
                last = time.monotonic()
                yield frame
            else:
                time.sleep(0.01)  # cameras wake up slowly, and lose a frame now and then
        raise OSError(f"the camera gave no frame for {self.patience:g} s")

    def convert(self, raw: np.ndarray) -> np.ndarray:
        """From OpenCV's blue, green, red."""
        return np.ascontiguousarray(raw[..., ::-1])

    def close(self) -> None:
        self.capture.release()
