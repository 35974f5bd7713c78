"""1x1 convolutions as products: the answers and gradients of the convolution, of what is never made."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from compilers import for_compilers
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from gesture_zoo.layers import pointwise, processor, products
from gesture_zoo.layers.kernels import scale_frames, shift_channels
from gesture_zoo.layers.recompute import conv_of_scaled, conv_of_shifted

N, T, C, OUT, H, W = 2, 3, 6, 4, 3, 2
SETTINGS = ((1, 1), (0, 0), (1, 1), 1)
layouts = pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])
biases = pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def clips_of(last: bool, frames: int = T) -> Tensor:
    kind = torch.channels_last if last else torch.contiguous_format
    return random(N * frames, C, H, W, seed=0).contiguous(memory_format=kind).unflatten(0, (N, frames))


CHANNEL, PLACE = random(N, T, C, 1, 1, seed=1), random(N, T, 1, H, W, seed=2)


@pytest.fixture(autouse=True)
def _small_frames_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pointwise, "_FEWEST_PIXELS", 1)
    monkeypatch.setattr(pointwise, "_NUMBERS_AT_ONCE", 2 * C * H * W)  # two frames a turn, one left over


def convolution(bias: bool) -> nn.Conv2d:
    torch.manual_seed(3)
    return nn.Conv2d(C, OUT, 1, bias=bias).double()


def shifted(net: nn.Conv2d, clips: Tensor) -> Tensor:
    return conv_of_shifted(net, clips, 1, 2)


def plainly_shifted(net: nn.Conv2d, clips: Tensor) -> Tensor:
    return F.conv2d(shift_channels(clips, 1, 2).flatten(0, 1), net.weight, net.bias)


def scaled(net: nn.Conv2d, clips: Tensor, channel: Tensor, place: Tensor) -> Tensor:
    return conv_of_scaled(net, clips, channel, place, torch.neg, -clips)


def plainly_scaled(net: nn.Conv2d, clips: Tensor, channel: Tensor, place: Tensor) -> Tensor:
    return F.conv2d(scale_frames(clips, channel, place).flatten(0, 1), net.weight, net.bias)


WAYS: dict[str, tuple[Any, Any, tuple[Tensor, ...]]] = {
    "shifted": (shifted, plainly_shifted, ()),
    "scaled": (scaled, plainly_scaled, (CHANNEL, PLACE)),
}
ways = pytest.mark.parametrize("way", WAYS)


@ways
@layouts
@biases
def test_the_answers_and_gradients_are_those_of_the_convolution(way: str, last: bool, bias: bool) -> None:
    found = []
    for call in WAYS[way][:2]:
        net = convolution(bias)
        tensors = [tensor.clone().requires_grad_() for tensor in (clips_of(last), *WAYS[way][2])]
        answer = call(net, *tensors)
        answer.square().sum().backward()
        found.append([answer, *(tensor.grad for tensor in (*tensors, *net.parameters()))])
    torch.testing.assert_close(*found)
    assert found[0][0].stride() == found[1][0].stride()


@ways
@layouts
def test_derivatives_of_both_orders(way: str, last: bool) -> None:
    net, run = convolution(bias=True), WAYS[way][0]
    tensors = [tensor.clone().requires_grad_() for tensor in (clips_of(last), *WAYS[way][2])]
    assert gradcheck(lambda *given: run(net, *given), tensors)
    assert gradgradcheck(lambda *given: run(net, *given), tensors)


@ways
@layouts
@biases
def test_without_gradients(way: str, last: bool, bias: bool) -> None:
    run, plain, others = WAYS[way]
    with torch.no_grad():
        expected = plain(convolution(bias), clips_of(last), *others)
        torch.testing.assert_close(run(convolution(bias), clips_of(last), *others), expected)


@layouts
def test_a_clip_of_one_frame_has_no_neighbours(last: bool) -> None:
    net, clips = convolution(bias=False), clips_of(last, frames=1).requires_grad_()
    answer = shifted(net, clips)
    torch.testing.assert_close(answer, plainly_shifted(net, clips))
    answer.sum().backward()
    assert clips.grad is not None and not clips.grad[:, :, :3].any() and clips.grad[:, :, 3:].any()


@layouts
def test_only_what_needs_a_gradient_gets_one(last: bool) -> None:
    net, clips = convolution(bias=True).requires_grad_(False), clips_of(last).requires_grad_()
    shifted(net, clips).sum().backward()
    assert clips.grad is not None and net.weight.grad is None
    net, clips = convolution(bias=True), clips_of(last)
    shifted(net, clips).sum().backward()
    assert clips.grad is None and net.weight.grad is not None


def test_what_is_no_product() -> None:
    weight, clips = torch.zeros(OUT, C, 1, 1).double(), clips_of(last=True)
    assert pointwise.is_product(clips, weight, SETTINGS)
    assert not pointwise.is_product(clips, weight, ((2, 2), (0, 0), (1, 1), 1))
    assert not pointwise.is_product(clips, torch.zeros(OUT, C, 3, 3).double(), SETTINGS)
    assert not pointwise.is_product(clips, weight.float(), SETTINGS)
    assert not pointwise.is_product(clips[:, :, :, ::2], weight, SETTINGS)
    with torch.autocast("cpu"):
        assert not pointwise.is_product(clips, weight, SETTINGS)


@for_compilers
@pytest.mark.parametrize("lags", [False, True])
def test_no_products_of_single_precision_where_convolutions_are_quicker(
    monkeypatch: pytest.MonkeyPatch, lags: bool
) -> None:
    monkeypatch.setattr(processor, "LAGS_IN_PRODUCTS", lags)
    net, clips = convolution(bias=False), clips_of(last=True)
    assert pointwise.is_product(clips, net.weight, SETTINGS), "of double precision PyTorch has no quick convolution"
    net, clips = net.float(), clips.float()
    assert pointwise.is_product(clips, net.weight, SETTINGS) is not lags

    targets = []

    def look(graph: torch.fx.GraphModule, _: Any) -> Any:
        targets.extend(str(node.target) for node in graph.graph.nodes)
        return graph

    torch.compile(shifted, backend=look, fullgraph=True)(net, clips)
    assert any("conv_of_shifted" in target for target in targets) is not lags


def frames_of(*shape: int, seed: int = 0) -> Tensor:
    return random(*shape, seed=seed).float().contiguous(memory_format=torch.channels_last).requires_grad_()


@pytest.mark.parametrize("name", ["of_shifted", "by_shifted"])
def test_operators_keep_the_rules_of_a_compiler(name: str) -> None:
    frames, grad = frames_of(N * T, C, H, W), frames_of(N * T, OUT, H, W, seed=1).detach()
    weight, bias = random(OUT, C, 1, 1, seed=2).float().requires_grad_(), random(OUT, seed=3).float().requires_grad_()
    examples: dict[str, tuple[Any, ...]] = {
        "of_shifted": (frames, weight, bias, 1, 2, T),
        "by_shifted": (grad, frames.detach(), weight.detach(), 1, 2, T),
    }
    torch.library.opcheck(getattr(products, name), examples[name])


@ways
@biases
def test_compiled(way: str, bias: bool) -> None:
    run, plain, others = WAYS[way]
    found = []
    for call in (plain, torch.compile(run, backend="aot_eager", fullgraph=True)):
        net = convolution(bias).float()
        tensors = [tensor.float().requires_grad_() for tensor in (clips_of(last=True), *others)]
        answer = call(net, *tensors)
        answer.square().sum().backward()
        found.append([answer, *(tensor.grad for tensor in (*tensors, *net.parameters()))])
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)
