"""Write clips as video files."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np

from ..errors import DataError
from ..files import replacing


def write_video(frames: np.ndarray, path: str | os.PathLike[str], *, fps: int = 12) -> None:
    """Write frames (T, H, W, 3) uint8 RGB as a yuv420p video, H.264 where PyAV has libx264, else MPEG-4.

    H and W must be even, ``fps`` a positive whole number; the suffix of ``path`` (.avi, .mkv, .mov, .mp4) selects
    the container. The file appears under its name only once it is complete. Raises DataError for frames, fps
    or a path that cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_video(np.zeros((3, 32, 32, 3), np.uint8), Path(folder) / "black.mp4")
    ...     [file.name for file in Path(folder).iterdir()]
    ['black.mp4']
    """
    frames, path = np.asarray(frames), Path(path)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise DataError(f"frames must be (T, H, W, 3) uint8, got {frames.shape} {frames.dtype}")
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        raise DataError(f"yuv420p video needs even sizes, got {frames.shape[1]}x{frames.shape[2]}")
    if isinstance(fps, bool) or not isinstance(fps, (int, np.integer)) or fps < 1:
        raise DataError(f"fps must be a whole number at least 1, got {fps!r}")
    if not path.parent.is_dir():
        raise DataError(f"cannot write {path}: the folder {path.parent} does not exist")
    h264 = "libx264" in av.codecs_available
    try:
        with replacing(path) as temporary, av.open(os.path.abspath(temporary), "w") as container:
            stream = container.add_stream("libx264" if h264 else "mpeg4", rate=int(fps))
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            if h264:
                stream.options = {"crf": "18", "preset": "veryfast"}
            else:
                stream.bit_rate = 8 * frames.shape[1] * frames.shape[2] * int(fps)
            for frame in frames:
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DataError(f"cannot write {path}: {error}") from error
