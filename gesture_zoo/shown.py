"""A decoded frame as a picture, the way up that a player shows it; without torch."""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import VideoReformatter


def as_shown(frame: av.VideoFrame, convert: VideoReformatter, format: str = "rgb24") -> np.ndarray:
    """A frame as uint8 (H, W, 3) RGB, or (H, W) of the format "gray", turned as its file says: phones film lying down.

    ``convert`` is one for all frames of a video, for setting it up costs as much as using it.

    >>> frame = av.VideoFrame(48, 32, "yuv420p")
    >>> as_shown(frame, VideoReformatter()).shape, as_shown(frame, VideoReformatter(), "gray").shape
    ((32, 48, 3), (32, 48))
    """
    picture = convert.reformat(frame, format=format).to_ndarray()
    quarters = round(getattr(frame, "rotation", 0) / 90) % 4  # counterclockwise; before PyAV 14.1 it was not told
    return np.ascontiguousarray(np.rot90(picture, quarters)) if quarters else picture
