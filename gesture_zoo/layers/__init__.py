"""Temporal modules, and where they go in a 2-D CNN."""

from .action import Action
from .base import TemporalModule, to_clips, to_frames
from .insert import TEMPORAL, Temporal, insert_temporal, insertion_points, register_temporal, temporal_module
from .tea import MotionExcitation, MotionExcitedConv, TEABlock, TemporalConv
from .temporal_shift import TemporalShift

__all__ = [
    "TEMPORAL",
    "Action",
    "MotionExcitation",
    "MotionExcitedConv",
    "TEABlock",
    "Temporal",
    "TemporalConv",
    "TemporalModule",
    "TemporalShift",
    "insert_temporal",
    "insertion_points",
    "register_temporal",
    "temporal_module",
    "to_clips",
    "to_frames",
]
