"""What a depth camera gives for exact distances: noise, levels, holes at edges, on slopes and in shadow, a range.

The library's convention holds for what comes out: depth in [0, 1], nearer is larger, 0 where nothing was measured.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .draws import Draw
from .look import LookRanges, clouds, windows

NEAR, FAR = 0.2, 3.2  # metres of depth 1 and depth 0, unless a clip's sensor has other ones


def sense(distance: Tensor, hand: tuple[Tensor, Tensor], draw: Draw, ranges: LookRanges) -> tuple[Tensor, Tensor]:
    """Depth (B, T, 1, H, W) float32 in [0, 1] and where it is valid, bool, of exact distances (B, T, H, W) in metres.

    `hand` is the least and the most distance (B,) in metres of what matters most: no range begins or ends before it is
    within.

    >>> draw = Draw(torch.Generator().manual_seed(0))
    >>> depth, valid = sense(torch.full((1, 1, 8, 8), 1.7), (torch.ones(1), torch.ones(1)), draw, LookRanges.plain())
    >>> depth.unique().tolist(), bool(valid.all())
    ([0.5], True)
    """
    batch, frames, height, width = distance.shape
    valid = measured(distance, draw, ranges)
    z = distance
    if ranges.depth_shift:
        shift = draw.normal(1.0, batch, 2) * draw.uniform(ranges.depth_shift, batch, 1) * height
        scale = 1 + 0.015 * draw.normal(1.0, batch)
        z, valid = _moved(z, valid, shift, scale)
    near = torch.full((batch,), NEAR, device=z.device)
    far = torch.full((batch,), FAR, device=z.device)
    if ranges.depth_cut:
        # Sensors end somewhere, and datasets stretch what is left.
        ends = draw.chance(ranges.depth_cut, batch)
        far = torch.where(ends, hand[1] + draw.uniform((0.25, 1.5), batch), far)
        near = torch.where(ends & draw.chance(0.5, batch), hand[0] * draw.uniform((0.4, 0.95), batch), near)
    near, far = near.view(-1, 1, 1, 1), far.view(-1, 1, 1, 1)
    if ranges.depth_noise:
        strength = draw.uniform(ranges.depth_noise, batch, 1, 1, 1)
        pattern = clouds(draw, 1, 1, (2 * height, 2 * width), (height,))[0, 0]
        noise = windows(pattern, batch * frames, (height, width), draw).view_as(z)
        z = torch.addcmul(z, noise, z.square().mul_(0.004 * strength).add_(0.001 * strength))
    depth = ((far - z) / (far - near)).clamp_(0, 1)
    if ranges.depth_noise:
        depth = depth.mul_(255).round_().div_(255)
    if ranges.depth_cut:
        valid = valid & ((z < far) | ~ends.view(-1, 1, 1, 1))
    return (depth * valid)[:, :, None], valid[:, :, None]


def measured(distance: Tensor, draw: Draw, ranges: LookRanges) -> Tensor:
    """Where a sensor measures anything (B, T, H, W) bool: not at edges, on steep slopes, in what the near one hides.

    Without `depth_holes` everywhere.
    """
    batch, frames, height, width = distance.shape
    if not ranges.depth_holes:
        return torch.ones_like(distance, dtype=torch.bool)
    often = draw.uniform(ranges.depth_holes, batch, 1, 1, 1)
    inverse = 1 / distance
    # A step in 1 / distance is so many pixels between what a sensor's two eyes see. What lies behind it is lost.
    around = inverse.clone()
    for dim in (2, 3):
        last = around.shape[dim] - 1
        one, two = around.narrow(dim, 0, last), around.narrow(dim, 1, last)
        higher = torch.maximum(one, two)
        around = around.clone()
        around.narrow(dim, 0, last).copy_(higher)
        around.narrow(dim, 1, last).copy_(torch.maximum(around.narrow(dim, 1, last), higher))
    step = (around - inverse).sub_(0.1).clamp_(0, 0.5)
    pattern = clouds(draw, 1, 1, (2 * height, 2 * width), (13, 2 * height // 3))[0, 0]
    ragged = windows(pattern, batch * frames, (height, width), draw).view_as(distance)
    still = clouds(draw, batch, 1, (height, width), (5, 16))
    lost = step.mul_(2.2 * often).add_(ragged, alpha=0.3) > 0.75
    # A patch that reflects badly stays where it is, and only its edge moves.
    lost |= still + 0.3 * ragged > 2.7 - 0.35 * often
    # The light that a sensor throws comes from beside its eye: a near thing keeps it from what is at its side.
    reach = max(round(height * 0.015), 1)
    side = 1 if bool(draw.chance(0.5, 1)) else -1
    beside = (torch.arange(width, device=inverse.device) - side * reach).clamp(0, width - 1)
    lost |= (inverse[..., beside] - inverse) * often + 0.25 * ragged > 0.75
    return ~lost


def _moved(z: Tensor, valid: Tensor, shift: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Depth lying `shift` (B, 2) pixels beside colour and `scale` (B,) times as large; edges repeat."""
    batch, frames, height, width = z.shape
    step_y, step_x = torch.arange(height, device=z.device), torch.arange(width, device=z.device)
    rows = ((step_y - height / 2) / scale[:, None] + height / 2 - shift[:, 1:]).round().long().clamp(0, height - 1)
    columns = ((step_x - width / 2) / scale[:, None] + width / 2 - shift[:, :1]).round().long().clamp(0, width - 1)
    place = (rows[:, :, None] * width + columns[:, None]).view(batch, 1, -1).expand(-1, frames, -1)
    taken = [part.reshape(batch, frames, -1).gather(2, place).view_as(part) for part in (z, valid)]
    return taken[0], taken[1]


