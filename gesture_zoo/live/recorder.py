"""Recorder: frames with their times as a video file."""

from __future__ import annotations

import os
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import av.error
import numpy as np
from PIL import Image

from ..errors import DataError
from ..files import replacing
from ..media_names import RECORDED_SUFFIXES
from .video import reason

_TICKS = 1000  # times are written in milliseconds


class Recorder:
    """Writes a video: H.264 where PyAV has libx264, else MPEG-4; frames keep their times, however uneven.

    The size is that of the first frame, less a row or column where it is odd; frames of another size are resized. The
    file appears under its name when the recorder is closed, also after an error, and not at all without frames. A name
    that is no video's or cannot be written is a DataError.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "black.mp4"
    >>> with Recorder(path) as recorder:
    ...     for number in range(5):
    ...         recorder.write(np.zeros((48, 64, 3), np.uint8), time=number / 5)
    >>> path.exists()
    True
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in RECORDED_SUFFIXES:
            raise DataError(f"cannot record {self.path}: the name of a video ends in {', '.join(RECORDED_SUFFIXES)}")
        if not self.path.parent.is_dir():
            raise DataError(f"cannot record {self.path}: the folder {self.path.parent} does not exist")
        self._stack = ExitStack()
        self._container: av.container.OutputContainer | None = None
        self._last = -1

    def write(self, rgb: np.ndarray, time: float) -> None:
        """Append a frame (H, W, 3) uint8 RGB, shown from ``time`` in seconds on; another kind is a DataError."""
        if rgb.ndim != 3 or rgb.shape[2] != 3 or min(rgb.shape) < 2 or rgb.dtype != np.uint8:
            raise DataError(f"cannot record {self.path}: a frame is (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}")
        try:
            if self._container is None:
                self._open(rgb)
            assert self._container is not None
            if rgb.shape[:2] != self._shape:
                rgb = np.asarray(Image.fromarray(rgb).resize(self._shape[::-1]))
            rgb = rgb[: self._stream.height, : self._stream.width]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            # Two frames within a millisecond stay two.
            self._last = frame.pts = max(self._last + 1, round(time * _TICKS))
            frame.time_base = Fraction(1, _TICKS)
            self._container.mux(self._stream.encode(frame))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise DataError(f"cannot record {self.path}: {reason(error)}") from error

    def close(self) -> None:
        """Complete the file."""
        if self._container is None:
            return
        container, self._container = self._container, None
        try:
            with self._stack:
                container.mux(self._stream.encode())
                container.close()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise DataError(f"cannot record {self.path}: {reason(error)}") from error

    def _open(self, rgb: np.ndarray) -> None:
        self._shape = rgb.shape[:2]
        temporary = self._stack.enter_context(replacing(self.path))
        container = av.open(os.path.abspath(temporary), "w")
        h264 = "libx264" in av.codecs_available
        stream = container.add_stream("libx264" if h264 else "mpeg4", rate=30)
        stream.height, stream.width = (side - side % 2 for side in self._shape)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        if h264:
            stream.options = {"crf": "23", "preset": "veryfast", "tune": "zerolatency"}
        else:
            stream.bit_rate = 24 * stream.width * stream.height
        self._container, self._stream = container, stream

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
