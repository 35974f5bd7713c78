"""A window that shows frames, by OpenCV."""

from __future__ import annotations

import numpy as np

from ..errors import GestureZooError
from .opencv import has_display, opencv, window_would_hang

_ESCAPE = 27


class Window:
    """An open window; q, Escape or its close button ends it.

    Where OpenCV is missing, was built without windows (opencv-python-headless) or finds no screen, opening it is a
    GestureZooError.
    """

    def __init__(self, title: str) -> None:
        if not has_display():
            raise GestureZooError("there is no display to open a window on (DISPLAY is not set)")
        if window_would_hang():
            raise GestureZooError("a window would hang, because PyAV was imported before OpenCV: import cv2 first")
        self.cv2 = opencv("a window")
        self.title = title
        try:
            self.cv2.namedWindow(title, self.cv2.WINDOW_NORMAL | self.cv2.WINDOW_KEEPRATIO | self.cv2.WINDOW_GUI_NORMAL)
        except self.cv2.error as error:
            what = "OpenCV cannot open a window; opencv-python can, opencv-python-headless cannot"
            raise GestureZooError(what) from error
        self.sized = False

    def show(self, rgb: np.ndarray) -> bool:
        """Show a frame (H, W, 3) uint8 RGB; False once the user has ended it."""
        if not self.sized:
            self.cv2.resizeWindow(self.title, rgb.shape[1], rgb.shape[0])
            self.sized = True
        self.cv2.imshow(self.title, np.ascontiguousarray(rgb[..., ::-1]))
        return self.wait(0.001)

    def wait(self, seconds: float) -> bool:
        """Let the window live for so long; False once the user has ended it."""
        key = self.cv2.waitKey(max(1, round(1000 * seconds))) & 0xFF
        if key in (ord("q"), _ESCAPE):
            return False
        return bool(self.cv2.getWindowProperty(self.title, self.cv2.WND_PROP_VISIBLE) >= 1)

    def close(self) -> None:
        """Close it; closing twice does nothing."""
        if self.title:
            self.cv2.destroyAllWindows()
            self.title = ""
