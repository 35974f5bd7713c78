"""Reading frames from video files: PyAV, or torchcodec where it and FFmpeg are installed.

The backend is chosen once, at the first video. Frames are decoded on one thread: the workers of a loader are the
parallelism.
"""

from __future__ import annotations

import functools
import io
import os
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import av
import av.error
import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from torch import Tensor

from ..errors import DataError
from ..shown import as_shown, gray_format, shown_packets, times_are_guessed, video_stream
from .images import COLOURED, is_coloured

BACKEND_VARIABLE = "GESTURE_ZOO_VIDEO_BACKEND"


@functools.cache
def video_backend() -> str:
    """The backend in use: "torchcodec" where it can be loaded, else "pyav".

    The environment variable GESTURE_ZOO_VIDEO_BACKEND chooses one; one that cannot be loaded is then a DataError.
    """
    wanted = os.environ.get(BACKEND_VARIABLE, "")
    if wanted not in ("", "pyav", "torchcodec"):
        raise DataError(f"{BACKEND_VARIABLE} is 'pyav' or 'torchcodec', not {wanted!r}")
    if wanted == "pyav":
        return wanted
    fault = _torchcodec_fault()
    if fault and wanted == "torchcodec":
        raise DataError(f"{BACKEND_VARIABLE} is torchcodec, which cannot be used: {fault}")
    return "pyav" if fault else "torchcodec"


def _torchcodec_fault() -> str:
    """Why torchcodec cannot be used, or nothing."""
    try:
        from torchcodec.decoders import VideoDecoder

        # It looks for FFmpeg's libraries only when there is something to decode: one black frame.
        VideoDecoder(_black_video()).get_frame_at(0)
    except (ImportError, OSError, RuntimeError) as error:
        return str(error).strip().partition("\n")[0]
    return ""


