"""The operations on whole frames: what they compute, their gradients, and the layout of what they return."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import gesture_zoo
from gesture_zoo.layers import kernels as kernels_module
from gesture_zoo.layers import pooled, processor
from gesture_zoo.layers.kernels import (
    scale_backward,
    scale_backward_,
    scale_frames,
    shift_channels,
    shifted_in_parts,
)
from gesture_zoo.layers.pooled import (
    border_means,
    channel_mean,
    conv_of_means,
    means_before_and_after,
    spatial_mean,
)
from gesture_zoo.layers.time_filter import filter_time

N, T, C, H, W = 2, 4, 5, 2, 3


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)


CLIPS, WEIGHT = random(N, T, C, H, W), random(C, 1, 3, seed=1)
CHANNEL, PLACE = random(N, T, C, 1, 1, seed=2), random(N, T, 1, H, W, seed=3)
KERNELS: dict[str, tuple[Callable[..., Tensor], tuple[Tensor, ...]]] = {
    "shift": (lambda clips: shift_channels(clips, 1, 2), (CLIPS,)),
    "filter": (filter_time, (CLIPS, WEIGHT)),
    "scale": (scale_frames, (CLIPS, CHANNEL, PLACE)),
}
kernels = pytest.mark.parametrize("name", KERNELS)


def test_the_filter_is_a_depthwise_convolution_along_time() -> None:
    lines = CLIPS.permute(0, 3, 4, 2, 1).reshape(-1, C, T)
    expected = F.conv1d(lines, WEIGHT, padding=1, groups=C).view(N, H, W, C, T).permute(0, 4, 3, 1, 2)
    torch.testing.assert_close(filter_time(CLIPS, WEIGHT), expected)


@pytest.mark.parametrize("few", [1, 2, 3, T])
@pytest.mark.parametrize(("ahead", "behind"), [(1, 2), (0, 2), (2, 0), (0, 0), (2, 3)])
@pytest.mark.parametrize("frames", [1, T])
def test_frames_are_shifted_a_few_at_a_time(
    few: int, ahead: int, behind: int, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels_module, "_FEW_NUMBERS", few * C * H * W)
    clips = CLIPS.detach()[:, :frames]
    parts = [part.clone() for part in shifted_in_parts(clips, ahead, behind)]
    assert max(len(part) for part in parts) == min(few, frames)
    torch.testing.assert_close(torch.cat(parts), shift_channels(clips, ahead, behind).flatten(0, 1))


@pytest.mark.parametrize("lags", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("first", [-2, -1, 0])
def test_a_filter_in_channels_last_is_the_same(
    first: int, dtype: torch.dtype, lags: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of bfloat16 oneDNN convolves there, if it can, and where products lag of float32; autocast changes no type."""
    monkeypatch.setattr(processor, "LAGS_IN_PRODUCTS", lags)
    frames = CLIPS.detach().to(dtype).flatten(0, 1).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu"):
        found = filter_time(frames.unflatten(0, (N, T)), WEIGHT, first)
    assert found.dtype == dtype and found.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
    limits = {torch.float32: 1e-5, torch.bfloat16: 0.05}
    expected = filter_time(CLIPS.detach(), WEIGHT, first)
    torch.testing.assert_close(found.double(), expected, rtol=limits[dtype], atol=limits[dtype])


@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last])
def test_means_of_bfloat16_are_taken_in_float32(format: torch.memory_format) -> None:
    maps = torch.rand(2 * 3, 40, 9, 8, generator=torch.Generator().manual_seed(0)) + 100
    clips = maps.bfloat16().contiguous(memory_format=format).unflatten(0, (2, 3))
    exact = clips.double()
    torch.testing.assert_close(spatial_mean(clips).double(), exact.mean((3, 4), keepdim=True), rtol=1e-6, atol=0)
    rounding = torch.finfo(torch.bfloat16).eps
    torch.testing.assert_close(channel_mean(clips).double(), exact.mean(2, keepdim=True), rtol=rounding, atol=0)


