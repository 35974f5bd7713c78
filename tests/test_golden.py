"""Our networks answer as the official TSM, TEA and ACTION-Net do, for weights made from a formula."""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path

import pytest
import torch
from torch import Tensor

import gesture_zoo
from gesture_zoo.errors import WeightsError

GOLDEN = {path.stem: json.loads(path.read_text()) for path in Path(__file__).with_name("golden").glob("*.json")}
ONLINE = GOLDEN.pop("tsm_mobilenetv2_100_online")


def formula_weight(key: str, shape: list[int], gain: float) -> Tensor:
    """The value that the golden files prescribe for an official key."""
    generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    noise = torch.randn(shape, generator=generator)
    if key.endswith("running_var"):
        return 1 + 0.1 * noise.abs()
    if key.endswith(("running_mean", "bias")):
        return 0.1 * noise
    if len(shape) == 1:
        return 1 + 0.1 * noise
    return gain * noise * math.sqrt(2 / math.prod(shape[1:]))


def official_state_dict(golden: dict) -> dict[str, Tensor]:
    return {key: formula_weight(key, shape, golden["weight_gain"]) for key, shape in golden["state_dict"].items()}


def build(name: str, prefix: str = "") -> torch.nn.Module:
    golden = GOLDEN[name]
    official = {prefix + key: value for key, value in official_state_dict(golden).items()}
    model = gesture_zoo.create_model(name, num_classes=golden["num_classes"], num_segments=golden["num_segments"])
    model.load_state_dict(gesture_zoo.convert_official(official, name))
    return model.eval()


def golden_clip(golden: dict) -> Tensor:
    return torch.randn(golden["input_shape"], generator=torch.Generator().manual_seed(golden["input_seed"]))


def rounding_response(model: torch.nn.Module, clip: Tensor) -> float:
    """How far the logits move when the clip moves by float32's rounding unit: no implementation can be closer."""
    reference = model(clip)
    moved = [
        model(clip * (1 + 2**-24 * torch.randn(clip.shape, generator=torch.Generator().manual_seed(seed))))
        for seed in range(3)
    ]
    return max((logits - reference).abs().max().item() for logits in moved)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("name", sorted(set(GOLDEN) - {"action_mobilenetv2_100"}))
def test_logits_agree_with_the_official_network(name: str, prefix: str) -> None:
    model, expected = build(name, prefix), torch.tensor(GOLDEN[name]["logits"])
    with torch.inference_mode():
        logits = model(golden_clip(GOLDEN[name]))
    assert sum(p.numel() for p in model.parameters()) == GOLDEN[name]["num_params"]
    assert (logits - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_action_mobilenet_agrees_as_far_as_float32_goes() -> None:
    """These random weights multiply rounding errors block by block, to some 2e-4 of the largest logit.

    The official answer is a float32 one and so no nearer to the exact answer than that; the same official
    operations on another convolution library miss it by 1e-3. The bound is measured, not chosen.
    """
    golden = GOLDEN["action_mobilenetv2_100"]
    model, clip, expected = build("action_mobilenetv2_100"), golden_clip(golden), torch.tensor(golden["logits"])
    with torch.inference_mode():
        bound = rounding_response(model, clip)
        assert sum(p.numel() for p in model.parameters()) == golden["num_params"]
        assert bound <= 1e-3 * expected.abs().max()
        assert (model(clip) - expected).abs().max() <= bound
        assert (model.double()(clip.double()) - expected).abs().max() <= bound


def test_online_network_agrees_frame_by_frame() -> None:
    """The official live demo takes frames one by one; our clip model looks into the past only, so it answers alike."""
    expected = torch.tensor(ONLINE["logits_per_frame"])
    model = gesture_zoo.create_model(ONLINE["arch"], num_classes=ONLINE["num_classes"], num_segments=len(expected))
    model.load_state_dict(gesture_zoo.convert_official(official_state_dict(ONLINE), ONLINE["arch"]))
    frames = torch.randn(ONLINE["frames_shape"], generator=torch.Generator().manual_seed(ONLINE["input_seed"]))
    with torch.inference_mode():
        logits = model.eval().base_model(frames)
    assert (logits - expected.view_as(logits)).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("tsm_resnet50", 23.678), ("tea_res2net50_26w_4s", 24.270), ("action_resnet50", 27.896)],
)
def test_parameters_of_the_paper(name: str, parameters: float) -> None:
    model = gesture_zoo.create_model(name, num_classes=83)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 3) == parameters


def test_convert_official_refuses_other_architectures() -> None:
    official = official_state_dict(GOLDEN["tsm_resnet50"])
    with pytest.raises(WeightsError, match=r"not an official checkpoint for 'action_resnet50'.*keys are missing"):
        gesture_zoo.convert_official(official, "action_resnet50")
    with pytest.raises(WeightsError, match="with_msd"):
        gesture_zoo.convert_official(official, "tsm_resnet50_msd")
    with pytest.raises(WeightsError, match="no classifier"):
        gesture_zoo.convert_official({"a": torch.zeros(1)}, "tsm_resnet50")


def test_convert_official_reads_a_whole_checkpoint() -> None:
    """A training checkpoint holds the state dict beside other things, and dropout 0 keeps the head in the CNN."""
    official = official_state_dict(GOLDEN["tsm_resnet50"])
    renamed = {f"module.{key.replace('new_fc', 'base_model.fc')}": value for key, value in official.items()}
    converted = gesture_zoo.convert_official({"epoch": 3, "state_dict": renamed}, "tsm_resnet50")
    assert torch.equal(converted["base_model.fc.weight"], official["new_fc.weight"])
