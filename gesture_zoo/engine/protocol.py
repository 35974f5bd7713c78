"""Test protocols: how many crops of how many clips of a video are looked at."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import ModelError


class Protocol(NamedTuple):
    """Crops and clips of every video; a model's answer is the mean over all of them.

    1x1 is the middle frame of every segment and a crop of the centre. The paper's 3x10 (section IV of arXiv 2110.15639)
    is 10 clips of random frames, the same ones every time, and 3 crops along the longer side at the test size.

    >>> str(Protocol(3, 10)), Protocol(3, 10).views
    ('3x10', 30)
    """

    num_crops: int = 1
    num_clips: int = 1

    @property
    def views(self) -> int:
        """How often the model sees a video."""
        return self.num_crops * self.num_clips

    def __str__(self) -> str:
        return f"{self.num_crops}x{self.num_clips}"


def parse_protocol(text: str) -> Protocol:
    """A protocol of its name, crops x clips; anything else is a ModelError.

    >>> parse_protocol("3x10")
    Protocol(num_crops=3, num_clips=10)
    """
    match = re.fullmatch(r"([13])x([0-9]{1,4})", text)
    if not match or int(match[2]) < 1:
        raise ModelError(
            f"a protocol is crops x clips with 1 or 3 crops and at least 1 clip, such as 1x1 or 3x10, got {text!r}"
        )
    return Protocol(int(match[1]), int(match[2]))
