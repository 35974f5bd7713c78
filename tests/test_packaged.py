"""Weights that come with the package: packed from a checkpoint, found without a network, used where none are named."""

from __future__ import annotations

import configparser
import json
import sys
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import gesture_zoo
from gesture_zoo import packaged, registry
from gesture_zoo.cards.catalogue import describe_source
from gesture_zoo.cli import main
from gesture_zoo.data import write_video
from gesture_zoo.errors import WeightsError
from gesture_zoo.labels import label_names
from gesture_zoo.models.rendered import RENDERED_CFGS, rendered_cfg
from gesture_zoo.packaged import FOLDER, packaged_file
from gesture_zoo.runtime import ModelInfo
from gesture_zoo.runtime.info import METADATA_KEY
from gesture_zoo.web.site import STATIC

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from pack_weights import halved, pack

ARCHITECTURE = "tsm_test_resnet_online"
NAME = f"{ARCHITECTURE}.standin"
SIDE = 32


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in for the trained model: random weights of the right shape."""
    torch.manual_seed(0)
    model = gesture_zoo.create_model(ARCHITECTURE, num_classes=16)
    model.pretrained_cfg.update(
        input_size=(3, SIDE, SIDE),
        mean=(0.4, 0.5, 0.6),
        crop_pct=1.0,
        frame_rate=10.0,
        label_names=label_names("rendered"),
    )
    return gesture_zoo.save_pretrained(model, tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def package(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a package with those weights and their row; nothing may ask a network."""
    packed = pack(checkpoint, tmp_path / FOLDER, tag="standin", onnx=False)
    cfg = eval(f"{{{packed.row}}}")["test_resnet_online"]["standin"]
    monkeypatch.setattr(packaged, "files", lambda package: tmp_path)
    entry = registry.get_entry(ARCHITECTURE)
    monkeypatch.setitem(entry.cfgs, "standin", replace(cfg, architecture=ARCHITECTURE, tag="standin"))
    monkeypatch.setattr("socket.socket.connect", lambda *args: pytest.fail("asked a network"))
    return tmp_path / FOLDER


def test_half_on_disk_is_single_in_the_model(package: Path, checkpoint: Path) -> None:
    stored = load_file(package / f"{NAME}.safetensors")
    assert {value.dtype for value in stored.values() if value.is_floating_point()} == {torch.float16}
    model = gesture_zoo.create_model(NAME, pretrained=True)
    state = model.state_dict()
    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float32}
    assert all(torch.equal(state[key], value.to(state[key].dtype)) for key, value in stored.items())
    cfg = model.pretrained_cfg
    assert (cfg["label_names"], cfg["frame_rate"], model.num_segments) == (label_names("rendered"), 10.0, 8)
    assert (cfg["input_size"], cfg["mean"], cfg["crop_pct"]) == ((3, SIDE, SIDE), (0.4, 0.5, 0.6), 1.0)
    clip, original = torch.rand(2, 8, 3, SIDE, SIDE), gesture_zoo.create_model(f"local-dir:{checkpoint}")
    with torch.inference_mode():
        expected, got = original.eval()(clip), model.eval()(clip)
    assert 0 < (got - expected).abs().max() < 0.01 * expected.abs().max()


def test_a_packaged_tag_is_listed_and_takes_other_classes(package: Path) -> None:
    assert NAME in gesture_zoo.list_pretrained()
    assert describe_source(registry.get_entry(ARCHITECTURE).cfgs["standin"]) == "in the package"
    assert gesture_zoo.create_model(NAME, True, num_classes=5).num_classes == 5


def test_packing_says_how_far_half_precision_is_and_what_is_wrong(checkpoint: Path, tmp_path: Path) -> None:
    packed = pack(checkpoint, tmp_path, onnx=False)
    assert [row.clip for row in packed.compared] == ["random", "rendered"]
    assert 0 < max(row.relative for row in packed.compared) < 0.01 and packed.onnx is None
    with pytest.raises(WeightsError, match="half precision cannot hold"):
        halved({"large": torch.tensor([1e6])})
    other = gesture_zoo.create_model(ARCHITECTURE, num_classes=5)
    with pytest.raises(WeightsError, match="other classes"):
        pack(gesture_zoo.save_pretrained(other, tmp_path / "other"), tmp_path)