def test_a_shift_is_a_filter_with_ones() -> None:
    weight = torch.zeros(C, 1, 3, dtype=torch.float64)
    weight[0, 0, 2] = weight[1:3, 0, 0] = weight[3:, 0, 1] = 1
    assert torch.equal(shift_channels(CLIPS, 1, 2), filter_time(CLIPS, weight))


def test_the_scale_is_a_sum_of_two_gains() -> None:
    torch.testing.assert_close(scale_frames(CLIPS, CHANNEL, PLACE), CLIPS * (CHANNEL + PLACE))


@kernels
def test_gradients(name: str) -> None:
    run, inputs = KERNELS[name]
    assert gradcheck(run, inputs) and gradgradcheck(run, inputs)


@kernels
def test_only_what_needs_a_gradient_gets_one(name: str) -> None:
    run, inputs = KERNELS[name]
    for which in range(len(inputs)):
        alone = [value.detach().requires_grad_(place == which) for place, value in enumerate(inputs)]
        run(*alone).sum().backward()
        whole = [value.detach().requires_grad_() for value in inputs]
        run(*whole).sum().backward()
        torch.testing.assert_close(alone[which].grad, whole[which].grad)
        assert all(value.grad is None for place, value in enumerate(alone) if place != which)


@kernels
@pytest.mark.parametrize("frames", [1, T])
def test_a_traced_graph_computes_the_same(name: str, frames: int) -> None:
    run, inputs = KERNELS[name]
    inputs = tuple(value.detach()[:, :frames] if value.dim() == 5 else value.detach() for value in inputs)
    compiled = torch.compile(run, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(*inputs), run(*inputs))


@kernels
def test_a_compiled_graph_has_the_same_gradients(name: str) -> None:
    run, inputs = KERNELS[name]
    grads = []
    for call in (run, torch.compile(run, backend="aot_eager", fullgraph=True)):
        values = [value.detach().requires_grad_() for value in inputs]
        grads.append(torch.autograd.grad(call(*values).square().sum(), values))
    torch.testing.assert_close(*grads)


def test_the_operator_keeps_the_rules_of_a_compiler() -> None:
    frames = torch.randn(2 * T, 4, 3, 2, requires_grad=True)
    torch.library.opcheck(kernels_module._shift, (frames, 1, 2, False, False, T))


@kernels
def test_exported_graphs_have_no_operators_of_ours(name: str) -> None:
    run, inputs = KERNELS[name]

    class Net(torch.nn.Module):
        def forward(self, *values: torch.Tensor) -> torch.Tensor:
            return run(*values)

    graph = torch.export.export(Net(), tuple(value.detach() for value in inputs)).graph
    assert not any("gesture_zoo" in str(node.target) for node in graph.nodes)


@kernels
@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last])
def test_the_layout_stays(name: str, format: torch.memory_format) -> None:
    run, (clips, *others) = KERNELS[name]
    frames = clips.detach().flatten(0, 1).contiguous(memory_format=format).requires_grad_()
    out = run(frames.unflatten(0, (N, T)), *others)
    assert out.flatten(0, 1).is_contiguous(memory_format=format)
    torch.testing.assert_close(out, run(clips, *others))
    torch.autograd.grad(out.sum(), frames)


