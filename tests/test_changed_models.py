"""Models that were changed after they were built: a file holds what they are, or there is no file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import gesture_zoo
from gesture_zoo.errors import WeightsError
from gesture_zoo.weights import load_backbone


def again(model: Any, folder: Path) -> Any:
    gesture_zoo.save_pretrained(model, folder)
    return gesture_zoo.create_model(f"local-dir:{folder}")


class Around(nn.Module):
    """A network with another one inside, called as MSDModel calls it."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.model = gesture_zoo.create_model("tsm_test_resnet", num_classes=num_classes)
        self.num_classes = num_classes

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return self.model(clip)


def changed_around(*, num_classes: int = 10) -> Around:
    return Around(num_classes)


def changed_decoders(*, num_classes: int = 10) -> Any:
    model = gesture_zoo.create_model("tsm_test_resnet", num_classes=num_classes)
    model.decoders = nn.Linear(2, 2)
    return model


def changed_plain(*, num_classes: int = 10) -> Any:
    return gesture_zoo.create_model("tsm_test_resnet", num_classes=num_classes)


def changed_plain_msd(*, num_classes: int = 10) -> Any:
    return gesture_zoo.with_msd(changed_plain(num_classes=num_classes), taps=["layer3"])


FACTORIES = (changed_around, changed_decoders, changed_plain, changed_plain_msd)


@pytest.fixture(autouse=True)
def _registered(own_registry: None) -> None:
    for factory in FACTORIES:
        gesture_zoo.register_model(factory)


@pytest.mark.parametrize("name", ["changed_around", "changed_decoders"])
def test_parts_may_be_called_as_those_of_a_model_with_decoders(name: str, tmp_path: Path) -> None:
    model = gesture_zoo.create_model(name, num_classes=3)
    loaded = again(model, tmp_path / "model")
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in model.state_dict().items())


def test_what_a_factory_does_not_take_is_set_after_it(tmp_path: Path) -> None:
    model = gesture_zoo.create_model("changed_plain", num_classes=3)
    model.num_segments = 3
    assert again(model, tmp_path / "plain").num_segments == 3
    around = gesture_zoo.with_msd(model, taps=["res1"])
    around.pretrained_cfg = model.pretrained_cfg
    loaded = again(around, tmp_path / "msd")
    assert list(loaded.taps) == ["res1"] and loaded.num_segments == 3
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in around.state_dict().items())
    assert list(gesture_zoo.create_model("changed_plain_msd").taps) == ["layer3"]


def test_the_stage_of_training_is_kept(tmp_path: Path) -> None:
    model = gesture_zoo.create_model("seg_lstm_msd", num_classes=3, num_segments=2, stage="segmentation")
    model.model.stage = "joint"
    loaded = again(model, tmp_path / "model")
    assert loaded.model.stage == "joint" and all(parameter.requires_grad for parameter in loaded.parameters())


def test_what_no_file_says_is_not_saved(tmp_path: Path) -> None:
    model = gesture_zoo.create_model("tsm_test_resnet")
    model.reset_classifier(5, "max")
    with pytest.raises(WeightsError, match="reset_classifier changed the pooling of this model to 'max'"):
        gesture_zoo.save_pretrained(model, tmp_path / "model")
    model.reset_classifier(5, "avg")
    gesture_zoo.save_pretrained(model, tmp_path / "model")
    twice = gesture_zoo.with_msd(gesture_zoo.create_model("tsm_test_resnet_msd", taps=["res1"]), taps=["layer4"])
    with pytest.raises(WeightsError, match="give all taps to one with_msd"):
        gesture_zoo.save_pretrained(twice, tmp_path / "twice")
    assert not (tmp_path / "twice").exists()


def test_class_names_are_plain_text(tmp_path: Path) -> None:
    model = gesture_zoo.create_model("tsm_test_resnet", num_classes=2)
    model.pretrained_cfg["label_names"] = ["0\twave", "fist"]
    with pytest.raises(WeightsError, match=r"class 0 has the name '0\\twave', which holds '\\t'"):
        gesture_zoo.save_pretrained(model, tmp_path / "model")


def test_class_names_of_an_overlay_count_against_the_models_own_classes() -> None:
    overlay = {"label_names": ("a", "b", "c")}
    model = gesture_zoo.create_model("tsm_test_resnet", num_classes=3, pretrained_cfg_overlay=overlay)
    assert model.pretrained_cfg["label_names"] == ("a", "b", "c")


class Nested(nn.Module):
    """A CNN that calls a part `net`, as the wrapper of a temporal module does."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=4)
        self.block = nn.Module()
        self.block.net = nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))
        self.fc = nn.Linear(8, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.block.net(self.stem(images)).mean((2, 3)))


def test_a_cnn_may_call_a_part_net() -> None:
    images = Nested()
    model = gesture_zoo.with_temporal(Nested(), "tsm", num_segments=4, insert_at="block.net.0")
    load_backbone(model, images.state_dict(), source="images")
    own = model.base_model.state_dict()
    assert torch.equal(own["block.net.0.net.weight"], images.state_dict()["block.net.0.weight"])
    assert torch.equal(own["block.net.2.weight"], images.state_dict()["block.net.2.weight"])
