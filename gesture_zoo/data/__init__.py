"""Gesture datasets, the way from video to clip, and what models want clips to look like."""

from .config import resolve_data_config
from .factory import DATASETS, create_dataset, holdout_indices
from .sample import ClipBatch, ClipSample, collate
from .sampling import segment_indices
from .transforms import ClipTransform, create_transform
from .video import count_frames, read_frames
from .video_writer import write_video

__all__ = [
    "DATASETS",
    "ClipBatch",
    "ClipSample",
    "ClipTransform",
    "collate",
    "count_frames",
    "create_dataset",
    "create_transform",
    "holdout_indices",
    "read_frames",
    "resolve_data_config",
    "segment_indices",
    "write_video",
]
