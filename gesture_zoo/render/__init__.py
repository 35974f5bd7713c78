"""Clips of people who gesture, rendered from solids, to train networks that meet real hands only afterwards."""

from gesture_zoo.render.classes import CLASSES, CONVENTIONS, GESTURES, MIRROR, class_index, mirrored_class
from gesture_zoo.render.ranges import VIEWS, MotionRanges
from gesture_zoo.render.scene import Scene, sample_scene, sample_stream
from gesture_zoo.render.solids import PARTS, Camera, Solids, mirrored, project

__all__ = [
    "CLASSES", "CONVENTIONS", "GESTURES", "MIRROR", "PARTS", "VIEWS", "Camera", "MotionRanges", "Scene", "Solids",
    "class_index", "mirrored", "mirrored_class", "project", "sample_scene", "sample_stream",
]  # fmt: skip
