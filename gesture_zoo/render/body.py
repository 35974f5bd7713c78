"""The rest of a person: torso, neck, head, hair, thighs and the coarse other hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from .draws import Draw
from .hand import Cones, matrix
from .ranges import MotionRanges

BODY_PARTS = ("torso",) * 3 + ("skin",) + ("face",) * 3 + ("hair",) * 3 + ("trousers",) * 2
"""What the solids of body_cones are made of, in their order."""
BODY_FLAT = (1.0, 0.62, 0.62) + (1.0,) * 9
OTHER_HAND_SOLIDS = 7


class BodyShape(NamedTuple):
    """Bodies of B people, lengths in metres, angles in radians."""

    shoulder: torch.Tensor  # (B,), from the middle to one side
    torso: torch.Tensor  # (B,), the radius
    recline: torch.Tensor  # (B,), how far the hips are ahead of the shoulders
    head: torch.Tensor  # (B,), relative to an average head
    neck: torch.Tensor  # (B,), how far the head's middle is above the shoulders
    hair: torch.Tensor  # (B,), 0 none, 1 short, 2 long
    seated: torch.Tensor  # (B,) bool


def draw_body_shape(count: int, in_car: torch.Tensor, ranges: MotionRanges, draw: Draw) -> BodyShape:
    """Bodies of `count` people, those in a car (count,) bool leaning back.

    >>> draw = Draw(torch.Generator().manual_seed(0))
    >>> draw_body_shape(2, torch.tensor([True, False]), MotionRanges(), draw).seated[0]
    tensor(True)
    """
    recline = torch.where(in_car, draw.degrees(ranges.recline_car, count), draw.degrees(ranges.recline, count))
    return BodyShape(
        draw.uniform(ranges.shoulder_width, count),
        draw.uniform(ranges.torso_width, count),
        recline,
        draw.uniform((0.9, 1.1), count),
        draw.uniform((0.165, 0.215), count),
        draw.pick((0.15, 0.5, 0.35), count).float(),
        draw.chance(ranges.seated, count) | in_car,
    )


def body_cones(middle: torch.Tensor, head_angles: torch.Tensor, body: BodyShape) -> tuple[Cones, torch.Tensor]:
    """The 12 cones of a body around the middle between the shoulders (B, T, 3), and which of them there are (B, 12).

    The head is turned by angles (B, T, 3) in radians: to the left, down, towards the right shoulder.

    >>> body = draw_body_shape(1, torch.tensor([False]), MotionRanges(), Draw(torch.Generator().manual_seed(0)))
    >>> body_cones(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3), body)[0].start.shape
    torch.Size([1, 2, 12, 3])
    """
    batch, frames = middle.shape[:2]
    width, thick, size = body.shoulder, body.torso, body.head
    zero, one = torch.zeros_like(width), torch.ones_like(width)

    def point(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return torch.stack([x, y, z], dim=-1)

    down, ahead = -body.recline.cos(), body.recline.sin()

    def along_torso(x: torch.Tensor, length: float) -> torch.Tensor:
        return point(x, length * down, length * ahead)

    # Two halves that overlap widely: no valley shows between them.
    chest, ribs = 0.35 * width, 0.62 * width
    hips = (width - 0.95 * thick).clamp(min=0.02)
    trunk = [
        (point(-width, -0.02 * one, zero), point(width, -0.02 * one, zero), 0.058 * one, 0.058 * one),
        (along_torso(-chest, 0.13), along_torso(-hips, 0.48), ribs, 0.85 * thick),
        (along_torso(chest, 0.13), along_torso(hips, 0.48), ribs, 0.85 * thick),
        (point(zero, -0.02 * one, zero), point(zero, body.neck - 0.06, 0.02 * one), 0.072 * one, 0.052 * size),
    ]
    knee_down = torch.where(body.seated, 0.52 * one, 0.95 * one)
    knee_ahead = torch.where(body.seated, 0.45 * one + 0.48 * ahead, 0.48 * ahead)
    legs = []
    for side in (-1.0, 1.0):
        hip = along_torso(side * 0.09 * one, 0.54)
        legs.append((hip, point(side * 0.13 * one, -knee_down, knee_ahead), 0.095 * one, 0.075 * one))

    hair = body.hair
    back = -0.038 * one
    long_hair = torch.where(hair == 2, 0.2 * one, 0.02 * one)
    # Around the middle of the head: skull, jaw, nose; hair above, at the back and at its sides.
    skull = [
        (point(zero, 0.035 * one, -0.01 * one), point(zero, 0.0 * one, 0.012 * one), 0.083 * one, 0.074 * one),
        (point(zero, -0.01 * one, 0.03 * one), point(zero, -0.075 * one, 0.05 * one), 0.062 * one, 0.036 * one),
        (point(zero, 0.005 * one, 0.088 * one), point(zero, -0.025 * one, 0.102 * one), 0.009 * one, 0.014 * one),
        (point(zero, 0.075 * one, 0.0 * one), point(zero, 0.04 * one, -0.04 * one), 0.072 * one, 0.085 * one),
        (point(-0.06 * one, 0.03 * one, back), point(-0.07 * one, -long_hair, back), 0.045 * one, 0.04 * one),
        (point(0.06 * one, 0.03 * one, back), point(0.07 * one, -long_hair, back), 0.045 * one, 0.04 * one),
    ]
    yaw, nod, lean = head_angles.unbind(-1)
    cy, sy, cn, sn, cl, sl = yaw.cos(), yaw.sin(), nod.cos(), nod.sin(), lean.cos(), lean.sin()
    nought, unit = torch.zeros_like(yaw), torch.ones_like(yaw)

    turn = matrix(cy, nought, sy, nought, unit, nought, -sy, nought, cy)
    turn = turn @ matrix(cl, -sl, nought, sl, cl, nought, nought, nought, unit)
    turn = turn @ matrix(unit, nought, nought, nought, cn, -sn, nought, sn, cn)
    centre = point(zero, body.neck, 0.025 * one)[:, None, None]

    def of_head(points: torch.Tensor) -> torch.Tensor:
        scaled = (points * size[:, None, None])[:, None].expand(-1, frames, -1, -1)
        return scaled @ turn.transpose(-1, -2) + centre

    def gathered(cones: Sequence[tuple[torch.Tensor, ...]], column: int) -> torch.Tensor:
        return torch.stack([cone[column] for cone in cones], dim=1)

    def ends(column: int) -> torch.Tensor:
        still = gathered(trunk, column)[:, None].expand(-1, frames, -1, -1)
        thighs = gathered(legs, column)[:, None].expand(-1, frames, -1, -1)
        return torch.cat([still, of_head(gathered(skull, column)), thighs], dim=2) + middle.unsqueeze(2)

    def radii(column: int) -> torch.Tensor:
        parts = [gathered(trunk, column), gathered(skull, column) * size[:, None], gathered(legs, column)]
        return torch.cat(parts, dim=1)[:, None].expand(-1, frames, -1)

    present = torch.ones(batch, len(BODY_PARTS), dtype=torch.bool, device=middle.device)
    present[:, 7] = hair > 0
    present[:, 8:10] = (hair > 0)[:, None]
    return Cones(ends(0), ends(1), radii(2), radii(3)), present


def coarse_hand(cones: Cones) -> Cones:
    """The 7 cones that are left of the 19 of a hand: two of the palm, one for each finger and the thumb.

    >>> hand = Cones(torch.zeros(1, 1, 19, 3), torch.zeros(1, 1, 19, 3), torch.ones(1, 1, 19), torch.ones(1, 1, 19))
    >>> coarse_hand(hand).start.shape
    torch.Size([1, 1, 7, 3])
    """
    first = torch.tensor([0, 3, 4, 7, 10, 13, 16], device=cones.start.device)
    last = torch.tensor([1, 3, 6, 9, 12, 15, 18], device=cones.start.device)
    wider = torch.tensor([1.25, 1.25, 1.0, 1.0, 1.0, 1.0, 1.0], device=cones.start.device)
    return Cones(
        cones.start[:, :, first], cones.end[:, :, last],
        cones.radius_start[:, :, first] * wider, cones.radius_end[:, :, last] * wider,
    )  # fmt: skip
