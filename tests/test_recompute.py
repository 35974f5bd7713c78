"""Convolutions of what temporal modules make: the same answers and gradients as the plain way, with less kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from compilers import for_compilers
from functorch.compile import make_boxed_func, min_cut_rematerialization_partition
from torch import Tensor, nn
from torch._dynamo.backends.common import aot_autograd
from torch.autograd import gradcheck, gradgradcheck

import gesture_zoo
from gesture_zoo.layers import action, kernels, pointwise, pooled, processor, recompute, summaries, time_filter
from gesture_zoo.layers.action import Action
from gesture_zoo.layers.kernels import scale_frames
from gesture_zoo.layers.operators import is_compiled
from gesture_zoo.layers.recompute import conv_of, conv_of_scaled
from gesture_zoo.layers.summaries import filter_and_summarise
from gesture_zoo.layers.tea import TEABlock, TemporalConv
from gesture_zoo.layers.temporal_shift import TemporalShift
from gesture_zoo.layers.time_filter import filter_time, filter_time_back_

N, T, C, H, W = 2, 3, 4, 2, 3


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)


CLIPS, TAPS = random(N, T, C, H, W), random(C, 1, 3, seed=1)
CHANNEL, PLACE = random(N, T, C, 1, 1, seed=2), random(N, T, 1, H, W, seed=3)
WEIGHT, BIAS, SQUEEZE = random(5, C, 1, 1, seed=4), random(5, seed=5), random(2, C, 1, 1, seed=6)


def convolution(weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """A convolution with these very tensors for parameters, so that gradients reach them."""
    made = nn.Conv2d(C, len(weight), 1, bias=bias is not None)
    del made.weight, made.bias
    made.weight, made.bias = weight, bias  # type: ignore[assignment]
    return made


def of(clips: Tensor, taps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    def again(clips: Tensor, taps: Tensor) -> Tensor:
        return filter_time(clips, taps).flatten(0, 1)

    return conv_of(convolution(weight, bias), again(clips, taps), again, clips, taps)


def of_scaled(clips: Tensor, taps: Tensor, channel: Tensor, place: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    made = filter_time(clips, taps)
    return conv_of_scaled(convolution(weight, bias), made, channel, place, filter_time, clips, taps)


def of_summaries(clips: Tensor, taps: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    return filter_and_summarise(convolution(weight, None), clips, taps, -1, filter_time)


def plain_of(clips: Tensor, taps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.conv2d(filter_time(clips, taps).flatten(0, 1), weight, bias)


def plain_of_scaled(
    clips: Tensor, taps: Tensor, channel: Tensor, place: Tensor, weight: Tensor, bias: Tensor
) -> Tensor:
    scaled = scale_frames(filter_time(clips, taps), channel, place)
    return torch.conv2d(scaled.flatten(0, 1), weight, bias)


def plain_summaries(clips: Tensor, taps: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    made = filter_time(clips, taps)
    return made, torch.conv2d(made.flatten(0, 1), weight), made.mean(2, keepdim=True), made.mean((3, 4), keepdim=True)


CASES: dict[str, tuple[Callable[..., object], Callable[..., object], tuple[Tensor, ...]]] = {
    "of": (of, plain_of, (CLIPS, TAPS, WEIGHT, BIAS)),
    "of scaled": (of_scaled, plain_of_scaled, (CLIPS, TAPS, CHANNEL, PLACE, WEIGHT, BIAS)),
    "summaries": (of_summaries, plain_summaries, (CLIPS, TAPS, SQUEEZE)),
}
cases = pytest.mark.parametrize("name", CASES)
formats = pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels_last"])


def in_format(inputs: tuple[Tensor, ...], last: bool) -> tuple[Tensor, ...]:
    clips, *others = inputs
    format = torch.channels_last if last else torch.contiguous_format
    frames = clips.detach().flatten(0, 1).contiguous(memory_format=format)
    return (frames.unflatten(0, (N, T)).requires_grad_(), *others)


@pytest.fixture(params=[False, True], ids=["products", "convolutions"])
def ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a processor is quickest at: in channels_last oneDNN filters and squeezes there."""
    for module in (summaries, time_filter):
        monkeypatch.setattr(module, "is_quickest_to_convolve", lambda _: request.param)


both_ways = pytest.mark.usefixtures("ways")


@cases
@formats
@both_ways
def test_answers_are_those_of_the_plain_way(name: str, last: bool) -> None:
    run, plain, inputs = CASES[name]
    torch.testing.assert_close(run(*in_format(inputs, last)), plain(*inputs))