@kernels
@pytest.mark.parametrize("frames", [1, 2, T])
@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last])
def test_all_frames_at_once_give_the_same(
    name: str, frames: int, format: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few numbers are taken at once, as all are on a GPU; of many, frame after frame."""
    run, inputs = KERNELS[name]
    answers = []
    for few in (0, 10**6):
        monkeypatch.setattr(kernels_module, "_FEW_NUMBERS", few)
        clips = inputs[0].detach()[:, :frames].flatten(0, 1).contiguous(memory_format=format).unflatten(0, (N, -1))
        others = [value.detach()[:, :frames] if value.dim() == 5 else value.detach() for value in inputs[1:]]
        values = [value.requires_grad_() for value in (clips, *others)]
        out = run(*values)
        answers.append((out.detach(), *torch.autograd.grad(out.square().sum(), values)))
    torch.testing.assert_close(*answers)


@kernels
def test_half_precision_stays(name: str) -> None:
    run, inputs = KERNELS[name]
    halves = [value.detach().bfloat16() for value in inputs]
    out = run(*halves)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.double(), run(*inputs), rtol=0.05, atol=0.1)
    if name == "filter":
        assert filter_time(halves[0], WEIGHT).dtype == torch.bfloat16, "as under autocast, where weights are float32"


def test_the_scale_is_undone_in_place_all_frames_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    grad, *inputs = (value.detach() for value in (random(N, T, C, H, W, seed=4), CLIPS, CHANNEL, PLACE))
    expected = scale_backward(grad, *inputs)
    torch.testing.assert_close(scale_backward_(grad.clone(), *inputs), expected)
    monkeypatch.setattr(kernels_module, "in_turns", lambda clips, count, buffered: [slice(0, count)])
    torch.testing.assert_close(scale_backward_(grad.clone(), *inputs), expected)


@pytest.mark.parametrize("name", ["tsm_test_resnet", "action_test_resnet", "me_test_resnet"])
def test_networks_keep_channels_last_and_agree(name: str) -> None:
    torch.manual_seed(0)
    model = gesture_zoo.create_model(name, num_classes=3).double().train()
    last = gesture_zoo.create_model(name, num_classes=3).double().train()
    last.load_state_dict(model.state_dict())
    last = last.to(memory_format=torch.channels_last)
    clip = torch.rand(2, 8, 3, 32, 32, dtype=torch.float64)
    for network in (model, last):
        network(clip).square().sum().backward()
    for (key, a), (_, b) in zip(model.named_parameters(), last.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize("size", [(5, 6), (1, 4), (4, 1), (1, 1), (2, 2), (3, 3)])
@pytest.mark.parametrize("affine", [True, False])
def test_means_of_convolutions_without_the_maps(size: tuple[int, int], affine: bool) -> None:
    torch.manual_seed(0)
    squeeze = torch.nn.Conv2d(8, 3, 1, bias=not affine)
    norm = torch.nn.BatchNorm2d(3, affine=affine)
    conv = torch.nn.Conv2d(3, 3, 3, padding=1, groups=3, bias=False)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    parts = torch.nn.ModuleList([squeeze, norm, conv]).double()
    x = torch.randn(2, 8, *size, dtype=torch.float64, requires_grad=True)
    for training in (False, True):
        parts.train(training)
        before, after = means_before_and_after(x, squeeze, norm, conv)
        maps = norm(squeeze(x))
        torch.testing.assert_close(before, maps.mean((2, 3), keepdim=True))
        torch.testing.assert_close(after, conv(maps).mean((2, 3), keepdim=True))
    parts.eval()
    assert gradcheck(lambda x: means_before_and_after(x, squeeze, norm, conv), (x,))


@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last])
def test_both_ways_to_means_of_borders(format: torch.memory_format, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(2, 4, 5, 6, dtype=torch.float64).to(memory_format=format)
    by_product = border_means(x)
    monkeypatch.setattr(pooled, "_MOST_PIXELS", 0)
    torch.testing.assert_close(border_means(x), by_product)


def test_a_convolution_of_means_is_called_where_somebody_watches() -> None:
    net, means, calls = torch.nn.Conv2d(4, 2, 1), torch.randn(3, 4, 1, 1), []
    torch.testing.assert_close(conv_of_means(net, means), net(means))
    net.register_forward_hook(lambda *_: calls.append(1))
    conv_of_means(net, means)
    assert calls == [1]