def test_a_missing_or_damaged_file_is_one_clear_error(package: Path) -> None:
    file = package / f"{NAME}.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    for content in (bytes(data), bytes(data[:1000]), b""):
        file.write_bytes(content)
        with pytest.raises(WeightsError, match=f"{FOLDER}/{NAME}.safetensors .* is damaged: install it again"):
            gesture_zoo.create_model(NAME, pretrained=True)
        # Where no checksum is known, what cannot be read is still said.
        if len(content) < len(data):
            overlay = {"file": f"package:{NAME}.safetensors"}
            with pytest.raises(WeightsError, match="cannot be read as safetensors"):
                gesture_zoo.create_model(NAME, True, pretrained_cfg_overlay=overlay)
    file.unlink()
    with pytest.raises(WeightsError, match=f"{FOLDER}/{NAME}.safetensors is missing .* install it again"):
        gesture_zoo.create_model(NAME, pretrained=True)


def test_predict_uses_the_default_model_where_none_is_named(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packaged, "DEFAULT_MODEL", NAME)
    write_video(np.zeros((12, 48, 64, 3), np.uint8), tmp_path / "clip.mp4", fps=10)
    assert main(["predict", str(tmp_path / "clip.mp4"), "--clip", "--json", "--topk", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["predictions"][0]["label"] in label_names("rendered")
    assert main(["predict", str(tmp_path / "clip.mp4"), "--checkpoint", str(tmp_path / "none")]) == 2
    assert "none" in capsys.readouterr().err, "what is named counts"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["predict", "clip.mp4"], "one of the arguments --checkpoint --model --onnx/--exported is required"),
        (["web"], "the following arguments are required: MODEL.onnx"),
    ],
)
def test_without_a_default_a_model_has_to_be_named(
    argv: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packaged, "DEFAULT_MODEL", None)
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2 and message in capsys.readouterr().err


def test_web_shows_the_packaged_onnx_file_where_none_is_named(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(module)
    monkeypatch.setattr(packaged, "files", lambda package: tmp_path)
    monkeypatch.setattr(packaged, "DEFAULT_MODEL", NAME)
    monkeypatch.setattr("gesture_zoo.web.site.page_files", lambda: {"index.html": STATIC / "index.html"})
    assert main(["web", "--out", str(tmp_path / "site")]) == 2
    assert f"{FOLDER}/{NAME}.onnx is missing" in capsys.readouterr().err
    pack(checkpoint, tmp_path / FOLDER, tag="standin")
    assert main(["web", "--out", str(tmp_path / "site")]) == 0
    told = json.loads((tmp_path / "site" / "model.json").read_text())
    assert (told["labels"], told["kind"], told["frame_rate"]) == (list(label_names("rendered")), "stream", 10.0)


def test_every_row_has_its_file_and_says_what_the_file_says() -> None:
    rows = [(f"tsm_{name}.{tag}", cfg) for name, tags in RENDERED_CFGS.items() for tag, cfg in tags.items()]
    for name, cfg in rows:
        assert gesture_zoo.get_pretrained_cfg(name).file == cfg.file == f"package:{name}.safetensors"
        with packaged_file(f"{name}.safetensors", sha256=cfg.sha256) as path, safe_open(path, "pt") as file:
            info = ModelInfo.from_json(file.metadata()[METADATA_KEY])
        assert f"{info.architecture}." in name and info.labels == cfg.label_names
        for field in ("input_size", "mean", "std", "interpolation", "crop_pct", "num_segments", "frame_rate"):
            assert getattr(info, field) == getattr(cfg, field), field
    assert packaged.DEFAULT_MODEL is None or packaged.DEFAULT_MODEL in dict(rows)
    if packaged.DEFAULT_MODEL is not None:
        with packaged_file(f"{packaged.DEFAULT_MODEL}.onnx") as path:
            assert path.stat().st_size
    folder = Path(gesture_zoo.__file__).parent / FOLDER
    assert {path.name for path in folder.glob("*.safetensors")} == {f"{name}.safetensors" for name, _ in rows}


def test_wheels_carry_the_files() -> None:
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[1] / "setup.cfg")
    patterns = setup["options.package_data"]["gesture_zoo"].split()
    for name in (f"{NAME}.safetensors", f"{NAME}.onnx"):
        assert any(fnmatch(f"{FOLDER}/{name}", pattern) for pattern in patterns)


def test_a_row_may_replace_what_it_assumes() -> None:
    cfg = rendered_cfg("a.safetensors", side=96, num_segments=8, frame_rate=12, interpolation="bicubic")
    assert (cfg.interpolation, cfg.input_size) == ("bicubic", (3, 96, 96))
