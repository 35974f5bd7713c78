"""Temporal Shift Module.

Lin, Gan and Han, "TSM: Temporal Shift Module for Efficient Video Understanding", arXiv 1811.08383.
Official implementation: github.com/mit-han-lab/temporal-shift-module (MIT); key names as there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .base import TemporalModule, check_count, to_clips, to_frames
from .recompute import conv_of_shifted


class TemporalShift(TemporalModule):
    """Move 1/shift_div of the channels one frame back, as many one frame forward, then apply ``net``.

    Channels [0, fold) take frame t+1, [fold, 2*fold) take frame t-1, with zeros at the ends of the clip and
    fold = C // shift_div; the others stay (section 4 of the paper). ``causal``: nothing comes from the future,
    channels [0, fold) take frame t-1 and all others stay, as in the official live demo. Frames (N*T, C, H, W) in,
    ``net``'s output out. Without parameters of its own.

    >>> shift = TemporalShift(nn.Identity(), num_segments=2, shift_div=4)
    >>> shift(torch.arange(8.0).view(2, 4, 1, 1)).flatten().tolist()
    [4.0, 0.0, 2.0, 3.0, 0.0, 1.0, 6.0, 7.0]
    """

    def __init__(self, net: nn.Module, num_segments: int = 8, *, shift_div: int = 8, causal: bool = False) -> None:
        super().__init__(num_segments)
        self.net = net
        self.shift_div = check_count("shift_div", shift_div)
        self.causal = causal

    def forward(self, frames: Tensor) -> Tensor:
        clips = to_clips(frames, self.num_segments)  # (N, T, C, H, W)
        fold = clips.shape[2] // self.shift_div
        if self.memory is not None and fold:  # in a stream, what is shifted in comes from the frame before
            behind, still = clips.tensor_split((fold,), dim=2)
            return self.net(to_frames(torch.cat((self.with_past("shifted", behind, 1)[:, :-1], still), dim=2)))
        return conv_of_shifted(self.net, clips, 0 if self.causal else fold, fold)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, shift_div={self.shift_div}"
