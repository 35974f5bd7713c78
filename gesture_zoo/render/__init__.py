"""Clips of people who gesture, rendered from solids, to train networks that meet real hands only afterwards."""

from .classes import CLASSES, CONVENTIONS, GESTURES, MIRROR, class_index, mirrored_class
from .dataset import RenderedClips, RenderedGestures, render_batches, render_scene
from .look import LookRanges
from .ranges import VIEWS, MotionRanges
from .scene import Scene, sample_scene, sample_stream
from .solids import PARTS, Camera, Solids, mirrored, project

__all__ = [
    "CLASSES", "CONVENTIONS", "GESTURES", "MIRROR", "PARTS", "VIEWS", "Camera", "LookRanges", "MotionRanges",
    "RenderedClips", "RenderedGestures", "Scene", "Solids", "class_index", "mirrored", "mirrored_class", "project",
    "render_batches", "render_scene", "sample_scene", "sample_stream",
]  # fmt: skip
