"""A whole clip, answered at once: the frames that the model was trained on, read without torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from ..errors import DataError, ModelError
from ..media_names import IMAGE_SUFFIXES
from ..runtime import ModelInfo, Runner, preprocess
from ..shown import as_shown, shown_packets, shown_times, video_stream
from .files import pictures, read_picture
from .sources import FOLDER_RATE
from .video import open_container, rate_of, reason


class Prediction(NamedTuple):
    """A class, its probability, and the stretch of the file that it is about, in seconds.

    >>> label, score, start, end = Prediction("wave", 0.93, start=0.0, end=1.5)
    >>> f"{label} ({score:.0%}) from {start} to {end} s"
    'wave (93%) from 0.0 to 1.5 s'
    """

    label: str
    score: float
    start: float
    end: float


def predict_clip(
    runner: Runner, path: str | Path, *, topk: int = 5, folder_rate: float = FOLDER_RATE, mirror: bool = False
) -> list[Prediction]:
    """The ``topk`` most probable classes of the one gesture in a video file or folder of frames, best first.

    The middle frame of each of T equal segments is read, as ``gesture_zoo.engine.predict_video`` does, and their logits
    are those of the clip; of a model of kind "stream" the mean over its T steps. ``folder_rate``: frames a second of a
    folder. ``mirror``: left and right are exchanged first. A file that cannot be read is a DataError, ``topk`` below 1
    a ModelError.

    >>> import tempfile
    >>> from PIL import Image
    >>> from gesture_zoo.runtime import ModelInfo
    >>> class Brightness(Runner):
    ...     def run_clip(self, clip):
    ...         return np.array([[clip.mean(), -clip.mean()]], np.float32)
    >>> runner = Brightness(ModelInfo("mine", "clip", ("day", "night"), (3, 8, 8), (0.5,) * 3, (0.1,) * 3))
    >>> folder = Path(tempfile.mkdtemp())
    >>> for number in range(6):
    ...     Image.new("RGB", (8, 8), "white").save(folder / f"{number}.png")
    >>> predict_clip(runner, folder, topk=1)[0].label
    'day'
    """
    if topk < 1:
        raise ModelError(f"topk must be at least 1, got {topk}")
    length, seconds = clip_length(path, folder_rate=folder_rate)
    frames = clip_frames(path, middle_frames(length, runner.info.num_segments))
    if mirror:
        frames = [frame[:, ::-1] for frame in frames]
    scores = probabilities(runner.classify(as_clip(frames, runner.info))[0])
    return [Prediction(label, score, 0.0, seconds) for label, score in best(runner.info.labels, scores, topk)]


def as_clip(frames: Sequence[np.ndarray], info: ModelInfo) -> np.ndarray:
    """Frames (H, W, 3) uint8 RGB as a clip that the model takes, (1, T, 3, h, w) float32."""
    return np.stack([preprocess(frame, info)[0] for frame in frames])[None]


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax (K,) of logits (K,), in float64."""
    shares = np.exp(logits.astype(np.float64) - logits.max())
    return shares / shares.sum()


def best(labels: Sequence[str], scores: np.ndarray, topk: int) -> list[tuple[str, float]]:
    """The ``topk`` labels with the highest scores (K,), best first; of equal ones the first.

    >>> best(["a", "b", "c"], np.array([0.2, 0.5, 0.3]), 2)
    [('b', 0.5), ('c', 0.3)]
    """
    return [(labels[k], float(scores[k])) for k in np.argsort(-scores, kind="stable")[:topk]]


def middle_frames(num_frames: int, num_segments: int) -> list[int]:
    """The index of the middle frame of each of ``num_segments`` equal parts of a clip of ``num_frames``.

    >>> middle_frames(16, 4)
    [2, 6, 10, 14]
    """
    places = (np.arange(num_segments, dtype=np.float64) + 0.5) * num_frames / num_segments
    return np.minimum(places.astype(np.int64), num_frames - 1).tolist()


def clip_length(path: str | Path, *, folder_rate: float = FOLDER_RATE) -> tuple[int, float]:
    """How many frames a video file or folder of frames has, and how many seconds it lasts; none is a DataError."""
    path = Path(path)
    if path.is_dir():
        if not 0 < folder_rate < math.inf:
            raise DataError(f"the frames of a folder need a number a second above 0, got {folder_rate}")
        count = len(pictures(path))
        if not count:
            raise DataError(f"the folder {path} does not hold any images ({', '.join(IMAGE_SUFFIXES)})")
        return count, count / folder_rate
    with open_container(str(path)) as container:
        stream = video_stream(container, path)
        try:
            packets = shown_packets(container, path)
        except av.error.FFmpegError as error:
            raise DataError(f"cannot read video {path}: {reason(error)}") from error
        times = shown_times(container, packets)
        seconds = times[-1] - times[0] if times else len(packets) / (rate_of(stream) or FOLDER_RATE)
        return len(packets), seconds


def clip_frames(path: str | Path, indices: Sequence[int]) -> list[np.ndarray]:
    """Frames (H, W, 3) uint8 RGB of a video file or folder of frames, by ascending index, which may repeat.

    A file that is damaged on the way or ends before the last of them is a DataError.
    """
    path = Path(path)
    if path.is_dir():
        names = pictures(path)
        return [read_picture(names[index]) for index in indices]
    found: dict[int, np.ndarray] = {}
    convert = VideoReformatter()
    with open_container(str(path)) as container:
        try:
            for index, frame in enumerate(container.decode(video_stream(container, path))):
                if frame.is_corrupt:
                    raise DataError(f"video {path} is damaged at frame {index}")
                if index in indices:
                    found[index] = as_shown(frame, convert)
                if index >= indices[-1]:
                    break
        except (av.error.FFmpegError, OSError) as error:
            raise DataError(f"cannot read video {path}: {reason(error)}") from error
    missing = [index for index in indices if index not in found]
    if missing:
        raise DataError(f"video {path} ends before frame {missing[0]}: it is truncated or damaged")
    return [found[index] for index in indices]
