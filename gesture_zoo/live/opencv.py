"""OpenCV, which only cameras and windows need."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import Any

from ..errors import GestureZooError, one_line


def has_display() -> bool:
    """Whether there is a screen to open windows on; on Linux DISPLAY or WAYLAND_DISPLAY says so."""
    return not on_linux() or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def load_before_av() -> None:
    """Import OpenCV, where it is installed and there is a display for its windows, unless PyAV came first.

    The wheels of both bring a libxcb. Once PyAV's is loaded, OpenCV's first window hangs for ever on Linux
    (PyAV issues 978 and 1050, OpenCV issue 29195); the other way round both work.
    """
    if on_linux() and has_display() and "av" not in sys.modules and importlib.util.find_spec("cv2") is not None:
        try:
            importlib.import_module("cv2")
        except ImportError:
            return  # whoever asks for a window is told


def window_would_hang() -> bool:
    """Whether PyAV was loaded first, see ``load_before_av``."""
    return on_linux() and "av" in sys.modules and "cv2" not in sys.modules


def on_linux() -> bool:
    return sys.platform.startswith("linux")


def opencv(purpose: str) -> Any:
    """The module cv2; where it is not installed or cannot be loaded, a GestureZooError that says what to do.

    ``purpose``: what needs it, such as "a camera".
    """
    try:
        import cv2
    except ImportError as error:
        if getattr(error, "name", None) == "cv2":
            raise GestureZooError(f'{purpose} needs OpenCV: pip install "gesture-zoo[live]"') from error
        raise GestureZooError(f"{purpose} needs OpenCV, which cannot be loaded: {one_line(error)}") from error
    return cv2
