"""How many frames a second the clips of a dataset have once T of them were sampled: what a live model should be fed."""

from __future__ import annotations

import os
import statistics
from typing import Any

import av
import av.error
from torch.utils.data import Subset

from ..errors import DataError
from .base import ClipDataset
from .media import VideoFile

# As many clips tell it well enough: a rate is only asked for by a stream.
SAMPLED = 32


def clip_frame_rate(dataset: Any) -> float | None:
    """Median over up to 32 clips of T over the clip's duration in seconds; None where durations are not known.

    T frames of a gesture of two seconds are four a second, whatever the camera's rate. A rate that the reader declares
    (``ClipDataset.frame_rate``) comes first, then that of the video file; folders of images and rendered clips have
    none.

    >>> from gesture_zoo.data import create_dataset
    >>> clip_frame_rate(create_dataset("synthetic", num_clips=4)) is None
    True
    """
    places = None
    while isinstance(dataset, Subset):
        places = [dataset.indices[place] for place in (range(len(dataset)) if places is None else places)]
        dataset = dataset.dataset
    if not isinstance(dataset, ClipDataset):
        return None
    places = list(range(len(dataset))) if places is None else places
    rates = []
    for number in range(min(SAMPLED, len(places))):
        place = places[number * len(places) // min(SAMPLED, len(places))]
        rate = dataset.frame_rate or _rate_of_file(dataset.records[place].rgb)
        try:
            if rate:
                rates.append(dataset.num_segments * rate / dataset.length(place))
        except DataError:
            continue  # a clip that cannot be read is the reader's matter
    return round(statistics.median(rates), 3) if rates else None


def _rate_of_file(source: Any) -> float | None:
    if not isinstance(source, VideoFile):
        return None
    try:
        with av.open(os.path.abspath(source.path)) as container:
            stream = container.streams.video[0]
            return float(stream.average_rate) if stream.average_rate else None
    except (av.error.FFmpegError, OSError, IndexError):
        return None
