"""Weights in and out: files, folders and a Hub on the loopback, all through create_model."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
import timm
import torch
import torchvision
from hub_server import HubServer
from safetensors.torch import save, save_file
from timm.models import save_for_hf
from torch import nn

import gesture_zoo
from gesture_zoo.errors import HubError, ModelError, WeightsError

MODEL = "tsm_test_resnet"
IMAGENET = "timm/test_resnet.r160_in1k"


def state_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def same(one: nn.Module, two: nn.Module) -> bool:
    first, second = one.state_dict(), two.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture
def imagenet(hub: HubServer) -> nn.Module:
    """A timm image network, published on the loopback Hub under the real repository's name."""
    cnn = timm.create_model("test_resnet")
    hub.add_repo(IMAGENET, {"model.safetensors": save(state_of(cnn)), "config.json": b"{}"})
    return cnn


# The default tag: an ImageNet start.


@pytest.mark.parametrize("name", [MODEL, f"{MODEL}_msd", "action_test_resnet", "tsn_test_resnet"])
def test_pretrained_fills_the_backbone_only(imagenet: nn.Module, name: str) -> None:
    torch.manual_seed(1)
    fresh = gesture_zoo.create_model(name)
    torch.manual_seed(1)
    model = gesture_zoo.create_model(name, pretrained=True)
    bare = getattr(model, "model", model)
    image = torch.rand(2, 3, 64, 64)
    if name.startswith("tsn"):
        assert torch.equal(bare.base_model.eval()(image), imagenet.eval()(image))
    learned = {key.replace(".net.", ".") for key in bare.base_model.state_dict()}
    assert imagenet.state_dict().keys() <= learned
    for key, value in fresh.state_dict().items():
        if "action_" in key or "decoders" in key:
            assert torch.equal(value, model.state_dict()[key]), f"{key} keeps its published start"


