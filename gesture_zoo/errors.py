"""The errors gesture_zoo raises on purpose.

Every one of them says what was wrong, where, and what would be right, and fits on one line, so that the
command line can show it as it is. They derive from ValueError: code that catches ValueError keeps working.
"""

from __future__ import annotations


class GestureZooError(ValueError):
    """Base of every error that gesture_zoo raises on purpose."""


class ModelError(GestureZooError):
    """A model name, argument or input clip that does not fit."""


class ArgumentError(ModelError, TypeError):
    """An argument that a model does not take; a TypeError, as Python's own would be."""


class TapError(ModelError):
    """A Multi-Scale-Decoder tap that does not exist, did not fire, or was overwritten."""


class WeightsError(GestureZooError):
    """Weights that are missing, damaged or made for another architecture."""


class HubError(WeightsError):
    """A Hugging Face Hub (or local directory) request that could not be served."""


class DataError(GestureZooError):
    """A dataset folder, annotation, video, frame or depth map that cannot be used."""
