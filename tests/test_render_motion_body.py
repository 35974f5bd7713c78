"""Hands and arms of rendered people keep their bones, reach no farther than they can, and move smoothly."""

from __future__ import annotations

import torch

from gesture_zoo.render import CLASSES, PARTS, VIEWS, MotionRanges, sample_scene
from gesture_zoo.render.arm import bent_within, draw_arm_shape, elbow, within_reach
from gesture_zoo.render.classes import GESTURES
from gesture_zoo.render.draws import Draw
from gesture_zoo.render.hand import HAND_POSES, draw_hand_shape, finger_joints, hand_cones, wrist_rotation
from gesture_zoo.render.negatives import other_things
from gesture_zoo.render.scene import ARM, BODY, HAND, OBJECT, OTHER_ARM
from gesture_zoo.render.tracks import interpolate, strokes_and_returns


def draw(seed: int = 0) -> Draw:
    return Draw(torch.Generator().manual_seed(seed))


def test_bones_keep_their_lengths() -> None:
    scene = sample_scene(torch.arange(len(CLASSES)), num_frames=12, generator=0)
    for solids in (HAND, ARM):
        start, end = scene.solids.start[:, :, solids], scene.solids.end[:, :, solids]
        length = (end - start).norm(dim=-1)
        torch.testing.assert_close(length, length[:, :1].expand_as(length), atol=1e-4, rtol=1e-3)
    fingers = (scene.solids.end[:, :, 4:16] - scene.solids.start[:, :, 4:16]).norm(dim=-1)
    assert fingers.min() > 0.01 and fingers.max() < 0.07


def test_arms_hang_together() -> None:
    scene = sample_scene(torch.arange(len(CLASSES)), num_frames=12, generator=1)
    for arm in (ARM, OTHER_ARM):
        upper_end = scene.solids.end[:, :, arm.start]
        torch.testing.assert_close(upper_end, scene.solids.start[:, :, arm.start + 2], atol=1e-5, rtol=0)
    wrist, palm = scene.solids.end[:, :, ARM.start + 2], scene.solids.start[:, :, 1]
    assert (wrist - palm).norm(dim=-1).max() < 0.03


def test_no_wrist_is_out_of_reach() -> None:
    arm = draw_arm_shape(64, MotionRanges(), draw())
    shoulder = torch.zeros(64, 9, 3)
    wanted = draw(1).normal(0.6, 64, 9, 3)
    wrist = within_reach(wanted, shoulder, arm)
    joint = elbow(shoulder, wrist, draw(2).uniform((0.0, 1.0), 64, 9), arm)
    torch.testing.assert_close(joint.norm(dim=-1), arm.upper[:, None].expand(-1, 9), atol=1e-4, rtol=0)
    torch.testing.assert_close((wrist - joint).norm(dim=-1), arm.fore[:, None].expand(-1, 9), atol=1e-4, rtol=0)
    near = torch.tensor([[[0.1, -0.1, 0.25]]]).expand(64, 9, 3)
    torch.testing.assert_close(within_reach(near, shoulder, arm), near)


def test_a_hanging_elbow_is_below_and_a_lifted_one_beside() -> None:
    arm = draw_arm_shape(32, MotionRanges(), draw())
    shoulder, wrist = torch.zeros(32, 1, 3), torch.tensor([0.05, -0.1, 0.3]).expand(32, 1, 3)
    hanging = elbow(shoulder, wrist, torch.zeros(32, 1), arm)
    lifted = elbow(shoulder, wrist, torch.ones(32, 1), arm)
    assert (hanging[..., 1] < -0.1).all()
    assert (lifted[..., 1] > hanging[..., 1]).all() and (lifted[..., 0] < -0.1).all()


def test_wrists_do_not_break() -> None:
    generator = draw(3)
    rotation = wrist_rotation(generator.normal(2.0, 20, 5, 4))
    forearm = torch.nn.functional.normalize(generator.normal(1.0, 20, 5, 3), dim=-1)
    bent = bent_within(rotation, forearm, torch.full((20,), 0.8))
    assert ((bent[..., 1] * forearm).sum(-1) > torch.tensor(0.8).cos() - 1e-3).all()
    torch.testing.assert_close(bent @ bent.mT, torch.eye(3).expand(20, 5, 3, 3), atol=1e-4, rtol=0)
    already = (rotation[..., 1] * forearm).sum(-1) > torch.tensor(0.75).cos()
    torch.testing.assert_close(bent[already], rotation[already], atol=1e-4, rtol=0)


