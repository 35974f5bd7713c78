"""The hand: a pose as fifteen numbers, its joints, and the round cones around them.

Coordinates of a person ("body coordinates"): x to the person's left, y up, z ahead, in metres, the origin between the
shoulders. Everything here is a right hand; left hands are mirrored scenes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from .draws import Draw, Range

POSITION = slice(0, 3)
"""Where the wrist is, in body coordinates, metres."""
PITCH, ROLL, TILT, YAW = 3, 4, 5, 6
"""Radians. All zero: fingers up, palm ahead, thumb to the left. Pitch leans the fingers ahead (90 degrees: palm down),
roll turns about the forearm (90: palm to the left), tilt leans the fingers to the right, yaw turns to the left."""
ANGLES = slice(3, 7)
CURL = slice(7, 11)
"""Index to little finger: 0 straight, 1 in a fist."""
THUMB = slice(11, 13)
"""How far the thumb is folded across the palm, and how far it stands off, 0..1 each."""
SPREAD = 13
FINGERS = slice(7, 14)
ELBOW = 14
"""How far the elbow is lifted: 0 hanging, 1 out to the side, at the height of the shoulder."""
POSE_SIZE = 15

HAND_POSES: dict[str, tuple[float, ...]] = {
    "flat": (0.02, 0.0, 0.02, 0.05, 0.15, 0.25, 0.15),
    "spread": (0.0, 0.0, 0.0, 0.02, 0.0, 1.0, 1.0),
    "relaxed": (0.22, 0.28, 0.33, 0.38, 0.3, 0.4, 0.3),
    "claw": (0.4, 0.4, 0.42, 0.45, 0.2, 0.8, 0.7),
    "two": (0.02, 0.02, 0.95, 0.95, 0.8, 0.1, 0.1),
    "index": (0.02, 0.92, 0.97, 1.0, 0.75, 0.1, 0.0),
    "fist": (0.98, 1.0, 1.0, 1.0, 0.8, 0.1, 0.0),
    "thumb": (1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0),
    "grip": (0.6, 0.62, 0.65, 0.65, 0.5, 0.6, 0.1),
    "pinch": (0.5, 0.3, 0.35, 0.4, 0.6, 0.5, 0.3),
    "ring": (0.62, 0.08, 0.03, 0.02, 0.62, 0.45, 0.7),
}
"""What the fingers do: curl of four fingers, thumb folded, thumb standing off, spread."""

HAND_SOLIDS = 19
KNUCKLES = ((0.135, 0.50), (0.045, 0.525), (-0.05, 0.495), (-0.135, 0.44))
FINGER_BONES = ((0.215, 0.125, 0.095), (0.235, 0.145, 0.10), (0.22, 0.135, 0.10), (0.17, 0.095, 0.085))
THUMB_BONES = (0.21, 0.165, 0.13)
PALM_ROOTS = ((0.085, 0.09), (0.04, 0.05), (-0.03, 0.05), (-0.075, 0.09))
BENDS = (1.45, 1.75, 1.1)
"""Radians by which the three joints of a finger in a fist are bent."""


class HandShape(NamedTuple):
    """Proportions of the hands of B people: length in metres, the rest relative to an average hand."""

    length: torch.Tensor  # (B,)
    width: torch.Tensor  # (B,)
    thickness: torch.Tensor  # (B,)
    fingers: torch.Tensor  # (B, 5), thumb last


class Cones(NamedTuple):
    """Round cones: ends (..., K, 3) and radii (..., K), metres."""

    start: torch.Tensor
    end: torch.Tensor
    radius_start: torch.Tensor
    radius_end: torch.Tensor


def draw_hand_shape(count: int, length: Range, variation: float, draw: Draw) -> HandShape:
    """Hands of `count` people, `length` in metres, other proportions within `variation` of the average.

    >>> draw_hand_shape(2, (0.18, 0.18), 0.0, Draw(torch.Generator().manual_seed(0))).length
    tensor([0.1800, 0.1800])
    """
    around = (1 - variation, 1 + variation)
    return HandShape(
        draw.uniform(length, count),
        draw.uniform(around, count),
        draw.uniform((1 - variation, 1 + 1.5 * variation), count),
        draw.uniform((1 - variation / 2, 1 + variation / 2), count, 5),
    )


def matrix(*entries: torch.Tensor) -> torch.Tensor:
    """Matrices (..., 3, 3) of nine entries (...) each, row by row.

    >>> matrix(*torch.arange(9.0)).tolist()
    [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]]
    """
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))


def wrist_rotation(angles: torch.Tensor) -> torch.Tensor:
    """Rotations (..., 3, 3) from the hand's axes (thumb side, fingers, palm) to the body's, of angles (..., 4).

    >>> fingers = wrist_rotation(torch.tensor([torch.pi / 2, 0.0, 0.0, 0.0]))[:, 1]  # leaned ahead
    >>> fingers.round().long().tolist()
    [0, 0, 1]
    """
    pitch, roll, tilt, yaw = angles.unbind(-1)
    cp, sp, cr, sr = pitch.cos(), pitch.sin(), roll.cos(), roll.sin()
    ct, st, cy, sy = tilt.cos(), tilt.sin(), yaw.cos(), yaw.sin()
    zero, one = torch.zeros_like(pitch), torch.ones_like(pitch)

    about_y = matrix(cy, zero, sy, zero, one, zero, -sy, zero, cy)
    about_z = matrix(ct, -st, zero, st, ct, zero, zero, zero, one)
    about_x = matrix(one, zero, zero, zero, cp, -sp, zero, sp, cp)
    about_forearm = matrix(cr, zero, sr, zero, one, zero, -sr, zero, cr)
    return about_y @ about_z @ about_x @ about_forearm


def finger_joints(fingers: torch.Tensor, shape: HandShape) -> torch.Tensor:
    """Joints (B, T, 5, 4, 3) of four fingers and the thumb in the hand's axes, of finger poses (B, T, 7).

    >>> shape = draw_hand_shape(1, (0.2, 0.2), 0.0, Draw(torch.Generator().manual_seed(0)))
    >>> finger_joints(torch.zeros(1, 1, 7), shape)[0, 0, 1, 3]  # the tip of the middle finger
    tensor([0.0090, 0.2010, 0.0000])
    """
    device, length = fingers.device, shape.length[:, None, None]
    curl = fingers[..., :4]
    fan = (torch.tensor([0.04, 0.0, -0.04, -0.08], device=device)) + fingers[..., 6:7] * torch.tensor(
        [0.24, 0.05, -0.16, -0.38], device=device
    )
    # A fist folds all fingers alongside each other, however spread they were.
    fan = fan * (1 - curl.clamp(0, 1) * 0.8)
    knuckles = torch.tensor(KNUCKLES, device=device)
    root = torch.stack(
        [
            knuckles[:, 0] * shape.width[:, None, None] * length,
            knuckles[:, 1] * length,
            torch.zeros_like(knuckles[:, 0] * length),
        ],
        dim=-1,
    ).expand(-1, fingers.shape[1], -1, -1)
    bones = torch.tensor(FINGER_BONES, device=device) * (shape.fingers[:, :4, None] * length)  # (B, 4, 3)
    angle = (curl.unsqueeze(-1) * torch.tensor(BENDS, device=device)).cumsum(-1)  # (B, T, 4, 3)
    cosine, sine = angle.cos(), angle.sin()
    direction = torch.stack([fan.sin().unsqueeze(-1) * cosine, fan.cos().unsqueeze(-1) * cosine, sine], dim=-1)
    four = torch.cat([root.unsqueeze(-2), root.unsqueeze(-2) + (direction * bones[:, None, ..., None]).cumsum(-2)], -2)

    folded, off = fingers[..., 4], fingers[..., 5]
    ones = torch.ones_like(folded)
    side = torch.stack(
        [0.45 + 0.5 * off - 0.2 * folded, 0.2 + 0.9 * off - 1.0 * folded, 0.15 + 1.1 * off - 1.7 * folded], -1
    )
    palmwards = torch.stack([0.35 + 0.45 * folded - 0.1 * off, 0.25 + 0.55 * folded - 0.2 * off, 0.2 * ones], -1)
    along = torch.stack([side.sin() * palmwards.cos(), side.cos() * palmwards.cos(), palmwards.sin()], dim=-1)
    thumb_bones = torch.tensor(THUMB_BONES, device=device) * (shape.fingers[:, 4:] * shape.length[:, None])
    base = torch.tensor([0.095, 0.10, 0.02], device=device) * length
    base = (base * torch.stack([shape.width, torch.ones_like(shape.width), shape.thickness], -1)[:, None]).unsqueeze(2)
    base = base.expand(-1, fingers.shape[1], -1, -1)
    thumb = torch.cat([base, base + (along * thumb_bones[:, None, :, None]).cumsum(-2)], dim=-2)
    return torch.cat([four, thumb.unsqueeze(2)], dim=2)


def hand_cones(wrist: torch.Tensor, rotation: torch.Tensor, joints: torch.Tensor, shape: HandShape) -> Cones:
    """The 19 cones of a hand: palm (4), four fingers and the thumb (3 each), in body coordinates.

    >>> shape = draw_hand_shape(1, (0.2, 0.2), 0.0, Draw(torch.Generator().manual_seed(0)))
    >>> joints = finger_joints(torch.zeros(1, 1, 7), shape)
    >>> hand_cones(torch.zeros(1, 1, 3), torch.eye(3).expand(1, 1, 3, 3), joints, shape).start.shape
    torch.Size([1, 1, 19, 3])
    """
    batch, frames = wrist.shape[:2]
    device, length = wrist.device, shape.length[:, None, None]
    roots = torch.tensor(PALM_ROOTS, device=device)
    palm_start = torch.stack(
        [
            roots[:, 0] * shape.width[:, None, None] * length,
            roots[:, 1] * length,
            torch.zeros_like(roots[:, 1] * length),
        ],
        dim=-1,
    ).expand(-1, frames, -1, -1)
    start = torch.cat([palm_start, joints[..., :-1, :].flatten(2, 3)], dim=2)
    end = torch.cat([joints[:, :, :4, 0], joints[..., 1:, :].flatten(2, 3)], dim=2)
    thick = length * shape.thickness[:, None, None]
    palm = ((0.085, 0.062), (0.082, 0.062), (0.08, 0.058), (0.082, 0.054))
    finger = ((0.052, 0.046), (0.046, 0.041), (0.041, 0.036))
    little = ((0.045, 0.039), (0.039, 0.035), (0.035, 0.031))
    thumb = ((0.078, 0.058), (0.056, 0.05), (0.05, 0.041))
    radii = torch.tensor(palm + finger * 3 + little + thumb, device=device)
    radius = (radii * thick.unsqueeze(-1)).expand(batch, frames, -1, -1)

    def placed(points: torch.Tensor) -> torch.Tensor:
        return points @ rotation.transpose(-1, -2) + wrist.unsqueeze(2)

    return Cones(placed(start), placed(end), radius[..., 0], radius[..., 1])
