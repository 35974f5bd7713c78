"""What runs on a GPU takes no tensor of the CPU and answers as the CPU does; tried without one (other_device.py)."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest
import torch
from other_device import Other, other_device

import gesture_zoo
from gesture_zoo.render import CLASSES, render_scene, sample_scene, sample_stream

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import rendered_training


def test_the_device_keeps_apart() -> None:
    with other_device() as device:
        there = torch.arange(3.0, device=device)
        assert (there + 1).sum().item() == 6 and type(there.cpu()) is torch.Tensor
        with pytest.raises(RuntimeError, match="two devices"):
            there + torch.ones(3)


MODELS = [
    "tsm_test_resnet", "tsm_test_resnet_online", "action_test_resnet", "action_test_resnet_online", "me_test_resnet",
    "tea_res2net50_26w_4s", "action_test_resnet_msd",
]  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_models_answer_and_learn_as_on_the_cpu(name: str) -> None:
    torch.manual_seed(0)
    taps = {"taps": ["res1"]} if name.endswith("_msd") else {}
    model = gesture_zoo.create_model(name, num_classes=3, num_segments=4, **taps)
    clips, labels = torch.rand(2, 4, 3, 64, 64), torch.tensor([0, 2])
    depth = torch.rand(2, 4, 1, 64, 64)

    def steps(model: torch.nn.Module, device: str | torch.device) -> tuple[torch.Tensor, list[torch.Tensor]]:
        with torch.no_grad():
            answer = model.eval()(clips.to(device))
        out = model.train()(clips.to(device))
        if taps:
            loss = gesture_zoo.MSDLoss()(out, labels.to(device), depth.to(device))
        else:
            loss = torch.nn.functional.cross_entropy(out, labels.to(device))
        parameters = list(model.parameters())
        return answer.to("cpu"), [found.to("cpu") for found in torch.autograd.grad(loss, parameters)]

    with other_device() as device:
        twin = copy.deepcopy(model).to(device)
        assert all(isinstance(parameter.data, Other) for parameter in twin.parameters())
        elsewhere = steps(twin, device)
    on_cpu = steps(model, "cpu")
    torch.testing.assert_close(elsewhere[0], on_cpu[0], rtol=1e-4, atol=1e-5)
    for found, expected in zip(elsewhere[1], on_cpu[1], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())


@pytest.mark.parametrize("streams", [False, True])
def test_people_are_rendered_there_as_on_the_cpu(streams: bool) -> None:
    def rendered(device: str | torch.device) -> list[torch.Tensor]:
        generator = torch.Generator(device).manual_seed(1)
        if streams:
            scene = sample_stream(2, num_frames=3, generator=generator)
        else:
            scene = sample_scene(torch.tensor([0, len(CLASSES) - 1]), num_frames=3, generator=generator)
        made = render_scene(scene, 32, generator)
        return [part.to("cpu") for part in (made.frames, made.depth, scene.frame_labels)]

    with other_device() as device:
        elsewhere = rendered(device)
    # How many clips are drawn at once differs, and with it the order of the random numbers: pictures of the same kind.
    frames, depth, labels = rendered("cpu")
    torch.testing.assert_close(elsewhere[2], labels)
    assert elsewhere[0].shape == frames.shape and elsewhere[0].float().std() > 10
    assert elsewhere[1].shape == depth.shape and elsewhere[1].max() > 0


def test_networks_learn_there_while_items_are_rendered(tmp_path: Path) -> None:
    live = ["--live", "16", "--live-batch", "2", "--frames", "6", "--size", "32", "--start-with", "8"]
    sizes = ["--batch", "4", "--steps", "2", "--every", "2", "--held-out", "2", "--small-side", "32"]
    with other_device() as device:
        rendered_training.main(
            ["train", "--device", str(device), *live, *sizes, "--model", "tsm_test_resnet_msd", "--out", str(tmp_path)]
        )
    saved = gesture_zoo.create_model(f"local-dir:{tmp_path / 'model'}", pretrained=True)
    assert all(parameter.isfinite().all() for parameter in saved.parameters())
