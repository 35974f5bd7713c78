"""Overlay: what the model sees, written on the frame; readable on any picture, at any size."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import DataError, ModelError
from .clip import best
from .events import Event
from .recogniser import Seen

Colour = tuple[int, int, int]

_WHITE, _GREY, _GREEN, _BLUE = (255, 255, 255), (185, 190, 196), (92, 222, 128), (96, 160, 232)
_GROOVE = (78, 84, 92)  # what is left of a bar
_SHADE = 60  # of 256, what a panel leaves of the picture behind it
_LINES = 26  # lines of small text that the shorter side of a frame is high
_SMALLEST = 9  # pixels: less cannot be read
_ELLIPSIS = "..."


class Overlay:
    """Draws the event that is on, the scores of the ``topk`` classes as bars, and the last events on frames.

    ``font``: a TrueType or OpenType file, for labels in scripts that the default one (DejaVu Sans, or what PIL brings)
    lacks. Text is 1/26 of the frame's shorter side, at least 9 pixels; what does not fit is shortened or left out.

    >>> overlay = Overlay(["push", "pull"], topk=2)
    >>> seen = Seen(1.0, np.array([0.9, 0.1]), Event("push", 0.9, 0.5, None, 0.6), [])
    >>> overlay.draw(np.zeros((120, 160, 3), np.uint8), seen, recent=[], rate=25.0).shape
    (120, 160, 3)
    """

    def __init__(self, labels: Sequence[str], *, topk: int = 3, font: str | Path | None = None) -> None:
        if topk < 1:
            raise ModelError(f"topk must be at least 1, got {topk}")
        self.labels, self.topk = tuple(labels), topk
        self.font_file = default_font() if font is None else str(font)
        self._fonts: dict[int, Any] = {}
        self.font(_SMALLEST)  # so that a file that is no font is said now

    def draw(
        self, rgb: np.ndarray, seen: Seen | None, *, recent: Sequence[Event] = (), rate: float | None = None
    ) -> np.ndarray:
        """A copy of the frame (H, W, 3) uint8 RGB with what was seen last, None before anything was.

        ``recent``: the last events, newest last; ``rate``: frames a second to write down.
        """
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise DataError(f"a frame to draw on is (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}")
        canvas = Canvas(rgb, self)
        canvas.headline(seen.active if seen else None, None if rate is None else f"{rate:.0f} fps")
        top = best(self.labels, seen.scores, self.topk) if seen else []
        canvas.bars(top, seen.active.label if seen and seen.active else None)
        canvas.events(recent)
        return canvas.pixels()

    def font(self, size: int) -> Any:
        """The font at so many pixels."""
        if size not in self._fonts:
            try:
                found = ImageFont.truetype(self.font_file, size) if self.font_file else ImageFont.load_default(size)
            except (OSError, ValueError) as error:
                raise DataError(f"cannot read the font {self.font_file}: expected a .ttf, .otf or .ttc file") from error
            self._fonts[size] = found
        return self._fonts[size]


@functools.cache
def default_font() -> str:
    """DejaVu Sans, which knows many scripts and comes with matplotlib; "" where it is not there."""
    # Not imported: that takes longer than to find a file of it.
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        return ""
    file = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    return str(file) if file.is_file() else ""


class Canvas:
    """One frame being drawn on. Lengths are pixels, ``unit`` is the height of small text."""

    def __init__(self, rgb: np.ndarray, overlay: Overlay) -> None:
        self.array = rgb.copy()
        self.height, self.width = rgb.shape[:2]
        self.unit = max(_SMALLEST, min(self.height, self.width) // _LINES)
        self.overlay = overlay
        self.small, self.large = overlay.font(self.unit), overlay.font(round(1.4 * self.unit))
        self.margin = max(2, self.unit // 2)
        self.used = 0  # height of the headline
        self.free = self.height  # where the bars begin
        self.marks: list[Any] = []  # shapes and text, drawn together over all panels

    def panel(self, left: int, top: int, right: int, bottom: int) -> None:
        """Darken a part of the picture, so that what is written there can be read."""
        part = self.array[top:bottom, left:right]
        part[:] = (part.astype(np.uint16) * _SHADE >> 8).astype(np.uint8)

    def text(self, place: tuple[int, int], text: str, colour: Colour, *, font: Any, anchor: str = "lm") -> None:
        """Write, with the middle of the line at ``place``."""
        self.marks.append(lambda on: on.text(place, text, fill=colour, font=font, anchor=anchor))

    def box(self, left: int, top: int, right: int, bottom: int, colour: Colour) -> None:
        """A filled rectangle, at least a pixel wide."""
        self.marks.append(lambda on: on.rectangle((left, top, max(left, right - 1), bottom - 1), fill=colour))

    def headline(self, active: Event | None, rate: str | None) -> None:
        """The event that is on and its score across the top, and the rate at its right."""
        self.used = min(self.height, 2 * self.unit + self.margin)
        self.panel(0, 0, self.width, self.used)
        middle, room = self.used // 2, self.width - 2 * self.margin
        if rate is not None and self.length(rate, self.small) < room // 3:
            self.text((self.width - self.margin, middle), rate, _GREY, font=self.small, anchor="rm")
            room -= self.length(rate, self.small) + 2 * self.margin
        if active is None:
            self.text((self.margin, middle), "no gesture", _GREY, font=self.small)
            return
        share = f"{100 * active.score:.0f} %"
        if self.length(share, self.large) < room // 2:
            room -= self.length(share, self.large) + self.margin
        else:
            share = ""
        label = self.fitting(active.label, self.large, room)
        self.text((self.margin, middle), label, _GREEN, font=self.large)
        place = self.margin + self.length(label, self.large) + self.margin
        self.text((place, middle), share, _WHITE, font=self.large)

    def bars(self, top: Sequence[tuple[str, float]], active: str | None) -> None:
        """The scores of the best classes, at the bottom left."""
        line = round(1.5 * self.unit)
        rows = min(len(top), (self.height - self.used - 3 * self.margin) // line)
        if rows < 1:
            return
        share = self.length("100 %", self.small)
        bar = min(7 * self.unit, self.width // 4)
        names = self.width - bar - share - 4 * self.margin
        shown = [self.fitting(label, self.small, min(names, 14 * self.unit)) for label, _ in top[:rows]]
        names = max(self.length(label, self.small) for label in shown)
        start = self.height - rows * line - self.margin
        self.free = start - self.margin // 2
        self.panel(0, self.free, min(self.width, names + bar + share + 4 * self.margin), self.height)
        for row, ((label, score), text) in enumerate(zip(top, shown, strict=False)):
            middle = start + row * line + line // 2
            self.text((self.margin, middle), text, _WHITE, font=self.small)
            left, thick = names + 2 * self.margin, max(2, round(0.35 * self.unit))
            self.box(left, middle - thick, left + bar, middle + thick, _GROOVE)
            colour = _GREEN if label == active else _BLUE
            self.box(left, middle - thick, left + round(bar * min(1.0, score)), middle + thick, colour)
            end = left + bar + self.margin + share
            self.text((end, middle), f"{100 * score:.0f} %", _WHITE, font=self.small, anchor="rm")

    def events(self, recent: Sequence[Event]) -> None:
        """The last events under the headline at the right, newest on top, on at most half of what is left free."""
        line = round(1.5 * self.unit)
        rows = min(len(recent), (self.free - self.used) // 2 // line)
        if rows < 1:
            return
        shown = list(recent)[: -rows - 1 : -1]
        times = [f"{event.start:.1f} - {event.start if event.end is None else event.end:.1f} s" for event in shown]
        wide = max(self.length(text, self.small) for text in times)
        room = min(14 * self.unit, self.width - wide - 4 * self.margin)
        names = [self.fitting(event.label, self.small, room) for event in shown]
        left = self.width - wide - max(self.length(text, self.small) for text in names) - 3 * self.margin
        self.panel(max(0, left), self.used, self.width, self.used + rows * line + self.margin // 2)
        for row, (label, text) in enumerate(zip(names, times, strict=True)):
            middle = self.used + row * line + line // 2
            self.text((left + self.margin, middle), label, _WHITE, font=self.small)
            self.text((self.width - self.margin, middle), text, _GREY, font=self.small, anchor="rm")

    def length(self, text: str, font: Any) -> int:
        """How wide a text is."""
        return round(font.getlength(text))

    def fitting(self, text: str, font: Any, room: int) -> str:
        """The text, or its beginning and dots where it is wider than ``room``."""
        # A line break or a control character in a label would not be one line.
        text = "".join(c if c.isprintable() else " " for c in text)
        if self.length(text, font) <= room:
            return text
        while text and self.length(text + _ELLIPSIS, font) > room:
            text = text[:-1]
        return text + _ELLIPSIS if text else ""

    def pixels(self) -> np.ndarray:
        """The frame with everything that was drawn."""
        picture = Image.fromarray(self.array)
        on = ImageDraw.Draw(picture)
        for mark in self.marks:
            mark(on)
        return np.array(picture)
