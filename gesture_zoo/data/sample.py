"""ClipSample: what every dataset of the library yields, and how samples become a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class ClipSample(NamedTuple):
    """One clip of T frames with its depth, label and origin.

    ``frames`` (T, 3, H, W): uint8 RGB as read, normalised float after a transform. ``depth`` (T, 1, H, W):
    float in [0, 1], nearer = larger, or None. ``valid`` (T, 1, H, W): where depth was measured, or None. Several
    views of a clip (random clips, crops) are a dimension before all these. ``label``: class index, -1 if it is not
    known. ``id``: where it came from.

    >>> from gesture_zoo.data import create_dataset
    >>> clip = create_dataset("synthetic", num_segments=4, size=32, num_clips=1)[0]
    >>> clip.frames.shape, clip.depth.shape, clip.valid.dtype, clip.label
    (torch.Size([4, 3, 32, 32]), torch.Size([4, 1, 32, 32]), torch.bool, 0)
    """

    frames: Tensor
    depth: Tensor | None
    valid: Tensor | None
    label: int
    id: str


class ClipBatch(NamedTuple):
    """Samples stacked: frames (N, T, 3, H, W), depth and valid (N, T, 1, H, W) or None, labels (N,), ids.

    With views, (N, V, T, 3, H, W) and so on.

    >>> batch = collate([ClipSample(torch.zeros(8, 3, 4, 4), torch.zeros(8, 1, 4, 4), None, 1, "a")])
    >>> batch.frames.shape, batch.depth.shape, batch.labels, batch.ids
    (torch.Size([1, 8, 3, 4, 4]), torch.Size([1, 8, 1, 4, 4]), tensor([1]), ['a'])
    """

    frames: Tensor
    depth: Tensor | None
    valid: Tensor | None
    labels: Tensor
    ids: list[str]


def collate(samples: Sequence[ClipSample]) -> ClipBatch:
    """Stack samples; one without depth in a batch that has some becomes depth that is nowhere valid.

    >>> sample = ClipSample(torch.zeros(8, 3, 4, 4), None, None, 1, "a")
    >>> batch = collate([sample, sample])
    >>> batch.frames.shape, batch.depth, batch.labels.tolist()
    (torch.Size([2, 8, 3, 4, 4]), None, [1, 1])
    """
    frames = torch.stack([sample.frames for sample in samples])
    labels = torch.tensor([sample.label for sample in samples])
    ids = [sample.id for sample in samples]
    if all(sample.depth is None for sample in samples):
        return ClipBatch(frames, None, None, labels, ids)
    empty = torch.zeros_like(frames[0][..., :1, :, :], dtype=torch.float32)
    depth = torch.stack([empty if s.depth is None else s.depth for s in samples])
    valid = torch.stack([_validity(sample, empty) for sample in samples])
    return ClipBatch(frames, depth, valid, labels, ids)


def _validity(sample: ClipSample, empty: Tensor) -> Tensor:
    if sample.valid is not None:
        return sample.valid
    return torch.full_like(empty, sample.depth is not None, dtype=torch.bool)
