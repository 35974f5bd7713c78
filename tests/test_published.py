"""Tags whose weights are pickled checkpoints behind a URL: fetched, checked, converted and loaded."""

from __future__ import annotations

import hashlib
import io
import logging
from pathlib import Path

import pytest
import timm
import torch
from foreign_checkpoints import official, official_online
from hub_server import HubServer
from torch import nn

import gesture_zoo
from gesture_zoo import registry
from gesture_zoo._url import download_url
from gesture_zoo.cli import main
from gesture_zoo.errors import HubError, ModelError, WeightsError
from gesture_zoo.labels import label_names
from gesture_zoo.models import gestures
from gesture_zoo.models.published import TSM_CFGS

TAGS = [
    (f"tsm_{backbone}.{tag}", classes, segments)
    for backbone, tag, classes, segments in [
        ("resnet50", "k400_8f", "kinetics400", 8),
        ("resnet50", "k400_16f", "kinetics400", 16),
        ("resnet50", "k400_8f_dense", "kinetics400", 8),
        ("resnet50", "sthv1_8f", "something_v1", 8),
        ("resnet50", "sthv2_8f", "something_v2", 8),
        ("mobilenetv2_100", "k400_8f_dense", "kinetics400", 8),
        ("mobilenetv2_100_online", "jester_8f", "jester", 8),
    ]
]


def pickled(checkpoint: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    return buffer.getvalue()


def publish(hub: HubServer, name: str, data: bytes) -> dict[str, str]:
    """Put the published file of a tag, under its real name, on the loopback; returns the overlay that says so."""
    file = str(gesture_zoo.get_pretrained_cfg(name).url).rpartition("/")[2]
    hub.add_repo("tsm/models", {file: data})
    return {"url": f"{hub.url}/tsm/models/resolve/main/{file}"}


def same(one: nn.Module, two: nn.Module) -> bool:
    first, second = one.state_dict(), two.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_every_published_file_is_a_tag_of_the_model_and_its_twin() -> None:
    assert (
        len(TAGS) == sum(map(len, TSM_CFGS.values())) == len({cfg.url for t in TSM_CFGS.values() for cfg in t.values()})
    )
    for name, classes, segments in TAGS:
        architecture, tag = name.split(".")
        for cfg in map(gesture_zoo.get_pretrained_cfg, (name, f"{architecture}_msd.{tag}")):
            assert cfg.url.startswith("https://hanlab18.mit.edu/projects/tsm/models/")
            assert cfg.url.endswith((".pth", ".pth.tar"))
            assert cfg.label_names == label_names(classes)
            assert (cfg.num_classes, cfg.num_segments) == (len(cfg.label_names), segments)
            assert cfg.license.startswith("code MIT; ")
            assert "published accuracy: " in cfg.description
        assert name in gesture_zoo.list_pretrained()
        assert gesture_zoo.get_pretrained_cfg(architecture).tag == "in1k", "the default stays the papers' start"


def check_repositories() -> None:
    """Every row of REPOSITORIES is where a tag's weights are, of the model and of its twin with decoders."""
    for model, tags in gestures.REPOSITORIES.items():
        for tag, repository in tags.items():
            for name in (model, f"{model}_msd"):
                assert gesture_zoo.get_pretrained_cfg(f"{name}.{tag}").hf_hub_id == repository, f"{name}.{tag}"


def test_every_repository_is_the_place_of_a_tag() -> None:
    check_repositories()


ROW = {"egogesture_8f": "you/weights"}


@pytest.mark.parametrize("name", ["tsm_resnet50", "tsm_resnet26", "me_resnet10t", "action_mobilenetv2_100_online"])
def test_any_model_of_a_family_may_have_a_repository(
    own_registry: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Listed and not: of the paper's models alone the tags are there before."""
    gesture_zoo.list_models()
    monkeypatch.setattr(gestures, "REPOSITORIES", {name: ROW})
    for listed in (name, f"{name}_msd"):
        registry._REGISTRY.pop(listed, None)  # as if the row had been there at the import
    check_repositories()
    temporal, _, backbone = name.removesuffix("_online").partition("_")
    gesture_zoo.register_family(temporal, backbone, online=name.endswith("_online"))
    check_repositories()
    assert f"{name}.egogesture_8f" in gesture_zoo.list_pretrained(name)
    assert len(gestures.gesture_cfgs(name)) == (3 if name == "tsm_resnet50" else 1)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"tsm_resnet51q_": ROW}, "unknown model 'tsm_resnet51q_'"),
        ({"r2plus1d": ROW}, "model 'r2plus1d' has no weights tagged 'egogesture_8f'"),
        ({"tsm_resnet26_msd": ROW}, "unknown model 'tsm_resnet26_msd_msd'|no weights tagged"),
        (
            {"tsm_resnet26": {"jester_8f": "you/weights"}},
            "'tsm_resnet26' has a row for 'jester_8f', a tag that DATASETS",
        ),
    ],
)
def test_a_repository_without_a_tag_is_an_error(
    monkeypatch: pytest.MonkeyPatch, rows: dict[str, dict[str, str]], message: str
) -> None:
    monkeypatch.setattr(gestures, "REPOSITORIES", rows)
    with pytest.raises(ModelError, match=message):
        check_repositories()


