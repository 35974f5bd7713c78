"""Reading frames from video files, with PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import av.error
import numpy as np
import torch
from torch import Tensor

from ..errors import DataError

VIDEO_SUFFIXES = (".avi", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")


def count_frames(path: str | Path) -> int:
    """Number of frames in a video file; one without any, or that is no video, is a DataError."""
    try:
        with av.open(str(path)) as container:
            stream = _video_stream(container, path)
            # The header's count is a guess in some containers; packets are cheap to count.
            count = sum(1 for packet in container.demux(stream) if packet.size)
    except (av.error.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from error
    if count == 0:
        raise DataError(f"video {path} has no frames")
    return count


def read_frames(path: str | Path, indices: Sequence[int], *, gray: bool = False) -> Tensor:
    """Frames of a video file by index, uint8 (len(indices), 3, H, W) RGB, or (.., 1, H, W) with ``gray``.

    Indices may repeat and come in any order. A file that cannot be read, or ends before the last index, is a
    DataError that names it.
    """
    wanted = set(indices)
    found: dict[int, np.ndarray] = {}
    try:
        with av.open(str(path)) as container:
            stream = _video_stream(container, path)
            stream.thread_count = 1  # loader workers are the parallelism
            for index, frame in enumerate(container.decode(stream)):
                if index in wanted:
                    found[index] = frame.to_ndarray(format="gray" if gray else "rgb24")
                if len(found) == len(wanted):
                    break
    except (av.error.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from error
    missing = sorted(wanted - set(found))
    if missing:
        raise DataError(f"video {path} ends before frame {missing[0]}: it is truncated or damaged")
    stacked = torch.from_numpy(np.stack([found[index] for index in indices]))
    return stacked[:, None] if gray else stacked.permute(0, 3, 1, 2).contiguous()


def _video_stream(container: av.container.InputContainer, path: str | Path) -> av.VideoStream:
    if not container.streams.video:
        raise DataError(f"{path} has no video stream")
    return container.streams.video[0]


def _unreadable(path: str | Path, error: Exception) -> DataError:
    if not Path(path).exists():
        return DataError(f"there is no file {path}")
    return DataError(f"cannot read video {path}: {getattr(error, 'strerror', None) or error}")
