"""Filters along time in the form for Inductor: what they answer and their gradients, as of the passes in eager mode."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from compilers import for_compilers
from torch import Tensor, nn
from torch.autograd import gradcheck

from gesture_zoo.layers import Action, TemporalConv
from gesture_zoo.layers.in_passing import correlated, filter_in_passing, rows_of, scale_in_passing
from gesture_zoo.layers.kernels import scale_frames
from gesture_zoo.layers.time_filter import filter_time

N, C, H, W = 2, 6, 3, 4
directions = pytest.mark.parametrize("first", [-1, -2])
lengths = pytest.mark.parametrize("frames", [1, 2, 3, 5])
layouts = pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def clips_and_weight(frames: int, layout: torch.memory_format, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    clips = random(N * frames, C, H, W, dtype=dtype).to(memory_format=layout).unflatten(0, (N, frames))
    return clips.requires_grad_(), random(C, 3, seed=1, dtype=dtype).requires_grad_()


@directions
@lengths
@layouts
def test_the_answer_and_gradients_are_those_of_the_filter(first: int, frames: int, layout: torch.memory_format) -> None:
    clips, weight = clips_and_weight(frames, layout, torch.float32)
    found, expected = filter_in_passing(clips, weight, first), filter_time(clips, weight[:, None], first)
    torch.testing.assert_close(found, expected)
    grads = (torch.autograd.grad(answer.square().sum(), (clips, weight)) for answer in (found, expected))
    torch.testing.assert_close(*grads)


@directions
@lengths
def test_gradients(first: int, frames: int) -> None:
    inputs = clips_and_weight(frames, torch.channels_last, torch.float64)
    assert gradcheck(lambda clips, weight: filter_in_passing(clips, weight, first), inputs)


@layouts
def test_scaled_frames_and_their_gradients(layout: torch.memory_format) -> None:
    clips, _ = clips_and_weight(3, layout, torch.float64)
    gains = random(N, 3, C, 1, 1, dtype=torch.float64), random(N, 3, 1, H, W, seed=1, dtype=torch.float64)
    inputs = (clips, *(gain.requires_grad_() for gain in gains))
    torch.testing.assert_close(scale_in_passing(*inputs), scale_frames(*inputs).flatten(0, 1))
    assert gradcheck(scale_in_passing, inputs)


@for_compilers
@directions
def test_a_compiler_gets_it_as_one_graph_forward_and_backward(first: int) -> None:
    inputs = clips_and_weight(5, torch.channels_last, torch.float64)
    compiled = torch.compile(lambda clips, weight: filter_time(clips, weight[:, None], first), fullgraph=True)
    found, expected = compiled(*inputs), filter_time(inputs[0], inputs[1][:, None], first)
    torch.testing.assert_close(found, expected)
    assert found.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
    grads = (torch.autograd.grad(answer.square().sum(), inputs) for answer in (found, expected))
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("make", [lambda: TemporalConv(C, 5), lambda: Action(nn.Conv2d(C, C, 1), 5, reduction=2)])
def test_an_activation_behind_it_may_work_in_place(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, C, 1), make(), nn.ReLU(inplace=True))
    frames, grads = random(N * 5, 3, H, W), []
    for call in (net, torch.compile(net, backend="aot_eager", fullgraph=True)):
        grads.append(torch.autograd.grad(call(frames).square().sum(), list(net.parameters())))
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-4)


def test_half_precision_is_summed_up_in_single() -> None:
    ones = torch.ones(1, 2, 7, 43, 1, dtype=torch.bfloat16)
    found = correlated(ones, ones, -1)
    assert found.dtype == torch.float32
    assert found.tolist() == [[301.0, 602.0, 301.0]], "bfloat16 has no 301"


@pytest.mark.parametrize("channels", [1, C])
def test_the_operator_keeps_the_rules_of_a_compiler(channels: int) -> None:
    weight = random(channels, 3)
    torch.library.opcheck(rows_of, (weight,))
    assert rows_of(weight).is_contiguous() and torch.equal(rows_of(weight), weight.t())
