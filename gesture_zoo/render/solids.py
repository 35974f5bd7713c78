"""What a renderer is given: people as round cones in camera coordinates, and the camera that looks at them."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import torch

from .hand import Cones

PARTS = ("skin", "face", "sleeve", "glove", "torso", "hair", "trousers", "object")
"""What a solid is made of; "face" is coloured like skin too."""


class Solids(NamedTuple):
    """Round cones (two spheres and the hull around both) in metres, in camera coordinates: x right, y down, z forward.

    A solid whose `flat` is below 1 is that much thinner along the view axis than across it, as a torso is.

    >>> ball = torch.tensor([0.1, 0.0, 1.0]).reshape(1, 1, 1, 3)
    >>> radius, one = torch.full((1, 1, 1), 0.05), torch.ones(1, 1)
    >>> Solids(ball, ball, radius, radius, PARTS.index("skin") * one.long(), one, radius > 0).present.shape
    torch.Size([1, 1, 1])
    """

    start: torch.Tensor  # (B, T, K, 3) float32
    end: torch.Tensor  # (B, T, K, 3) float32
    radius_start: torch.Tensor  # (B, T, K) float32
    radius_end: torch.Tensor  # (B, T, K) float32
    part: torch.Tensor  # (B, K) int64, an index into PARTS
    flat: torch.Tensor  # (B, K) float32 in (0, 1], 1 is round
    present: torch.Tensor  # (B, T, K) bool


class Camera(NamedTuple):
    """A pinhole whose focal length (B,) is in units of the picture's height.

    >>> Camera(focal=torch.tensor([1.5])).focal  # a picture of 100 rows is seen from 150 rows away
    tensor([1.5000])
    """

    focal: torch.Tensor


def project(points: torch.Tensor, camera: Camera, height: int, width: int) -> torch.Tensor:
    """The pixels (B, ..., 2), x then y, of points (B, ..., 3) in metres in front of the camera.

    >>> project(torch.tensor([[0.1, 0.0, 1.0]]), Camera(torch.tensor([1.5])), height=100, width=160)
    tensor([[95., 50.]])
    """
    focal = camera.focal.reshape(-1, *[1] * (points.dim() - 1)) * height
    depth = points[..., 2:].clamp(min=1e-3)
    centre = torch.tensor([width / 2, height / 2], dtype=points.dtype, device=points.device)
    return points[..., :2] / depth * focal + centre


Mirrored = TypeVar("Mirrored", Solids, Cones)


def mirrored(solids: Mirrored) -> Mirrored:
    """The same solids or cones (B, T, K) as their mirror picture shows them: left and right exchanged.

    >>> ball = torch.tensor([0.1, 0.0, 1.0]).reshape(1, 1, 1, 3)
    >>> radius, one = torch.full((1, 1, 1), 0.05), torch.ones(1, 1)
    >>> mirrored(Solids(ball, ball, radius, radius, one.long(), one, radius > 0)).start.flatten()
    tensor([-0.1000,  0.0000,  1.0000])
    """
    flip = torch.tensor([-1.0, 1.0, 1.0], dtype=solids.start.dtype, device=solids.start.device)
    return solids._replace(start=solids.start * flip, end=solids.end * flip)
