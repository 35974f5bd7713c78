"""How many frames a second the clips of a dataset have once T of them were sampled: what a live model should be fed."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from typing import Any

import av
import av.error
from torch.utils.data import Subset

from ..errors import DataError
from ..shown import shown_packets, shown_times, video_stream
from .base import ClipDataset
from .media import VideoFile
from .shard_index import CLIP_RATES
from .shards import ShardedClips

# As many clips tell it well enough: a rate is only asked for by a stream.
SAMPLED = 32


def clip_frame_rate(dataset: Any) -> float | None:
    """Median over up to 32 clips of T over the clip's duration in seconds; None where durations are not known.

    T frames of a gesture of two seconds are four a second, whatever the camera's rate. A rate that the reader declares
    (``ClipDataset.frame_rate``) comes first, then the times in the video file; folders of images and rendered clips
    have none. Shards know what the whole split had that they were made of.

    >>> from gesture_zoo.data import create_dataset
    >>> clip_frame_rate(create_dataset("synthetic", num_clips=4)) is None
    True
    """
    places = None
    while isinstance(dataset, Subset):
        places = [dataset.indices[place] for place in (range(len(dataset)) if places is None else places)]
        dataset = dataset.dataset
    if isinstance(dataset, ShardedClips):
        rate = dataset.index.clip_rate
    else:
        rate = clip_rate(dataset, places) if isinstance(dataset, ClipDataset) else None
    return round(dataset.num_segments * rate, 3) if rate else None


def clip_rate(dataset: ClipDataset, places: Sequence[int] | None = None) -> float | None:
    """Median over up to 32 clips (of those at ``places``) of 1 over the clip's duration in seconds, if any is known."""
    places = range(len(dataset)) if places is None else places
    count = min(SAMPLED, len(places))
    rates = []
    for number in range(count):
        try:
            seconds = _seconds(dataset, places[number * len(places) // count])
        except (DataError, av.error.FFmpegError, OSError):
            continue  # a clip that cannot be read is the reader's matter
        if seconds and CLIP_RATES[0] <= 1 / seconds <= CLIP_RATES[1]:
            rates.append(1 / seconds)
    return statistics.median(rates) if rates else None


def _seconds(dataset: ClipDataset, place: int) -> float | None:
    """How long a clip lasts, if anything says so."""
    source = dataset.records[place].rgb
    if dataset.frame_rate:
        return dataset.length(place) / dataset.frame_rate
    return _seconds_of_video(source, dataset.length(place)) if isinstance(source, VideoFile) else None


def _seconds_of_video(source: VideoFile, length: int) -> float | None:
    """How long ``length`` frames of a video are shown, by their times, or by the header's rate where it has none."""
    with av.open(os.path.abspath(source.path)) as container:
        stream, packets = video_stream(container, source.path), shown_packets(container, source.path)
        times = shown_times(container, packets)
        if times is None:
            return length / float(stream.average_rate) if stream.average_rate else None
        end = source.start + length
        return times[end] - times[source.start] if end < len(times) else None