def test_other_classes_get_a_new_head(imagenet: nn.Module, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        model = gesture_zoo.create_model(MODEL, pretrained=True, num_classes=5)
    assert torch.equal(model.base_model.layer4[0].conv2.weight, imagenet.layer4[0].conv2.weight)
    assert model.get_classifier().weight.shape == (5, imagenet.num_features)
    assert "is for other classes than these 5: the classifier starts anew" in caplog.text


def test_other_channels_adapt_the_stem(imagenet: nn.Module) -> None:
    model = gesture_zoo.create_model(MODEL, pretrained=True, in_chans=1)
    adapted, original = model.base_model.conv1[0].weight, imagenet.conv1[0].weight
    torch.testing.assert_close(adapted, original.sum(1, keepdim=True))


def test_an_overlay_says_where_else_the_weights_are(imagenet: nn.Module, hub: HubServer, tmp_path: Path) -> None:
    other = timm.create_model("test_resnet")
    hub.add_repo("me/other", {"weights.safetensors": save(state_of(other))})
    overlay = {"hf_hub_id": "me/other", "hf_hub_filename": "weights.safetensors"}
    model = gesture_zoo.create_model(MODEL, True, pretrained_cfg_overlay=overlay)
    assert torch.equal(model.base_model.fc.weight, other.fc.weight)

    save_file(state_of(imagenet), tmp_path / "file.safetensors")
    model = gesture_zoo.create_model(MODEL, True, pretrained_cfg_overlay={"file": str(tmp_path / "file.safetensors")})
    assert torch.equal(model.base_model.fc.weight, imagenet.fc.weight)
    with pytest.raises(ModelError, match="pretrained_cfg has no field 'hub'"):
        gesture_zoo.create_model(MODEL, True, pretrained_cfg_overlay={"hub": "me/other"})


def test_torchvision_weights_start_a_mobilenet(tmp_path: Path) -> None:
    source = torchvision.models.mobilenet_v2().eval()
    save_file(state_of(source), tmp_path / "tv.safetensors")
    overlay = {"file": str(tmp_path / "tv.safetensors")}
    model = gesture_zoo.create_model("tsn_mobilenetv2_100", True, pretrained_cfg_overlay=overlay).eval()
    image = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(model.base_model(image), source(image))


def test_no_network_is_one_clear_error(hub: HubServer) -> None:
    hub.stop()
    with pytest.raises(HubError, match=r"of repository 'timm/test_resnet.r160_in1k'.*no connection"):
        gesture_zoo.create_model(MODEL, pretrained=True)


def test_a_wrong_shape_names_the_tensor(hub: HubServer) -> None:
    wrong = state_of(timm.create_model("test_resnet"))
    wrong["layer1.0.conv1.weight"] = torch.zeros(3, 3)
    hub.add_repo(IMAGENET, {"model.safetensors": save(wrong)})
    with pytest.raises(WeightsError, match=r"1 tensors have another shape.*layer1.0.conv1.net.weight"):
        gesture_zoo.create_model(MODEL, pretrained=True)


def test_a_truncated_file_is_not_loaded(hub: HubServer) -> None:
    hub.add_repo(IMAGENET, {"model.safetensors": save(state_of(timm.create_model("test_resnet")))[:-100]})
    with pytest.raises(WeightsError, match="damaged, cut short"):
        gesture_zoo.create_model(MODEL, pretrained=True)


# Folders.


def trained(name: str = f"{MODEL}_msd") -> nn.Module:
    model = gesture_zoo.create_model(name, num_classes=3, num_segments=4, drop_rate=0.1)
    model.pretrained_cfg.update(label_names=("wave", "point", "fist"), input_size=(3, 64, 64), dataset="mine")
    return model


@pytest.mark.parametrize("name", [MODEL, f"{MODEL}_msd"])
def test_a_saved_model_comes_back_whole(tmp_path: Path, name: str) -> None:
    model = trained(name)
    folder = gesture_zoo.save_pretrained(model, tmp_path / "run", metrics={"top-1": 0.5})
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    again = gesture_zoo.create_model(f"local-dir:{folder}")
    assert same(again, model)
    assert again.num_segments == 4
    assert again.pretrained_cfg["label_names"] == ("wave", "point", "fist")
    assert gesture_zoo.resolve_data_config(model=again)["input_size"] == (3, 64, 64)
    card = (folder / "README.md").read_text()
    assert "library_name: gesture_zoo" in card
    assert '"wave", "point", "fist"' in card
    assert "top-1: 0.5" in card


def test_taps_are_saved_with_the_model(tmp_path: Path) -> None:
    taps = [gesture_zoo.Tap("layer4", scale=1.0, weight=0.5, widths=(8, 8, 8, 8)), "res1"]
    model = gesture_zoo.create_model(f"{MODEL}_msd", num_classes=3, taps=taps)
    again = gesture_zoo.create_model(f"local-dir:{gesture_zoo.save_pretrained(model, tmp_path / 'run')}")
    assert same(again, model)
    assert again.taps == model.taps


def test_one_file_serves_with_and_without_decoders(tmp_path: Path) -> None:
    model = trained()
    file = gesture_zoo.save_pretrained(model, tmp_path / "run") / "model.safetensors"
    bare = gesture_zoo.create_model(MODEL, num_classes=3, checkpoint_path=file)
    assert same(bare, gesture_zoo.strip_msd(model))
    taught = gesture_zoo.create_model(f"{MODEL}_msd", num_classes=3, checkpoint_path=file)
    assert same(taught, model)
    save_file(state_of(model), tmp_path / "raw.safetensors")
    raw = gesture_zoo.create_model(MODEL, num_classes=3, checkpoint_path=tmp_path / "raw.safetensors")
    assert same(raw, bare), "a wrapper's own state dict loads as well"


def test_stripping_and_wrapping_is_remembered(tmp_path: Path) -> None:
    model = gesture_zoo.with_msd(gesture_zoo.create_model(MODEL, num_classes=3))
    for part in (model, gesture_zoo.strip_msd(model)):
        folder = gesture_zoo.save_pretrained(part, tmp_path / type(part).__name__)
        assert type(gesture_zoo.create_model(f"local-dir:{folder}")) is type(part)


def test_checkpoint_of_another_architecture_changes_nothing(tmp_path: Path) -> None:
    file = gesture_zoo.save_pretrained(trained(), tmp_path / "run") / "model.safetensors"
    with pytest.raises(WeightsError, match="does not fit this model: .*keys are missing"):
        gesture_zoo.create_model("tsm_resnet18", num_classes=3, checkpoint_path=file)
    with pytest.raises(WeightsError, match="1 tensors have another shape|2 tensors have another shape"):
        gesture_zoo.create_model(MODEL, num_classes=4, checkpoint_path=file)
    torch.save({}, tmp_path / "model.pth")
    with pytest.raises(WeightsError, match="convert_official"):
        gesture_zoo.create_model(MODEL, checkpoint_path=tmp_path / "model.pth")


def test_a_model_without_a_name_cannot_be_saved_by_name(tmp_path: Path) -> None:
    video = gesture_zoo.with_temporal(timm.create_model("test_resnet"), "tsm")
    with pytest.raises(WeightsError, match="register its factory"):
        gesture_zoo.save_pretrained(video, tmp_path / "run")
    model = trained()
    model.pretrained_cfg["label_names"] = ("one",)
    with pytest.raises(WeightsError, match="label_names has 1 names for 3 classes"):
        gesture_zoo.save_pretrained(model, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"architecture": "resnet18"}, "architecture 'resnet18', which gesture_zoo does not know; a timm image model"),
        ({"architecture": 3}, "architecture 3"),
        ({"architecture": MODEL, "model_args": {"x": 1}}, "unusable model_args: tsm_test_resnet takes no argument 'x'"),
        ({"architecture": MODEL, "model_args": [1]}, "expected an object"),
        ({"architecture": MODEL, "num_classes": 2, "label_names": ["a"]}, "label_names for 2 classes"),
        ({"architecture": MODEL, "pretrained_cfg": {"input_size": None}}, "input_size of three positive integers"),
    ],
)
def test_a_bad_config_is_refused(tmp_path: Path, config: dict, message: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=message):
        gesture_zoo.create_model(f"local-dir:{tmp_path}")


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no such directory"):
        gesture_zoo.create_model(f"local-dir:{tmp_path / 'none'}")