@cases
@formats
@both_ways
def test_gradients(name: str, last: bool) -> None:
    run, _, inputs = CASES[name]
    assert gradcheck(run, in_format(inputs, last))


@formats
@both_ways
@pytest.mark.parametrize("first", [-2, -1, 0])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_gradients_go_back_through_the_filter_frame_by_frame(
    frames: int, first: int, last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of clips of many numbers: in the memory of the gradient by the filtered ones."""
    monkeypatch.setattr(kernels, "_FEW_NUMBERS", 0)
    format = torch.channels_last if last else torch.contiguous_format
    clips = random(N * frames, C, H, W)
    clips = clips.detach().contiguous(memory_format=format).unflatten(0, (N, frames)).requires_grad_()
    again = partial(filter_time, first=first)
    found = filter_and_summarise(convolution(SQUEEZE, None), clips, TAPS, first, again)
    made = again(clips, TAPS)
    squeezed = torch.conv2d(made.flatten(0, 1), SQUEEZE)
    expected = made, squeezed, made.mean(2, keepdim=True), made.mean((3, 4), keepdim=True)
    loss, plain = (
        sum((part.sin() * torch.linspace(-1, 2, part.numel()).view_as(part)).sum() for part in parts)
        for parts in (found, expected)
    )
    inputs = clips, TAPS, SQUEEZE
    torch.testing.assert_close(torch.autograd.grad(loss, inputs), torch.autograd.grad(plain, inputs))


@cases
@formats
@both_ways
@pytest.mark.parametrize("few", [0, 10**6])
def test_second_derivatives(name: str, last: bool, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_FEW_NUMBERS", few)
    run, _, inputs = CASES[name]
    assert gradgradcheck(run, in_format(inputs, last))


def test_second_derivatives_do_not_take_what_a_first_pass_left() -> None:
    found = []
    for passes in (1, 2):
        torch.manual_seed(0)
        module = Action(nn.Conv2d(8, 4, 1), 4).double()
        x = torch.randn(4, 8, 5, 5, dtype=torch.float64, requires_grad=True)
        inputs = x, *module.parameters()
        loss = module(x).square().sum()
        for _ in range(passes - 1):
            torch.autograd.grad(loss, module.net.weight, retain_graph=True)  # it makes the clips again, for two
        first = torch.autograd.grad(loss, inputs, create_graph=True)
        found.append(torch.autograd.grad(sum(grad.sin().sum() for grad in first), inputs))
    torch.testing.assert_close(*found)


@formats
def test_a_gradient_goes_back_through_the_filter_in_its_own_memory(last: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_FEW_NUMBERS", 0)
    clips, taps = (value.detach() for value in in_format((CLIPS, TAPS), last))
    grad, spread = clips.clone(), CHANNEL.detach()
    with torch.no_grad():
        by_clips, by_taps = filter_time_back_(grad, clips, taps, -1, spread)
        assert by_clips is not None and by_clips.data_ptr() == grad.data_ptr()
        assert filter_time_back_(grad, clips, taps, -1, spread, (False, False)) == (None, None)
    assert by_taps is not None and by_taps.shape == taps.shape


@cases
def test_only_what_needs_a_gradient_gets_one(name: str) -> None:
    run, plain, inputs = CASES[name]
    for which in range(len(inputs)):
        found = []
        for way in (run, plain):
            alone = [value.detach().requires_grad_(place == which) for place, value in enumerate(inputs)]
            answer = way(*alone)
            parts = answer if isinstance(answer, tuple) else (answer,)
            sum(part.square().sum() for part in parts).backward()  # type: ignore[union-attr]
            assert all(value.grad is None for place, value in enumerate(alone) if place != which)
            found.append(alone[which].grad)
        torch.testing.assert_close(*found)


def kept_by(module: nn.Module, frames: Tensor) -> list[Tensor]:
    """What is kept for the backward pass, without parameters and without the module's own input, once each."""
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        module(frames)
    own = {tensor.untyped_storage().data_ptr() for tensor in (frames, *module.parameters(), *module.buffers())}
    return [tensor for place, tensor in kept.items() if place not in own]


@pytest.mark.parametrize("module", [TemporalShift, Action])
def test_nothing_of_the_size_of_the_frames_is_kept(module: type) -> None:
    frames = torch.randn(8, 64, 9, 9, requires_grad=True)
    biggest = max((tensor.numel() for tensor in kept_by(module(nn.Conv2d(64, 8, 1)), frames)), default=0)
    assert biggest <= frames.numel() / 8


def test_nothing_of_their_size_is_kept_where_only_the_shift_learns() -> None:
    module, frames = Action(nn.Conv2d(64, 8, 1)), torch.randn(8, 64, 9, 9)
    module.action_p3_squeeze.requires_grad_(False)
    assert max(tensor.numel() for tensor in kept_by(module, frames)) <= frames.numel() / 8


def kept_if_compiled(call: Callable[[Tensor], Tensor], frames: Tensor) -> list[Tensor]:
    """What a compiled model's backward pass gets from the forward pass, and the answer."""
    kept: list[Tensor] = []

    def look(graph: torch.fx.GraphModule, _: Any) -> Any:
        kept.extend(node.meta["val"] for node in graph.graph.output_node().all_input_nodes)
        return make_boxed_func(graph)

    backend = aot_autograd(
        fw_compiler=look,
        bw_compiler=lambda graph, _: make_boxed_func(graph),
        partition_fn=min_cut_rematerialization_partition,
    )
    torch.compile(call, backend=backend, fullgraph=True)(frames).sum().backward()
    return kept


@for_compilers
@pytest.mark.parametrize("for_cpu", [True, False])
@pytest.mark.parametrize("lags", [True, False])
@pytest.mark.parametrize("kind", [TemporalShift, Action, TemporalConv])
def test_nothing_of_their_size_is_kept_if_compiled(
    kind: type, for_cpu: bool, lags: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "LAGS_IN_PRODUCTS", lags)
    for module in (kernels, recompute, time_filter, pooled, action):
        monkeypatch.setattr(module, "takes_operators", lambda _: is_compiled() and for_cpu)
    torch.manual_seed(0)
    conv, frames = nn.Conv2d(64, 8, 1), torch.randn(8, 64, 9, 9, requires_grad=True)
    call = partial(TemporalConv(64).before, conv) if kind is TemporalConv else kind(conv)
    found = [torch.autograd.grad(call(frames).square().sum(), frames)[0]]
    sizes = [tensor.numel() for tensor in kept_if_compiled(call, frames)]
    assert sum(size > frames.numel() / 8 for size in sizes) == 1, "the frames, or as many numbers in place of them"
    torch.compiler.reset()
    compiled = torch.compile(call, backend="aot_eager", fullgraph=True)
    found += torch.autograd.grad(compiled(frames).square().sum(), frames)
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 2, 1), (1, 1, 0)])
def test_large_contiguous_frames_come_to_the_convolution_in_parts(
    shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "LAGS_IN_PRODUCTS", True)
    monkeypatch.setattr(pointwise, "_FEWEST_PIXELS", 36)
    torch.manual_seed(0)
    size, stride, padding = shape
    module = TemporalShift(nn.Conv2d(16, 8, size, stride, padding), num_segments=5)
    frames, seen = torch.randn(10, 16, 6, 6), []
    convolve = nn.Conv2d.forward

    def count(self: nn.Conv2d, part: Tensor) -> Tensor:
        seen.append(len(part))
        return convolve(self, part)

    monkeypatch.setattr(nn.Conv2d, "forward", count)
    with torch.no_grad():
        expected = module(frames)
        monkeypatch.setattr(kernels, "_FEW_NUMBERS", 2 * frames[0].numel())
        torch.testing.assert_close(module(frames), expected)
        module(frames.contiguous(memory_format=torch.channels_last))
        module(frames[..., :5])
    assert seen == [10, 2, 2, 1, 2, 2, 1, 10, 10]


