"""A CNN as people write their own: blocks that return tuples, no feature_info, an answer with features beside it."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class OwnBlock(nn.Module):
    """A residual block that hands on how strong its branch was."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(before, after // 2, 1)
        self.spread = nn.Conv2d(after // 2, after, 3, stride, 1)
        self.past = nn.Conv2d(before, after, 1, stride)

    def forward(self, state: tuple[Tensor, list[Tensor]]) -> tuple[Tensor, list[Tensor]]:
        x, strengths = state
        branch = self.spread(self.squeeze(x).relu())
        return (branch + self.past(x)).relu(), [*strengths, branch.abs().mean()]


class OwnCNN(nn.Module):
    """Strides 2 to 32 in five blocks; answers with a tuple of logits and pooled features."""

    def __init__(self, num_classes: int = 7, in_chans: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_chans, 8, 3, 2, 1)
        widths = (8, 16, 24, 32, 40)
        self.blocks = nn.ModuleList(OwnBlock(a, b, 2) for a, b in pairwise(widths))
        self.project = nn.Linear(widths[-1], 20)
        self.answer = nn.Linear(20, num_classes)
        self.unit = torch.ones(1)  # neither a parameter nor a buffer

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        state = (self.stem(x * self.unit), [])
        for block in self.blocks:
            state = block(state)
        features = self.project(state[0].mean((2, 3)))
        return self.answer(features), features