# The Hub.


def test_push_and_pull(hub: HubServer) -> None:
    model = trained()
    url = gesture_zoo.push_to_hub(model, "me/gestures", token="hf_me", metrics={"top-1": 0.5})
    first = url.rpartition("/")[2]
    pulled = gesture_zoo.create_model("hf-hub:me/gestures")
    assert same(pulled, model)

    changed = trained()
    gesture_zoo.push_to_hub(changed, "me/gestures", token="hf_me")
    assert same(gesture_zoo.create_model("hf-hub:me/gestures"), changed)
    assert same(gesture_zoo.create_model(f"hf-hub:me/gestures@{first}"), model)
    head = gesture_zoo.create_model("hf-hub:me/gestures", num_classes=7)
    assert head.num_classes == 7


def test_weights_come_from_the_commit_of_their_config(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another push between the two downloads must not mix two models."""
    gesture_zoo.push_to_hub(trained(), "me/gestures", token="hf_me")
    expected = gesture_zoo.create_model("hf-hub:me/gestures")
    from gesture_zoo import factory as client

    read_config = client.read_config

    def push_in_between(path: Path) -> dict:
        monkeypatch.setattr(client, "read_config", read_config)
        gesture_zoo.push_to_hub(trained(), "me/gestures", token="hf_me")
        return read_config(path)

    monkeypatch.setattr(client, "read_config", push_in_between)
    assert same(gesture_zoo.create_model("hf-hub:me/gestures"), expected)


def test_offline_mode_uses_the_cache(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    gesture_zoo.push_to_hub(trained(), "me/gestures", token="hf_me")
    online = gesture_zoo.create_model("hf-hub:me/gestures")
    hub.stop()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert same(gesture_zoo.create_model("hf-hub:me/gestures"), online)


def test_pickles_are_refused(hub: HubServer) -> None:
    hub.add_repo("me/old", {"config.json": json.dumps({"architecture": MODEL}).encode(), "pytorch_model.bin": b"x"})
    with pytest.raises(HubError, match="only pickled weights"):
        gesture_zoo.create_model("hf-hub:me/old")


def test_no_classes_means_features_with_weights_too(imagenet: nn.Module, tmp_path: Path) -> None:
    model = gesture_zoo.create_model(MODEL, pretrained=True, num_classes=0).eval()
    assert model(torch.rand(1, 8, 3, 32, 32)).shape == (1, model.num_features)
    folder = gesture_zoo.save_pretrained(trained(), tmp_path / "run")
    model = gesture_zoo.create_model(f"local-dir:{folder}", num_classes=0)
    assert model.num_classes == 0
    assert "label_names" not in model.pretrained_cfg


def test_a_file_with_the_right_classes_keeps_its_head(tmp_path: Path) -> None:
    source = trained(MODEL)
    file = gesture_zoo.save_pretrained(source, tmp_path / "run") / "model.safetensors"
    model = gesture_zoo.create_model(MODEL, True, num_classes=3, pretrained_cfg={"file": str(file)})
    assert torch.equal(model.get_classifier().weight, source.get_classifier().weight)
    own = gesture_zoo.create_model(MODEL, pretrained_cfg=source.pretrained_cfg)
    assert own.num_classes == 3


def test_image_weights_in_the_place_of_a_clip_models(tmp_path: Path) -> None:
    save_file(state_of(timm.create_model("test_resnet")), tmp_path / "image.safetensors")
    with pytest.raises(WeightsError, match="'backbone_only': True"):
        gesture_zoo.create_model(MODEL, checkpoint_path=tmp_path / "image.safetensors")


def test_a_clip_models_weights_in_the_place_of_image_weights(tmp_path: Path) -> None:
    file = gesture_zoo.save_pretrained(trained(), tmp_path / "run") / "model.safetensors"
    with pytest.raises(WeightsError, match="holds a video model .*, where an image network"):
        gesture_zoo.create_model(MODEL, True, pretrained_cfg_overlay={"file": str(file), "backbone_only": True})


def test_compiled_models_are_saved_as_what_they_are(tmp_path: Path) -> None:
    model = trained()
    folder = gesture_zoo.save_pretrained(torch.compile(model), tmp_path / "run")
    assert same(gesture_zoo.create_model(f"local-dir:{folder}"), model)


def test_a_trained_model_does_not_carry_the_terms_of_its_start(tmp_path: Path) -> None:
    config = json.loads((gesture_zoo.save_pretrained(trained(), tmp_path / "run") / "config.json").read_text())
    assert not {"tag", "license", "test_input_size"} & config["pretrained_cfg"].keys()


def test_weights_from_a_url(hub: HubServer, tmp_path: Path) -> None:
    source = trained(MODEL)
    file = gesture_zoo.save_pretrained(source, tmp_path / "run") / "model.safetensors"
    hub.add_repo("me/plain", {"model.safetensors": file.read_bytes()})
    url = f"{hub.url}/me/plain/resolve/main/model.safetensors"
    for _ in range(2):  # the second time from the cache
        model = gesture_zoo.create_model(
            MODEL, True, num_classes=3, pretrained_cfg={"url": url, "num_segments": 4}, cache_dir=tmp_path / "cache"
        )
        assert same(model, source)
        hub.stop()
    with pytest.raises(HubError, match="cannot fetch weights from http://127.0.0.1"):
        gesture_zoo.create_model(MODEL, True, pretrained_cfg={"url": url}, cache_dir=tmp_path / "other")
    assert not list((tmp_path / "other").iterdir())
    with pytest.raises(HubError, match="expected an http"):
        gesture_zoo.create_model(MODEL, True, pretrained_cfg={"url": "http://127.0.0.1/model.zip"})


def test_timm_loads_our_folders(tmp_path: Path) -> None:
    model = trained()
    folder = gesture_zoo.save_pretrained(model, tmp_path / "run")
    gesture_zoo.register_with_timm()
    loaded = timm.create_model(f"local-dir:{folder}", pretrained=True)
    assert same(loaded, model)


@pytest.mark.parametrize("name", [MODEL, f"{MODEL}_msd"])
@pytest.mark.parametrize("zoo", [timm, gesture_zoo])
def test_what_timm_saves_is_loaded_again(tmp_path: Path, zoo: ModuleType, name: str) -> None:
    gesture_zoo.register_with_timm()
    model = zoo.create_model(name, num_classes=3, num_segments=4, shift_div=4)
    nn.init.normal_(model.get_classifier().weight)
    save_for_hf(model, tmp_path, safe_serialization=True)
    assert json.loads((tmp_path / "config.json").read_text())["pretrained_cfg"]["backbone_only"], "as timm writes it"
    clip = torch.rand(1, 4, 3, 32, 32)
    for again in (
        timm.create_model(f"local-dir:{tmp_path}", pretrained=True),
        gesture_zoo.create_model(f"local-dir:{tmp_path}"),
    ):
        assert same(again, model)
        assert torch.equal(again.eval()(clip), model.eval()(clip)), "with the T and the options of that model"
        assert not again.pretrained_cfg["backbone_only"]
        assert same(
            gesture_zoo.create_model(f"local-dir:{gesture_zoo.save_pretrained(again, tmp_path / 'ours')}"), model
        )


def test_a_file_in_timms_overlay_may_be_the_models_own(tmp_path: Path) -> None:
    model = trained(MODEL)
    file = gesture_zoo.save_pretrained(model, tmp_path / "run") / "model.safetensors"
    overlay = {"file": str(file)}
    assert same(gesture_zoo.create_model(MODEL, True, num_classes=3, pretrained_cfg_overlay=overlay), model)
    save_file(state_of(model.base_model), tmp_path / "image.safetensors")
    overlay = {"file": str(tmp_path / "image.safetensors")}
    started = gesture_zoo.create_model(MODEL, True, num_classes=3, pretrained_cfg_overlay=overlay)
    assert started.pretrained_cfg["backbone_only"]
