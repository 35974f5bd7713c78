"""Convolutional LSTM layers over maps of features, plain, gated, and with attention.

Shi et al., "Convolutional LSTM Network", NIPS 2015, arXiv 1506.04214; the variants are those of Zhang et al.,
"Attention in Convolutional LSTM for Gesture Recognition", NeurIPS 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...errors import ModelError

GATES = ("conv", "pooled", "attention")


class ConvLSTM(nn.Module):
    """Maps (N, T, C, H, W) to the hidden states of every step, (N, T, channels, H, W).

    ``gates``: "conv", a map of every gate from convolutions; "pooled", one value per channel from the averages of
    input and state ("gated ConvLSTM", which the paper found as good at a fraction of the cost); "attention", "conv" on
    an input that is weighted by where the last state looks.

    >>> ConvLSTM(4, 8)(torch.zeros(2, 3, 4, 5, 5)).shape
    torch.Size([2, 3, 8, 5, 5])
    """

    def __init__(self, in_chans: int, channels: int, *, gates: str = "pooled") -> None:
        super().__init__()
        if gates not in GATES:
            raise ModelError(f"gates is one of {', '.join(GATES)}, not {gates!r}")
        self.channels, self.gates = channels, gates
        both = in_chans + channels
        pooled = gates == "pooled"
        self.candidate = nn.Conv2d(both, channels, 3, padding=1)
        self.gate: nn.Module = nn.Linear(both, 3 * channels) if pooled else nn.Conv2d(both, 3 * channels, 3, padding=1)
        # Deviation: the paper does not say how wide the attention is; it is as wide as the state here.
        self.attend = (
            nn.Sequential(nn.Conv2d(both, channels, 3, padding=1), nn.Tanh(), nn.Conv2d(channels, 1, 1))
            if gates == "attention"
            else None
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Every step's hidden state; the first is before nothing."""
        hidden = maps.new_zeros((maps.shape[0], self.channels, *maps.shape[-2:]))
        cell, states = hidden, []
        for step in maps.unbind(1):
            seen = step
            if self.attend is not None:
                where = self.attend(torch.cat((step, hidden), 1))
                share = where.flatten(1).softmax(1).view_as(where)
                seen = step * share * where[0, 0].numel()  # one on average: the input keeps its size
            both = torch.cat((seen, hidden), 1)
            gates = self.gate(both.mean((2, 3)))[..., None, None] if self.gates == "pooled" else self.gate(both)
            enter, forget, leave = gates.sigmoid().chunk(3, 1)
            cell = forget * cell + enter * self.candidate(both).tanh()
            hidden = leave * cell.tanh()
            states.append(hidden)
        return torch.stack(states, 1)
