"""DepthEncoding: how a dataset stores depth, and the way to the library's one convention."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import DataError


@dataclass(frozen=True)
class DepthEncoding:
    """How raw levels mean depth: ``near`` is the level of depth 1, ``far`` that of depth 0.

    Levels outside ``valid`` (lowest, highest, both included) were not measured. Of pictures (..., H, W), pixels within
    ``margin`` of these, along rows and columns and aslant, are not valid either: lossy coding smears what was not
    measured over its neighbours, to levels that could have been. ``aligned`` says whether a depth pixel shows what the
    colour pixel at the same place shows.

    >>> inverse = DepthEncoding(near=0, far=255, valid=(9, 250))
    >>> depth, valid = inverse.decode(torch.tensor([0, 51, 204], dtype=torch.uint8))
    >>> [round(d, 1) for d in depth.tolist()], valid.tolist()
    ([0.0, 0.8, 0.2], [False, True, True])
    """

    near: float = 255
    far: float = 0
    valid: tuple[float, float] = (0, 255)
    aligned: bool = True
    margin: int = 0

    def decode(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Depth, float in [0, 1] with nearer = larger and 0 where nothing was measured, and validity, of raw levels.

        ``raw``: any shape, integer; both answers have its shape.
        """
        lowest, highest = self.valid
        in_range = raw.dtype == torch.uint8 and lowest <= 0 and highest >= 255
        # A copy, because the steps below are in place, and torch does not compare 16-bit numbers.
        levels = raw.to(torch.float32, copy=True)
        valid = torch.ones_like(raw, dtype=torch.bool) if in_range else (levels >= lowest) & (levels <= highest)
        if self.margin and not in_range and raw.ndim > 1:
            valid = _shrunk(_shrunk(valid, -1, self.margin), -2, self.margin)
        # Passes over all pixels that would change nothing are left out: readers spend a good part of their time here.
        if self.far:
            levels.sub_(self.far)
        depth = levels.div_(self.near - self.far)
        if raw.dtype != torch.uint8 or {self.near, self.far} != {0, 255}:
            depth.clamp_(0, 1)
        return depth if in_range else depth.mul_(valid), valid


def _shrunk(valid: Tensor, dim: int, margin: int) -> Tensor:
    """Where all pixels up to ``margin`` away along a dimension are valid; beyond the picture all are."""
    kept, size = valid.clone(), valid.shape[dim]
    for step in range(1, min(margin, size - 1) + 1):
        kept.narrow(dim, step, size - step).logical_and_(valid.narrow(dim, 0, size - step))
        kept.narrow(dim, 0, size - step).logical_and_(valid.narrow(dim, step, size - step))
    return kept


NEARER_BRIGHTER = DepthEncoding()
# Depth cameras write millimetres in 16 bits, 0 where they saw nothing; hands are within three metres.
MILLIMETRES = DepthEncoding(near=300, far=3000, valid=(1, 65534))


def encoding_of(raw: Tensor, bits8: DepthEncoding, bits16: DepthEncoding) -> DepthEncoding:
    """The encoding that goes with raw levels of 8 or 16 bits."""
    return bits8 if raw.dtype == torch.uint8 else bits16


def check_size(depth: Tensor, size: torch.Size, where: str = "") -> None:
    """A DataError, which begins with ``where``, unless depth (..., H, W) has the frames' ``size`` (H, W).

    >>> check_size(torch.zeros(4, 1, 24, 32), torch.Size((48, 64)), "a.mp4: ")
    Traceback (most recent call last):
    gesture_zoo.errors.DataError: a.mp4: the depth is 24 x 32, the frames are 48 x 64
    """
    if depth.shape[-2:] != size:
        sizes = (" x ".join(map(str, part)) for part in (depth.shape[-2:], size))
        raise DataError("{}the depth is {}, the frames are {}".format(where, *sizes))
