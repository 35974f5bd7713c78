"""Where the camera is and where it looks: at the person, at a driver, or from the person's own forehead."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch.nn import functional

from ..errors import DataError
from .draws import Draw
from .ranges import VIEWS, MotionRanges
from .solids import Camera
from .tracks import wobble

CAR, EGO = VIEWS.index("car"), VIEWS.index("ego")
NEAREST = 0.17
"""No hand is nearer to the camera than this, metres."""
MARGIN = 0.40
"""Hands that gesture stay this near to the picture's middle: of its height, and across of the shorter side."""


class Eye(NamedTuple):
    """Cameras in body coordinates: where they are, and rows right, down, forward for every frame."""

    position: torch.Tensor  # (B, 3)
    rotation: torch.Tensor  # (B, T, 3, 3)
    camera: Camera


def pick_views(count: int, views: tuple[str, ...], ranges: MotionRanges, draw: Draw) -> torch.Tensor:
    """Indices into VIEWS (count,), of the views asked for only.

    >>> pick_views(3, ("car",), MotionRanges(), Draw(torch.Generator().manual_seed(0)))
    tensor([1, 1, 1])
    """
    unknown = [name for name in views if name not in VIEWS]
    if unknown or not views:
        raise DataError(f"the views are {views!r}; they must be some of {', '.join(VIEWS)}")
    weights = [ranges.views.get(name, 0.0) if name in views else 0.0 for name in VIEWS]
    if not any(weights):
        known = [name for name in VIEWS if ranges.views.get(name)]
        raise DataError(f"MotionRanges.views has no weight for {', '.join(views)}, only for {', '.join(known)}")
    return draw.pick(weights, count)


def pick_azimuth(view: torch.Tensor, ranges: MotionRanges, draw: Draw) -> torch.Tensor:
    """How far (B,) to the left of where the person faces the camera is, radians; a driver's is mostly to the right."""
    count = len(view)
    side = torch.where(draw.chance(0.85, count), -torch.ones(count).to(view.device), torch.ones(count).to(view.device))
    beside = side * draw.degrees((5.0, 38.0), count)
    anywhere = draw.degrees(ranges.azimuth, count)
    return torch.where(view == CAR, beside, torch.where(view == EGO, torch.zeros_like(beside), anywhere))


def frame_of(forward: torch.Tensor, roll: torch.Tensor) -> torch.Tensor:
    """Rows right, down, forward (B, 3, 3) of cameras that look along `forward` (B, 3), rolled by (B,) radians.

    >>> frame_of(torch.tensor([[0.0, 0.0, -1.0]]), torch.zeros(1))[0].round().long().tolist()  # faces the person
    [[1, 0, 0], [0, -1, 0], [0, 0, -1]]
    """
    forward = functional.normalize(forward, dim=-1)
    up = torch.tensor([0.0, 1.0, 0.0], device=forward.device).expand_as(forward)
    right = functional.normalize(torch.linalg.cross(forward, up), dim=-1)
    down = torch.linalg.cross(forward, right)
    cosine, sine = roll.cos()[:, None], roll.sin()[:, None]
    return torch.stack([cosine * right + sine * down, cosine * down - sine * right, forward], dim=1)


