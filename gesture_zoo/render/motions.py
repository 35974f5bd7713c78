"""Whole motions: how the hand rests, comes up, gestures and goes down again, once in a clip, often in a stream.

A clip is a stream with one event. An event is one gesture (or one other thing, or a rest) with all that belongs to
it; events are laid end to end, each starting from the rest that the one before came back to.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from .classes import CLASSES, GESTURES
from .draws import Draw
from .hand import CURL, FINGERS, PITCH, POSE_SIZE, POSITION, ROLL, YAW
from .negatives import other_things, rest_poses, sign_fingers
from .ranges import VIEWS, MotionRanges
from .strokes import KNOTS, STROKES, Stroke, hand_pose
from .tracks import interpolate
from .ways import calm_seconds, goes_both_ways, turning_seconds

NO_GESTURE, OTHER = CLASSES.index("No gesture"), CLASSES.index("Doing other things")
SHOWN = tuple(CLASSES.index(name) for name in ("Thumb Up", "Thumb Down", "Stop Sign"))
"""Gestures that are a pose: as long as the hand is held after the stroke, it still shows them."""
EVENT_KNOTS = KNOTS + 7


class Track(NamedTuple):
    """What B people do during E events each: knots of both hands, and when what happens, in seconds."""

    times: torch.Tensor  # (B, N), ascending
    hand: torch.Tensor  # (B, N, 15)
    other_hand: torch.Tensor  # (B, N, 15), as a right hand: mirrored when it is drawn
    labels: torch.Tensor  # (B, E)
    begin: torch.Tensor  # (B, E), when the event begins, at rest
    leave: torch.Tensor  # (B, E), when the hand leaves its rest
    stroke_start: torch.Tensor  # (B, E)
    stroke_end: torch.Tensor  # (B, E)
    shown_until: torch.Tensor  # (B, E), when what the stroke shows goes: its end, or that of the hold after it
    back: torch.Tensor  # (B, E), when the hand is at rest again
    held: torch.Tensor  # (B, E) bool, an object is in the hand


class Motion(NamedTuple):
    """What a track holds at given times: poses of both hands and what each frame belongs to."""

    hand: torch.Tensor  # (B, T, 15)
    other_hand: torch.Tensor  # (B, T, 15)
    stroke: torch.Tensor  # (B, T), 0 before the stroke of the frame's event, 1 after it, the share done within
    frame_labels: torch.Tensor  # (B, T), the class while it is shown, "No gesture" at rest, else "Doing other things"
    held: torch.Tensor  # (B, T) bool


def _rests(view: torch.Tensor, labels: torch.Tensor, ranges: MotionRanges, draw: Draw) -> torch.Tensor:
    """Resting poses (B, E + 1, 15) before, between and after events; a person mostly comes back to one of them."""
    batch, events = labels.shape
    count = batch * (events + 2)
    per_view = torch.stack([rest_poses(ranges.rests[name], count, draw) for name in VIEWS])
    drawn = per_view.unflatten(1, (batch, events + 2))[view, torch.arange(batch, device=view.device)]
    usual = drawn[:, -1:]
    loose = draw.normal(0.015, batch, events + 1, POSE_SIZE)
    poses = torch.where(draw.chance(ranges.same_rest, batch, events + 1, 1), usual + loose, drawn[:, :-1])
    for event in range(events):  # whoever does not gesture stays where they rest
        still = (labels[:, event] == NO_GESTURE)[:, None]
        poses[:, event + 1] = torch.where(still, poses[:, event] + loose[:, event] * 0.3, poses[:, event + 1])
    return poses


def _places(view: torch.Tensor, ranges: MotionRanges, draw: Draw) -> torch.Tensor:
    """The middle of the stroke (n, 3) for rows of views (n,)."""
    every = torch.stack([draw.box(ranges.place[name], len(view)) for name in VIEWS])
    return every[view, torch.arange(len(view), device=view.device)]


def _turned(poses: torch.Tensor, heading: torch.Tensor) -> torch.Tensor:
    """Poses (n, M, 15) of a person who gestures towards a heading (n,), radians to the left."""
    cosine, sine = heading.cos()[:, None], heading.sin()[:, None]
    x, z = poses[..., 0], poses[..., 2]
    turned = poses.clone()
    turned[..., 0], turned[..., 2] = cosine * x + sine * z, cosine * z - sine * x
    turned[..., YAW] += heading[:, None]
    return turned


def _aborted(
    places: torch.Tensor, headings: torch.Tensor, ranges: MotionRanges, draw: Draw
) -> tuple[torch.Tensor, torch.Tensor]:
    """Poses (n, KNOTS, 15) and seconds (n,) of hands that come where a gesture starts or ends, and only wait there."""
    count = len(places)
    moving = [name for name in GESTURES if name.startswith(("Swiping", "Pushing", "Pulling", "Turning", "Shaking"))]
    poses = torch.zeros(count, KNOTS, POSE_SIZE, device=places.device)
    which = draw.integer(len(moving), count)
    for index, name in enumerate(moving):
        rows = (which == index).nonzero()[:, 0]
        if len(rows):
            poses[rows] = STROKES[name](ranges, len(rows), draw).poses
    edge = torch.where(draw.chance(0.6, count)[:, None], poses[:, 0], poses[:, -1])[:, None]
    # An open hand that waits upright, its palm ahead, would be a stop sign: the palm looks elsewhere.
    palm = (edge[..., PITCH] < 0.8) & (edge[..., ROLL].cos() > 0.5) & (edge[..., CURL].mean(-1) < 0.4)
    edge[..., ROLL] += palm * draw.degrees((90.0, 200.0), count, 1)
    still = _turned(edge + draw.normal(0.008, count, KNOTS, POSE_SIZE).cumsum(1) * 0.3, headings)
    still[..., POSITION] += places[:, None]
    return still, draw.uniform((0.05, 0.25), count)


def _placed(
    stroke: Stroke, places: torch.Tensor, headings: torch.Tensor, ranges: MotionRanges, draw: Draw
) -> torch.Tensor:
    """Poses (n, KNOTS, 15) of a stroke where it is made."""
    turned = _turned(stroke.poses, headings)
    # Strokes both start and end anywhere: where the hand is before it must not tell which way it will go.
    begins = turned[:, :1, POSITION] * draw.uniform(ranges.anchored, len(places), 1, 1)
    turned[..., POSITION] += places[:, None] - begins
    return turned


def _lookalikes(
    places: torch.Tensor, headings: torch.Tensor, ranges: MotionRanges, draw: Draw
) -> tuple[torch.Tensor, torch.Tensor]:
    """Poses (n, KNOTS, 15) and seconds (n,) of hands that come and are held as a stop sign is, and show another one."""
    count = len(places)
    stroke = STROKES["Stop Sign"](ranges, count, draw)
    poses = _placed(stroke, places, headings, ranges, draw)
    # Not from an open hand: as long as that is held up, it is a stop sign.
    before, shown = hand_pose({"relaxed": 2.0, "fist": 1.0}, count, draw), sign_fingers(count, draw, four=False)
    done = (torch.linspace(0, 1, KNOTS, device=places.device) / draw.uniform((0.02, 0.3), count, 1)).clamp(max=1)
    poses[..., FINGERS] = before[:, None] + (shown - before)[:, None] * done[..., None]
    return poses, stroke.seconds


def draw_track(
    labels: torch.Tensor,
    view: torch.Tensor,
    heading: torch.Tensor,
    ranges: MotionRanges,
    draw: Draw,
    longest: torch.Tensor | None = None,
) -> Track:
    """What B right-handed people do for events of labels (B, E), seen in views (B,), gesturing towards headings (B,).

    No stroke takes longer than `longest` (B,) seconds.

    >>> zero = torch.zeros(2, dtype=torch.long)
    >>> track = draw_track(zero[:, None], zero, zero.float(), MotionRanges(), Draw(torch.Generator().manual_seed(0)))
    >>> track.hand.shape, bool((track.stroke_end > track.stroke_start).all())
    (torch.Size([2, 47, 15]), True)
    """
    batch, events = labels.shape
    count, device = batch * events, labels.device
    flat, rows_view = labels.flatten(), view[:, None].expand(-1, events).flatten()
    rests = _rests(view, labels, ranges, draw)
    before, after = rests[:, :-1].flatten(0, 1), rests[:, 1:].flatten(0, 1)
    poses = before[:, None].repeat(1, KNOTS, 1)
    seconds = draw.uniform((0.5, 3.0), count)
    both = torch.zeros(count, dtype=torch.bool, device=device)
    held = torch.zeros_like(both)
    places = _places(rows_view, ranges, draw)
    headings = heading[:, None].expand(-1, events).flatten() + draw.degrees((-10.0, 10.0), count)
    for label in flat.unique().tolist():
        rows = (flat == label).nonzero()[:, 0]
        if label < len(GESTURES):
            stroke = STROKES[CLASSES[label]](ranges, len(rows), draw)
            poses[rows] = _placed(stroke, places[rows], headings[rows], ranges, draw)
            seconds[rows] = stroke.seconds
        elif label == OTHER:
            activity = other_things(ranges, len(rows), draw)
            poses[rows] = _turned(activity.poses, headings[rows] * 0.5)
            seconds[rows], both[rows], held[rows] = activity.seconds, activity.both, activity.held
            aborted = rows[draw.chance(ranges.aborted, len(rows))]
            poses[aborted], seconds[aborted] = _aborted(places[aborted], headings[aborted], ranges, draw)
            both[aborted] = held[aborted] = False
            # Where there are to be none nothing is drawn, so that a seed gives the pictures that it gave before.
            alike = rows[draw.chance(ranges.lookalikes, len(rows))] if ranges.lookalikes else rows[:0]
            if len(alike):
                poses[alike], seconds[alike] = _lookalikes(places[alike], headings[alike], ranges, draw)
                both[alike] = held[alike] = False
    if longest is not None:
        seconds = seconds.minimum(longest[:, None].expand(-1, events).flatten())

    still = flat == NO_GESTURE
    raising, lowering = draw.uniform(ranges.raising, count), draw.uniform(ranges.lowering, count)
    way_in, way_out = poses[:, 0, POSITION] - before[:, POSITION], after[:, POSITION] - poses[:, -1, POSITION]
    # Below one the way is the faster one of the two, as where a hand is brought quickly to where a swipe begins.
    raising = calm_seconds(way_in, raising, poses, seconds, draw.log_uniform(ranges.calmer, count))
    lowering = calm_seconds(way_out, lowering, poses, seconds, draw.log_uniform(ranges.calmer, count))
    # Nothing faster than people: two metres a second on average.
    raising, lowering = raising.maximum(way_in.norm(dim=-1) / 2), lowering.maximum(way_out.norm(dim=-1) / 2)
    first, last = poses[:, 0], poses[:, -1]
    winds_up, swings_back = (goes_both_ways(flat, ranges, draw) for _ in range(2))
    raising = torch.where(
        winds_up, raising.maximum(turning_seconds(before, last, first, seconds, ranges, draw)), raising
    )
    lowering = torch.where(
        swings_back, lowering.maximum(turning_seconds(last, first, after, seconds, ranges, draw)), lowering
    )
    hold = torch.where(draw.chance(0.35, count), 0 * lowering, draw.uniform(ranges.hold, count))
    spans = torch.stack(
        [
            draw.uniform(ranges.resting, count),
            0.5 * raising,
            0.5 * raising,
            draw.uniform(ranges.pause, count).clamp(min=0.01) * draw.chance(0.6, count) + 0.005,
        ],
        dim=1,
    )
    even = (seconds / (KNOTS - 1))[:, None].expand(-1, KNOTS - 1)
    tail = torch.stack([hold + 0.005, 0.5 * lowering, 0.5 * lowering], dim=1)
    offsets = torch.cat([torch.zeros(count, 1, device=device), spans, even, tail], dim=1).cumsum(1)

    def via(one: torch.Tensor, two: torch.Tensor, turn: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        share = draw.uniform((0.35, 0.65), count, 1)
        halfway = one + (two - one) * share
        halfway[:, POSITION] += draw.normal(1.0, count, 3) * draw.uniform(ranges.detour, count, 1) * 0.6
        turned = turn + draw.normal(0.02, count, POSE_SIZE)
        return torch.where(still[:, None], one, torch.where(rows[:, None], turned, halfway))

    drifted = last + draw.normal(0.006, count, POSE_SIZE)
    head = torch.stack([before, before, via(before, first, last, winds_up), first], dim=1)
    tail_poses = torch.stack([drifted, via(drifted, after, first, swings_back), after], dim=1)
    knots = torch.cat([head, poses, tail_poses], dim=1)

    # The other hand is seldom in the way.
    seldom = {"raised": 0.15, "chin": 0.4}
    calm = [{kind: w * seldom.get(kind, 1.0) for kind, w in ranges.rests[name].items()} for name in VIEWS]
    other_rest = torch.stack([rest_poses(weights, batch, draw) for weights in calm])
    other_rest = other_rest[view, torch.arange(batch, device=device)]
    resting = other_rest[:, None].expand(-1, events, -1).flatten(0, 1)[:, None].expand(-1, EVENT_KNOTS, -1)
    joined = (
        both[:, None]
        & (torch.arange(EVENT_KNOTS, device=device) >= 3)
        & (torch.arange(EVENT_KNOTS, device=device) < 4 + KNOTS)
    )
    companion = knots + draw.normal(0.01, count, 1, POSE_SIZE)
    other = torch.where(joined.unsqueeze(-1), companion, resting)

    offsets = offsets.unflatten(0, (batch, events))
    begin = torch.cat([torch.zeros(batch, 1, device=device), offsets[:, :-1, -1].cumsum(1)], dim=1)
    times = begin.unsqueeze(-1) + offsets
    stroke_end, hold_end = times[..., 3 + KNOTS], times[..., 4 + KNOTS]
    shown = torch.isin(labels, torch.tensor(SHOWN, device=device))
    return Track(
        times.flatten(1), knots.unflatten(0, (batch, events)).flatten(1, 2),
        other.unflatten(0, (batch, events)).flatten(1, 2), labels, begin, times[..., 1], times[..., 4],
        stroke_end, torch.where(shown, hold_end, stroke_end), times[..., -1], held.unflatten(0, (batch, events)),
    )  # fmt: skip


def clip_window(track: Track, ticks: torch.Tensor, ranges: MotionRanges, draw: Draw) -> torch.Tensor:
    """When clips begin (B,) whose frames are at `ticks` (B, T), seconds from the first: 3/4 of the first stroke or more
    are in, and at least one frame of it."""
    window = ticks[:, -1]
    start, end = track.stroke_start[:, 0], track.stroke_end[:, 0]
    quarter = 0.25 * (end - start) * draw.chance(ranges.late_or_early, len(window))
    earliest, latest = end - window - quarter, start + quarter
    low, high = torch.minimum(earliest, latest), torch.maximum(earliest, latest)
    begin = low + (high - low) * draw.uniform((0.0, 1.0), len(window))
    shown = track.shown_until[:, 0]
    frames = begin[:, None] + ticks
    seen = ((frames >= start[:, None]) & (frames <= shown[:, None])).any(1)
    middle = (start + shown) / 2
    nearest = (middle[:, None] - frames).abs().argmin(1, keepdim=True)
    # Between two frames of a slow camera a quick stroke would be missed: the nearest of them moves to its middle.
    return torch.where(seen, begin, begin + (middle - frames.gather(1, nearest)[:, 0]))


def follow(track: Track, times: torch.Tensor) -> Motion:
    """The poses and labels of a track at times (B, T) in seconds from its beginning.

    >>> zero = torch.zeros(1, dtype=torch.long)
    >>> track = draw_track(zero[:, None], zero, zero.float(), MotionRanges(), Draw(torch.Generator().manual_seed(0)))
    >>> follow(track, torch.tensor([[-1.0, 99.0]])).stroke.tolist()
    [[0.0, 1.0]]
    """
    events = (torch.searchsorted(track.begin.contiguous(), times.contiguous(), right=True) - 1).clamp(min=0)
    begun, done = track.stroke_start.gather(1, events), track.stroke_end.gather(1, events)
    label = track.labels.gather(1, events)
    still = label == NO_GESTURE
    stroke = ((times - begun) / (done - begun).clamp(min=1e-3)).clamp(0, 1).masked_fill(still, 0.0)
    away = (times > track.leave.gather(1, events)) & (times < track.back.gather(1, events)) & ~still
    shown = (times >= begun) & (times <= track.shown_until.gather(1, events)) & ~still
    frame_labels = torch.where(shown, label, torch.where(away, OTHER, NO_GESTURE))
    both = interpolate(track.times, torch.cat([track.hand, track.other_hand], -1), times)
    hand, other = both.split(POSE_SIZE, dim=-1)
    return Motion(hand, other, stroke, frame_labels, track.held.gather(1, events) & away)