def kept_colour(distance: Tensor, ends: tuple[Tensor, Tensor], free: Tensor, draw: Draw, ranges: LookRanges) -> Tensor:
    """Shares (B, T, H, W), 0 or 1, of colour left where colour was laid on a depth map: all else is black.

    The map covers only a part of the picture, ends somewhere, and has holes. `ends` are the most distances (B,) in
    metres of hands and of people, `free` the shares (B, 4) of the picture that no gesture
    needs at the left, right, top and bottom. Most of the clips that `cut` hits lose what is behind the people, some
    what is behind the hand, others only holes.
    """
    batch, _, height, width = distance.shape
    kept = torch.ones_like(distance)
    chosen = torch.nonzero(draw.chance(ranges.cut, batch)).squeeze(1)
    if len(chosen) == 0:
        return kept
    part = distance[chosen]
    hand, rear = (end[chosen] for end in ends)
    kind = draw.uniform((0.0, 1.0), len(chosen))
    # A hand that reaches ahead of a camera on the forehead is what is rearmost; it is not cut either.
    behind = (rear + draw.uniform((-0.1, 0.4), len(chosen))).maximum(hand + 0.05)
    limit = torch.where(kind < 0.6, behind, hand + 0.15 + 0.3 * kind)
    limit = torch.where(kind > 0.85, torch.full_like(limit, 1e9), limit)
    left = measured(part, draw, ranges) & (part < limit.view(-1, 1, 1, 1))
    # The part of the picture that the depth camera sees too.
    edges = draw.switched(0.5, (0.0, 0.25), len(chosen), 4).minimum(free[chosen])
    y = (torch.arange(height, device=part.device) + 0.5) / height
    x = (torch.arange(width, device=part.device) + 0.5) / width
    wobble = 0.01 * draw.normal(1.0, len(chosen), height, 1)
    inside = (x > edges[:, :1, None] + wobble) & (x < 1 - edges[:, 1:2, None] + wobble)
    inside &= ((y > edges[:, 2:3]) & (y < 1 - edges[:, 3:]))[:, :, None]
    kept[chosen] = (left & inside[:, None]).to(kept)
    return kept
