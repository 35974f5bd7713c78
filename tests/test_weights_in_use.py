"""What people do with weights every day: typed paths, lists of names, cards of their own, updates that break off."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hub_server import HubServer
from safetensors.torch import save

import gesture_zoo
from gesture_zoo import hub as zoo_hub
from gesture_zoo import model_folder
from gesture_zoo._url import download_url
from gesture_zoo.errors import HubError, ModelError, WeightsError
from gesture_zoo.packaged import DEFAULT_MODEL as NAMED
from gesture_zoo.pickles import read_checkpoint

NAME = "tsm_test_resnet"
DEFAULT_MODEL = str(NAMED)


def make(value: float = 0.0, name: str = NAME) -> Any:
    model = gesture_zoo.create_model(name, num_classes=3, num_segments=4)
    with torch.no_grad():
        model.get_classifier().bias.fill_(value)
    return model


def bias(model: Any) -> float:
    return model.get_classifier().bias[0].item()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_an_update_that_breaks_off_leaves_the_older_model(hub: HubServer) -> None:
    gesture_zoo.push_to_hub(make(1.0), "me/model", token="hf_me")
    assert bias(gesture_zoo.create_model("hf-hub:me/model")) == 1
    gesture_zoo.push_to_hub(make(2.0), "me/model", token="hf_me")
    hub.fault("model.safetensors", status=500)
    with pytest.raises(HubError):
        gesture_zoo.create_model("hf-hub:me/model")
    hub.stop()
    assert bias(gesture_zoo.create_model("hf-hub:me/model")) == 1, "what is whole in the cache"


def test_a_damaged_file_in_the_cache_is_named(hub: HubServer) -> None:
    gesture_zoo.push_to_hub(make(), "me/model", token="hf_me")
    gesture_zoo.create_model("hf-hub:me/model")
    blob = os.path.realpath(zoo_hub.download("me/model", model_folder.WEIGHTS_NAME))
    os.truncate(blob, 1000)
    with pytest.raises(WeightsError, match=f"delete {blob}"):
        gesture_zoo.create_model("hf-hub:me/model")
    os.unlink(blob)
    gesture_zoo.create_model("hf-hub:me/model")


def test_a_card_of_ones_own_stays(hub: HubServer, tmp_path: Path) -> None:
    card = gesture_zoo.save_pretrained(make(), tmp_path) / "README.md"
    assert card.read_text().rstrip().endswith(model_folder.CARD_MARK)
    card.write_text("MY PROJECT")
    gesture_zoo.save_pretrained(make(2.0), tmp_path)
    assert card.read_text() == "MY PROJECT" and bias(gesture_zoo.create_model(f"local-dir:{tmp_path}")) == 2

    gesture_zoo.push_to_hub(make(), "me/model", token="hf_me")
    gesture_zoo.push_to_hub(make(), "me/model", token="hf_me", metrics={"top-1": 0.5})
    assert "top-1: 0.5" in zoo_hub.download("me/model", "README.md").read_text()
    hub.repos["me/model"].commit("main", {"README.md": b"# Edited\n"})
    gesture_zoo.push_to_hub(make(), "me/model", token="hf_me")
    assert zoo_hub.download("me/model", "README.md").read_bytes() == b"# Edited\n"


def test_paths_as_they_are_typed(home: Path, hub: HubServer) -> None:
    folder = gesture_zoo.save_pretrained(make(1.0), "~/mine")
    assert folder == home / "mine" and bias(gesture_zoo.create_model("local-dir:~/mine")) == 1
    assert bias(gesture_zoo.create_model(NAME, num_classes=3, checkpoint_path="~/mine/model.safetensors")) == 1
    cfg = {"file": "~/mine/model.safetensors", "num_classes": 3}
    assert bias(gesture_zoo.create_model(NAME, True, pretrained_cfg=cfg)) == 1
    assert zoo_hub.push("~/mine", "me/mine", token="hf_me")
    hub.add_repo("me/a", {"a.safetensors": save({"a": torch.zeros(1)})})
    path = download_url(f"{hub.url}/me/a/resolve/main/a.safetensors", cache_dir="~/cache")
    assert path.parent == home / "cache"
    assert not Path("~").exists()


def test_a_download_that_was_killed_is_cleared_away(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo("me/a", {"a.safetensors": save({"a": torch.zeros(1)})})
    url = f"{hub.url}/me/a/resolve/main/a.safetensors"
    path = download_url(url, cache_dir=tmp_path)
    path.unlink()
    old, new = (tmp_path / f".{path.stem}.{letter * 32}.safetensors" for letter in "ab")
    other = tmp_path / f".other.{'a' * 32}.safetensors"
    for left in (old, new, other):
        left.write_bytes(b"half")
    for left in (old, other):
        os.utime(left, (time.time() - 7200,) * 2)
    download_url(url, cache_dir=tmp_path)
    assert not old.exists() and new.exists() and other.exists(), "the one nobody writes to, and only of this address"


@pytest.mark.parametrize("names", [{"wave": 0, "fist": 1, "point": 2}, {"wave", "fist", "point"}, "abc", {0: "wave"}])
def test_names_without_an_order_are_refused(names: Any, tmp_path: Path) -> None:
    model = make()
    model.pretrained_cfg["label_names"] = names
    with pytest.raises(WeightsError, match="expected a list of names, class 0 first"):
        gesture_zoo.save_pretrained(model, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_names_of_an_array(tmp_path: Path) -> None:
    model = make()
    model.pretrained_cfg["label_names"] = np.array(["wave", "fist", "point"], dtype=object)
    gesture_zoo.save_pretrained(model, tmp_path)
    assert gesture_zoo.create_model(f"local-dir:{tmp_path}").pretrained_cfg["label_names"] == ("wave", "fist", "point")


def test_a_model_from_scratch_has_no_names_of_others() -> None:
    architecture = DEFAULT_MODEL.partition(".")[0]
    assert gesture_zoo.create_model(DEFAULT_MODEL, True).pretrained_cfg["label_names"]
    assert gesture_zoo.create_model(DEFAULT_MODEL).pretrained_cfg["label_names"], "the tag says whose classes"
    assert "label_names" not in gesture_zoo.create_model(architecture, num_classes=16).pretrained_cfg


def test_weights_given_as_tensors_are_not_kept_twice(tmp_path: Path) -> None:
    cfg = {"state_dict": make(1.0).state_dict(), "num_classes": 3}
    model = gesture_zoo.create_model(NAME, True, pretrained_cfg=cfg)
    assert bias(model) == 1 and "state_dict" not in model.pretrained_cfg
    gesture_zoo.save_pretrained(model, tmp_path)


def test_an_overlay_counts_for_saved_models_too(tmp_path: Path) -> None:
    where = f"local-dir:{gesture_zoo.save_pretrained(make(), tmp_path)}"
    assert gesture_zoo.create_model(where, pretrained_cfg_overlay={"num_segments": 16}).num_segments == 16
    overlay = {"num_segments": 16}
    assert gesture_zoo.create_model(where, pretrained_cfg_overlay=overlay, num_segments=2).num_segments == 2


@pytest.mark.parametrize(
    ("overlay", "words"),
    [
        ({"label_names": ["a", "b"]}, "label_names for 3 classes"),
        ({"input_size": 112}, "input_size of three positive integers"),
        ({"num_classes": "ten"}, "num_classes from 0"),
        ({"num_classes": -1}, "num_classes from 0"),
        (gesture_zoo.PretrainedCfg(), "expected a dict of fields"),
    ],
)
def test_an_overlay_that_cannot_be(overlay: Any, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        gesture_zoo.create_model(NAME, num_classes=3, pretrained_cfg_overlay=overlay)


def test_arguments_that_are_none_are_left_out() -> None:
    assert gesture_zoo.create_model(NAME, num_classes=3, drop_path_rate=None).num_classes == 3


def test_patterns_find_tags() -> None:
    assert DEFAULT_MODEL in gesture_zoo.list_pretrained("*rendered*")
    assert gesture_zoo.list_pretrained("tsm_resnet50", exclude_filters="*k400*") == [
        name for name in gesture_zoo.list_pretrained("tsm_resnet50") if "k400" not in name
    ]


def test_starts_that_are_not_from_imagenet_do_not_say_so() -> None:
    cfg = gesture_zoo.get_pretrained_cfg("tsm_resnet50_clip")
    assert cfg is not None and cfg.dataset is None and cfg.tag == "openai"
    assert gesture_zoo.get_pretrained_cfg("tsm_resnet50").dataset == "ImageNet-1k"  # type: ignore[union-attr]


def test_only_what_can_be_converted_is_to_be_converted() -> None:
    with pytest.raises(WeightsError, match="Train your own") as caught:
        gesture_zoo.create_model("c3d", pretrained=True)
    assert "convert" not in str(caught.value)


def test_a_converted_network_that_looks_both_ways(tmp_path: Path) -> None:
    model = gesture_zoo.create_model("action_test_resnet", num_classes=3)
    torch.save({f"module.{key}": value for key, value in model.state_dict().items()}, tmp_path / "ckpt.pth")
    done = gesture_zoo.convert_checkpoint(tmp_path / "ckpt.pth", "action_test_resnet_online", tmp_path / "out")
    assert any("looks both ways" in note for note in done.notes)


def test_a_newer_pickle_is_said_to_be_one(tmp_path: Path) -> None:
    torch.save(make().state_dict(), tmp_path / "new.pth", pickle_protocol=4)
    with pytest.raises(WeightsError, match="without pickle_protocol"):
        read_checkpoint(tmp_path / "new.pth")


def test_the_layout_of_pytorchs_tutorials(tmp_path: Path) -> None:
    model = gesture_zoo.create_model("tsm_resnet18", num_classes=3)
    torch.save({"epoch": 3, "model_state_dict": model.state_dict()}, tmp_path / "ckpt.pth")
    assert gesture_zoo.convert_checkpoint(tmp_path / "ckpt.pth", "tsm_resnet18", tmp_path / "out").num_classes == 3
