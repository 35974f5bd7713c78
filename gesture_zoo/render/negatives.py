"""What people do when they do not gesture: where a hand rests, and other things that hands do."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F

from .draws import Draw, Range
from .hand import CURL, ELBOW, FINGERS, POSE_SIZE, POSITION
from .ranges import Box, MotionRanges
from .strokes import hand_pose, progress
from .tracks import interpolate

Angles = tuple[Range, Range, Range, Range]


class Rest(NamedTuple):
    """A resting place of a right hand: where the wrist is, the four angles in degrees, what the fingers do."""

    place: Box
    angles: Angles
    hands: dict[str, float]


LOOSE = {"relaxed": 3.0, "fist": 1.0}
LYING = {"relaxed": 3.0, "fist": 1.0, "flat": 0.8, "spread": 0.3}
REST_PLACES = {
    "lap": Rest(((-0.2, 0.02), (-0.5, -0.38), (0.14, 0.36)), ((75, 115), (-20, 70), (-20, 15), (0, 50)), LYING),
    "hanging": Rest(((-0.3, -0.2), (-0.56, -0.46), (0.0, 0.12)), ((150, 185), (-90, 0), (-5, 5), (0, 10)), LYING),
    "wheel": Rest(((-0.2, 0.1), (-0.32, -0.12), (0.36, 0.47)), ((40, 95), (-10, 80), (-25, 15), (0, 60)), {"grip": 1}),
    "raised": Rest(
        ((-0.3, 0.06), (-0.25, 0.05), (0.24, 0.42)),
        ((-5, 100), (-30, 110), (-25, 15), (-5, 60)),
        {"relaxed": 3.0, "fist": 1.0, "grip": 1.0, "index": 0.4},  # a flat palm that rests there would be a stop sign
    ),
    "side": Rest(((-0.5, -0.36), (-0.4, -0.2), (0.05, 0.3)), ((70, 120), (-20, 60), (-10, 30), (-40, 5)), LYING),
    # On the other half of the body, or before it: a swipe to that side then begins with a way against it.
    "opposite": Rest(((0.02, 0.2), (-0.42, -0.14), (0.2, 0.38)), ((60, 110), (-30, 80), (-20, 15), (20, 90)), LYING),
    "belly": Rest(((-0.1, 0.1), (-0.4, -0.18), (0.2, 0.28)), ((70, 105), (-30, 70), (-10, 10), (60, 105)), LOOSE),
    "chin": Rest(((-0.08, 0.02), (0.0, 0.06), (0.12, 0.2)), ((-5, 40), (100, 190), (-15, 10), (0, 30)), LOOSE),
    "table": Rest(((-0.25, 0.05), (-0.36, -0.24), (0.26, 0.44)), ((75, 105), (-15, 50), (-20, 15), (0, 60)), LYING),
}


def rest_poses(weights: dict[str, float], count: int, draw: Draw) -> torch.Tensor:
    """Resting poses (count, 15) of kinds drawn by their weights.

    >>> rest_poses({"lap": 1.0}, 3, Draw(torch.Generator().manual_seed(0))).shape
    torch.Size([3, 15])
    """
    every = []
    for name in weights:
        place, angles, hands = REST_PLACES[name]
        turned = torch.deg2rad(draw.box(angles, count))
        lift = torch.zeros(count, 1, device=turned.device)
        every.append(torch.cat([draw.box(place, count), turned, hand_pose(hands, count, draw), lift], dim=-1))
    which = draw.pick(list(weights.values()), count)
    return torch.stack(every)[which, torch.arange(count, device=which.device)]


class Activity(NamedTuple):
    """Something else that n people do: absolute poses (n, KNOTS, 15), how long, whether both hands, with what."""

    poses: torch.Tensor
    seconds: torch.Tensor
    both: torch.Tensor  # (n,) bool
    held: torch.Tensor  # (n,) bool, an object is in the hand


Waypoints = tuple[torch.Tensor, torch.Tensor]  # poses (n, P, 15), how long (n,)
STOPS = 6
ANYWHERE: Box = ((-0.42, 0.2), (-0.42, 0.28), (0.14, 0.46))
ANY_ANGLES = ((10.0, 115.0), (-40.0, 190.0), (-30.0, 25.0), (-15.0, 70.0))
ANY_HANDS = {"relaxed": 4.0, "flat": 1.0, "fist": 1.0, "claw": 1.0, "index": 1.0, "two": 0.5, "grip": 1.5, "pinch": 1.0}
FACE: Box = ((-0.12, 0.06), (0.02, 0.26), (0.14, 0.24))


def _stops(place: Box, angles: Angles, hands: dict[str, float], n: int, draw: Draw) -> torch.Tensor:
    """STOPS poses (n, STOPS, 15) at one place, turned one way, with one hand pose."""
    turned = torch.deg2rad(draw.box(angles, n))
    lift = draw.uniform((-1.0, 0.7), n, 1).clamp(min=0)
    return torch.cat([draw.box(place, n), turned, hand_pose(hands, n, draw), lift], dim=-1)[:, None].repeat(1, STOPS, 1)


def _fidget(stops: torch.Tensor, metres: float, degrees: float, draw: Draw) -> torch.Tensor:
    """The poses with each stop a little elsewhere."""
    n = stops.shape[0]
    scale = draw.uniform((0.3, 1.0), n, 1, 1)
    stops[..., POSITION] += scale * draw.normal(metres, n, STOPS, 3)
    stops[..., 3:7] += scale * torch.deg2rad(draw.normal(degrees, n, STOPS, 4))
    return stops


def _wander(n: int, draw: Draw) -> Waypoints:
    stops = _stops(ANYWHERE, ANY_ANGLES, ANY_HANDS, n, draw)
    onward = _stops(ANYWHERE, ANY_ANGLES, ANY_HANDS, n, draw)
    blend = torch.linspace(0, 1, STOPS, device=stops.device)[:, None]
    return _fidget(stops + (onward - stops) * blend, 0.09, 18.0, draw), draw.uniform((0.8, 3.0), n)


def _face(n: int, draw: Draw) -> Waypoints:
    angles = ((-20.0, 45.0), (110.0, 220.0), (-50.0, 10.0), (-5.0, 40.0))
    hands = {"relaxed": 2.0, "claw": 2.0, "pinch": 2.0, "index": 1.0, "flat": 0.8, "spread": 0.8}
    return _fidget(_stops(FACE, angles, hands, n, draw), 0.018, 8.0, draw), draw.uniform((0.6, 2.2), n)


def _drink(n: int, draw: Draw) -> Waypoints:
    low = ((-0.25, 0.05), (-0.38, -0.2), (0.28, 0.42))
    stops = _stops(low, ((75.0, 95.0), (75.0, 100.0), (-5.0, 5.0), (15.0, 60.0)), {"grip": 1.0}, n, draw)
    mouth = torch.tensor([-0.09, 0.03, 0.17], device=stops.device) + draw.normal(0.012, n, 1, 3)
    lifted = torch.tensor([0.0, 1.0, 1.0, 1.0, 1.0, 0.1], device=stops.device)[:, None]
    tipped = torch.tensor([0.0, 0.2, 0.8, 1.0, 0.3, 0.0], device=stops.device)
    stops[..., POSITION] += (mouth - stops[..., POSITION]) * lifted
    stops[..., 3] -= tipped * draw.degrees((10.0, 40.0), n, 1)
    stops[..., 6] += lifted[:, 0] * draw.degrees((5.0, 40.0), n, 1)
    return stops, draw.uniform((1.5, 3.0), n)


def _low(n: int, draw: Draw) -> Waypoints:
    table = ((-0.2, -0.02), (-0.38, -0.2), (0.26, 0.44))
    stops = _stops(table, ((75.0, 100.0), (-15.0, 60.0), (-15.0, 10.0), (0.0, 45.0)), ANY_HANDS, n, draw)
    stops[..., CURL] += draw.uniform((-0.2, 0.3), n, STOPS, 4)
    return _fidget(stops, 0.025, 6.0, draw), draw.uniform((0.8, 3.0), n)


def _point(n: int, draw: Draw) -> Waypoints:
    ahead = ((-0.4, 0.15), (-0.15, 0.2), (0.26, 0.46))
    angles = ((15.0, 105.0), (-20.0, 100.0), (-25.0, 20.0), (-50.0, 60.0))
    stops = _stops(ahead, angles, {"index": 4.0, "two": 1.0}, n, draw)
    return _fidget(stops, 0.008, 3.0, draw), draw.uniform((0.5, 1.5), n)


def _both(n: int, draw: Draw) -> Waypoints:
    middle = ((-0.22, -0.03), (-0.3, 0.12), (0.22, 0.42))
    stops = _stops(middle, ((10.0, 100.0), (-20.0, 180.0), (-40.0, 20.0), (0.0, 40.0)), ANY_HANDS, n, draw)
    return _fidget(stops, 0.06, 15.0, draw), draw.uniform((0.7, 2.2), n)


def _through(n: int, draw: Draw) -> Waypoints:
    stops = _stops(((-0.05, 0.0), (-0.25, 0.05), (0.25, 0.42)), ANY_ANGLES, ANY_HANDS, n, draw)
    across = torch.linspace(-1, 1, STOPS, device=stops.device) * draw.sign(n, 1)
    stops[..., 0] += across * draw.uniform((0.25, 0.45), n, 1) - 0.08
    stops[..., 1] -= across.abs() ** 2 * draw.uniform((0.15, 0.4), n, 1)
    return _fidget(stops, 0.012, 5.0, draw), draw.uniform((2.2, 4.0), n)  # faster it would be a swipe


def _up_down(n: int, draw: Draw) -> Waypoints:
    raised = ((-0.46, 0.26), (-0.35, 0.25), (0.2, 0.46))
    hands = {"relaxed": 4.0, "claw": 1.0, "grip": 1.0, "pinch": 1.0, "fist": 1.0}
    return _fidget(_stops(raised, ANY_ANGLES, hands, n, draw), 0.01, 4.0, draw), draw.uniform((0.1, 0.8), n)


def _reach(n: int, draw: Draw) -> Waypoints:
    far = ((-0.6, 0.3), (-0.35, 0.25), (0.2, 0.55))
    angles = ((30.0, 110.0), (-20.0, 110.0), (-25.0, 25.0), (-60.0, 50.0))
    stops = _stops(far, angles, {"relaxed": 1.0, "pinch": 2.0, "index": 1.0, "grip": 2.0}, n, draw)
    return _fidget(stops, 0.02, 8.0, draw), draw.uniform((0.4, 1.5), n)


def sign_fingers(n: int, draw: Draw, *, four: bool = True) -> torch.Tensor:
    """Fingers (n, 7) of which some are up and others not: numbers, V, a fist. Of all four or none the thumb is folded
    in, or they would be a stop sign or a thumb up. Without ``four`` not all four are up, which from afar
    is an open hand.

    >>> fingers = sign_fingers(50, Draw(torch.Generator().manual_seed(0)), four=False)
    >>> fingers.shape, bool((fingers[:, :4] > 0.5).any(1).all())
    (torch.Size([50, 7]), True)
    """
    straight = draw.chance(0.6, n, 4)
    if not four:
        down = F.one_hot(draw.integer(4, n), 4).bool()
        straight &= ~(straight.all(1, keepdim=True) & down)
    curl = (torch.where(straight, 0.03, 0.92) + draw.normal(0.06, n, 4)).clamp(0, 1.05)
    alike = straight.all(1) | ~straight.any(1)
    folded = draw.chance(0.6, n, 1) | alike[:, None]
    off = draw.uniform((0.0, 0.8), n, 1) * ~alike[:, None]
    thumb = torch.cat((torch.where(folded, 0.85, 0.1), off), 1)
    fingers = torch.cat((curl, thumb, draw.uniform((0.0, 1.0), n, 1)), 1)
    ring = draw.chance(0.15, n)[:, None]  # the tips of index and thumb touch, the others stand off
    return torch.where(ring, hand_pose({"ring": 1.0}, n, draw), fingers)


def _sign(n: int, draw: Draw) -> Waypoints:
    raised = ((-0.4, 0.1), (-0.2, 0.15), (0.22, 0.46))
    stops = _stops(raised, ((-10.0, 45.0), (-30.0, 200.0), (-30.0, 30.0), (-25.0, 30.0)), {"flat": 1.0}, n, draw)
    stops[..., FINGERS] = sign_fingers(n, draw)[:, None]
    return _fidget(stops, 0.01, 4.0, draw), draw.uniform((0.4, 1.6), n)


def _droop(n: int, draw: Draw) -> Waypoints:
    """A raised wrist whose fingers hang, as of paws or of a hand that puts something down: no thumb stands off."""
    raised = ((-0.35, 0.1), (-0.2, 0.15), (0.2, 0.42))
    angles = ((115.0, 185.0), (-50.0, 60.0), (-25.0, 25.0), (-20.0, 70.0))
    hands = {"relaxed": 3.0, "flat": 1.0, "claw": 1.0, "two": 1.0, "index": 1.5, "pinch": 1.0, "fist": 0.7}
    stops = _stops(raised, angles, hands, n, draw)
    stops[..., CURL] += draw.uniform((-0.15, 0.2), n, STOPS, 4) * draw.chance(0.4, n, 1, 1)
    stops[..., ELBOW] = draw.uniform((0.0, 1.0), n, 1)
    return _fidget(stops, 0.015, 6.0, draw), draw.uniform((0.4, 1.8), n)


def _across(n: int, draw: Draw) -> Waypoints:
    """A hand that lies before the body, some fingers pointing across; of a fist the thumb is folded in, or it would be
    a thumb up or down."""
    before = ((-0.3, 0.1), (-0.25, 0.12), (0.2, 0.42))
    angles = ((70.0, 105.0), (-110.0, 120.0), (-20.0, 20.0), (20.0, 100.0))
    stops = _stops(before, angles, {"index": 2.0, "two": 2.0, "flat": 1.0, "fist": 2.0, "relaxed": 1.0}, n, draw)
    stops[..., ELBOW] = draw.uniform((0.0, 1.0), n, 1)
    return _fidget(stops, 0.015, 6.0, draw), draw.uniform((0.4, 1.6), n)


def _palm(n: int, draw: Draw) -> Waypoints:
    """An open hand held up whose palm looks aside or back: one that looks ahead would be a stop sign."""
    raised = ((-0.4, 0.1), (-0.2, 0.15), (0.22, 0.46))
    angles = ((-15.0, 50.0), (60.0, 200.0), (-30.0, 30.0), (-15.0, 50.0))
    stops = _stops(raised, angles, {"flat": 2.0, "spread": 1.0, "relaxed": 0.5}, n, draw)
    return _fidget(stops, 0.015, 6.0, draw), draw.uniform((0.4, 1.6), n)


KINDS: dict[str, Callable[[int, Draw], Waypoints]] = {
    "wander": _wander, "face": _face, "drink": _drink, "low": _low, "point": _point, "both": _both,
    "through": _through, "up_down": _up_down, "reach": _reach, "sign": _sign, "palm": _palm,
    "droop": _droop, "across": _across,
}  # fmt: skip


def other_things(ranges: MotionRanges, count: int, draw: Draw) -> Activity:
    """What `count` people do with their hands that is no gesture.

    >>> other_things(MotionRanges(), 4, Draw(torch.Generator().manual_seed(0))).poses.shape
    torch.Size([4, 40, 15])
    """
    names = list(ranges.other_kinds)
    kind = draw.pick(list(ranges.other_kinds.values()), count)
    poses = torch.zeros(count, STOPS, POSE_SIZE, device=kind.device)
    seconds = torch.zeros(count, device=kind.device)
    both = torch.zeros(count, dtype=torch.bool, device=kind.device)
    held = torch.zeros_like(both)
    for index, name in enumerate(names):
        rows = (kind == index).nonzero()[:, 0]
        if not len(rows):
            continue
        poses[rows], seconds[rows] = KINDS[name](len(rows), draw)
        both[rows] = draw.chance(
            {"both": 1.0, "low": 0.7, "droop": 0.3, "face": 0.25, "sign": 0.15, "palm": 0.3}.get(name, 0.0), len(rows)
        )
        held[rows] = draw.chance({"drink": 1.0, "wander": 0.15, "low": 0.1}.get(name, 0.0), len(rows))
    # Something in the hand is held by closed fingers.
    gripping = hand_pose({"grip": 1.0}, count, draw)[:, None]
    poses[..., FINGERS] = torch.where(held[:, None, None], gripping, poses[..., FINGERS])
    times = torch.linspace(0, 1, STOPS, device=kind.device).repeat(count, 1)
    uneven = draw.uniform((-0.4, 0.4), count, STOPS) / (STOPS - 1)
    uneven[:, 0] = uneven[:, -1] = 0
    return Activity(interpolate(times + uneven, poses, progress(count, draw)), seconds, both, held)
