"""Smooth tracks through knots in time: the one mechanism behind every motion, of clips and of streams."""

from __future__ import annotations

import math

import torch

from .draws import Draw, Range


def interpolate(knot_times: torch.Tensor, knots: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    """The track at `times` (B, T) through knots (B, N, D) at ascending times (B, N) in seconds; (B, T, D).

    Cubic pieces with the slopes of PCHIP: a channel never goes beyond the knots at either side, and turns smoothly.
    Before the first and after the last knot the track stands still.

    >>> knots = torch.tensor([[[0.0], [1.0]]])
    >>> interpolate(torch.tensor([[0.0, 1.0]]), knots, torch.tensor([[-1.0, 0.5, 2.0]])).flatten()
    tensor([0.0000, 0.5000, 1.0000])
    """
    step = knot_times.diff(dim=1).clamp(min=1e-4).unsqueeze(-1)
    slope = knots.diff(dim=1) / step
    before, after = slope[:, :-1], slope[:, 1:]
    same = before * after > 0
    harmonic = 2 * before * after / torch.where(same, before + after, torch.ones_like(before))
    inner = torch.where(same, harmonic, torch.zeros_like(harmonic))
    still = torch.zeros_like(knots[:, :1])
    tangent = torch.cat([still, inner, still], dim=1)

    last = knot_times.shape[1] - 2
    left = (torch.searchsorted(knot_times.contiguous(), times.contiguous(), right=True) - 1).clamp(0, last)
    index = left.unsqueeze(-1).expand(-1, -1, knots.shape[-1])
    width = step.squeeze(-1).gather(1, left).unsqueeze(-1)
    u = ((times - knot_times.gather(1, left)).unsqueeze(-1) / width).clamp(0, 1)
    p0, p1 = knots.gather(1, index), knots.gather(1, index + 1)
    m0, m1 = tangent.gather(1, index) * width, tangent.gather(1, index + 1) * width
    u2, u3 = u * u, u * u * u
    return (2 * u3 - 3 * u2 + 1) * p0 + (u3 - 2 * u2 + u) * m0 + (3 * u2 - 2 * u3) * p1 + (u3 - u2) * m1


def wobble(times: torch.Tensor, channels: int, hertz: Range, draw: Draw, waves: int = 3) -> torch.Tensor:
    """Restless motion (B, T, channels) of about unit size: a few sines with rates between two limits in hertz.

    >>> wobble(torch.zeros(2, 5), 3, (0.2, 1.0), Draw(torch.Generator().manual_seed(0))).shape
    torch.Size([2, 5, 3])
    """
    batch = times.shape[0]
    rate = draw.uniform(hertz, batch, 1, channels, waves) * (2 * math.pi)
    phase = draw.uniform((0.0, 2 * math.pi), batch, 1, channels, waves)
    return torch.sin(times[:, :, None, None] * rate + phase).sum(-1) * math.sqrt(2 / waves)


def ease(progress: torch.Tensor, start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Progress 0..1 made slow at its ends: `start` and `end` (>= 1) say how slow; 2 and 2 is a symmetric S.

    >>> ease(torch.tensor([0.0, 0.5, 1.0]), torch.tensor(2.0), torch.tensor(2.0))
    tensor([0.0000, 0.5000, 1.0000])
    """
    left = progress.clamp(min=1e-6) ** start
    right = (1 - progress).clamp(min=0.0) ** end
    return (left / (left + right)) * (progress > 0)


def strokes_and_returns(
    progress: torch.Tensor, repeats: torch.Tensor, forward: torch.Tensor, start: torch.Tensor, end: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """How far (n, M) a repeated stroke is at each progress (n, M), and how deep (0..1) in a way back.

    A stroke is done `repeats` (n, 1) times, the last without a way back; it takes the share `forward` (n, 1) of a
    period. The way back starts at 1 and ends at 0.

    >>> one, half = torch.ones(1, 1), torch.full((1, 1), 0.5)
    >>> where, back = strokes_and_returns(torch.tensor([[0.0, 0.5, 1.0]]), 2 * one, half, 2 * one, 2 * one)
    >>> [round(value, 2) for value in where[0].tolist() + back[0].tolist()]
    [0.0, 0.5, 1.0, 0.0, 1.0, 0.0]
    """
    periods = repeats - 1 + forward
    position = progress * periods
    cycle = torch.minimum(position.floor(), repeats - 1)
    within = position - cycle
    out = ease((within / forward).clamp(0, 1), start, end)
    back = ((within - forward) / (1 - forward).clamp(min=1e-3)).clamp(0, 1)
    two = torch.full_like(start, 2.0)
    returning = (within > forward) & (cycle < repeats - 1)
    where = torch.where(returning, 1 - ease(back, two, two), out)
    return where, torch.where(returning, torch.sin(back * math.pi), torch.zeros_like(back))
