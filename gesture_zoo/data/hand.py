"""An articulated hand made of capsules, and the small z-buffer renderer that draws it.

Camera frame: x to the right of the image, y down, z away from the camera; the units are arbitrary (the back
wall of a scene stands about 2.4 units away). A hand is described in its own frame, in hand lengths: x across
the palm (thumb on the negative side), y from the wrist to the fingertips, z out of the palm.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from .exact import cos, sin

FOCAL = 1.1  # in image sides: an object of size s at distance z covers s * FOCAL / z of the image
NEAR, FAR = 0.5, 2.5  # distances that map to depth 1 and depth 0
HAND_LENGTH = 0.52  # in scene units
_AMBIENT_RIM = 0.55  # brightness left at a silhouette; it draws the line between neighbouring fingers

# Per finger, index to little: knuckle x and y, splay in radians, length, radius.
_FINGERS = (
    (-0.170, 0.235, -0.16, 0.42, 0.060),
    (-0.056, 0.265, -0.03, 0.47, 0.062),
    (0.058, 0.245, 0.11, 0.43, 0.058),
    (0.162, 0.190, 0.27, 0.34, 0.050),
)
_PHALANGES = (0.46, 0.30, 0.24)  # shares of a finger's length
_FLEXION = (1.30, 1.80, 1.15)  # radians at the three joints of a closed finger
_THUMB_OPEN = ((-0.13, -0.15, 0.02), (-0.27, -0.01, 0.04), (-0.36, 0.12, 0.04), (-0.42, 0.25, 0.03))
_THUMB_SHUT = ((-0.13, -0.15, 0.03), (-0.23, 0.00, 0.12), (-0.14, 0.11, 0.24), (0.02, 0.13, 0.27))
_THUMB_RADIUS = (0.085, 0.068, 0.060, 0.050)
# The palm: four metacarpals and the ball of the thumb, as x0, y0, x1, y1, radius 0, radius 1.
_PALM = (
    (-0.085, -0.20, -0.165, 0.20, 0.090, 0.085),
    (-0.030, -0.21, -0.056, 0.22, 0.100, 0.090),
    (0.035, -0.21, 0.055, 0.21, 0.100, 0.088),
    (0.085, -0.19, 0.150, 0.16, 0.090, 0.080),
    (-0.120, -0.13, -0.180, 0.02, 0.095, 0.075),
)
_WRIST = (0.0, -0.24, 0.0)

_Point = tuple[float, float, float]
_Bone = tuple[_Point, _Point, float, float, float]  # start, end, r0, r1, flat in the hand's frame


class Pose(NamedTuple):
    """Where the hand is at one instant: image position, distance, in-plane turn, closure.

    Shapes: five floats. ``x`` and ``y`` place the palm's centre in image sides from the image's centre (x to the
    right, y down), ``z`` is its distance in scene units, ``roll`` the clockwise turn in the image in radians from
    fingers up, ``closure`` runs from 0 (the hand's resting shape) to 1 (a fist).

    >>> Pose(x=0.1, y=0.0, z=1.0, roll=0.0, closure=0.0).x
    0.1
    """

    x: float
    y: float
    z: float
    roll: float
    closure: float


class HandShape(NamedTuple):
    """What stays the same about one person's hand during a clip.

    ``scale`` multiplies the hand's size; ``mirrored`` swaps left and right hand; ``palm_to_camera`` says which side
    is seen; ``curl`` holds five closures in [0, 1], thumb to little finger; ``pitch`` and ``yaw`` tilt the hand out
    of the image plane in radians; ``arm_roll`` is the forearm's own in-plane turn in radians; ``sleeve`` is the
    share of the forearm left bare.

    >>> HandShape(curl=(0.0, 0.0, 1.0, 1.0, 1.0)).mirrored
    False
    """

    scale: float = 1.0
    mirrored: bool = False
    palm_to_camera: bool = True
    curl: tuple[float, ...] = (0.0,) * 5
    pitch: float = 0.0
    yaw: float = 0.0
    arm_roll: float = 0.0
    sleeve: float = 0.3


class Solids(NamedTuple):
    """N tapered capsules in the camera frame.

    ``start`` and ``end`` (N, 3), radii ``r0`` and ``r1`` (N,) in scene units, ``material`` (N,) rows of a palette,
    ``flat`` (N,) how thick each is along z in (0, 1]; a ``flat`` of 0 makes it a flat, square-ended panel.

    >>> ball = np.array([[0.0, 0.0, 1.0]])
    >>> Solids(ball, ball, np.ones(1), np.ones(1), np.ones(1, int), np.ones(1)).r0
    array([1.])
    """

    start: np.ndarray
    end: np.ndarray
    r0: np.ndarray
    r1: np.ndarray
    material: np.ndarray
    flat: np.ndarray


def depth_from_distance(z: np.ndarray) -> np.ndarray:
    """Map distances of any shape to the library's depth: float32 in [0, 1], nearer is larger.

    >>> depth_from_distance(np.array([0.5, 1.5, 2.5])).tolist()
    [1.0, 0.5, 0.0]
    """
    return np.clip((FAR - z) / (FAR - NEAR), 0.0, 1.0).astype(np.float32)


def hand_solids(pose: Pose, shape: HandShape, *, skin: int, sleeve: int) -> Solids:
    """Build the capsules of a hand and its forearm, N = 22, in the camera frame.

    ``skin`` and ``sleeve`` are palette rows.

    >>> hand_solids(Pose(0, 0, 1, 0, 0), HandShape(), skin=1, sleeve=2).start.shape
    (22, 3)
    """
    thumb_curl, *curls = (c + (1.0 - c) * pose.closure for c in shape.curl)
    bones: list[_Bone] = [((x0, y0, 0.0), (x1, y1, 0.0), r0, r1, 0.5) for x0, y0, x1, y1, r0, r1 in _PALM]
    for (x, y, splay, length, radius), c in zip(_FINGERS, curls, strict=True):
        bones += _finger(x, y, splay * (1.0 - 0.8 * c), length, radius, c)
    bones += _thumb(thumb_curl)

    n = len(bones)
    points = np.array([b[0] for b in bones] + [b[1] for b in bones] + [_WRIST])
    points = _hand_to_camera(points, pose, shape)
    size, wrist = HAND_LENGTH * shape.scale, points[-1]
    # The elbow hangs back and hardly follows the hand's own turn, as an arm does.
    turn = shape.arm_roll + 0.35 * (pose.roll - shape.arm_roll)
    reach = np.array((-sin(turn), cos(turn), 0.35)) * (1.7 * size)
    cuff = wrist + reach * shape.sleeve
    sizes = np.array([b[2:] for b in bones] + [(0.125, 0.15, 0.8), (0.19, 0.24, 0.8)])
    return Solids(
        start=np.vstack([points[:n], wrist, cuff]),
        end=np.vstack([points[n:-1], cuff, wrist + reach]),
        r0=sizes[:, 0] * size,
        r1=sizes[:, 1] * size,
        material=np.array([skin] * (n + 1) + [sleeve]),
        flat=sizes[:, 2],
    )


def _finger(x: float, y: float, splay: float, length: float, radius: float, curl: float) -> list[_Bone]:
    """The three phalanges of a finger at knuckle (x, y), bent by ``curl`` at all its joints."""
    across, forward = sin(splay), cos(splay)
    bones: list[_Bone] = []
    point, angle = (x, y, 0.0), 0.05
    for i, (share, flexion) in enumerate(zip(_PHALANGES, _FLEXION, strict=True)):
        angle += flexion * curl
        ahead, out_of_palm = share * length * cos(angle), share * length * sin(angle)
        tip = (point[0] + ahead * across, point[1] + ahead * forward, point[2] + out_of_palm)
        bones.append((point, tip, radius * (1.06 - 0.1 * i), radius * (0.96 - 0.1 * i), 1.0))
        point = tip
    return bones


def _thumb(curl: float) -> list[_Bone]:
    late = curl * math.sqrt(curl)  # it closes over the fingers, not through them
    joints = [
        (x + (u - x) * late, y + (v - y) * late, z + (w - z) * late)
        for (x, y, z), (u, v, w) in zip(_THUMB_OPEN, _THUMB_SHUT, strict=True)
    ]
    return [(*ends, *radii, 1.0) for ends, radii in zip(pairwise(joints), pairwise(_THUMB_RADIUS), strict=True)]


def _hand_to_camera(points: np.ndarray, pose: Pose, shape: HandShape) -> np.ndarray:
    """Points (N, 3) of the hand frame in the camera frame."""
    side = -1.0 if shape.mirrored else 1.0
    facing = -1.0 if shape.palm_to_camera else 1.0
    x, y, z = points[:, 0] * side, -points[:, 1], points[:, 2] * facing
    cp, sp, cy, sy = cos(shape.pitch), sin(shape.pitch), cos(shape.yaw), sin(shape.yaw)
    y, z = y * cp - z * sp, y * sp + z * cp
    x, z = x * cy + z * sy, z * cy - x * sy
    cr, sr = cos(pose.roll), sin(pose.roll)
    x, y = x * cr - y * sr, x * sr + y * cr
    centre = np.array((pose.x * pose.z / FOCAL, pose.y * pose.z / FOCAL, pose.z))
    return np.stack([x, y, z], axis=1) * (HAND_LENGTH * shape.scale) + centre


class Canvas:
    """T frames being drawn: the nearest distance at every pixel, and what is seen there.

    ``distance`` (T, H, W) float32, in scene units, is drawn into in place. The surface of a capsule is shaded once
    all is drawn, so that nothing is spent on what ends up hidden.

    >>> canvas = Canvas(np.full((1, 8, 8), 2.0, np.float32))
    >>> ball, one = np.array([[0.0, 0.0, 1.0]]), np.ones(1)
    >>> canvas.draw(0, Solids(ball, ball, 0.25 * one, 0.25 * one, one.astype(int), one), centre=(4.0, 4.0))
    >>> pixels, material, brightness = canvas.shade(light=(0.0, 0.0, -1.0), ambient=0.4)
    >>> bool(canvas.distance[0, 4, 4] < 1), 36 in pixels, 0 in pixels, int(material[0])
    (True, True, False, 1)
    """

    def __init__(self, distance: np.ndarray) -> None:
        self.distance = distance
        self.focal = FOCAL * min(distance.shape[1:])
        self._seen = np.zeros(distance.shape, np.intp)  # row of _rows
        self._rows: list[tuple[float, ...]] = [(0.0,) * 9]

    def draw(self, frame: int, solids: Solids, *, centre: tuple[float, float]) -> None:
        """Draw solids into one frame, keeping the nearest surface; ``centre`` is the optical axis (x, y) in pixels."""
        ends = []
        for points, radius in ((solids.start, solids.r0), (solids.end, solids.r1)):
            z = np.maximum(points[:, 2:], 0.2)
            ends.append(np.hstack([points[:, :2] * self.focal / z + centre, z, radius[:, None] * self.focal / z]))
        start, end = (part.tolist() for part in ends)
        for a, b, material, flat in zip(start, end, solids.material.tolist(), solids.flat.tolist(), strict=True):
            self._draw(frame, a, b, material, flat)
            dx, dy, reach = a[0] - b[0], a[1] - b[1], max(a[3], b[3])
            if flat > 0 and a != b and dx * dx + dy * dy < reach * reach:
                # Seen end on, the near end hides the rest, which the distance to the segment alone would not say.
                tip = a if a[2] < b[2] else b
                self._draw(frame, tip, tip, material, flat)

    def _draw(self, frame: int, a: list[float], b: list[float], material: int, flat: float) -> None:
        """Draw one capsule, inside its bounding box; its ends are (x, y, distance, radius), all but one in pixels."""
        height, width = self.distance.shape[1:]
        (ax, ay, az, ra), (bx, by, bz, rb) = a, b
        x0, x1 = max(int(min(ax - ra, bx - rb)), 0), min(int(max(ax + ra, bx + rb)) + 2, width)
        y0, y1 = max(int(min(ay - ra, by - rb)), 0), min(int(max(ay + ra, by + rb)) + 2, height)
        if x0 >= x1 or y0 >= y1:
            return
        dx = np.arange(x0, x1, dtype=np.float32) + (0.5 - ax)
        dy = np.arange(y0, y1, dtype=np.float32)[:, None] + (0.5 - ay)
        ex, ey = bx - ax, by - ay
        per_length = 1.0 / max(ex * ex + ey * ey, 1e-6)
        z: Any = az
        if a == b:
            square = ra * ra - dx * dx - dy * dy
        else:
            along = dx * (ex * per_length) + dy * (ey * per_length)
            t = np.minimum(np.maximum(along, 0.0), 1.0)
            radius = ra + t * (rb - ra)
            gx, gy = dx - t * ex, dy - t * ey
            square = radius * radius - gx * gx - gy * gy
            z = az + t * (bz - az)
        inside = square > 0
        if flat > 0:
            z = z - z * np.sqrt(np.maximum(square, 0.0)) * (flat / self.focal)
        elif a != b:
            inside &= along == t
        box = frame, slice(y0, y1), slice(x0, x1)
        inside &= z < self.distance[box]
        np.copyto(self.distance[box], z, where=inside)
        np.copyto(self._seen[box], len(self._rows), where=inside)
        self._rows.append((ax, ay, ex, ey, per_length, ra, rb - ra, flat, material))

    def shade(self, *, light: tuple[float, float, float], ambient: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what is drawn: flat pixel indices (P,), their materials (P,) int and brightness (P,) float32.

        ``light`` is a unit vector towards the light, ``ambient`` in [0, 1] the share of it that comes from everywhere.
        """
        height, width = self.distance.shape[1:]
        pixels = np.flatnonzero(self._seen)
        seen = self._seen.reshape(-1)[pixels]
        *columns, material = np.array(self._rows).T
        ax, ay, ex, ey, per_length, ra, dr, flat = (column.astype(np.float32)[seen] for column in columns)
        dx = (pixels % width).astype(np.float32) + np.float32(0.5) - ax
        dy = (pixels // width % height).astype(np.float32) + np.float32(0.5) - ay
        t = np.minimum(np.maximum((dx * ex + dy * ey) * per_length, 0.0), 1.0)
        radius = ra + t * dr
        nx, ny = (dx - t * ex) / radius, (dy - t * ey) / radius
        nz = np.sqrt(np.maximum(1.0 - nx * nx - ny * ny, 1e-6))
        # The normal of a flattened capsule leans less, that of a panel not at all.
        nx, ny = nx * flat, ny * flat
        length = np.sqrt(nx * nx + ny * ny + nz * nz)
        nz = nz / length
        lambert = np.maximum((nx * light[0] + ny * light[1]) / length - nz * light[2], 0.0)
        brightness = (ambient + (1.0 - ambient) * lambert) * (_AMBIENT_RIM + (1.0 - _AMBIENT_RIM) * nz)
        return pixels, material.astype(np.intp)[seen], brightness
