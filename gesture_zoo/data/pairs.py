"""Frames of colour and of depth that belong together by the numbers in their names, where cameras dropped some."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError
from .media import FrameFolder, Media

_LAST_NUMBER = re.compile(r"([0-9]+)[^0-9]*\.[^.]*$")  # before the suffix


_ORIGINS = {(0, -1), (1, 0)}  # the first number, and the last less how many there are


class Match(NamedTuple):
    """File names of colour and of depth that have the same numbers, in order, and the names without a partner."""

    color: list[str]
    depth: list[str]
    color_alone: list[str]
    depth_alone: list[str]


@dataclass(frozen=True)
class PairedFrames(FrameFolder):
    """A folder of frames of which those count that the folder ``partner`` has too, by the last number in their names.

    ``start`` and ``stop`` count the frames of the colour. Where the names of one folder have no numbers that rise, the
    two share none, or one is counted from 0 and the other from 1, frames belong together by their place.
    """

    partner: Path = Path()
    is_depth: bool = False
    known: Match | None = field(default=None, compare=False)

    def match(self) -> Match | None:
        """The two folders compared, unless it is ``known``; None where numbers say nothing."""
        if self.known is not None:
            return self.known
        color, depth = (self.partner, self.path) if self.is_depth else (self.path, self.partner)
        return match(FrameFolder(color).names(), FrameFolder(depth).names(), self.start, self.stop)

    def names(self) -> list[str]:
        """File names of the frames that have a partner, first to last."""
        found = self.match()
        if found is None:
            return super().names()
        return found.depth if self.is_depth else found.color

    def length(self) -> int:
        """Number of frames that have a partner; if most have none, that is a DataError."""
        found = self.match()
        if found is None:
            return super().length()
        if not self.is_depth:
            FrameFolder(self.path, self.start, self.stop).length()  # a stretch that is not all there is refused
        # Of two cameras one may be slower, and then lacks many; that both lack most is no pair.
        alone, paired = min(len(found.color_alone), len(found.depth_alone)), len(found.color)
        if paired < alone:
            raise DataError(
                f"{paired} frames of {self.path} and {self.partner} have a number in common, and {alone} of either "
                "have none: frames that belong together need the same number in their names"
            )
        return paired


def pair(color: Media, depth: Media | None) -> tuple[Media, Media | None]:
    """Colour and depth with frames that belong together, where both are folders; anything else as it is.

    >>> color, depth = pair(FrameFolder(Path("wave/1")), FrameFolder(Path("wave/1.depth")))
    >>> color.partner, depth.partner == color.path
    (PosixPath('wave/1.depth'), True)
    """
    if not isinstance(color, FrameFolder) or not isinstance(depth, FrameFolder) or color == depth:
        return color, depth
    stretch = color.start, color.stop
    return PairedFrames(color.path, *stretch, depth.path), PairedFrames(depth.path, *stretch, color.path, True)


def looked_up(color: Media, depth: Media | None) -> tuple[Media, Media | None]:
    """The same two, their folders listed once for both: each would else list both, which costs a fifth of a clip."""
    if not isinstance(color, PairedFrames) or not isinstance(depth, PairedFrames):
        return color, depth
    found = color.match()
    return replace(color, known=found), replace(depth, known=found)


def match(color: list[str], depth: list[str], start: int = 0, stop: int | None = None) -> Match | None:
    """Names of frames, in order, paired by number; the stretch is that of the colour. None where numbers say nothing.

    >>> match(["f1.jpg", "f3.jpg", "f4.jpg"], ["d1.png", "d2.png", "d3.png"])
    Match(color=['f1.jpg', 'f3.jpg'], depth=['d1.png', 'd3.png'], color_alone=['f4.jpg'], depth_alone=['d2.png'])
    >>> match(["a.jpg", "b.jpg"], ["1.png", "2.png"]) is None
    True
    """
    ours, theirs = _by_number(color), _by_number(depth)
    if not ours.keys() & theirs.keys():
        return None
    if (
        len(ours) == len(theirs)
        and {(min(numbers), max(numbers) - len(numbers)) for numbers in (ours, theirs)} == _ORIGINS
    ):
        return None  # as many without a gap, one counted from 0 and the other from 1
    stretch = list(ours)[start:stop]
    # Depth beyond the colour of a whole recording has no partner either; that beside a stretch is another clip's.
    whole = start == 0 and stop is None
    near = [number for number in theirs if whole or (stretch and stretch[0] <= number <= stretch[-1])]
    both = [number for number in stretch if number in theirs]
    return Match(
        [ours[number] for number in both],
        [theirs[number] for number in both],
        [ours[number] for number in stretch if number not in theirs],
        [theirs[number] for number in near if number not in ours],
    )


def _by_number(names: list[str]) -> dict[int, str]:
    """Names by the last number in each; nothing where one has no number, or these do not rise."""
    found: dict[int, str] = {}
    last = -1
    for name in names:
        number = _LAST_NUMBER.search(name)
        if number is None or int(number[1]) <= last:
            return {}
        last = int(number[1])
        found[last] = name
    return found
