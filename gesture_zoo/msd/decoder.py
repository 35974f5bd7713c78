"""The decoder behind one tap: transposed convolutions up to the size of the mask.

Section III of Fan et al. 2021 (arXiv 2110.15639). The paper prints no widths; 64 -> 32 -> 1 and
2048 -> 256 -> 32 -> 1 are the only ones that give its 8.5 M parameters and 4.37 GFLOPs.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

LAST_WIDTH = 32


def default_widths(channels: int, layers: int) -> tuple[int, ...]:
    """Channels between ``layers`` convolutions, falling geometrically from ``channels`` to 32.

    >>> default_widths(64, 2), default_widths(2048, 3)
    ((32,), (256, 32))
    """
    last = min(channels, LAST_WIDTH)
    steps = layers - 1
    widths = (channels * (last / channels) ** (step / steps) for step in range(1, layers))
    return tuple(last if w <= last else 8 * round(w / 8) for w in widths)


class Decoder(nn.Module):
    """Predict a depth mask (B, 1, 2^n h, 2^n w) from a feature map (B, C, h, w) by ``upsamplings`` = n steps.

    Each step is a transposed convolution, 4 x 4, stride 2, with BatchNorm and ReLU between two of them; the
    last has a bias and no activation. With n = 0 (the paper's Table VII) plain 3 x 3 convolutions reduce the
    channels; their kernel size is not in the paper.

    >>> import torch
    >>> Decoder(64, 2)(torch.zeros(1, 64, 56, 56), (224, 224)).shape
    torch.Size([1, 1, 224, 224])
    """

    def __init__(self, in_channels: int, upsamplings: int, *, widths: tuple[int, ...] | None = None) -> None:
        super().__init__()
        if widths is None:
            widths = default_widths(in_channels, upsamplings or 2)
        layers: list[nn.Module] = []
        before = in_channels
        for width in widths:
            layers += [_step(before, width, upsamplings > 0, bias=False), nn.BatchNorm2d(width), nn.ReLU(True)]
            before = width
        last = _step(before, 1, upsamplings > 0, bias=True)
        # The paper says nothing of the start. With the layers' own, masks are off by several times the range of depth,
        # and a short training is spent on that: here a mask starts near the middle of the range, whatever the features.
        nn.init.normal_(last.weight, std=0.001)
        nn.init.constant_(last.bias, 0.5)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        """Mask (B, 1, *size); resized bilinearly where the steps do not end exactly there."""
        mask = self.layers(features)
        if mask.shape[-2:] != size:
            mask = F.interpolate(mask, size, mode="bilinear", align_corners=False)
        return mask


def _step(before: int, after: int, up: bool, *, bias: bool) -> Any:
    if up:
        return nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=bias)
    return nn.Conv2d(before, after, 3, padding=1, bias=bias)
