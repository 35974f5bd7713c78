"""Temporal modules in networks that are not ours: parts that were replaced or are watched, activations in place,
mixed precision, statistics that are frozen, batches of nothing."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import prune

from gesture_zoo.layers import Action, MotionExcitation, MotionExcitedConv, TemporalConv, TemporalShift
from gesture_zoo.layers.pointwise import conv2d_of_shifted_backward

N, T, C, SIDE = 2, 4, 16, 24  # maps so large that 1x1 convolutions of contiguous ones are products
LAYOUTS = torch.contiguous_format, torch.channels_last
MODULES: dict[str, Callable[[], nn.Module]] = {
    "tsm": lambda: TemporalShift(nn.Conv2d(C, 8, 1), T),
    "action": lambda: Action(nn.Conv2d(C, 8, 1), T),
    "me": lambda: MotionExcitedConv(nn.Conv2d(C, 8, 1), T),
    "mta": lambda: TemporalConv(C, T),
}


def made(name: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return MODULES[name]()


def maps(layout: torch.memory_format = torch.contiguous_format, side: int = SIDE) -> Tensor:
    frames = torch.randn(N * T, C, side, side, generator=torch.Generator().manual_seed(1))
    return frames.to(memory_format=layout).requires_grad_()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MODULES)
def test_an_activation_behind_may_work_in_place(
    name: str, training: bool, layout: torch.memory_format, dtype: torch.dtype
) -> None:
    grads = []
    for inplace in (False, True):
        layer = made(name).train(training).to(memory_format=layout).to(dtype)
        x = maps(layout).detach().to(dtype).requires_grad_()
        F.relu(layer(x), inplace=inplace).square().sum().backward()
        grads.append([x.grad, *(p.grad for p in layer.parameters())])
    torch.testing.assert_close(grads[1], grads[0], rtol=0, atol=0)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MODULES)
def test_autocast_of_single_precision_trains(name: str, training: bool, layout: torch.memory_format) -> None:
    grads = []
    for enabled in (False, True):
        layer, x = made(name).train(training).to(memory_format=layout), maps(layout)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            out = layer(x)
        out.float().square().mean().backward()
        grads.append(torch.cat([p.grad.flatten() for p in layer.parameters() if p.grad is not None]))
    assert F.cosine_similarity(grads[1], grads[0], dim=0) > 0.99


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("name", ["me", "action"])
def test_sums_over_large_maps_are_taken_in_single_precision(name: str, kind: torch.dtype, tolerance: float) -> None:
    """A map of 112 x 112 with a mean of 6 has a sum of 75,000: more than half precision has."""
    layer: Any = MotionExcitation(C, T) if name == "me" else Action(nn.Conv2d(C, 8, 1), T)
    x = maps(side=112).detach() + 6
    with torch.no_grad():
        right = layer.eval()(x)
        with torch.autocast("cpu", kind):
            found = layer(x).float()
    assert (found - right).abs().max() < tolerance * right.abs().max()


@pytest.mark.parametrize("training", [True, False])
def test_what_is_left_of_a_step_holds_no_maps(training: bool) -> None:
    layer, kept = Action(nn.Conv2d(C, C, 1), T).train(training), []
    for _ in range(2):
        loss = layer(maps()).mean()
        loss.backward()
        kept.append(loss)
    gc.collect()
    shape = (N, T, C, SIDE, SIDE)
    assert not [one for one in gc.get_objects() if type(one) is Tensor and one.shape == shape]


def inner(layer: nn.Module) -> list[str]:
    """The convolutions and normalisations in a temporal module but for the wrapped one."""
    kinds = nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.BatchNorm2d
    return [key for key, part in layer.named_modules() if isinstance(part, kinds) and key != "net"]


INNER = [(name, key) for name in ("action", "me", "mta") for key in inner(made(name))]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("name", "key"), INNER)
def test_a_part_that_is_watched_is_called_and_nothing_changes(
    name: str, key: str, training: bool, causal: bool
) -> None:
    layer, x, seen = made(name).train(training), maps(side=6), []
    for part in layer.modules():
        if hasattr(part, "causal"):
            part.causal = causal
    for parameter in layer.parameters():  # some start as zeros and ones
        nn.init.normal_(parameter, 0.5, 0.3, generator=torch.Generator().manual_seed(2))
    before = layer(x)
    layer.get_submodule(key).register_forward_hook(lambda module, args, out: seen.append(out))
    after = layer(x)
    assert len(seen) == 1
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("name", "key"), INNER)
def test_a_part_that_was_replaced_is_used(name: str, key: str, training: bool) -> None:
    class Louder(nn.Module):
        def __init__(self, inside: nn.Module) -> None:
            super().__init__()
            self.inside = inside

        def forward(self, x: Tensor) -> Tensor:
            return self.inside(x) * 5 + 0.5  # type: ignore[no-any-return]

    layer, x = made(name).train(training), maps(side=6)
    before = layer(x)
    layer.set_submodule(key, Louder(layer.get_submodule(key)))
    after = layer(x)
    assert after.shape == before.shape
    if training and key in ("me.conv1", "action_p3_squeeze"):
        return  # BatchNorm behind it takes the difference away again
    assert not torch.allclose(after, before, atol=1e-5)


@pytest.mark.parametrize("name", ["action", "me"])
def test_pruned_convolutions_train(name: str) -> None:
    layer = made(name)
    for part in [part for part in layer.modules() if isinstance(part, (nn.Conv1d, nn.Conv2d, nn.Conv3d))]:
        prune.l1_unstructured(part, "weight", 0.3)  # type: ignore[no-untyped-call]
    for _ in range(2):
        layer(maps(side=6)).sum().backward()


@pytest.mark.parametrize("name", ["action", "me"])
def test_another_normalisation_answers_in_evaluation_too(name: str) -> None:
    layer, key = made(name), {"me": "me.bn1", "action": "action_p3_bn1"}[name]
    layer.set_submodule(key, nn.GroupNorm(1, 1))
    assert not torch.allclose(layer.eval()(maps(side=6)), made(name).eval()(maps(side=6)), atol=1e-3)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", MODULES)
def test_a_batch_of_nothing(name: str, layout: torch.memory_format, kind: torch.dtype) -> None:
    layer = made(name).eval().to(kind)
    x = torch.zeros(0, C, SIDE, SIDE, dtype=kind).to(memory_format=layout)
    with torch.no_grad():
        assert layer(x).shape == (0, C if name == "mta" else 8, SIDE, SIDE)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_half_precision_keeps_what_each_of_many_clips_adds_to_a_gradient(layout: torch.memory_format) -> None:
    # Of the product itself: where a processor has none in bfloat16, TSM leaves the step to PyTorch's convolution.
    frames = torch.rand(128 * T, C, 4, 4, generator=torch.Generator().manual_seed(3)).bfloat16()
    found = []
    for kind in (torch.float64, torch.bfloat16):
        clips = frames.to(kind, memory_format=layout).unflatten(0, (-1, T))
        grad, weight = (
            torch.ones(128 * T, 8, 4, 4, dtype=kind).to(memory_format=layout),
            torch.ones(8, C, 1, 1).to(kind),
        )
        _, by_weight, _ = conv2d_of_shifted_backward(grad, clips, 2, 2, weight, (False, True, False))
        assert by_weight is not None
        found.append(by_weight.double())
    assert (found[1] - found[0]).abs().max() < 4e-3 * found[0].abs().max()  # one rounding


@pytest.mark.parametrize("layout", LAYOUTS)
def test_half_precision_clips_train_a_shift_in_single_precision(layout: torch.memory_format) -> None:
    """As behind a network's own layers under autocast."""
    layer, x = made("action").to(memory_format=layout), maps(layout)
    layer(x).square().mean().backward()
    expected = layer.action_shift.weight.grad
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x.detach().bfloat16().requires_grad_())
    out.float().square().mean().backward()
    found = layer.action_shift.weight.grad
    assert isinstance(expected, Tensor) and isinstance(found, Tensor) and found.dtype == torch.float32
    assert (found - expected).norm() < 0.05 * expected.norm()


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_squeeze_with_a_bias_or_a_wider_kernel_learns(kernel: int) -> None:
    grads = []
    for is_called in (False, True):
        layer, x = made("action"), maps()
        layer.action_p3_squeeze = nn.Conv2d(C, 1, kernel, padding=kernel // 2)
        nn.init.constant_(layer.action_p3_squeeze.weight, 0.1)
        nn.init.constant_(layer.action_p3_squeeze.bias, 0.5)
        if is_called:
            layer.action_p3_squeeze.register_forward_hook(lambda *_: None)
        layer(x).square().mean().backward()
        grads.append([x.grad, *(p.grad for p in layer.parameters())])
    torch.testing.assert_close(grads[0], grads[1])