def _black_video() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=1)
        stream.height = stream.width = 32
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def count_frames(path: str | Path) -> int:
    """Number of frames in a video file; one without any, or that is no video, is a DataError.

    >>> import tempfile
    >>> from gesture_zoo.data import write_video
    >>> path = Path(tempfile.mkdtemp()) / "black.mp4"
    >>> write_video(np.zeros((5, 32, 32, 3), np.uint8), path)
    >>> count_frames(path)
    5
    """
    try:
        with av.open(os.path.abspath(path)) as container:
            return len(_packets(container, path))
    except (av.error.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from error


def read_frames(path: str | Path, indices: Sequence[int], *, gray: bool = False) -> Tensor:
    """Frames of a video file by index, uint8 (len(indices), 3, H, W) RGB, or (.., 1, H, W) with ``gray``.

    Gray levels are those that are stored: uint16 where the video is of gray16le. A video in colours has none, as
    depth that was drawn with a colour map: a DataError.

    Indices may repeat and come in any order. Decoding starts at the last key frame before the first of them and
    skips from key frame to key frame. A file that cannot be read, is damaged on the way (which torchcodec does not
    tell), or ends before the last index, is a DataError that names it.

    >>> import tempfile
    >>> from gesture_zoo.data import write_video
    >>> path = Path(tempfile.mkdtemp()) / "black.mp4"
    >>> write_video(np.zeros((5, 32, 48, 3), np.uint8), path)
    >>> read_frames(path, [0, 4, 4]).shape, read_frames(path, [2], gray=True).shape
    (torch.Size([3, 3, 32, 48]), torch.Size([1, 1, 32, 48]))
    """
    if not indices:
        raise DataError(f"no frames asked for of video {path}")
    wanted = sorted(set(indices))
    if wanted[0] < 0:
        raise DataError(f"frame {wanted[0]} of video {path}: frames count from 0")
    reader = _read_torchcodec if video_backend() == "torchcodec" and not gray else _read_pyav
    found = reader(path, wanted, gray)
    if len(found) < len(wanted):
        missing = next(index for index in wanted if index not in found)
        raise DataError(
            f"video {path} ends before frame {missing}: it is truncated or damaged, or shorter than "
            "the list of clips says"
        )
    frames = torch.from_numpy(np.stack([found[index] for index in indices]))
    return frames[:, None] if gray else frames.permute(0, 3, 1, 2)


class Packets(NamedTuple):
    """Presentation times of a video's frames in order, and the frames at which decoding can start."""

    times: list[int]
    keys: list[int]

    def __len__(self) -> int:
        return len(self.times)


class _SeekFailed(Exception):
    """The decoder's times are not those of the packets, or it lacks frames: decoding has to start at the start."""


def _packets(container: av.container.InputContainer, path: str | Path) -> Packets:
    """All frames of a video by its packets."""
    packets = [(packet.pts, packet.is_keyframe) for packet in shown_packets(container, path)]
    timed = sorted((time, key) for time, key in packets if time is not None)
    if times_are_guessed(container) or len({time for time, _ in timed}) < len(packets):
        return Packets(list(range(len(packets))), [0])
    keys = [index for index, (_, key) in enumerate(timed) if key]
    return Packets([time for time, _ in timed], sorted({0, *keys}))  # the first one's key frame may not be shown


def _read_pyav(path: str | Path, wanted: list[int], gray: bool) -> dict[int, np.ndarray]:
    try:
        return _decode(path, wanted, gray, from_start=False)
    except _SeekFailed:
        return _decode(path, wanted, gray, from_start=True)
    except (av.error.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from error


def _decode(path: str | Path, wanted: list[int], gray: bool, *, from_start: bool) -> dict[int, np.ndarray]:
    """The wanted frames (ascending), as many as there are.

    The file is opened anew each time: a decoder that has begun cannot be set up again.
    """
    with av.open(os.path.abspath(path)) as container:
        packets = _packets(container, path)
        return _decode_packets(container, Packets(packets.times, [0]) if from_start else packets, wanted, gray)


def _decode_packets(
    container: av.container.InputContainer, packets: Packets, wanted: list[int], gray: bool
) -> dict[int, np.ndarray]:
    stream = container.streams.video[0]
    stream.thread_count = 1
    container.seek(0)
    found: dict[int, np.ndarray] = {}
    convert = VideoReformatter()
    frames, position, sought = container.decode(stream), 0, False
    for index in wanted:
        key = packets.keys[max(0, bisect_right(packets.keys, index) - 1)]
        if key > position:
            container.seek(packets.times[key], stream=stream)
            frames, position, sought = container.decode(stream), key, True
        for frame in frames:
            if sought and (position >= len(packets) or frame.pts != packets.times[position] or frame.is_corrupt):
                raise _SeekFailed
            if frame.is_corrupt:
                # FFmpeg patches what it cannot decode, and the patch shows until the next key frame.
                raise DataError(f"video {container.name} is damaged at frame {position}")
            position += 1
            if position > index:
                if gray and not found:
                    _check_grey(frame, convert, container.name)
                found[index] = as_shown(frame, convert, gray_format(frame, container.name) if gray else "rgb24")
                break
    return found


def _check_grey(frame: av.VideoFrame, convert: VideoReformatter, name: str) -> None:
    """DataError of a frame in colours, whose luminance could be read and would mean nothing."""
    if len(frame.format.components) > 1:
        rgb = torch.from_numpy(as_shown(frame, convert))
        if is_coloured(rgb.permute(2, 0, 1)):
            raise DataError(f"the depth {name} {COLOURED}")


def _read_torchcodec(path: str | Path, wanted: list[int], gray: bool) -> dict[int, np.ndarray]:
    from torchcodec.decoders import VideoDecoder

    try:
        with av.open(os.path.abspath(path)) as container:
            video_stream(container, path)
            # torchcodec finds frames by their times, and answers with others where these are wrong.
            guessed = times_are_guessed(container)
    except (av.error.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from error
    if guessed:
        return _read_pyav(path, wanted, gray)
    try:
        decoder = VideoDecoder(str(path), dimension_order="NHWC", num_ffmpeg_threads=1)
        present = [index for index in wanted if index < len(decoder)]
        frames = list(decoder.get_frames_at(present).data.numpy()) if present else []
    except (RuntimeError, ValueError, IndexError) as error:
        raise DataError(f"cannot read video {path}: {str(error).strip().partition(chr(10))[0]}") from error
    return dict(zip(present, frames, strict=True))


def _unreadable(path: str | Path, error: Exception) -> DataError:
    if not Path(path).exists():
        return DataError(f"there is no file {path}")
    return DataError(f"cannot read video {path}: {getattr(error, 'strerror', None) or error}")
