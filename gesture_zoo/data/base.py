"""VideoDataset: what the readers share. A reader only lists its clips and says how its depth is encoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..errors import DataError
from .sample import ClipSample
from .sampling import segment_indices
from .video import count_frames, read_frames

Transform = Callable[[ClipSample], ClipSample]


class ClipRecord(NamedTuple):
    """Where one clip is: a video, its depth video if there is one, and its label index."""

    video: Path
    depth: Path | None
    label: int
    id: str


class VideoDataset(Dataset[ClipSample]):
    """Clips of T frames sampled from video files; a subclass sets the records and decodes its depth.

    ``random_segments`` draws a random frame in each segment (training) instead of its middle.
    """

    def __init__(
        self,
        records: Sequence[ClipRecord],
        class_names: Sequence[str],
        *,
        num_segments: int = 8,
        transform: Transform | None = None,
        random_segments: bool = False,
    ) -> None:
        self.records = list(records)
        self.class_names = list(class_names)
        self.num_segments = num_segments
        self.transform = transform
        self.random_segments = random_segments

    @property
    def labels(self) -> list[int]:
        """Class index of every sample, without reading any video."""
        return [record.label for record in self.records]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> ClipSample:
        record = self.records[index]
        length = count_frames(record.video)
        if record.depth is not None:
            # The two recordings of a pair can differ by a frame.
            length = min(length, count_frames(record.depth))
        indices = segment_indices(length, self.num_segments, random=self.random_segments)
        depth, valid = None, None
        if record.depth is not None:
            depth, valid = self.decode_depth(read_frames(record.depth, indices, gray=True))
        sample = ClipSample(read_frames(record.video, indices), depth, valid, record.label, record.id)
        if depth is not None and depth.shape[-2:] != sample.frames.shape[-2:]:
            raise DataError(
                f"{record.id}: depth is {tuple(depth.shape[-2:])}, its frames are {tuple(sample.frames.shape[-2:])}"
            )
        return self.transform(sample) if self.transform else sample

    def decode_depth(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Depth in [0, 1], nearer = larger, and validity, both (T, 1, H, W), from 8-bit ``raw`` of that shape."""
        return raw.float() / 255, torch.ones_like(raw, dtype=torch.bool)
