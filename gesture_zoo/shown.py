"""What a player shows of a video: which packets, when, and decoded frames the way up; without torch."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from .errors import DataError


def video_stream(container: av.container.InputContainer, name: str | Path) -> av.VideoStream:
    """The first video stream; none is a DataError."""
    if not container.streams.video:
        container.close()
        raise DataError(f"{name} has no video stream")
    return container.streams.video[0]


def shown_packets(container: av.container.InputContainer, name: str | Path) -> list[av.Packet]:
    """The packets of all frames of a video, which cost little to read; none is a DataError.

    The count in a header is often a guess. What an edit list cuts off is in the file, because others need it to be
    decoded, and is never shown.
    """
    demuxed = container.demux(video_stream(container, name))
    packets = [packet for packet in demuxed if packet.size and not packet.is_discard]
    if not packets:
        raise DataError(f"video {name} has no frames")
    return packets


def shown_times(container: av.container.InputContainer, packets: list[av.Packet]) -> list[float] | None:
    """When each of these ``shown_packets`` begins and, after all, when the last one ends, in seconds of the file.

    None where the file does not say. Of a last frame it often does not, or says a tick: then it is shown as long as the
    others.
    """
    tick = container.streams.video[0].time_base
    lasting = {packet.pts: packet.duration or 0 for packet in packets if packet.pts is not None}
    begins = sorted(lasting)
    if times_are_guessed(container) or tick is None or len(begins) < max(2, len(packets)):
        return None
    end = begins[-1] + max(lasting[begins[-1]], (begins[-1] - begins[0]) // (len(begins) - 1))
    return [float(time * tick) for time in (*begins, end)]


def times_are_guessed(container: av.container.InputContainer) -> bool:
    """AVI stores no presentation times: where frames are not in that order, those that FFmpeg gives are wrong."""
    return container.format.name == "avi" and bool(container.streams.video[0].codec_context.has_b_frames)


def gray_format(frame: av.VideoFrame, name: str | Path) -> str:
    """The format in which the levels of a depth frame are as they are stored: "gray", or "gray16le" of 16 bits.

    Levels of 9 to 15 bits are in no format of that kind, and those of 16 bits with colours are a DataError too.
    """
    if frame.format.name in ("gray16le", "gray16be"):
        return "gray16le"
    bits = max((component.bits for component in frame.format.components), default=8)
    if bits > 8:
        raise DataError(
            f"video {name} has the pixel format {frame.format.name}, of {bits} bits: depth is of 8 bits, or of 16 as "
            "gray16le"
        )
    return "gray"


def as_shown(frame: av.VideoFrame, convert: VideoReformatter, format: str = "rgb24") -> np.ndarray:
    """A frame as (H, W, 3) RGB, or (H, W) of a ``gray_format``, turned as its file says: phones film lying down.

    ``convert`` is one for all frames of a video, for setting it up costs as much as using it.

    >>> frame = av.VideoFrame(48, 32, "yuv420p")
    >>> as_shown(frame, VideoReformatter()).shape, as_shown(frame, VideoReformatter(), "gray").shape
    ((32, 48, 3), (32, 48))
    """
    picture = convert.reformat(frame, format=format).to_ndarray()
    quarters = round(getattr(frame, "rotation", 0) / 90) % 4  # counterclockwise; before PyAV 14.1 it was not told
    return np.ascontiguousarray(np.rot90(picture, quarters)) if quarters else picture
