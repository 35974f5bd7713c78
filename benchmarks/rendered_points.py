"""Heat maps of the hand's points, learned beside the classes and cut off at the end: a part of rendered_training.py.

A network that is to see how a hand moves must find it first, and sixteen classes say little about where it is. Two
1x1 convolutions read a layer of stride 16 through hooks, as the Multi-Scale-Decoder does, and answer in which cell of
a finer grid every point is now, and where the palm was some frames ago: what was seen then must be remembered.
"""

from typing import Any

import torch
import torch.nn.functional as F
from rendered_pool import POINTS
from torch import Tensor, nn

AGO = (2, 4)  # frames; where the palm was then
FINER = 4  # cells of a heat map along a cell of the layer
STRIDE = 16
OUTSIDE = -100  # the cell of a point that is in none


class HandMaps(nn.Module):
    """Reads the deepest layer of stride 16 of a model's CNN.

    ``loss`` is of the last forward pass of the model.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        layers = [info for info in model.base_model.feature_info if info["reduction"] <= STRIDE]
        self.maps = nn.Conv2d(layers[-1]["num_chs"], (len(POINTS) + len(AGO)) * FINER**2, 1)
        self.seen: Tensor | None = None
        self.handle = model.base_model.get_submodule(layers[-1]["module"]).register_forward_hook(self._keep)

    def _keep(self, _module: nn.Module, _given: Any, out: Tensor) -> None:
        self.seen = out

    def loss(self, points: Tensor) -> Tensor:
        """Mean cross-entropy of the cells that points (N, T, P, 2), from -1 to 1, are in; 0 where all are outside."""
        if self.seen is None:
            raise RuntimeError("no frames have passed the model since the last loss")
        maps = F.pixel_shuffle(self.maps(self.seen), FINER).float()
        self.seen = None
        rows, columns = maps.shape[-2:]
        wanted = with_past(points)
        inside = (wanted.abs() < 1).all(-1)
        # The number before 1 is rounded to the end of the last cell.
        cells = ((wanted + 1) / 2 * wanted.new_tensor([columns, rows])).long()
        cells = cells.minimum(cells.new_tensor([columns - 1, rows - 1]))
        target = torch.where(inside, cells[..., 1] * columns + cells[..., 0], OUTSIDE).flatten()
        total = F.cross_entropy(maps.flatten(0, 1).flatten(1), target, ignore_index=OUTSIDE, reduction="sum")
        return total / inside.sum().clamp(min=1)

    def found(self, frames: int) -> Tensor:
        """Centres of the likeliest cells of POINTS, (N, T, P, 2), in the last forward pass."""
        assert self.seen is not None
        maps = F.pixel_shuffle(self.maps(self.seen), FINER)[:, : len(POINTS)]
        rows, columns = maps.shape[-2:]
        best = maps.flatten(2).argmax(-1).unflatten(0, (-1, frames))
        return (torch.stack((best % columns, best // columns), -1) + 0.5) / maps.new_tensor([columns, rows]) * 2 - 1


def with_past(points: Tensor) -> Tensor:
    """The points (N, T, P, 2) of every frame, and where the first was AGO frames before it; outside before the start.

    >>> with_past(torch.zeros(1, 3, 1, 2))[0, :, :, 0].tolist()
    [[0.0, 5.0, 5.0], [0.0, 5.0, 5.0], [0.0, 0.0, 5.0]]
    """
    past = [F.pad(points[:, :-ago, :1], (0, 0, 0, 0, ago, 0), value=5.0)[:, : points.shape[1]] for ago in AGO]
    return torch.cat((points, *past), 2)
