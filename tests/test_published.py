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
from gesture_zoo import _url
from gesture_zoo._url import download_url
from gesture_zoo.cli import main
from gesture_zoo.errors import HubError, WeightsError
from gesture_zoo.labels import label_names
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
    assert "has no decoders: they keep their random start" in caplog.text
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


def test_a_file_that_changed_is_not_loaded(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo("me/a", {"a.pth": b"weights"})
    url = f"{hub.url}/me/a/resolve/main/a.pth"
    path = download_url(url, cache_dir=tmp_path)
    path.write_bytes(b"weightz")
    with pytest.raises(HubError, match=rf"has changed: .* is recorded.*delete {path} and .*\.sha256 .*{url}"):
        download_url(url, cache_dir=tmp_path)
    path.unlink()
    path.with_name(f"{path.name}.sha256").unlink()
    assert download_url(url, cache_dir=tmp_path).read_bytes() == b"weights"


def test_a_known_checksum_counts_more_than_the_recorded_one(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo("me/a", {"a.pth": b"weights"})
    url, right = f"{hub.url}/me/a/resolve/main/a.pth", hashlib.sha256(b"weights").hexdigest()
    with pytest.raises(HubError, match="is not the file it should be"):
        download_url(url, cache_dir=tmp_path, sha256="0" * 64)
    assert not list(tmp_path.iterdir()), "neither the file nor a part of it"
    path = download_url(url, cache_dir=tmp_path, sha256=right.upper())
    path.with_name(f"{path.name}.sha256").write_text("0" * 64)
    assert download_url(url, cache_dir=tmp_path, sha256=right) == path
    with pytest.raises(HubError, match="is known"):
        download_url(url, cache_dir=tmp_path, sha256="1" * 64)
    cfg = {"url": url, "sha256": "2" * 64}
    with pytest.raises(HubError, match=f"{'2' * 64} is known"):
        gesture_zoo.create_model("tsm_resnet18", True, pretrained_cfg=cfg, cache_dir=tmp_path)
    known = gesture_zoo.PretrainedCfg(url="https://example.org/b.pth", sha256=right)
    assert gesture_zoo.pretrained.overlay_cfg(known, {"url": url}).sha256 is None, "another file has another one"


def test_a_file_of_an_older_version_gets_its_checksum(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo("me/a", {"a.pth": b"weights"})
    path = download_url(f"{hub.url}/me/a/resolve/main/a.pth", cache_dir=tmp_path)
    record = path.with_name(f"{path.name}.sha256")
    before = record.read_text()
    record.unlink()
    download_url(f"{hub.url}/me/a/resolve/main/a.pth", cache_dir=tmp_path)
    assert record.read_text() == before


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"status": 404}, "the server answers 404 Not Found"),
        ({"status": 503}, "the server answers 503"),
        ({"cut_after": 3}, "the connection ended after 3 of 7 bytes"),
        ({"body": b"<!DOCTYPE html><title>Moved</title>"}, "there is a web page, not a file of weights"),
        ({"body": b""}, "the file there is empty"),
        ({"delay": 3.0}, r"no answer within 0.2 s"),
    ],
)
def test_a_failed_download_leaves_nothing(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: dict, message: str
) -> None:
    monkeypatch.setattr(_url, "TIMEOUT", 0.2)
    hub.add_repo("me/a", {"a.pth": b"weights"})
    hub.fault("a.pth", times=1, **fault)
    url = f"{hub.url}/me/a/resolve/main/a.pth"
    with pytest.raises(HubError, match=f"cannot fetch weights from {url}: {message}") as error:
        download_url(url, cache_dir=tmp_path)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


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
        ("code.pth", r"cannot load weights from http://127.0.0.1.*code\.pth: .* is not unpickled"),
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