def _placed(
    view: torch.Tensor, azimuth: torch.Tensor, ranges: MotionRanges, draw: Draw
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where cameras are and what they look at, (B, 3) each."""
    count = len(view)
    distance, elevation = draw.log_uniform(ranges.distance, count), draw.degrees(ranges.elevation, count)
    ahead = torch.stack([azimuth.sin() * elevation.cos(), elevation.sin(), azimuth.cos() * elevation.cos()], dim=-1)
    look = draw.box(((-0.25, 0.25), (-0.14, 0.18), (0.0, 0.0)), count)
    # From afar the person is a small part of the picture, and anywhere in it.
    look = look * (0.5 + 0.6 * distance)[:, None]
    person = ahead * distance[:, None]

    far = draw.uniform((0.7, 1.15), count)
    car = torch.stack([azimuth.sin() * far, draw.uniform((-0.3, 0.35), count), azimuth.cos() * far], -1)
    seat = draw.box(((-0.3, 0.1), (-0.2, 0.15), (0.0, 0.3)), count)
    seat[:, 0] *= -azimuth.sign()  # the person is at the side of the picture that the hand leaves free
    ego = draw.box(((-0.05, 0.05), (0.2, 0.34), (0.06, 0.16)), count)
    pitch, yaw = draw.degrees(ranges.ego_pitch, count), draw.degrees((-15.0, 15.0), count)
    gaze = ego + torch.stack([yaw.sin() * pitch.cos(), -pitch.sin(), yaw.cos() * pitch.cos()], -1)

    where = torch.stack([person, car, ego])
    what = torch.stack([look, seat, gaze])
    rows = torch.arange(count, device=view.device)
    return where[view, rows], what[view, rows]


def _shift(low: torch.Tensor, high: torch.Tensor, margin: torch.Tensor) -> torch.Tensor:
    """How far to move an interval so that it lies between -margin and margin, or around the middle."""
    over, under = (high - margin).clamp(min=0), (-margin - low).clamp(min=0)
    return torch.where((over > 0) & (under > 0), (low + high) / 2, over - under)


def aim(
    view: torch.Tensor,
    azimuth: torch.Tensor,
    hands: torch.Tensor,
    matters: torch.Tensor,
    gestures: torch.Tensor,
    times: torch.Tensor,
    hand_length: torch.Tensor,
    aspect: float,
    ranges: MotionRanges,
    draw: Draw,
) -> Eye:
    """Cameras of views (B,) at azimuths (B,) that see the hands (B, T, 3) in the frames that matter (B, T) bool.

    Clips that are no gestures, (B,) bool, are looked at without regard to where the hand is. Pictures are ``aspect``
    times as wide as they are high.
    """
    count = len(view)
    margin = MARGIN * torch.tensor([min(aspect, 1.0), 1.0], device=view.device)
    position, target = _placed(view, azimuth, ranges, draw)
    roll = torch.where(view == CAR, draw.degrees(ranges.car_roll, count), draw.degrees(ranges.camera_roll, count))
    limits = torch.tensor([ranges.focal[name] for name in VIEWS], device=view.device)[view]
    focal = limits[:, 0] + (limits[:, 1] - limits[:, 0]) * draw.uniform((0.0, 1.0), count)

    frame = frame_of(target - position, roll)
    forward = frame[:, 2]
    weight = matters.float().unsqueeze(-1)
    middle = (hands * weight).sum(1) / weight.sum(1).clamp(min=1e-3)
    depth = ((middle - position) * forward).sum(-1)
    smallest, largest = ranges.hand_size
    # A hand that would fill the picture: the camera steps back. One that would be a few pixels: the lens is longer.
    back = (hand_length * focal / largest - depth).clamp(min=0) * (view != EGO)
    nearest = (((hands - position[:, None]) * forward[:, None]).sum(-1)).amin(1)
    back = back.maximum((NEAREST - nearest).clamp(min=0))
    position = position - forward * back[:, None]
    depth = (depth + back).clamp(min=NEAREST)
    focal = focal.maximum(smallest * depth / hand_length * gestures).clamp(max=4.0)
    focal = torch.where(view == EGO, focal.minimum(largest * depth / hand_length).clamp(min=0.5), focal)

    for _ in range(2):
        seen = torch.einsum("bij,btj->bti", frame, hands - position[:, None])
        flat = seen[..., :2] / seen[..., 2:].clamp(min=NEAREST / 2) * focal[:, None, None]
        inside = matters.unsqueeze(-1)
        low = torch.where(inside, flat, torch.full_like(flat, math.inf)).amin(1)
        high = torch.where(inside, flat, torch.full_like(flat, -math.inf)).amax(1)
        # Where the hand goes further than the picture shows: a shorter lens, as long as the hand stays large enough.
        fits = (2 * margin / (high - low)).amin(1)
        fits = fits.maximum(smallest * depth / hand_length / focal).clamp(max=1.0)
        fits = torch.where(gestures & matters.any(1), fits, torch.ones_like(fits))
        focal, low, high = focal * fits, low * fits[:, None], high * fits[:, None]
        turn = torch.atan(_shift(low, high, margin) / focal[:, None]) * gestures[:, None]
        turn = torch.nan_to_num(turn)
        right, down, ahead = frame.unbind(1)
        gaze = ahead + turn[:, :1].tan() * right + turn[:, 1:].tan() * down
        ahead = functional.normalize(gaze, dim=-1)
        right = functional.normalize(right - (right * ahead).sum(-1, keepdim=True) * ahead, dim=-1)
        frame = torch.stack([right, torch.linalg.cross(ahead, right), ahead], dim=1)

    restless = torch.where(view == EGO, draw.degrees(ranges.ego_sway, count), draw.degrees(ranges.camera_sway, count))
    restless = restless * ((view == EGO) | draw.chance(0.4, count))
    sway = wobble(times, 2, (0.1, 1.2), draw, waves=2) * restless[:, None, None]
    right, down, ahead = frame[:, None].expand(-1, times.shape[1], -1, -1).unbind(2)
    ahead = functional.normalize(ahead + sway[..., :1] * right + sway[..., 1:] * down, dim=-1)
    right = functional.normalize(right - (right * ahead).sum(-1, keepdim=True) * ahead, dim=-1)
    return Eye(position, torch.stack([right, torch.linalg.cross(ahead, right), ahead], dim=2), Camera(focal))
