"""ACTION compiled where nobody learns: the filtered clips are not made, and the answers are the same."""

from __future__ import annotations

import pytest
import torch
from compilers import for_compilers
from torch import Tensor, nn

from gesture_zoo.layers import Action, filtered
from gesture_zoo.layers.kernels import scale_frames
from gesture_zoo.layers.pooled import border_means
from gesture_zoo.layers.time_filter import filter_time

N, T, C, H, W = 2, 5, 16, 6, 7
layouts = pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
directions = pytest.mark.parametrize("first", [-1, -2])


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def operators_of(module: nn.Module, frames: Tensor, *, grad: bool = False) -> tuple[Tensor, set[str]]:
    """The answer of a compiled module, and which operators of ours are in its graph."""
    names: set[str] = set()

    def backend(graph: torch.fx.GraphModule, _: list[Tensor]) -> torch.fx.GraphModule:
        graphs = [part.graph for part in graph.modules() if isinstance(part, torch.fx.GraphModule)]
        targets = (str(node.target) for part in graphs for node in part.nodes)
        names.update(name.split(".")[1] for name in targets if name.startswith("gesture_zoo."))
        return graph

    torch.compiler.reset()
    with torch.set_grad_enabled(grad):
        return torch.compile(module, backend=backend, fullgraph=True)(frames), names


def action(**options: bool) -> Action:
    torch.manual_seed(0)
    module = Action(nn.Conv2d(C, 8, 1), T, reduction=4, **options).eval()
    nn.init.normal_(module.action_shift.weight)
    return module


@for_compilers
@layouts
@pytest.mark.parametrize("causal", [False, True])
def test_a_compiled_action_answers_the_same(causal: bool, layout: torch.memory_format) -> None:
    module, frames = action(causal=causal), random(N * T, C, H, W).to(memory_format=layout)
    with torch.no_grad():
        expected = module(frames)
    answer, operators = operators_of(module, frames)
    torch.testing.assert_close(answer, expected, rtol=1e-4, atol=1e-5)
    assert operators == {"rows"}


@for_compilers
def test_where_somebody_learns_or_looks_the_clips_are_filtered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def noted(clips: Tensor, weight: Tensor, first: int) -> tuple[Tensor, Tensor]:
        asked.append(first)
        return filtered.means_of_filtered(clips, weight, first)

    monkeypatch.setattr("gesture_zoo.layers.action.means_of_filtered", noted)
    frames = random(N * T, C, H, W)
    watched = action()
    watched.action_shift.register_forward_hook(lambda *_: None)
    # Of a module in training the statistics need the maps.
    for module, grad in ((action(), True), (action().train(), False), (watched, False)):
        operators_of(module, frames, grad=grad)
    assert asked == []
    operators_of(action(), frames)
    assert asked == [-1]


@directions
@pytest.mark.parametrize("frames", [1, 2, T])
def test_means_of_what_is_not_made(first: int, frames: int) -> None:
    clips, weight = random(N, frames, C, H, W), random(C, 1, 3, seed=1)
    made = filter_time(clips, weight, first)
    over_channels, over_space = filtered.means_of_filtered(clips, weight, first)
    torch.testing.assert_close(over_channels, made.mean(2, keepdim=True))
    torch.testing.assert_close(over_space, border_means(made.flatten(0, 1)))


@directions
@layouts
@pytest.mark.parametrize("frames", [1, 2, T])
def test_frames_are_filtered_and_scaled(first: int, frames: int, layout: torch.memory_format) -> None:
    clips = random(N * frames, C, H, W).to(memory_format=layout).unflatten(0, (N, frames))
    weight, channel, place = random(C, 1, 3, seed=1), random(N, frames, C, 1, 1), random(N, frames, 1, H, W)
    expected = scale_frames(filter_time(clips, weight, first), channel, place).flatten(0, 1)
    torch.testing.assert_close(filtered.scaled_and_filtered(clips, weight, first, channel, place), expected)


def test_half_precision_stays() -> None:
    module, frames = action().bfloat16(), random(N * T, C, H, W).bfloat16()
    with torch.no_grad():
        expected = module(frames)
    answer = operators_of(module, frames)[0]
    assert answer.dtype == torch.bfloat16
    torch.testing.assert_close(answer, expected, rtol=0.1, atol=0.1)
