"""What goes from one part to the next stays true: from training to inference, from building to saving and exporting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from timm.optim import create_optimizer_v2

import gesture_zoo
from gesture_zoo.data import create_dataset, resolve_data_config, write_video
from gesture_zoo.engine import RECIPES, Recipe, for_training, predict_video, train
from gesture_zoo.engine.clips import spread_clips
from gesture_zoo.errors import DataError, GestureZooError, ModelError
from gesture_zoo.live import Recorder
from gesture_zoo.live.overlay import Overlay
from gesture_zoo.render import RenderedGestures
from gesture_zoo.web.site import describe_model, write_site


def small(name: str = "tsm_test_resnet", **options: Any) -> Any:
    model = gesture_zoo.create_model(name, **{"num_classes": 12, "num_segments": 2, **options})
    model.pretrained_cfg["input_size"] = (model.in_chans, 32, 32)
    return model


def clips(model: Any, count: int) -> Any:
    data = create_dataset("synthetic", num_segments=2, size=32, num_clips=count)
    return for_training(data, resolve_data_config(model=model))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    write_video(np.zeros((4, 32, 32, 3), np.uint8), tmp_path / "clip.mp4")
    return tmp_path / "clip.mp4"


# Training.


def test_what_one_run_freezes_the_next_one_learns() -> None:
    model = small()
    options = {"epochs": 1, "batch_size": 2, "workers": 0}
    train(model, clips(model, 4), recipe=Recipe(**options, norm="frozen", grad_checkpointing=True))
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not model.base_model.grad_checkpointing
    before = model.base_model.bn1.weight.detach().clone()
    train(model, clips(model, 4), recipe=Recipe(**options, norm="train", lr=1.0))
    assert not torch.equal(before, model.base_model.bn1.weight)


def test_a_short_last_batch_counts_as_its_clips() -> None:
    model = small()
    result = train(model, clips(model, 6), recipe=Recipe(batch_size=4, accumulate=2, epochs=1, workers=0))
    hits = result.history[0]["top1"] * 6
    assert hits == pytest.approx(round(hits), abs=1e-6)


def test_warm_up_keeps_its_share_beside_milestones() -> None:
    finetune = RECIPES["finetune"]
    assert finetune.override({"epochs": 300, "milestones": [100], "sched": "multistep"}).warmup_epochs == 20
    assert finetune.override({"epochs": 2, "milestones": [1], "sched": "multistep"}).warmup_epochs == 0
    with pytest.raises(ModelError, match="drop_rate must be below 1"):
        Recipe(drop_rate=1.0)


@pytest.mark.parametrize("kind", ["torchvision", "video"])
def test_layers_of_networks_with_decoders_have_rates_of_their_own(kind: str) -> None:
    if kind == "video":
        model = gesture_zoo.with_msd(gesture_zoo.create_model("r2plus1d", num_classes=3), taps=["layer1", "layer4"])
    else:
        model = gesture_zoo.with_msd(gesture_zoo.with_temporal(torchvision.models.resnet18(), "tsm", num_classes=3))
    groups = create_optimizer_v2(model, opt="sgd", lr=0.1, layer_decay=0.5).param_groups
    scale = {id(p): group["lr_scale"] for group in groups for p in group["params"]}
    decoders, classifier = (list(part.parameters()) for part in (model.decoders, model.get_classifier()))
    assert {scale[id(p)] for p in decoders} == {scale[id(p)] for p in classifier} == {1.0}
    assert min(scale.values()) < 0.1


def test_a_network_in_eval_stays_so_when_it_is_wrapped() -> None:
    cnn = timm.create_model("test_resnet", num_classes=3).eval()
    model = gesture_zoo.with_msd(gesture_zoo.with_temporal(cnn, "tsm", num_segments=2))
    assert not any(module.training for module in model.modules())
    assert isinstance(model(torch.rand(1, 2, 3, 64, 64)), torch.Tensor)
    frozen = small()
    frozen.base_model.bn1.eval()
    assert [gesture_zoo.with_msd(frozen).training, frozen.base_model.bn1.training] == [True, False]


def test_rendered_gestures_are_a_dataset_as_others_are() -> None:
    data = RenderedGestures("val", num_segments=2, size=32, num_clips=4)
    assert len(spread_clips(data, 2)) == 2


# Names, sizes and numbers of a model.


def test_answers_have_names_of_their_own_classes(video: Path) -> None:
    model = small()
    model.pretrained_cfg["label_names"] = tuple("abcdefghijkl")
    assert predict_video(model.to(torch.bfloat16), video)[0].label in "abcdefghijkl"
    model.reset_classifier(5)
    with pytest.raises(ModelError, match="12 label_names and the model 5 classes"):
        predict_video(model, video)
    model.reset_classifier(0)
    with pytest.raises(ModelError, match="this model has no classifier"):
        gesture_zoo.export_model(model, video.with_name("m.pt2"))


def test_a_model_says_the_length_and_the_facts_it_was_given() -> None:
    config = gesture_zoo.create_model("tsm_test_resnet", num_segments=2).pretrained_cfg
    assert resolve_data_config(pretrained_cfg=config)["num_segments"] == 2
    overlay = {"num_segments": 4, "frame_rate": 12.0, "dataset": "x"}
    model = gesture_zoo.create_model("tsm_test_resnet", pretrained_cfg_overlay=overlay)
    assert (model.num_segments, *(model.pretrained_cfg[key] for key in overlay)) == (4, 4, 12.0, "x")


def test_a_stripped_model_is_called_by_its_own_name() -> None:
    model = gesture_zoo.create_model("tsm_test_resnet_msd", num_classes=3)
    assert gesture_zoo.strip_msd(model).pretrained_cfg["architecture"] == "tsm_test_resnet"
    assert model.pretrained_cfg["architecture"] == "tsm_test_resnet_msd"


# Export, the page, and what is shown.


def test_any_number_of_channels_can_be_exported(tmp_path: Path) -> None:
    report = gesture_zoo.export_model(small(in_chans=2), tmp_path / "m.pt2")
    assert [row.clip for row in report.compared] == ["random"]


def test_one_clip_is_one_clip(video: Path) -> None:
    report = gesture_zoo.export_model(small(), video.with_name("m.onnx"), clips=video)
    assert [row.clip for row in report.compared] == ["random", "rendered", str(video)]
    small_file = gesture_zoo.quantize_model(report.path, video.with_name("int8.onnx"), clips=video)
    assert len(small_file.compared) == 1
    with pytest.raises(DataError, match=r"a clip is an array \(T, H, W, 3\) with a frame at least"):
        gesture_zoo.quantize_model(report.path, video.with_name("8.onnx"), clips=[np.zeros((0, 48, 48, 3), np.uint8)])
    with pytest.raises(DataError, match=r"a clip is a path or a NumPy array .* not a Tensor"):
        gesture_zoo.quantize_model(report.path, video.with_name("8.onnx"), clips=[torch.zeros(8, 48, 48, 3)])


def test_the_page_has_a_mean_of_each_channel(tmp_path: Path) -> None:
    model = small()
    model.pretrained_cfg.update(mean=(0.5,), std=(0.25,))
    report = gesture_zoo.export_model(model, tmp_path / "m.onnx")
    description = describe_model(report.path)
    assert json.dumps([description["mean"], description["std"]]) == "[[0.5, 0.5, 0.5], [0.25, 0.25, 0.25]]"
    with pytest.raises(GestureZooError, match="cannot write the site to"):
        write_site(report.path, report.path / "site")


def test_what_stores_no_times_is_not_recorded(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the name of a video ends in \.mkv, \.mov, \.mp4"):
        Recorder(tmp_path / "seen.avi")


@pytest.mark.parametrize("frame", [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3), np.float32)])
def test_an_overlay_is_drawn_on_colour(frame: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"a frame to draw on is \(H, W, 3\) uint8, got"):
        Overlay(["a"], topk=1).draw(frame, None)
