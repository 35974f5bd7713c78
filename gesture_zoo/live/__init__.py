"""Live use: gesture events from a file, a camera or a stream of frames. Needs no PyTorch."""

from .opencv import load_before_av

load_before_av()

# ruff: noqa: E402
from .clip import Prediction, predict_clip
from .events import Event, EventDetector, no_gesture_labels
from .overlay import Overlay
from .recogniser import Recogniser, Seen, recognise
from .recorder import Recorder
from .source import LiveSource, Reader, Source
from .sources import open_source

__all__ = [
    "Event",
    "EventDetector",
    "LiveSource",
    "Overlay",
    "Prediction",
    "Reader",
    "Recogniser",
    "Recorder",
    "Seen",
    "Source",
    "no_gesture_labels",
    "open_source",
    "predict_clip",
    "recognise",
]
