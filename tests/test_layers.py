"""Temporal modules against plain versions of their formulas, written here a second time, slowly."""

from __future__ import annotations

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from gesture_zoo.errors import ModelError
from gesture_zoo.layers import (
    Action,
    MotionExcitation,
    TEABlock,
    TemporalConv,
    TemporalShift,
    insert_temporal,
    insertion_points,
)

N, T, C, H, W = 2, 4, 32, 5, 6


@pytest.fixture
def frames() -> Tensor:
    return torch.randn(N * T, C, H, W, dtype=torch.float64)


def clips(frames: Tensor) -> Tensor:
    return frames.view(N, T, *frames.shape[1:])


def test_temporal_shift_moves_an_eighth_each_way(frames: Tensor) -> None:
    x = clips(frames)
    expected = x.clone()
    for t in range(T):
        for c in range(C // 8):
            expected[:, t, c] = x[:, t + 1, c] if t + 1 < T else 0
        for c in range(C // 8, C // 4):
            expected[:, t, c] = x[:, t - 1, c] if t > 0 else 0
    shifted = clips(TemporalShift(nn.Identity(), T)(frames))
    assert torch.equal(shifted, expected)


def test_causal_shift_takes_from_the_past_only(frames: Tensor) -> None:
    x = clips(frames)
    expected = x.clone()
    for t in range(T):
        for c in range(C // 8):
            expected[:, t, c] = x[:, t - 1, c] if t > 0 else 0
    assert torch.equal(clips(TemporalShift(nn.Identity(), T, causal=True)(frames)), expected)


def test_temporal_conv_is_a_depthwise_conv1d(frames: Tensor) -> None:
    layer = TemporalConv(C, T).double()
    assert torch.equal(layer(frames), frames), "it starts as the identity"
    nn.init.normal_(layer.conv.weight)
    lines = clips(frames).permute(0, 3, 4, 2, 1).reshape(-1, C, T)
    expected = layer.conv(lines).view(N, H, W, C, T).permute(0, 4, 3, 1, 2)
    torch.testing.assert_close(clips(layer(frames)), expected)


def test_last_temporal_conv_starts_as_a_shift_by_halves(frames: Tensor) -> None:
    shifted, x = clips(TemporalConv(C, T, shift=True).double()(frames)), clips(frames)
    assert torch.equal(shifted[:, :-1, : C // 2], x[:, 1:, : C // 2])
    assert torch.equal(shifted[:, 1:, C // 2 :], x[:, :-1, C // 2 :])


def test_motion_excitation_formula(frames: Tensor) -> None:
    layer = MotionExcitation(C, T).double().eval()
    squeezed = layer.bn1(layer.conv1(frames))
    moved = torch.zeros(N, T, squeezed.shape[1], H, W, dtype=torch.float64)
    moved[:, :-1] = clips(layer.conv2(squeezed))[:, 1:] - clips(squeezed)[:, :-1]
    attention = layer.bn3(layer.conv3(moved.flatten(0, 1).mean((2, 3), keepdim=True))).sigmoid() - 0.5
    torch.testing.assert_close(layer(frames), frames + frames * attention)


def test_action_formula(frames: Tensor) -> None:
    layer = Action(nn.Conv2d(C, 8, 1), T).double().eval()
    nn.init.normal_(layer.action_shift.weight)
    lines = clips(frames).permute(0, 3, 4, 2, 1).reshape(-1, C, T)
    x = layer.action_shift(lines).view(N, H, W, C, T).permute(0, 4, 3, 1, 2)

    s1 = layer.action_p1_conv1(x.mean(2)[:, None])[:, 0, :, None].sigmoid()

    pooled = layer.action_p2_squeeze(x.flatten(0, 1)).mean((2, 3)).view(N, T, -1)
    course = F.relu(layer.action_p2_conv1(pooled.transpose(1, 2))).transpose(1, 2)
    s2 = layer.action_p2_expand(course.reshape(N * T, -1, 1, 1)).view(N, T, C, 1, 1).sigmoid()

    squeezed = layer.action_p3_bn1(layer.action_p3_squeeze(x.flatten(0, 1)))
    moved = clips(layer.action_p3_conv1(squeezed))[:, 1:] - clips(squeezed)[:, :-1]
    moved = torch.cat((moved, torch.zeros_like(moved[:, :1])), 1).flatten(0, 1).mean((2, 3), keepdim=True)
    s3 = layer.action_p3_expand(moved).view(N, T, C, 1, 1).sigmoid()

    expected = layer.net(((x * s1 + x) + (x * s2 + x) + (x * s3 + x)).flatten(0, 1))
    torch.testing.assert_close(layer(frames), expected)


@pytest.mark.parametrize("make", [lambda: Action(nn.Conv2d(16, 2, 1), 3), lambda: MotionExcitation(16, 3)])
def test_gradients(make) -> None:
    layer = make().double().eval()
    frames = torch.randn(3, 16, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (frames,))


def test_fresh_tea_block_differs_from_res2net_only_by_its_last_shift() -> None:
    """With identity convolutions throughout and ME at its neutral point, TEA is Res2Net."""
    block = timm.create_model("res2net50_26w_4s").layer1[1].eval()
    frames = torch.randn(4, 256, 6, 6)
    with torch.no_grad():
        expected = block(frames)
        tea = TEABlock(block, 2).eval()
        tea.shifts[-1].conv.weight.copy_(tea.shifts[0].conv.weight)
        tea.me.bn3.weight.zero_()
        torch.testing.assert_close(tea(frames), expected)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("resnet18", 8),
        ("resnet50", 16),
        ("resnet101", 18),  # every second of its 33 blocks
        ("res2net50_26w_4s", 16),
        ("mobilenetv2_100", 10),
        ("mobilenetv3_large_100", 9),
        ("efficientnet_b0", 9),
        ("regnetx_002", 13),
    ],
)
def test_insertion_points_of_timm_models(name: str, count: int) -> None:
    assert len(insertion_points(timm.create_model(name))) == count


@pytest.mark.parametrize(("name", "count"), [("resnet50", 16), ("mobilenet_v2", 10)])
def test_insertion_points_of_torchvision_models(name: str, count: int) -> None:
    assert len(insertion_points(torchvision.models.get_model(name))) == count


def test_insertion_errors() -> None:
    with pytest.raises(ModelError, match="unknown temporal module 'x'; choose one of tsn, tsm, tea, me, action"):
        insert_temporal(nn.Sequential(nn.Conv2d(3, 4, 1)), "x", 8)
    with pytest.raises(ModelError, match="'tsm' found no place in Sequential"):
        insert_temporal(nn.Sequential(nn.Conv2d(3, 4, 1)), "tsm", 8)
    with pytest.raises(ModelError, match="Res2Net"):
        insert_temporal(timm.create_model("resnet18"), "tea", 8)
    with pytest.raises(ModelError, match="has temporal modules already"):
        insert_temporal(insert_temporal(timm.create_model("resnet18"), "tsm", 8), "action", 8)
    with pytest.raises(TypeError, match="shift_div"):
        insert_temporal(timm.create_model("resnet18"), "tsn", 8, shift_div=4)


def test_action_survives_channels_last_and_other_conversions(frames: Tensor) -> None:
    layer = Action(nn.Conv2d(C, 8, 1), T).eval()
    expected = layer(frames.float())
    layer.to(memory_format=torch.channels_last)
    assert layer.action_p1_conv1.weight.shape == (1, 1, 3, 3, 3)
    torch.testing.assert_close(layer(frames.float().to(memory_format=torch.channels_last)), expected)
    assert layer.double().half().action_p1_conv1.weight.dtype == torch.float16
