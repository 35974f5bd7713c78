"""An articulated hand made of capsules, and the small z-buffer renderer that draws it.

Camera frame: x to the right of the image, y down, z away from the camera; the units are arbitrary (the back
wall of a scene stands about 2.4 units away). A hand is described in its own frame, in hand lengths: x across
the palm (thumb on the negative side), y from the wrist to the fingertips, z out of the palm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

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
_THUMB_OPEN = np.array([(-0.13, -0.15, 0.02), (-0.27, -0.01, 0.04), (-0.36, 0.12, 0.04), (-0.42, 0.25, 0.03)])
_THUMB_SHUT = np.array([(-0.13, -0.15, 0.03), (-0.23, 0.00, 0.12), (-0.14, 0.11, 0.24), (0.02, 0.13, 0.27)])
_THUMB_RADIUS = (0.085, 0.068, 0.060, 0.050)
# The palm: four metacarpals and the ball of the thumb, as x0, y0, x1, y1, radius 0, radius 1.
_PALM = (
    (-0.085, -0.20, -0.165, 0.20, 0.090, 0.085),
    (-0.030, -0.21, -0.056, 0.22, 0.100, 0.090),
    (0.035, -0.21, 0.055, 0.21, 0.100, 0.088),
    (0.085, -0.19, 0.150, 0.16, 0.090, 0.080),
    (-0.120, -0.13, -0.180, 0.02, 0.095, 0.075),
)
_WRIST = np.array((0.0, -0.24, 0.0))


class Pose(NamedTuple):
    """Where the hand is at one instant: image position, distance, in-plane turn, closure.

    Shapes: five floats. `x` and `y` place the palm's centre in image sides from the image's centre (x to the
    right, y down), `z` is its distance in scene units, `roll` the clockwise turn in the image in radians from
    fingers up, `closure` runs from 0 (the hand's resting shape) to 1 (a fist).

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

    `scale` multiplies the hand's size; `mirrored` swaps left and right hand; `palm_to_camera` says which side
    is seen; `curl` holds five closures in [0, 1], thumb to little finger; `pitch` and `yaw` tilt the hand out
    of the image plane in radians; `arm_roll` is the forearm's own in-plane turn in radians; `sleeve` is the
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

    `start` and `end` (N, 3), radii `r0` and `r1` (N,) in scene units, `material` (N,) rows of a palette,
    `flat` (N,) how thick each is along z in (0, 1]; a `flat` of 0 makes it a flat, square-ended panel.

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

    `skin` and `sleeve` are palette rows.

    >>> hand_solids(Pose(0, 0, 1, 0, 0), HandShape(), skin=1, sleeve=2).start.shape
    (22, 3)
    """
    curl = np.asarray(shape.curl, float)
    curl = curl + (1.0 - curl) * pose.closure
    bones = [(np.array((r[0], r[1], 0.0)), np.array((r[2], r[3], 0.0)), r[4], r[5], 0.5) for r in _PALM]
    for (x, y, splay, length, radius), c in zip(_FINGERS, curl[1:], strict=True):
        bones += _finger(np.array((x, y, 0.0)), splay * (1.0 - 0.8 * c), length, radius, c)
    # Ease the thumb in late: it closes over the fingers, not through them.
    thumb = _THUMB_OPEN + (_THUMB_SHUT - _THUMB_OPEN) * curl[0] ** 1.5
    for i in range(3):
        bones.append((thumb[i], thumb[i + 1], _THUMB_RADIUS[i], _THUMB_RADIUS[i + 1], 1.0))

    start = _hand_to_camera(np.stack([b[0] for b in bones]), pose, shape)
    end = _hand_to_camera(np.stack([b[1] for b in bones]), pose, shape)
    size = HAND_LENGTH * shape.scale
    wrist = _hand_to_camera(_WRIST[None], pose, shape)[0]
    # The elbow hangs back and hardly follows the hand's own turn, as an arm does.
    turn = shape.arm_roll + 0.35 * (pose.roll - shape.arm_roll)
    reach = np.array((-math.sin(turn), math.cos(turn), 0.35)) * 1.7 * size
    cuff = wrist + reach * shape.sleeve
    radii = np.array([b[2:5] for b in bones])
    arm = np.array([(0.125 * size, 0.15 * size), (0.19 * size, 0.24 * size)])
    return Solids(
        start=np.vstack([start, wrist, cuff]),
        end=np.vstack([end, cuff, wrist + reach]),
        r0=np.concatenate([radii[:, 0] * size, arm[:, 0]]),
        r1=np.concatenate([radii[:, 1] * size, arm[:, 1]]),
        material=np.array([skin] * (len(bones) + 1) + [sleeve]),
        flat=np.concatenate([radii[:, 2], (0.8, 0.8)]),
    )


def draw(
    solids: Solids,
    buffers: Sequence[np.ndarray],
    *,
    light: np.ndarray,
    ambient: float,
    centre: tuple[float, float],
) -> None:
    """Draw solids in place, keeping the nearest surface at every pixel.

    `buffers` are one frame's distance in scene units, brightness and material, each (H, W). `light` (3,) is
    a unit vector towards the light, `ambient` in [0, 1] the share of it that comes from everywhere, `centre`
    the optical axis as (x, y) in pixels.

    >>> buffers = np.full((8, 8), 2.0), np.ones((8, 8)), np.zeros((8, 8), np.uint8)
    >>> ball, one = np.array([[0.0, 0.0, 1.0]]), np.ones(1)
    >>> ball = Solids(ball, ball, 0.25 * one, 0.25 * one, one.astype(int), one)
    >>> draw(ball, buffers, light=np.array([0.0, 0.0, -1.0]), ambient=0.4, centre=(4.0, 4.0))
    >>> bool(buffers[0][4, 4] < 1), int(buffers[2][4, 4]), int(buffers[2][0, 0])
    (True, 1, 0)
    """
    focal, lamp, ends = FOCAL * min(buffers[0].shape), light.tolist(), []
    for points, radius in ((solids.start, solids.r0), (solids.end, solids.r1)):
        z = np.maximum(points[:, 2:], 0.2)
        ends.append(np.hstack([points[:, :2] * focal / z + centre, z, radius[:, None]]).tolist())
    for a, b, material, flat in zip(*ends, solids.material.tolist(), solids.flat.tolist(), strict=True):
        _draw_capsule(buffers, a, b, material, flat, focal, lamp, ambient)
        if flat > 0 and math.hypot(a[0] - b[0], a[1] - b[1]) < focal * max(a[3] / a[2], b[3] / b[2]):
            # Seen end on, the near end hides the rest, which the distance to the segment alone would not say.
            tip = a if a[2] < b[2] else b
            _draw_capsule(buffers, tip, tip, material, flat, focal, lamp, ambient)


def texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Paint a random wall, (height, width, 3) float32 in [0, 255]: blotches, stripes, tiles or shelves.

    >>> texture(np.random.default_rng(0), 6, 9).shape
    (6, 9, 3)
    """
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(0, 1, width, dtype=np.float32)[None]
    kind, turn, rate = rng.integers(4), rng.uniform(0, math.pi), rng.uniform(3, 10)
    image = (rng.uniform(50, 205) + rng.uniform(-45, 45, 3)).astype(np.float32)
    colour = (rng.uniform(-70, 70) + rng.uniform(-30, 30, 3)).astype(np.float32)
    for cells, strength in ((2, 30), (6, 30), (14, 24), (32, 12)):
        # Mostly light and dark, a little colour: walls and shelves are not rainbows.
        grid = rng.normal(0, strength, (cells + 1, cells + 1, 1))
        grid = grid + rng.normal(0, strength / 2, (1, cells + 1, 3))
        grid = grid.astype(np.float32)
        image = image + _enlarge(_enlarge(grid, y[:, 0]).swapaxes(0, 1), x[0]).swapaxes(0, 1)
    u, v = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    if kind == 1:
        image += (np.sin(2 * math.pi * rate * u) > 0)[..., None] * colour
    elif kind == 2:
        image += ((np.floor(rate * u) + np.floor(rate * v)) % 2)[..., None] * colour
    elif kind == 3:
        tiles = rng.uniform(-70, 70, (1 + int(rate), 1 + int(rate * 2), 3))
        image += tiles[(y * rate).astype(int), (x * rate * 2).astype(int)]
    return np.clip(image, 0, 255).astype(np.float32)


def crop(image: np.ndarray, top: float, left: float, height: int, width: int) -> np.ndarray:
    """Cut (height, width, 3) out of a larger image at a fractional position in pixels, linearly interpolated.

    >>> crop(np.arange(12.0).reshape(3, 4, 1), 0.5, 1.0, 1, 2).ravel().tolist()
    [3.0, 4.0]
    """
    row, column = int(top), int(left)
    fy, fx = np.float32(top - row), np.float32(left - column)
    part = image[row : row + height + 1, column : column + width + 1]
    part = part[:-1] + fy * (part[1:] - part[:-1])
    return part[:, :-1] + fx * (part[:, 1:] - part[:, :-1])


def _enlarge(grid: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Interpolate a grid along its first axis at positions in [0, 1]."""
    place = at * (len(grid) - 1)
    low = np.minimum(place.astype(int), len(grid) - 2)
    return grid[low] + (place - low).astype(np.float32)[:, None, None] * (grid[low + 1] - grid[low])


def _draw_capsule(
    buffers: Sequence[np.ndarray],
    a: list[float],
    b: list[float],
    material: int,
    flat: float,
    focal: float,
    light: list[float],
    ambient: float,
) -> None:
    """Draw one capsule, inside its bounding box; its ends are (pixel x, pixel y, distance, radius)."""
    ra, rb = a[3] * focal / a[2], b[3] * focal / b[2]
    height, width = buffers[0].shape
    x0, x1 = max(int(min(a[0] - ra, b[0] - rb)), 0), min(int(max(a[0] + ra, b[0] + rb)) + 2, width)
    y0, y1 = max(int(min(a[1] - ra, b[1] - rb)), 0), min(int(max(a[1] + ra, b[1] + rb)) + 2, height)
    if x0 >= x1 or y0 >= y1:
        return
    dx = np.arange(x0, x1, dtype=np.float32)[None, :] + np.float32(0.5 - a[0])
    dy = np.arange(y0, y1, dtype=np.float32)[:, None] + np.float32(0.5 - a[1])
    ex, ey = b[0] - a[0], b[1] - a[1]
    along = (dx * ex + dy * ey) / max(ex * ex + ey * ey, 1e-6)
    t = np.clip(along, 0.0, 1.0)
    radius = ra + t * (rb - ra)
    nx, ny = (dx - t * ex) / radius, (dy - t * ey) / radius
    square = 1.0 - nx * nx - ny * ny
    inside = square > 0
    z = a[2] + t * (b[2] - a[2])
    if flat > 0:
        nz = np.sqrt(np.maximum(square, 0.0))
        z -= (a[3] + t * (b[3] - a[3])) * (nz * flat)
        # The normal of a flattened capsule leans less; its length is needed to normalise it.
        length = np.sqrt(nz * nz + np.maximum(1.0 - square, 1e-6) * (flat * flat))
        nx, ny, nz = nx * flat / length, ny * flat / length, nz / length
        lambert = np.maximum(nx * light[0] + ny * light[1] - nz * light[2], 0.0)
        shade = (ambient + (1.0 - ambient) * lambert) * (_AMBIENT_RIM + (1.0 - _AMBIENT_RIM) * nz)
    else:
        inside &= along == t
        shade = np.full_like(z, ambient + (1.0 - ambient) * max(-light[2], 0.0))
    distance, brightness, materials = (buffer[y0:y1, x0:x1] for buffer in buffers)
    inside &= z < distance
    distance[inside], brightness[inside], materials[inside] = z[inside], shade[inside], material


def _finger(knuckle: np.ndarray, splay: float, length: float, radius: float, curl: float) -> list[tuple]:
    """The three phalanges of a finger bent by `curl` at all its joints, as (start, end, r0, r1, flat)."""
    straight = np.array((math.sin(splay), math.cos(splay), 0.0))
    out_of_palm = np.array((0.0, 0.0, 1.0))
    bones, point, angle = [], knuckle, 0.05
    for i, (share, flexion) in enumerate(zip(_PHALANGES, _FLEXION, strict=True)):
        angle += flexion * curl
        tip = point + share * length * (math.cos(angle) * straight + math.sin(angle) * out_of_palm)
        bones.append((point, tip, radius * (1.06 - 0.1 * i), radius * (0.96 - 0.1 * i), 1.0))
        point = tip
    return bones


def _hand_to_camera(points: np.ndarray, pose: Pose, shape: HandShape) -> np.ndarray:
    """Points (N, 3) of the hand frame in the camera frame."""
    side = -1.0 if shape.mirrored else 1.0
    facing = -1.0 if shape.palm_to_camera else 1.0
    x, y, z = points[:, 0] * side, -points[:, 1], points[:, 2] * facing
    cp, sp, cy, sy = math.cos(shape.pitch), math.sin(shape.pitch), math.cos(shape.yaw), math.sin(shape.yaw)
    y, z = y * cp - z * sp, y * sp + z * cp
    x, z = x * cy + z * sy, z * cy - x * sy
    cr, sr = math.cos(pose.roll), math.sin(pose.roll)
    x, y = x * cr - y * sr, x * sr + y * cr
    centre = np.array((pose.x * pose.z / FOCAL, pose.y * pose.z / FOCAL, pose.z))
    return np.stack([x, y, z], axis=1) * (HAND_LENGTH * shape.scale) + centre
