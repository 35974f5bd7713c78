"""Scenes to be drawn: people of random build who gesture in front of random cameras, as solids and labels."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from ..errors import DataError
from .arm import ARM_SOLIDS, arm_cones, bent_within, draw_arm_shape, elbow, within_reach
from .body import BODY_FLAT, BODY_PARTS, OTHER_HAND_SOLIDS, body_cones, coarse_hand, draw_body_shape
from .classes import CLASSES, GESTURES, MIRROR
from .draws import Draw, as_generator
from .hand import (
    ANGLES,
    ELBOW,
    FINGERS,
    HAND_SOLIDS,
    POSE_SIZE,
    POSITION,
    Cones,
    HandShape,
    draw_hand_shape,
    finger_joints,
    hand_cones,
    wrist_rotation,
)
from .motions import NO_GESTURE, OTHER, Motion, clip_window, draw_track, follow
from .ranges import VIEWS, MotionRanges, check_weights
from .solids import PARTS, Camera, Solids, mirrored
from .tracks import wobble
from .views import EGO, aim, pick_azimuth, pick_views

HAND, ARM = slice(0, HAND_SOLIDS), slice(HAND_SOLIDS, HAND_SOLIDS + ARM_SOLIDS)
OTHER_HAND = slice(ARM.stop, ARM.stop + OTHER_HAND_SOLIDS)
OTHER_ARM = slice(OTHER_HAND.stop, OTHER_HAND.stop + ARM_SOLIDS)
BODY = slice(OTHER_ARM.stop, OTHER_ARM.stop + len(BODY_PARTS))
OBJECT = slice(BODY.stop, BODY.stop + 2)


class Scene(NamedTuple):
    """B clips of T frames, ready to be drawn, with what happens in them.

    >>> scene = sample_scene(torch.tensor([0]), num_frames=4, generator=0, views=("car",))
    >>> VIEWS[scene.view[0]], scene.times.shape, scene.solids.present.shape
    ('car', torch.Size([1, 4]), torch.Size([1, 4, 48]))
    """

    solids: Solids
    camera: Camera
    stroke: torch.Tensor  # (B, T), 0 before the stroke, the share done within it, 1 after
    labels: torch.Tensor  # (B,); of streams (B, E)
    frame_labels: torch.Tensor  # (B, T): the class while it is shown, at rest "No gesture", else "Doing other things"
    times: torch.Tensor  # (B, T), seconds from the first frame
    view: torch.Tensor  # (B,), an index into VIEWS
    hand_side: torch.Tensor  # (B,), 1 the right hand gestures, -1 the left


def _check(labels: torch.Tensor, num_frames: int, dimensions: int = 1) -> None:
    if labels.dim() != dimensions:
        raise DataError(f"the labels have the shape {tuple(labels.shape)}; they must be one for each clip")
    if labels.dtype not in (torch.int64, torch.int32) or labels.numel() == 0:
        raise DataError(f"the labels are {labels.dtype} of shape {tuple(labels.shape)}; they must be whole numbers")
    if int(labels.min()) < 0 or int(labels.max()) >= len(CLASSES):
        raise DataError(
            f"the labels go from {int(labels.min())} to {int(labels.max())}; there are {len(CLASSES)} classes"
        )
    if num_frames < 1:
        raise DataError(f"num_frames is {num_frames}; it must be 1 or more")


def _check_aspect(aspect: float) -> None:
    if not 0.25 <= aspect <= 4:
        raise DataError(f"a picture {aspect:g} times as wide as it is high is too slim: from 0.25 to 4 times")


def _check_rate(frame_rate: float) -> None:
    if not 0 < frame_rate < math.inf:
        raise DataError(f"the frame rate is {frame_rate}; it must be above 0 frames a second")


def sample_scene(
    labels: torch.Tensor,
    *,
    num_frames: int,
    generator: torch.Generator | int,
    frame_rate: float | None = None,
    views: tuple[str, ...] = VIEWS,
    aspect: float = 1.0,
    ranges: MotionRanges | None = None,
    device: torch.device | str | None = None,
) -> Scene:
    """Clips of the classes `labels` (B,): at least three quarters of the stroke are within, and one frame of it.

    Without a frame rate the clips are `ranges.window` seconds long. `aspect` is how many times as wide as high the
    pictures will be, 0.25 to 4: gestures stay within them. All is drawn where the generator is.

    >>> scene = sample_scene(torch.tensor([0, 13]), num_frames=8, generator=0)
    >>> scene.solids.start.shape, scene.stroke.shape
    (torch.Size([2, 8, 48, 3]), torch.Size([2, 8]))
    """
    _check(labels, num_frames)
    _check_aspect(aspect)
    if frame_rate is not None:
        _check_rate(frame_rate)
    ranges, draw = ranges or MotionRanges(), Draw(as_generator(generator))
    labels = labels.to(draw.generator.device).long()
    count = len(labels)
    if frame_rate is None:
        window = draw.uniform(ranges.window, count)
    else:
        window = torch.full((count,), num_frames / frame_rate, device=labels.device)
    ticks = torch.arange(num_frames, device=labels.device) / num_frames
    return _scene(labels[:, None], window, ticks, True, views, aspect, ranges, draw, device)


def sample_stream(
    batch: int,
    *,
    num_frames: int,
    generator: torch.Generator | int,
    frame_rate: float = 12.0,
    views: tuple[str, ...] = VIEWS,
    class_weights: tuple[float, ...] | None = None,
    aspect: float = 1.0,
    ranges: MotionRanges | None = None,
    device: torch.device | str | None = None,
) -> Scene:
    """Streams in which people gesture, rest and do other things by turns; `frame_labels` says what each frame shows.

    `class_weights` is one weight for each of CLASSES; without it, half of the events are gestures. `aspect` is as of
    `sample_scene`.

    >>> sample_stream(2, num_frames=24, generator=0).frame_labels.shape
    torch.Size([2, 24])
    """
    weights = class_weights or (1.0,) * len(GESTURES) + (len(GESTURES) / 3, len(GESTURES) * 2 / 3)
    if len(weights) != len(CLASSES) or batch < 1:
        raise DataError(f"a stream takes {len(CLASSES)} class weights and a batch of 1 or more")
    check_weights("class_weights", weights)
    _check_rate(frame_rate)
    _check_aspect(aspect)
    ranges, draw = ranges or MotionRanges(), Draw(as_generator(generator))
    seconds = num_frames / frame_rate
    events = max(1, math.ceil(seconds / 1.6))
    labels = draw.pick(weights, batch * events).unflatten(0, (batch, events))
    _check(labels, num_frames, 2)
    ticks = torch.arange(num_frames, device=labels.device) / num_frames
    window = torch.full((batch,), seconds, device=labels.device)
    return _scene(labels, window, ticks, False, views, aspect, ranges, draw, device)


def _scene(
    labels: torch.Tensor,
    window: torch.Tensor,
    ticks: torch.Tensor,
    clips: bool,
    views: tuple[str, ...],
    aspect: float,
    ranges: MotionRanges,
    draw: Draw,
    device: torch.device | str | None,
) -> Scene:
    """Right hands are drawn; who gestures with the left does the mirrored class, and is mirrored at the end."""
    batch = len(labels)
    left = draw.chance(ranges.left_handed, batch)
    mirror = torch.tensor(MIRROR, device=labels.device)
    drawn_as = torch.where(left[:, None], mirror[labels], labels)

    view = pick_views(batch, views, ranges, draw)
    azimuth = pick_azimuth(view, ranges, draw)
    heading = azimuth * draw.uniform((0.2, 1.0), batch)
    span = window * ticks[-1]  # from the first frame to the last
    track = draw_track(drawn_as, view, heading, ranges, draw, 0.9 * span.maximum(window / 2) if clips else None)
    times = window[:, None] * ticks
    start = clip_window(track, times, ranges, draw) if clips else draw.uniform((0.0, 1.0), batch)
    motion = follow(track, start[:, None] + times)

    cones, present, tips, shape = _people(motion, times, view, ranges, draw)
    gestures = (labels < len(GESTURES)).any(1)
    within = motion.frame_labels < len(GESTURES)
    other = (motion.frame_labels == OTHER) & draw.chance(0.5, batch, 1)
    matters = within | (other & ~gestures[:, None])
    minded = gestures | matters.any(1)
    eye = aim(view, azimuth, tips, matters, minded, times, shape.length, aspect, ranges, draw)

    def seen(points: torch.Tensor) -> torch.Tensor:
        return (points - eye.position[:, None, None]) @ eye.rotation.transpose(-1, -2)

    parts, flat = _materials(batch, ranges, draw)
    nobody = (labels == NO_GESTURE).all(1) & draw.chance(ranges.nobody, batch)
    present = present & ~nobody[:, None, None]
    side = 1.0 - 2.0 * left.float()
    flip = torch.stack([side, torch.ones_like(side), torch.ones_like(side)], dim=-1)[:, None, None]
    start, end = seen(cones.start) * flip, seen(cones.end) * flip
    solids = Solids(start, end, cones.radius_start.contiguous(), cones.radius_end.contiguous(), parts, flat, present)
    frame_labels = torch.where(left[:, None], mirror[motion.frame_labels], motion.frame_labels)
    scene = Scene(
        solids, eye.camera, motion.stroke, labels[:, 0] if clips else labels, frame_labels, times, view, side.long()
    )
    return scene if device is None else _moved(scene, torch.device(device))


def _people(
    motion: Motion, times: torch.Tensor, view: torch.Tensor, ranges: MotionRanges, draw: Draw
) -> tuple[Cones, torch.Tensor, torch.Tensor, HandShape]:
    """The 48 cones of B right-handed people in body coordinates, which there are, where the hands' middles are."""
    batch = len(view)
    body = draw_body_shape(batch, view == VIEWS.index("car"), ranges, draw)
    shape = draw_hand_shape(batch, ranges.hand_length, ranges.hand_variation, draw)
    arm = draw_arm_shape(batch, ranges, draw)
    middle = wobble(times, 3, (0.05, 0.5), draw, waves=2) * draw.uniform(ranges.body_sway, batch, 1, 1)
    shoulder = (
        middle + torch.stack([-body.shoulder, -0.02 * torch.ones_like(body.shoulder), 0 * body.shoulder], -1)[:, None]
    )

    bend = draw.degrees(ranges.wrist_bend, batch)

    def limb(poses: torch.Tensor) -> tuple[Cones, Cones, torch.Tensor]:
        slow = wobble(times, POSE_SIZE, (0.2, 1.2), draw, waves=2)
        shiver = wobble(times, 3, (4.0, 9.0), draw, waves=2) * draw.uniform(ranges.tremor, batch, 1, 1)
        sway = slow[..., POSITION] * draw.uniform(ranges.sway, batch, 1, 1)
        wrist = within_reach(poses[..., POSITION] + sway + shiver + 0.7 * middle, shoulder, arm)
        joint = elbow(shoulder, wrist, poses[..., ELBOW], arm)
        rotation = wrist_rotation(poses[..., ANGLES] + slow[..., ANGLES] * 0.04)
        along = (wrist - joint) / (wrist - joint).norm(dim=-1, keepdim=True).clamp(min=1e-4)
        rotation = bent_within(rotation, along, bend)
        joints = finger_joints((poses[..., FINGERS] + slow[..., FINGERS] * 0.03).clamp(-0.12, 1.1), shape)
        return hand_cones(wrist, rotation, joints, shape), arm_cones(shoulder, joint, wrist, arm), rotation

    hand, own_arm, rotation = limb(motion.hand)
    other_hand, other_arm, _ = limb(motion.other_hand)
    angles = wobble(times, 3, (0.05, 0.6), draw, waves=2) * draw.degrees(ranges.head_turn, batch, 1, 1)
    angles = angles + draw.normal(0.15, batch, 1, 3)
    trunk, has = body_cones(middle, angles, body)
    held = _held(hand, rotation, draw)
    groups = [hand, own_arm, mirrored(coarse_hand(other_hand)), mirrored(other_arm), trunk, held]
    cones = Cones(*(torch.cat([group[column] for group in groups], dim=2) for column in range(4)))
    present = torch.ones(cones.radius_start.shape, dtype=torch.bool, device=times.device)
    present[:, :, BODY] = has[:, None]
    ego = (view == EGO)[:, None]
    present[:, :, BODY.start : BODY.stop - 2] &= ~ego.unsqueeze(-1)
    present[:, :, OBJECT] = motion.held.unsqueeze(-1)
    # Who wears the camera does not see their own upper arms.
    for arms in (ARM, OTHER_ARM):
        present[:, :, arms.start : arms.start + 2] &= ~ego.unsqueeze(-1)
    present[:, :, ARM.start + 3] &= (arm.sleeve > 1)[:, None]
    present[:, :, OTHER_ARM.start + 3] &= (arm.sleeve > 1)[:, None]
    tips = 0.5 * (cones.start[:, :, 1] + cones.end[:, :, 9])
    return cones, present, tips, shape