def test_compiled_a_shift_that_is_watched_is_called() -> None:
    torch.manual_seed(0)
    module, frames = Action(nn.Conv2d(16, 4, 1), reduction=4), torch.randn(8, 16, 5, 5, requires_grad=True)
    seen: list[int] = []
    module.action_shift.register_forward_hook(lambda *_: seen.append(1))
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(
        *(torch.autograd.grad(call(frames).square().sum(), frames)[0] for call in (module, compiled)),
        rtol=1e-4,
        atol=1e-5,
    )
    assert len(seen) >= 2


@pytest.mark.parametrize("make", [lambda net: TemporalShift(net), lambda net: Action(net)], ids=["tsm", "action"])
@pytest.mark.parametrize("net", ["hooked", "other"])
def test_a_convolution_that_is_watched_or_of_another_kind_is_called(
    make: Callable[[nn.Module], nn.Module], net: str
) -> None:
    class Other(nn.Conv2d):
        pass

    inner = Other(16, 4, 1) if net == "other" else nn.Conv2d(16, 4, 1)
    seen: list[tuple[int, ...]] = []
    if net == "hooked":
        inner.register_forward_hook(lambda module, inputs, output: seen.append(tuple(output.shape)))
    torch.manual_seed(0)
    module = make(inner)
    frames = torch.randn(8, 16, 5, 5, requires_grad=True)
    module(frames).square().sum().backward()
    assert seen == ([(8, 4, 5, 5)] if net == "hooked" else [])

    plain = make(nn.Conv2d(16, 4, 1))
    plain.load_state_dict(module.state_dict())
    again = frames.detach().requires_grad_()
    plain(again).square().sum().backward()
    torch.testing.assert_close(frames.grad, again.grad)