def test_an_identity_wrist_is_an_upright_right_palm() -> None:
    shape = draw_hand_shape(1, (0.2, 0.2), 0.0, draw())
    fingers = torch.tensor(HAND_POSES["spread"]).reshape(1, 1, 7)
    cones = hand_cones(torch.zeros(1, 1, 3), torch.eye(3)[None, None], finger_joints(fingers, shape), shape)
    assert cones.end[0, 0, 9, 1] > 0.19  # the middle finger is up
    assert cones.end[0, 0, 18, 0] > 0.08  # the thumb to the person's left
    fist = torch.tensor(HAND_POSES["fist"]).reshape(1, 1, 7)
    assert finger_joints(fist, shape)[0, 0, 1, 3, 1] < 0.12  # folded, to the palm's side
    assert (finger_joints(fist, shape)[0, 0, :4, 1:, 2] > 0).all()


def test_tracks_pass_through_their_knots_and_never_beyond() -> None:
    times = torch.tensor([[0.0, 0.4, 0.5, 2.0]])
    knots = torch.tensor([[[0.0], [1.0], [0.2], [0.3]]])
    torch.testing.assert_close(interpolate(times, knots, times), knots)
    dense = interpolate(times, knots, torch.linspace(-1, 3, 400)[None])
    assert dense.min() >= 0 and dense.max() <= 1
    assert dense.diff(dim=1).abs().max() < 0.2


def test_repeated_strokes_return_more_slowly() -> None:
    progress = torch.linspace(0, 1, 201)[None]
    three, share, two = torch.full((1, 1), 3.0), torch.full((1, 1), 0.35), torch.full((1, 1), 2.0)
    where, back = strokes_and_returns(progress, three, share, two, two)
    step = where.diff(dim=1)
    assert step.max() > 1.5 * -step.min() > 0
    assert ((back[:, 1:] > 0) == (step < 0)).float().mean() > 0.95
    assert where[0, 0] == 0 and where[0, -1] == 1


def test_hands_move_no_faster_than_hands() -> None:
    labels = torch.arange(len(CLASSES)).repeat(8)
    scene = sample_scene(labels, num_frames=60, generator=4, frame_rate=25.0)
    speed = scene.solids.end[:, :, 1].diff(dim=1).norm(dim=-1) * 25.0
    assert speed.amax(1).median() < 2.5
    assert speed.max() < 8.0


def test_kinds_can_be_switched_off() -> None:
    only = MotionRanges(other_kinds={"drink": 1.0}, views={"car": 1.0}, gloves=1.0, nobody=0.0)
    activity = other_things(only, 8, draw())
    assert activity.held.all() and not activity.both.any()
    scene = sample_scene(torch.full((8,), 15), num_frames=8, generator=0, ranges=only)
    assert (scene.view == VIEWS.index("car")).all()
    assert (scene.solids.part[:, HAND] == PARTS.index("glove")).all()
    assert scene.solids.present[:, :, OBJECT].any()


def test_who_wears_the_camera_is_not_seen() -> None:
    scene = sample_scene(torch.tensor([0, 5, 14]), num_frames=4, generator=0, views=("ego",))
    assert not scene.solids.present[:, :, BODY.start : BODY.stop - 2].any()
    nobody = sample_scene(torch.full((4,), 14), num_frames=4, generator=0, ranges=MotionRanges(nobody=1.0))
    assert not nobody.solids.present.any()


def test_resting_hands_rest() -> None:
    idle = sample_scene(torch.full((32,), class_index_of("No gesture")), num_frames=20, generator=5)
    busy = sample_scene(torch.arange(32) % len(GESTURES), num_frames=20, generator=5)
    path = [scene.solids.end[:, :, 1].diff(dim=1).norm(dim=-1).sum(1).median() for scene in (idle, busy)]
    assert path[0] < 0.35 * path[1]


def class_index_of(name: str) -> int:
    return CLASSES.index(name)