def test_a_tag_says_how_many_frames_a_clip_has() -> None:
    assert gesture_zoo.create_model("tsm_resnet50.k400_16f").num_segments == 16
    assert gesture_zoo.create_model("tsm_resnet50.k400_16f", num_segments=4).num_segments == 4
    assert gesture_zoo.create_model("tsm_resnet50").num_segments == 8


@pytest.mark.parametrize("name", ["tsm_resnet50.k400_16f", "tsm_mobilenetv2_100_online.jester_8f"])
def test_a_published_file_is_fetched_once_converted_and_loaded(hub: HubServer, tmp_path: Path, name: str) -> None:
    model = gesture_zoo.create_model(name)
    online = "online" in name
    data = pickled(official_online(model) if online else {"state_dict": official(model), "epoch": 50})
    overlay = publish(hub, name, data)
    for _ in range(2):
        again = gesture_zoo.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, cache_dir=tmp_path)
        assert same(again, model)
        assert again.num_segments == model.num_segments
        assert again.pretrained_cfg["label_names"] == gesture_zoo.get_pretrained_cfg(name).label_names
        hub.stop()
    file, record = sorted(tmp_path.iterdir(), key=lambda path: path.suffix == ".sha256")
    assert file.read_bytes() == data
    assert record.name == f"{file.name}.sha256"
    assert record.read_text() == f"{hashlib.sha256(data).hexdigest()}  {file.name}\n"


def test_with_decoders_and_other_classes(hub: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    name = "tsm_mobilenetv2_100_online.jester_8f"
    source = gesture_zoo.create_model(name)
    overlay = publish(hub, name, pickled(official_online(source)))
    options = {"pretrained_cfg_overlay": overlay, "cache_dir": tmp_path}
    with caplog.at_level(logging.INFO):
        model = gesture_zoo.create_model("tsm_mobilenetv2_100_online_msd.jester_8f", True, **options)
    assert same(model.model, source)
    assert "they keep their random start" in caplog.text
    own = gesture_zoo.create_model(name, True, num_classes=5, **options)
    assert own.get_classifier().weight.shape[0] == 5
    assert torch.equal(own.base_model.conv_stem.weight, source.base_model.conv_stem.weight)


def test_an_image_network_behind_a_url(hub: HubServer, tmp_path: Path) -> None:
    cnn = timm.create_model("resnet18", num_classes=5)
    hub.add_repo("me/cnn", {"cnn.pth": pickled(cnn.state_dict())})
    cfg = {"url": f"{hub.url}/me/cnn/resolve/main/cnn.pth", "backbone_only": True, "num_classes": 5}
    model = gesture_zoo.create_model("tsm_resnet18", True, pretrained_cfg=cfg, cache_dir=tmp_path)
    assert torch.equal(model.base_model.layer1[0].conv1.net.weight, cnn.layer1[0].conv1.weight)
    assert torch.equal(model.get_classifier().weight, cnn.fc.weight)


def test_a_server_that_is_not_there(hub: HubServer, tmp_path: Path) -> None:
    hub.stop()
    overlay = {"url": f"{hub.url}/models/a.pth.tar"}
    with pytest.raises(HubError, match=f"cannot fetch weights from {overlay['url']}: .*refused"):
        gesture_zoo.create_model("tsm_resnet50.k400_8f", True, pretrained_cfg_overlay=overlay, cache_dir=tmp_path)
    with pytest.raises(HubError, match=r"expected an http\(s\) address of a \.safetensors, \.pth, \.pth\.tar file"):
        download_url("ftp://example.org/a.pth", cache_dir=tmp_path)


def test_what_is_behind_a_url_is_never_unpickled(hub: HubServer, tmp_path: Path) -> None:
    """A whole model in a pickle is code; a file of another network is named with what does not fit."""
    hub.add_repo("me/a", {"code.pth": pickled(nn.Linear(2, 2)), "other.pth": pickled(official(timm_clip()))})
    for file, message in (
        ("code.pth", r"cannot fetch weights from http://127.0.0.1.*code\.pth: .* is not unpickled"),
        ("other.pth", r"does not fit this model: .*keys are"),
    ):
        cfg = {"url": f"{hub.url}/me/a/resolve/main/{file}"}
        with pytest.raises(WeightsError, match=message):
            gesture_zoo.create_model("tsm_resnet50", True, pretrained_cfg=cfg, cache_dir=tmp_path)


def timm_clip() -> nn.Module:
    return gesture_zoo.create_model("tsm_resnet18", num_classes=5)


def test_a_fine_tuned_model_does_not_carry_the_published_accuracy(tmp_path: Path) -> None:
    model = gesture_zoo.create_model("tsm_mobilenetv2_100_online.jester_8f")
    gesture_zoo.save_pretrained(model, tmp_path / "run")
    assert "published accuracy" not in (tmp_path / "run" / "config.json").read_text()


def test_info_says_where_weights_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "tsm_mobilenetv2_100_online"]) == 0
    out = capsys.readouterr().out
    assert "https://hanlab18.mit.edu/projects/tsm/models/mobilenetv2_jester_online.pth.tar" in out
    assert "timm/mobilenetv2_100" in out
