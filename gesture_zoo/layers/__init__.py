"""Temporal modules, and where they go in a 2-D CNN."""

from .action import Action
from .base import TemporalModule, to_clips, to_frames
from .insert import TEMPORAL, insert_temporal, insertion_points
from .tea import MotionExcitation, TEABlock, TemporalConv
from .temporal_shift import TemporalShift

__all__ = [
    "TEMPORAL",
    "Action",
    "MotionExcitation",
    "TEABlock",
    "TemporalConv",
    "TemporalModule",
    "TemporalShift",
    "insert_temporal",
    "insertion_points",
    "to_clips",
    "to_frames",
]
