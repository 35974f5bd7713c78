"""The public names, those of ``gesture_zoo.data.__all__``."""

# ruff: noqa: F401

from .config import resolve_data_config
from .factory import create_dataset, holdout_indices
from .sample import ClipBatch, ClipSample, collate
from .sampling import segment_indices
from .transforms import ClipTransform, create_transform
from .video import count_frames, read_frames
from .video_writer import write_video