def _held(hand: Cones, rotation: torch.Tensor, draw: Draw) -> Cones:
    """Two cones of something in the hand: a cup, a bottle, a telephone."""
    batch, frames = rotation.shape[:2]
    palm = hand.end[:, :, 1] + 0.045 * rotation[..., 2] - 0.01 * rotation[..., 1]
    axis = rotation[..., 0]
    above, below = draw.uniform((0.02, 0.1), batch, 1, 1), draw.uniform((0.02, 0.08), batch, 1, 1)
    radius = draw.uniform((0.012, 0.038), batch, 1).expand(-1, frames)
    top = palm + axis * above
    start = torch.stack([palm - axis * below, top], dim=2)
    end = torch.stack([top, top + axis * 0.4 * above], dim=2)
    neck = radius * draw.uniform((0.3, 1.0), batch, 1)
    return Cones(start, end, torch.stack([radius, neck], -1), torch.stack([radius, neck], -1))


def _materials(batch: int, ranges: MotionRanges, draw: Draw) -> tuple[torch.Tensor, torch.Tensor]:
    """What the 48 solids of B people are made of (B, 48), and how flat they are (B, 48)."""
    arm = ("skin", "sleeve", "skin", "sleeve")
    names = ("skin",) * HAND_SOLIDS + arm + ("skin",) * OTHER_HAND_SOLIDS + arm + BODY_PARTS + ("object",) * 2
    device = draw.generator.device
    parts = torch.tensor([PARTS.index(name) for name in names], device=device).repeat(batch, 1)
    gloved = draw.chance(ranges.gloves, batch)[:, None]
    for hands in (HAND, OTHER_HAND):
        parts[:, hands] = torch.where(gloved, PARTS.index("glove"), parts[:, hands])
    flat = torch.ones(batch, len(names), device=device)
    flat[:, BODY] = torch.tensor(BODY_FLAT, device=device)
    return parts, flat


def _moved(scene: Scene, device: torch.device) -> Scene:
    """The scene on another device."""
    solids, camera = Solids(*(value.to(device) for value in scene.solids)), Camera(scene.camera.focal.to(device))
    stroke, labels, frame_labels, times, view, hand_side = (value.to(device) for value in scene[2:])
    return Scene(solids, camera, stroke, labels, frame_labels, times, view, hand_side)
