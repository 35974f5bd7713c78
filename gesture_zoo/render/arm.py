"""Arms: from the shoulder to a wrist by two bones, with sleeves; wrists that stay within reach and do not break."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional

from .draws import Draw
from .hand import Cones
from .ranges import MotionRanges

ARM_SOLIDS = 4


class ArmShape(NamedTuple):
    """Arms of B people: bone lengths and girth in metres, where the elbow goes, how far sleeves reach."""

    upper: torch.Tensor  # (B,)
    fore: torch.Tensor  # (B,)
    girth: torch.Tensor  # (B,), the radius at the elbow
    pole: torch.Tensor  # (B, 3), the side the elbow of a right arm is on
    sleeve: torch.Tensor  # (B,), 0 bare, 1 to the elbow, 2 to the wrist
    slack: torch.Tensor  # (B,), how much wider than the arm a sleeve is


def draw_arm_shape(count: int, ranges: MotionRanges, draw: Draw) -> ArmShape:
    """Arms of `count` people.

    >>> draw_arm_shape(2, MotionRanges(upper_arm=(0.3, 0.3)), Draw(torch.Generator().manual_seed(0))).upper
    tensor([0.3000, 0.3000])
    """
    kind = draw.pick(ranges.sleeves, count)
    within = draw.uniform((0.0, 1.0), count)
    sleeve = torch.where(kind == 0, 0.0 * within, torch.where(kind == 1, 0.45 + 0.5 * within, 1.5 + 0.48 * within))
    return ArmShape(
        draw.uniform(ranges.upper_arm, count),
        draw.uniform(ranges.forearm, count),
        draw.uniform(ranges.arm_radius, count),
        functional.normalize(draw.box(ranges.elbow_side, count), dim=-1),
        sleeve,
        draw.uniform(ranges.sleeve_slack, count),
    )


def within_reach(wrist: torch.Tensor, shoulder: torch.Tensor, arm: ArmShape) -> torch.Tensor:
    """The wrists (B, T, 3), those farther from the shoulder (B, T, 3) than the arm is long drawn in, smoothly.

    >>> arm = draw_arm_shape(1, MotionRanges(), Draw(torch.Generator().manual_seed(0)))
    >>> far = within_reach(torch.full((1, 1, 3), 9.0), torch.zeros(1, 1, 3), arm)
    >>> bool(far.norm() < arm.upper + arm.fore)
    True
    """
    offset = wrist - shoulder
    distance = offset.norm(dim=-1, keepdim=True).clamp(min=1e-4)
    longest = 0.985 * (arm.upper + arm.fore)[:, None, None]
    knee = 0.88 * longest
    room = longest - knee
    soft = knee + room * torch.tanh((distance - knee).clamp(min=0) / room)
    shortest = 0.3 * longest
    return shoulder + offset / distance * torch.where(distance > knee, soft, distance).maximum(shortest)


def elbow(shoulder: torch.Tensor, wrist: torch.Tensor, lift: torch.Tensor, arm: ArmShape) -> torch.Tensor:
    """Elbows (B, T, 3) of right arms between shoulders and wrists within reach, lifted (B, T) by 0..1.

    >>> arm = draw_arm_shape(1, MotionRanges(), Draw(torch.Generator().manual_seed(0)))
    >>> joint = elbow(torch.zeros(1, 1, 3), torch.tensor([[[0.1, -0.1, 0.3]]]), torch.zeros(1, 1), arm)
    >>> bool((joint.norm() - arm.upper).abs() < 1e-4)
    True
    """
    offset = wrist - shoulder
    distance = offset.norm(dim=-1, keepdim=True).clamp(min=1e-4)
    along = offset / distance
    upper, fore = arm.upper[:, None, None], arm.fore[:, None, None]
    foot = (upper**2 - fore**2 + distance**2) / (2 * distance)
    height = (upper**2 - foot**2).clamp(min=0).sqrt()
    out = torch.tensor([-1.2, 1.0, 0.1], device=wrist.device)
    pole = arm.pole[:, None, :] + lift.unsqueeze(-1) * out
    side = functional.normalize(pole - (pole * along).sum(-1, keepdim=True) * along, dim=-1)
    return shoulder + along * foot + side * height


def bent_within(rotation: torch.Tensor, forearm: torch.Tensor, most: torch.Tensor) -> torch.Tensor:
    """Hand rotations (B, T, 3, 3), none leaving its forearm's direction (B, T, 3) by more than `most` (B,) radians.

    >>> forearm = torch.tensor([[[0.0, 0.0, 1.0]]])
    >>> bent_within(torch.eye(3)[None, None], forearm, torch.zeros(1))[0, 0, :, 1].round().long().tolist()
    [0, 0, 1]
    """
    fingers = rotation[..., 1]
    axis = torch.linalg.cross(fingers, forearm)
    sine = axis.norm(dim=-1, keepdim=True).clamp(min=1e-5)
    angle = torch.atan2(sine, (fingers * forearm).sum(-1, keepdim=True))
    axis, excess = axis / sine, (angle - most[:, None, None]).clamp(min=0).unsqueeze(-1)
    columns = rotation.transpose(-1, -2)  # the hand's axes as rows
    axis = axis.unsqueeze(-2).expand_as(columns)
    across = torch.linalg.cross(axis, columns)
    along = (axis * columns).sum(-1, keepdim=True) * axis
    turned = columns * excess.cos() + across * excess.sin() + along * (1 - excess.cos())
    return turned.transpose(-1, -2)


def arm_cones(shoulder: torch.Tensor, joint: torch.Tensor, wrist: torch.Tensor, arm: ArmShape) -> Cones:
    """The 4 cones of an arm: upper arm, its sleeve, forearm, its sleeve; a sleeve of no length hides in the arm.

    >>> arm = draw_arm_shape(1, MotionRanges(), Draw(torch.Generator().manual_seed(0)))
    >>> point = torch.zeros(1, 1, 3)
    >>> arm_cones(point, point, point, arm).radius_end.shape
    torch.Size([1, 1, 4])
    """
    upper_share = arm.sleeve.clamp(0, 1)[:, None, None]
    fore_share = (arm.sleeve - 1).clamp(0, 1)[:, None, None]
    start = torch.stack([shoulder, shoulder, joint, joint], dim=2)
    end = torch.stack(
        [joint, shoulder + (joint - shoulder) * upper_share, wrist, joint + (wrist - joint) * fore_share], dim=2
    )
    girth, wide = arm.girth, arm.girth * arm.slack
    shrunk = torch.where(arm.sleeve > 0, wide, 0.5 * girth)
    hidden = torch.where(arm.sleeve > 1, wide, 0.5 * girth)
    cuff = torch.where(arm.sleeve > 1, 0.72 * wide, 0.5 * girth)
    radius_start = torch.stack([1.18 * girth, 1.25 * shrunk, girth, hidden], dim=-1)
    radius_end = torch.stack([girth, 1.05 * shrunk, 0.62 * girth, cuff], dim=-1)
    frames = shoulder.shape[1]
    return Cones(start, end, radius_start[:, None].expand(-1, frames, -1), radius_end[:, None].expand(-1, frames, -1))