@pytest.mark.parametrize("name", ["tsm_test_resnet", "action_test_resnet", "action_test_resnet_online"])
def test_under_autocast(name: str) -> None:
    torch.manual_seed(0)
    model = gesture_zoo.create_model(name, num_classes=3).train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(torch.rand(1, 8, 3, 32, 32)).float().square().sum()
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


def test_gradient_checkpointing_works_with_it() -> None:
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = gesture_zoo.create_model("action_test_resnet", num_classes=3).double().train()
        model.set_grad_checkpointing(checkpointing)
        model(torch.rand(1, 8, 3, 32, 32, dtype=torch.float64)).square().sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    torch.testing.assert_close(*gradients)


def test_modules_that_are_watched_are_called() -> None:
    model = gesture_zoo.create_model("tea_res2net50_26w_4s", num_classes=2, num_segments=2).train()
    block = next(module for module in model.modules() if isinstance(module, TEABlock))
    seen: list[str] = []
    for name, module in block.named_modules():
        if isinstance(module, TemporalConv):
            module.register_forward_hook(lambda *_, name=name: seen.append(name))
    model(torch.zeros(1, 2, 3, 32, 32))
    assert seen == [f"shifts.{split}" for split in range(4)]

    conv = nn.Conv2d(16, 4, 1)
    conv.forward = lambda frames: frames[:, :4]  # type: ignore[method-assign]
    frames = torch.rand(8, 16, 3, 3, requires_grad=True)
    assert TemporalShift(conv)(frames).shape == (8, 4, 3, 3)


def test_a_traced_causal_filter_of_one_frame() -> None:
    module = TemporalConv(C, 1, causal=True).double()
    nn.init.normal_(module.conv.weight)
    frames = CLIPS.detach().flatten(0, 1)
    torch.testing.assert_close(torch.export.export(module, (frames,)).module()(frames), module(frames))


def test_a_causal_filter_looks_back() -> None:
    module = TemporalConv(C, T, causal=True).double()
    nn.init.normal_(module.conv.weight)
    frames = CLIPS.detach().flatten(0, 1)
    padded = nn.functional.pad(CLIPS.detach(), (0, 0, 0, 0, 0, 0, 2, 0))
    taps = module.conv.weight.detach().squeeze(1).t().view(3, 1, 1, C, 1, 1)
    expected = sum(padded[:, start : start + T] * taps[start] for start in range(3))
    torch.testing.assert_close(module(frames), expected.flatten(0, 1))  # type: ignore[union-attr]


def test_so_do_scaled_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "LAGS_IN_PRODUCTS", True)
    monkeypatch.setattr(pointwise, "_FEWEST_PIXELS", 36)
    torch.manual_seed(0)
    net, seen = nn.Conv2d(16, 8, 3, 2, 1), []
    clips, channel, place = torch.randn(2, 5, 16, 6, 6), torch.rand(2, 5, 16, 1, 1), torch.rand(2, 5, 1, 6, 6)
    with torch.no_grad():
        expected = net(scale_frames(clips, channel, place).flatten(0, 1))
        monkeypatch.setattr(kernels, "_FEW_NUMBERS", 2 * clips[0, 0].numel())
        convolve = nn.Conv2d.forward
        monkeypatch.setattr(nn.Conv2d, "forward", lambda self, part: (seen.append(len(part)), convolve(self, part))[1])
        found = conv_of_scaled(net, clips.clone(), channel, place, filter_time)
    torch.testing.assert_close(found, expected)
    assert seen == [2, 2, 1, 2, 2, 1]


@both_ways
@formats
def test_what_was_squeezed_may_be_changed_in_place(last: bool) -> None:
    torch.manual_seed(0)
    frames = torch.randn(8, 16, 6, 6, dtype=torch.float64)
    frames = frames.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    module, found = Action(nn.Conv2d(16, 8, 1)).double(), []
    for inplace in (False, True):
        module.action_p3_bn1 = nn.ReLU(inplace)  # type: ignore[assignment]
        found.append(torch.autograd.grad(module(frames).square().sum(), list(module.parameters())))
    torch.testing.assert_close(*found)
