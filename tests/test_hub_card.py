"""A saved model brings a card that people read and programs too: the Hub's front matter with its evaluation index."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from hub_server import HubServer
from huggingface_hub import EvalResult, ModelCard
from safetensors.torch import save

import gesture_zoo
from gesture_zoo import hub as zoo_hub
from gesture_zoo import registry
from gesture_zoo.cards.hub_card import evaluations, model_card
from gesture_zoo.cli import main
from gesture_zoo.saving import model_config


def trained(name: str = "tsm_test_resnet_msd", dataset: str | None = "egogesture") -> torch.nn.Module:
    model = gesture_zoo.create_model(name, num_classes=3, num_segments=4)
    model.pretrained_cfg.update(label_names=("wave", "point", "fist"), input_size=(3, 64, 64), dataset=dataset)
    return model


METRICS = {"top-1 (validation)": 0.9125, "top-5 (test)": 1, "seeds": "0, 1, 2", "masked RMSE of res1": 0.18}
INDEX = [
    ("accuracy", "top-1 (validation)", "validation", 0.9125),
    ("top_5_accuracy", "top-5 (test)", "test", 1),
    ("masked_rmse_of_res1", "masked RMSE of res1", None, 0.18),
]


def index_of(results: list[EvalResult]) -> list[tuple]:
    return [(result.metric_type, result.metric_name, result.dataset_split, result.metric_value) for result in results]


def test_a_saved_model_has_an_evaluation_index(tmp_path: Path) -> None:
    folder = gesture_zoo.save_pretrained(trained(), tmp_path / "run", metrics=METRICS)
    text = (folder / "README.md").read_text()
    data = ModelCard(text).data
    assert sorted(index_of(data.eval_results), key=str) == sorted(INDEX, key=str)
    assert {result.task_type for result in data.eval_results} == {"video-classification"}
    assert {(result.dataset_type, result.dataset_name) for result in data.eval_results} == {
        ("egogesture", "EgoGesture")
    }
    assert data.model_name == "tsm_test_resnet_msd"
    assert (data.library_name, data.pipeline_tag) == ("gesture_zoo", "video-classification")
    assert data.tags == ["gesture-recognition", "tsm", "depth-supervision"]
    assert (data.license, data.license_name, data.datasets) == ("other", "research-only", ["egogesture"])
    assert data.base_model is None, "nothing was loaded"
    for words in (
        "seeds: 0, 1, 2",
        "top-1 (validation): 0.9125",
        "Terms of the data: EgoGesture, research only",
        "Limits:",
    ):
        assert words in text
    assert ModelCard(str(ModelCard(text))).data.to_dict() == data.to_dict()


def test_the_index_survives_the_way_to_the_hub_and_back(hub: HubServer) -> None:
    gesture_zoo.push_to_hub(trained(), "me/gestures", token="hf_me", metrics=METRICS)
    data = ModelCard.load(zoo_hub.download("me/gestures", "README.md")).data
    assert sorted(index_of(data.eval_results), key=str) == sorted(INDEX, key=str)
    assert data.model_name == "gestures"
    again = gesture_zoo.create_model("hf-hub:me/gestures")
    gesture_zoo.push_to_hub(again, "me/again", token="hf_me")
    assert ModelCard.load(zoo_hub.download("me/again", "README.md")).data.base_model == "me/gestures"


@pytest.mark.parametrize("repo", ["me/gestures", "gestures"])
def test_the_card_of_a_folder_that_is_pushed_loads_from_the_hub(
    hub: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, repo: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_me")
    gesture_zoo.save_pretrained(trained(), tmp_path / "run", metrics=METRICS)
    (tmp_path / "run" / "last.pt").write_bytes(b"what only a training needs")
    assert main(["push", str(tmp_path / "run"), repo, "--private", "--message", "First"]) == 0
    assert capsys.readouterr().out.startswith(f"{hub.url}/me/gestures/commit/")
    assert hub.repos["me/gestures"].private
    text = zoo_hub.download("me/gestures", "README.md").read_text()
    assert "create_model('hf-hub:me/gestures')" in text and "local-dir" not in text
    assert "local-dir" in (tmp_path / "run" / "README.md").read_text(), "the folder is as it was"
    state = gesture_zoo.create_model("hf-hub:me/gestures").state_dict()
    torch.testing.assert_close(state, gesture_zoo.create_model(f"local-dir:{tmp_path / 'run'}").state_dict())


def test_what_cannot_be_loaded_is_not_published(
    hub: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gesture_zoo.save_pretrained(trained(), tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"cut short")
    assert main(["push", str(tmp_path), "me/gestures"]) == 2
    assert "cannot be read as safetensors" in capsys.readouterr().err
    assert main(["push", str(tmp_path / "none"), "me/gestures"]) == 2
    assert "there is no such directory" in capsys.readouterr().err
    assert not hub.repos


def test_a_card_without_numbers_has_no_index(tmp_path: Path) -> None:
    text = (gesture_zoo.save_pretrained(trained(), tmp_path, metrics={"note": "good"}) / "README.md").read_text()
    data = ModelCard(text).data.to_dict()
    assert "model-index" not in data and "model_name" not in data and "note: good" in text


def test_an_imagenet_start_is_the_base_and_not_what_metrics_are_of(hub: HubServer, tmp_path: Path) -> None:
    weights = save(dict(timm.create_model("test_resnet").state_dict()))
    hub.add_repo("timm/test_resnet.r160_in1k", {"model.safetensors": weights})
    model = gesture_zoo.create_model("tsm_test_resnet", pretrained=True, num_classes=3)
    data = ModelCard(
        (gesture_zoo.save_pretrained(model, tmp_path / "a", metrics={"top-1": 0.5}) / "README.md").read_text()
    )
    assert data.data.base_model == "timm/test_resnet.r160_in1k"
    assert data.data.eval_results[0].dataset_name == "not stated"
    # Whoever trains on says on what, and may say from where.
    model.pretrained_cfg.update(dataset="nvgesture", base_model="timm/test_resnet.r160_in1k")
    data = ModelCard(
        (gesture_zoo.save_pretrained(model, tmp_path / "b", metrics={"top-1": 0.5}) / "README.md").read_text()
    )
    assert data.data.base_model == "timm/test_resnet.r160_in1k"
    assert data.data.eval_results[0].dataset_name == "NVGesture"


def test_data_of_ones_own_has_a_name_and_no_terms(tmp_path: Path) -> None:
    folder = gesture_zoo.save_pretrained(trained(dataset="My clips"), tmp_path, metrics={"top-1": 0.5})
    data = ModelCard((folder / "README.md").read_text()).data
    assert (data.eval_results[0].dataset_type, data.eval_results[0].dataset_name) == ("my_clips", "My clips")
    assert data.license is None and data.datasets is None


def test_strange_names_do_not_break_the_front_matter(tmp_path: Path) -> None:
    metrics = {"top-1\n---\nlicense: mit": 0.5, "é: [x] # y": 2, "flag": True}
    text = (gesture_zoo.save_pretrained(trained(), tmp_path, metrics=metrics) / "README.md").read_text()
    data = ModelCard(text).data
    assert [result.metric_name for result in data.eval_results] == ["top-1 --- license: mit", "é: [x] # y"]
    assert data.license == "other" and "flag: True" in text


def test_splits_and_kinds_are_read_from_the_names_train_and_demo_give() -> None:
    names = ("top-1 (validation)", "top-1, synthetic test clips, RGB only", "Top1", "macro accuracy", "latency (ms)")
    found = evaluations(dict.fromkeys(names, 0.5), "gesture_zoo synthetic clips")
    assert [(result.metric_type, result.dataset_split) for result in found] == [
        ("accuracy", "validation"),
        ("accuracy", "test"),
        ("accuracy", None),
        ("macro_accuracy", None),
        ("latency_ms", None),
    ]
    assert {result.dataset_type for result in found} == {"synthetic"}


def test_the_card_of_a_plugins_model_claims_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))

    @gesture_zoo.register_model
    def tsm_like(*, num_classes: int = 2) -> torch.nn.Module:
        return gesture_zoo.create_model("tsm_test_resnet", num_classes=num_classes)

    text = (gesture_zoo.save_pretrained(gesture_zoo.create_model("tsm_like"), tmp_path) / "README.md").read_text()
    assert ModelCard(text).data.tags == ["gesture-recognition"]
    assert "TSM on" not in text


def test_a_model_of_the_paper_brings_its_numbers_as_the_papers(tmp_path: Path) -> None:
    model = gesture_zoo.create_model("action_resnet50", num_classes=3)
    text = (gesture_zoo.save_pretrained(model, tmp_path) / "README.md").read_text()
    assert "EgoGesture 94.2 -> 94.5, NVGesture 80.7 -> 84.0, IsoGD 65.0 -> 66.9. They are not measurements" in text


def test_a_model_that_is_not_listed_has_the_card_of_its_family(tmp_path: Path) -> None:
    model = gesture_zoo.create_model("tsm_resnet10t_online", num_classes=3)
    text = (gesture_zoo.save_pretrained(model, tmp_path) / "README.md").read_text()
    assert ModelCard(text).data.tags == ["gesture-recognition", "tsm"]
    assert "TSM on `resnet10t`" in text and "answers every frame as the clip would" in text


def test_a_converted_file_says_whose_it_is(tmp_path: Path) -> None:
    model = gesture_zoo.create_model("tsm_test_resnet", num_classes=3)
    model.pretrained_cfg.update(dataset="ImageNet-1k")  # as if its ImageNet start had been loaded
    origin = {"source_file": "a.pth", "origin_url": "https://example.org/a", "license": "code MIT"}
    text = (gesture_zoo.save_pretrained(model, tmp_path, origin=origin) / "README.md").read_text()
    assert "- its authors: https://example.org/a" in text and "- licence stated there: code MIT" in text
    assert ModelCard(text).data.base_model is None


def test_numbers_of_numpy_and_torch_are_numbers() -> None:
    metrics = {
        "top-1": np.float64(0.5),
        "top-5": np.float32(0.75),
        "macro accuracy": torch.tensor(0.25),
        "clips": np.int64(7),
        "frames": torch.tensor(8),
        "array": np.array(1.5),
        "flag": np.bool_(True),
        1: 0.5,
    }
    model = trained()
    text = model_card(model, model_config(model) | {"metrics": metrics})
    values = {result.metric_name: result.metric_value for result in ModelCard(text).data.eval_results}
    assert values == {
        "top-1": 0.5,
        "top-5": 0.75,
        "macro accuracy": 0.25,
        "clips": 7,
        "frames": 8,
        "array": 1.5,
        "1": 0.5,
    }
    assert {type(value) for value in values.values()} == {int, float}
    assert "- macro accuracy: 0.25\n" in text and "- flag: True\n" in text


@pytest.mark.parametrize("dataset", [3, "My\n\n# clips\n---\nlicense: mit"])
def test_a_dataset_is_one_line_of_text(tmp_path: Path, dataset: object) -> None:
    folder = gesture_zoo.save_pretrained(trained(dataset=dataset), tmp_path, metrics={"top-1": 0.5}, checkpoint="a\nb")
    text = (folder / "README.md").read_text()
    line = " ".join(str(dataset).split())
    assert ModelCard(text).data.eval_results[0].dataset_name == line
    assert f"\n- trained on: {line}\n" in text and "\n- checkpoint: a b\n" in text


def test_a_card_says_what_the_model_sees() -> None:
    for channels, sees in (
        (3, "RGB video alone"),
        (1, "depth alone"),
        (4, "RGB video and its depth"),
        (2, "2 channels"),
    ):
        model = gesture_zoo.create_model("tsm_test_resnet", num_classes=3, in_chans=channels)
        assert f"{sees}." in model_card(model, model_config(model))


@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5), torch.tensor(0.5)])
def test_numbers_of_other_libraries_are_saved_as_numbers(value: object, tmp_path: Path) -> None:
    path = gesture_zoo.save_pretrained(trained(), tmp_path / "run", metrics={"top-1": value})
    assert json.loads((path / "config.json").read_text())["metrics"] == {"top-1": 0.5}
    assert ModelCard((path / "README.md").read_text()).data.eval_results[0].metric_value == 0.5
