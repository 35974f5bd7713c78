"""What the hand does within each gesture: poses along the stroke, for a right hand, around the middle of the place.

A stroke is (n, KNOTS, 15) poses whose positions are offsets, and its length (n,) in seconds. Everything else, how the
hand comes and goes and where the person is, is in motions.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from .draws import Draw
from .hand import HAND_POSES
from .ranges import MotionRanges
from .tracks import ease, strokes_and_returns

KNOTS = 40


class Stroke(NamedTuple):
    """Poses (n, KNOTS, 15), positions being offsets in metres, and how long the stroke takes (n,) in seconds."""

    poses: torch.Tensor
    seconds: torch.Tensor


def hand_pose(kinds: dict[str, float], count: int, draw: Draw) -> torch.Tensor:
    """Fingers (count, 7), each of a kind drawn by its weight, none quite like another.

    >>> hand_pose({"fist": 1.0}, 2, Draw(torch.Generator().manual_seed(0))).shape
    torch.Size([2, 7])
    """
    table = torch.tensor([HAND_POSES[name] for name in kinds], device=draw.generator.device)
    chosen = table[draw.pick(list(kinds.values()), count)]
    loose = draw.normal(0.05, count, 7) + draw.normal(0.05, count, 1)
    return (chosen + loose).clamp(-0.1, 1.08)


def compose(
    position: torch.Tensor,
    angles: Sequence[torch.Tensor | float],
    fingers: torch.Tensor,
    lift: torch.Tensor | None = None,
) -> torch.Tensor:
    """Poses (n, M, 15) of offsets (n, M, 3), four angles in radians (numbers, (n, 1) or (n, M)), fingers (n, 1|M, 7).

    The elbow hangs, or is lifted by (n, 1).

    >>> compose(torch.zeros(2, 5, 3), [0.0, 0.0, 0.0, 0.0], torch.zeros(2, 1, 7)).shape
    torch.Size([2, 5, 15])
    """
    count, knots = position.shape[:2]
    columns = [torch.as_tensor(angle, device=position.device, dtype=position.dtype) for angle in angles]
    turned = torch.stack([column.expand(count, knots) for column in columns], dim=-1)
    lifted = torch.zeros_like(position[..., 0]) if lift is None else lift.expand(count, knots)
    return torch.cat([position, turned, fingers.expand(-1, knots, -1), lifted.unsqueeze(-1)], dim=-1)


def progress(count: int, draw: Draw) -> torch.Tensor:
    """Even progress (count, KNOTS) from 0 to 1."""
    return torch.linspace(0, 1, KNOTS, device=draw.generator.device).expand(count, -1)


def _choose(draw: Draw, weights: list[float], options: list[torch.Tensor]) -> torch.Tensor:
    """One of the options (n, ...) for each row."""
    which = draw.pick(weights, options[0].shape[0])
    stacked = torch.stack(options)
    return stacked[which, torch.arange(len(which), device=which.device)]


def swipe(across: float, up: float, ranges: MotionRanges, count: int, draw: Draw) -> Stroke:
    """A swipe to the left (across 1) or right (-1), up (1) or down (-1), once or with slower ways back."""
    tau = progress(count, draw)
    repeats = 1.0 + draw.pick(ranges.swipe_repeats, count).float()[:, None]
    forward = torch.where(repeats > 1, draw.uniform((0.32, 0.42), count, 1), torch.ones_like(repeats))
    start, end = draw.uniform((1.2, 2.4), count, 1), draw.uniform((1.2, 2.6), count, 1)
    where, back = strokes_and_returns(tau, repeats, forward, start, end)
    u = where - 0.5
    length = draw.uniform(ranges.swipe_length, count, 1) * torch.where(repeats > 1, 0.75, 1.0)
    slant = draw.degrees((-ranges.swipe_slant, ranges.swipe_slant), count, 1)
    ahead = draw.uniform((-0.25, 0.25), count, 1)
    along = torch.cat([across * slant.cos() - up * slant.sin(), up * slant.cos() + across * slant.sin(), ahead], dim=1)
    bow = 1 - (2 * u) ** 2
    arc = draw.uniform(ranges.swipe_arc, count, 1) * bow - draw.uniform((0.0, 0.08), count, 1) * back
    sag = draw.uniform((-0.05, 0.05), count, 1) * bow - draw.uniform((0.0, 0.06), count, 1) * back
    position = along[:, None] * (length * u).unsqueeze(-1)
    position = position + torch.stack([abs(up) * sag, abs(across) * sag, arc], dim=-1)

    sweep = u * draw.degrees((-5.0, 75.0), count, 1)
    lean = draw.degrees((-15.0, 35.0), count, 1)
    if across:
        # Upright, pivoting at the elbow; pointing ahead and sweeping like a wiper; lying across the body.
        turn = across * sweep
        zero = 0.0 * turn
        roll = draw.degrees((-25.0, 100.0), count, 1) + zero
        upright = torch.stack([lean + zero, roll, -turn, 0.4 * turn], -1)
        flat_roll = draw.degrees((-10.0, 110.0), count, 1) + zero
        pointing = torch.stack([draw.degrees((55.0, 95.0), count, 1) + zero, flat_roll, zero, 1.2 * turn], -1)
        side = draw.degrees((-95.0, -35.0), count, 1)
        lying_roll = draw.degrees((130.0, 210.0), count, 1) * draw.chance(0.7, count, 1) + zero
        lying = torch.stack([lean * 0.5 + zero, lying_roll, side - 0.6 * turn, zero], -1)
        angles = _choose(draw, [4, 4, 1], [upright, pointing, lying])
    else:
        turn = up * sweep
        zero = 0.0 * turn
        leading = draw.degrees((145.0, 205.0), count, 1) if up > 0 else draw.degrees((-35.0, 35.0), count, 1)
        roll = torch.where(draw.chance(0.7, count, 1), leading, draw.degrees((0.0, 180.0), count, 1)) + zero
        heading = draw.degrees((-10.0, 30.0), count, 1)
        pointing = torch.stack([draw.degrees((50.0, 95.0), count, 1) - turn, roll, zero, heading + zero], -1)
        sideways = draw.degrees((40.0, 95.0), count, 1)
        lying = torch.stack([draw.degrees((70.0, 105.0), count, 1) - 0.5 * turn, roll, zero, sideways + zero], -1)
        face = draw.degrees((-30.0, 60.0), count, 1) + zero
        upright = torch.stack([lean - 0.6 * turn, face, zero, zero], -1)
        angles = _choose(draw, [4, 2.5, 2], [pointing, lying, upright])
    fingers = hand_pose(ranges.swipe_hands, count, draw)[:, None]
    flick = draw.uniform((-0.15, 0.15), count, 1, 1) * where.unsqueeze(-1)
    lift = draw.uniform((-0.8, 1.0), count, 1).clamp(min=0)
    poses = compose(position, list(angles.unbind(-1)), fingers, lift)
    poses[..., 7:11] += flick
    one = draw.uniform(ranges.stroke, count)
    periods = (repeats - 1 + forward)[:, 0] / forward[:, 0]
    return Stroke(poses, one * (1 + (periods - 1) * 0.85))


def push_or_pull(ahead: float, ranges: MotionRanges, count: int, draw: Draw) -> Stroke:
    """The hand goes away from the person (ahead 1) or comes in (-1)."""
    tau = progress(count, draw)
    repeats = 1.0 + draw.pick((0.85, 0.15), count).float()[:, None]
    forward = torch.where(repeats > 1, draw.uniform((0.35, 0.45), count, 1), torch.ones_like(repeats))
    shape = draw.uniform((1.2, 2.4), count, 1), draw.uniform((1.2, 2.6), count, 1)
    where, _ = strokes_and_returns(tau, repeats, forward, *shape)
    u = where - 0.5
    length = draw.uniform(ranges.push_length, count, 1)
    aside = torch.stack(
        [draw.uniform((-0.3, 0.3), count, 1), draw.uniform((-0.25, 0.3), count, 1), torch.ones(count, 1).to(u)], -1
    )
    position = ahead * aside * (length * u).unsqueeze(-1)
    turn = u * draw.degrees((-10.0, 45.0), count, 1)
    fingers = hand_pose(ranges.push_hands if ahead > 0 else ranges.pull_hands, count, draw)[:, None].repeat(1, KNOTS, 1)
    tilt = draw.degrees((-25.0, 20.0), count, 1)
    if ahead > 0:
        pitch = draw.degrees((-12.0, 35.0), count, 1) - turn
        roll = draw.degrees((-35.0, 45.0), count, 1)
        yaw = 0.0 * turn
    else:
        upright = draw.chance(0.55, count, 1)
        pitch = torch.where(upright, draw.degrees((0.0, 45.0), count, 1), draw.degrees((55.0, 100.0), count, 1)) - turn
        facing = draw.degrees((140.0, 215.0), count, 1)
        roll = torch.where(draw.chance(0.85, count, 1), facing, draw.degrees((-20.0, 100.0), count, 1))
        yaw = torch.where(draw.chance(0.4, count, 1), draw.degrees((0.0, 60.0), count, 1), 0.0 * roll)
        curling = draw.uniform((-0.1, 0.5), count, 1, 1) * where.unsqueeze(-1)
        fingers[..., :4] = (fingers[..., :4] + curling).clamp(-0.1, 1.05)
    one = draw.uniform(ranges.stroke, count) * 1.1
    periods = ((repeats - 1 + forward) / forward)[:, 0]
    return Stroke(compose(position, [pitch, roll, tilt, yaw], fingers), one * (1 + (periods - 1) * 0.8))


def turning(clockwise: float, ranges: MotionRanges, count: int, draw: Draw) -> Stroke:
    """The forearm rolls, or the hand draws circles: clockwise (1) or counterclockwise (-1) as the person sees it."""
    tau = progress(count, draw)
    start, end = draw.uniform((1.0, 1.8), count, 1), draw.uniform((1.0, 1.8), count, 1)
    fingers = hand_pose(ranges.turn_hands, count, draw)[:, None]

    repeats = 1.0 + draw.pick((0.8, 0.2), count).float()[:, None]
    forward = torch.where(repeats > 1, draw.uniform((0.4, 0.5), count, 1), torch.ones_like(repeats))
    u = strokes_and_returns(tau, repeats, forward, start + 0.3, end + 0.3)[0] - 0.5
    sweep = draw.degrees(ranges.roll_sweep, count, 1)
    roll = draw.degrees((50.0, 95.0), count, 1) + clockwise * sweep * u
    swing = draw.uniform((0.0, 0.03), count, 1)
    position = torch.stack([-swing * (2.5 * u).sin() * clockwise, swing * (2.5 * u).cos(), 0.0 * u], -1)
    pitch, yaw = draw.degrees((45.0, 100.0), count, 1), draw.degrees((-15.0, 35.0), count, 1)
    rolled = compose(position, [pitch, roll, 0.0, yaw], fingers)
    roll_seconds = draw.uniform(ranges.stroke, count) * 1.15 * (1 + ((repeats - 1) * 0.9)[:, 0])

    turns = draw.uniform(ranges.circle_turns, count, 1)
    angle = draw.uniform((0.0, 2 * math.pi), count, 1) + clockwise * 2 * math.pi * turns * ease(tau, start, end)
    radius = draw.uniform(ranges.circle_radius, count, 1)
    left = -radius * angle.sin()
    up = radius * draw.uniform((0.7, 1.2), count, 1) * angle.cos()
    inclined = draw.uniform((-0.5, 0.5), count, 1) * up + draw.uniform((-0.4, 0.4), count, 1) * left
    follow = draw.uniform((0.0, 3.5), count, 1)
    pitch = draw.degrees((5.0, 95.0), count, 1)
    upright = pitch.cos() * 0.8
    around = [pitch - follow * up, draw.degrees((-25.0, 110.0), count, 1), -follow * left * upright, follow * left]
    circled = compose(torch.stack([left, up, inclined], -1), around, fingers)
    circle_seconds = draw.uniform(ranges.circle_seconds, count) * turns[:, 0]

    which = draw.pick([ranges.turn_kinds.get("roll", 0.0), ranges.turn_kinds.get("circle", 0.0)], count) == 0
    return Stroke(torch.where(which[:, None, None], rolled, circled), torch.where(which, roll_seconds, circle_seconds))


def shaking(ranges: MotionRanges, count: int, draw: Draw) -> Stroke:
    """The raised hand waves to and fro."""
    tau = progress(count, draw)
    cycles = draw.uniform(ranges.shake_cycles, count, 1)
    fade = (8 * tau).clamp(max=1) * (6 * (1 - tau)).clamp(max=1)
    wave = torch.sin(2 * math.pi * cycles * tau + draw.uniform((0.0, 2 * math.pi), count, 1)) * fade
    lag = draw.uniform((0.7, 1.0), count, 1)
    tilt = draw.degrees((-20.0, 12.0), count, 1) - lag * draw.degrees((10.0, 34.0), count, 1) * wave
    reach = draw.uniform((0.01, 0.075), count, 1) * wave
    drift = draw.uniform((-0.02, 0.02), count, 1)
    position = torch.stack([reach, drift * tau, drift * wave], -1)
    yaw = draw.degrees((-8.0, 25.0), count, 1) * wave
    roll = torch.where(
        draw.chance(0.85, count, 1), draw.degrees((-30.0, 45.0), count, 1), draw.degrees((140.0, 200.0), count, 1)
    )
    fingers = hand_pose(ranges.shake_hands, count, draw)[:, None]
    poses = compose(position, [draw.degrees((-10.0, 40.0), count, 1), roll, tilt, yaw], fingers)
    return Stroke(poses, cycles[:, 0] / draw.uniform(ranges.shake_hertz, count))


def opening_or_closing(opens: bool, ranges: MotionRanges, count: int, draw: Draw) -> Stroke:
    """A fist opens, or an open hand closes; the fingers do not all move at once."""
    tau = progress(count, draw)
    late = draw.uniform((0.0, 0.25), count, 1, 7)
    own = ((tau.unsqueeze(-1) * 1.25 - late) / 1.0).clamp(0, 1)
    shape = draw.uniform((1.2, 2.2), count, 1, 1)
    done = ease(own, shape, shape)
    shut = hand_pose({"fist": 4, "grip": 0.5}, count, draw)[:, None]
    wide = hand_pose({"spread": 4, "flat": 1.5, "relaxed": 0.4}, count, draw)[:, None]
    fingers = shut + (wide - shut) * (done if opens else 1 - done)
    drift = draw.box(((-0.04, 0.04), (-0.04, 0.04), (-0.05, 0.05)), count)[:, None] * tau.unsqueeze(-1)
    pitch = torch.where(
        draw.chance(0.75, count, 1), draw.degrees((-15.0, 40.0), count, 1), draw.degrees((40.0, 95.0), count, 1)
    )
    roll = torch.where(
        draw.chance(0.75, count, 1), draw.degrees((-35.0, 45.0), count, 1), draw.degrees((45.0, 195.0), count, 1)
    )
    turn = draw.degrees((-15.0, 15.0), count, 1) * tau
    angles = [pitch + turn, roll + turn, draw.degrees((-25.0, 20.0), count, 1), draw.degrees((-10.0, 25.0), count, 1)]
    return Stroke(compose(drift, angles, fingers), draw.uniform(ranges.opening, count))


def thumb(up: float, ranges: MotionRanges, count: int, draw: Draw) -> Stroke:
    """A fist with the thumb up (1) or down (-1) arrives and is shown."""
    tau = progress(count, draw)
    arrive = (tau / draw.uniform((0.2, 0.4), count, 1)).clamp(0, 1)
    arrive = (arrive * arrive * (3 - 2 * arrive)).unsqueeze(-1)
    way = draw.box(((-0.06, 0.06), (-0.1, 0.02), (-0.08, 0.02)), count)[:, None]
    nod = draw.uniform((0.0, 0.02), count, 1) * torch.sin(tau * draw.uniform((4.0, 12.0), count, 1))
    position = way * (1 - arrive)
    position[..., 1] += nod
    shown = hand_pose({"thumb": 1}, count, draw)[:, None]
    shown[..., 4:6] += draw.normal(0.08, count, 1, 2)
    before = hand_pose({"fist": 3, "thumb": 4, "grip": 1}, count, draw)[:, None]
    roll = up * draw.degrees((65.0, 115.0), count, 1)
    twist = draw.degrees((0.0, 50.0), count, 1) * up * (1 - arrive[..., 0])
    yaw = draw.degrees((-10.0, 85.0), count, 1)
    # Down, the elbow is out, or the wrist could not turn that far.
    lift = draw.uniform((-0.5, 0.5) if up > 0 else (0.1, 1.0), count, 1).clamp(min=0)
    angles: list[torch.Tensor | float] = [draw.degrees((70.0, 108.0), count, 1), roll - twist, 0.0, yaw]
    return Stroke(
        compose(position, angles, before + (shown - before) * arrive, lift), draw.uniform(ranges.showing, count)
    )


def stop(ranges: MotionRanges, count: int, draw: Draw) -> Stroke:
    """A flat upright hand, palm ahead, arrives and is held."""
    tau = progress(count, draw)
    arrive = (tau / draw.uniform((0.2, 0.4), count, 1)).clamp(0, 1)
    arrive = (arrive * arrive * (3 - 2 * arrive)).unsqueeze(-1)
    way = draw.box(((-0.04, 0.04), (-0.12, 0.0), (-0.06, 0.01)), count)[:, None]
    shown = hand_pose({"flat": 3, "spread": 1.5}, count, draw)[:, None]
    before = hand_pose({"flat": 2, "relaxed": 2, "spread": 0.5}, count, draw)[:, None]
    lean = draw.degrees((0.0, 35.0), count, 1) * (1 - arrive[..., 0])
    angles = [
        draw.degrees((-15.0, 20.0), count, 1) + lean,
        draw.degrees((-22.0, 25.0), count, 1),
        draw.degrees((-18.0, 14.0), count, 1),
    ]
    fingers = before + (shown - before) * arrive
    return Stroke(compose(way * (1 - arrive), [*angles, 0.0], fingers), draw.uniform(ranges.showing, count))


STROKES: dict[str, Callable[[MotionRanges, int, Draw], Stroke]] = {
    "Swiping Left": lambda ranges, count, draw: swipe(1.0, 0.0, ranges, count, draw),
    "Swiping Right": lambda ranges, count, draw: swipe(-1.0, 0.0, ranges, count, draw),
    "Swiping Up": lambda ranges, count, draw: swipe(0.0, 1.0, ranges, count, draw),
    "Swiping Down": lambda ranges, count, draw: swipe(0.0, -1.0, ranges, count, draw),
    "Pushing Hand Away": lambda ranges, count, draw: push_or_pull(1.0, ranges, count, draw),
    "Pulling Hand In": lambda ranges, count, draw: push_or_pull(-1.0, ranges, count, draw),
    "Turning Hand Clockwise": lambda ranges, count, draw: turning(1.0, ranges, count, draw),
    "Turning Hand Counterclockwise": lambda ranges, count, draw: turning(-1.0, ranges, count, draw),
    "Shaking Hand": shaking,
    "Opening Hand": lambda ranges, count, draw: opening_or_closing(True, ranges, count, draw),
    "Closing Hand": lambda ranges, count, draw: opening_or_closing(False, ranges, count, draw),
    "Thumb Up": lambda ranges, count, draw: thumb(1.0, ranges, count, draw),
    "Thumb Down": lambda ranges, count, draw: thumb(-1.0, ranges, count, draw),
    "Stop Sign": stop,
}
"""What each gesture's stroke is made by."""
