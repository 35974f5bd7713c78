"""Checkpoints of other projects become model folders, layout by layout, through convert_checkpoint and the command."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from foreign_checkpoints import mmaction, official, official_online
from safetensors.torch import save_file
from test_golden import GOLDEN, ONLINE, golden_clip, official_state_dict
from torch import Tensor, nn

import gesture_zoo
from gesture_zoo.cli import main
from gesture_zoo.convert import convert_checkpoint
from gesture_zoo.data import jester
from gesture_zoo.errors import GestureZooError, ModelError, WeightsError
from gesture_zoo.mmaction_keys import timm_names

NAMES = tuple(f"gesture {number}" for number in range(5))


def made(arch: str, num_classes: int = 5) -> nn.Module:
    """A model that no random start is equal to: its batch norms have seen something."""
    model = gesture_zoo.create_model(arch, num_classes=num_classes)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
    return model


def same(one: nn.Module, two: nn.Module) -> bool:
    first, second = one.state_dict(), two.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def loaded(folder: Path) -> nn.Module:
    return gesture_zoo.create_model(f"local-dir:{folder}")


# Every layout, there and back.

LAYOUTS: list[tuple[str, str, Callable[[nn.Module], dict[str, Tensor]]]] = [
    ("tsm_resnet50", "official TSM", official),
    ("tsm_resnet18", "official TSM", lambda model: official(model, prefix="")),
    ("tsm_resnet18", "official TSM", lambda model: official(model, dropout=False)),
    ("tsm_resnet101", "official TSM", official),
    ("tsn_resnet18", "official TSN", official),
    ("tsm_mobilenetv2_100", "official TSM", official),
    ("tsm_mobilenetv2_100", "official TSM", lambda model: official(model, dropout=False)),
    ("tsm_mobilenetv2_100_online", "official online TSM", official_online),
    ("action_resnet18", "official ACTION-Net", official),
    ("action_mobilenetv2_100", "official ACTION-Net", official),
    ("tea_res2net50_26w_4s", "official TEA", official),
    ("tsm_resnet50", "mmaction2", mmaction),
    ("tsm_resnet18", "mmaction2", mmaction),
    ("tsn_resnet18", "mmaction2", mmaction),
    ("tsm_mobilenetv2_100", "mmaction2", mmaction),
]


@pytest.mark.parametrize(("arch", "layout", "write"), LAYOUTS)
def test_every_layout_comes_back_as_the_model_it_was(
    tmp_path: Path, arch: str, layout: str, write: Callable[[nn.Module], dict[str, Tensor]]
) -> None:
    model = made(arch)
    torch.save({"epoch": 7, "state_dict": write(model)}, tmp_path / "ckpt.pth.tar")
    done = convert_checkpoint(tmp_path / "ckpt.pth.tar", arch, tmp_path / "out", labels=NAMES)
    assert (done.layout, done.num_classes, done.num_keys) == (layout, 5, len(model.state_dict()))
    again = loaded(done.directory)
    assert same(again, model)
    assert again.pretrained_cfg["label_names"] == NAMES


def test_the_writers_name_what_those_projects_name() -> None:
    """A few names as they stand in the projects' files, so that a fault in a writer is not mirrored in the reader."""
    resnet, mobilenet = mmaction(made("tsm_resnet18")), mmaction(made("tsm_mobilenetv2_100"))
    assert {
        "backbone.conv1.conv.weight",
        "backbone.conv1.bn.running_var",
        "backbone.layer1.0.conv1.conv.net.weight",
        "backbone.layer1.0.conv1.bn.weight",
        "backbone.layer2.0.downsample.conv.weight",
        "backbone.layer2.0.downsample.bn.bias",
        "cls_head.fc_cls.weight",
    } <= resnet.keys()
    assert {
        "backbone.layer1.0.conv.0.conv.weight",
        "backbone.layer2.0.conv.0.conv.weight",
        "backbone.layer2.1.conv.0.net.conv.weight",
        "backbone.layer2.1.conv.0.net.bn.weight",
        "backbone.layer2.1.conv.2.conv.weight",
        "backbone.conv2.bn.bias",
    } <= mobilenet.keys()
    golden = GOLDEN["tsm_mobilenetv2_100"]["state_dict"]
    assert official(made("tsm_mobilenetv2_100"), prefix="").keys() == golden.keys()
    assert timm_names(["cls_head.fc_cls.bias", "backbone.new.weight"])["backbone.new.weight"] == "new.weight"


@pytest.mark.parametrize("name", ["tsm_resnet50", "tsm_mobilenetv2_100", "action_resnet50", "tea_res2net50_26w_4s"])
def test_converted_by_the_command_it_answers_as_the_official_network(tmp_path: Path, name: str) -> None:
    golden = GOLDEN[name]
    state = {f"module.{key}": value for key, value in official_state_dict(golden).items()}
    torch.save({"state_dict": state, "best_prec1": torch.tensor(71.2)}, tmp_path / "official.pth")
    out = tmp_path / "out"
    arguments = ["--labels", "jester", "--num-segments", str(golden["num_segments"])]
    assert main(["convert", str(tmp_path / "official.pth"), "--arch", name, "--out", str(out), *arguments]) == 0
    expected = torch.tensor(golden["logits"])
    with torch.inference_mode():
        logits = loaded(out).eval()(golden_clip(golden))
    assert (logits - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_the_live_demos_file_answers_frame_by_frame_as_the_demo(tmp_path: Path) -> None:
    """A file of the age of the published ones: not yet a zip archive."""
    state, file = official_state_dict(ONLINE), tmp_path / "demo.pth.tar"
    torch.save(state, file, _use_new_zipfile_serialization=False)
    expected = torch.tensor(ONLINE["logits_per_frame"])
    done = convert_checkpoint(file, ONLINE["arch"], tmp_path / "out", num_segments=len(expected))
    frames = torch.randn(ONLINE["frames_shape"], generator=torch.Generator().manual_seed(ONLINE["input_seed"]))
    with torch.inference_mode():
        logits = loaded(done.directory).eval()(frames[None])
    clip = expected.view(len(expected), -1).mean(0, keepdim=True)
    assert (logits - clip).abs().max() <= 1e-4 * expected.abs().max()


# Image networks.


def test_torchvision_networks_fill_the_cnn(tmp_path: Path) -> None:
    image = torch.rand(2, 3, 64, 64)
    for name, arch in (("resnet18", "tsn_resnet18"), ("mobilenet_v2", "tsn_mobilenetv2_100")):
        cnn = torchvision.models.get_model(name).eval()
        torch.save(cnn.state_dict(), tmp_path / f"{name}.pth")
        done = convert_checkpoint(tmp_path / f"{name}.pth", arch, tmp_path / name)
        assert done.num_classes == 1000
        torch.testing.assert_close(loaded(done.directory).eval().base_model(image), cnn(image))


@pytest.mark.parametrize(
    ("arch", "image_network"),
    [
        ("action_resnet18", "resnet18"),
        ("tea_res2net50_26w_4s", "res2net50_26w_4s"),
        ("tsm_mobilenetv2_100_online", "mobilenetv2_100"),
    ],
)
def test_temporal_layers_keep_their_published_start(tmp_path: Path, arch: str, image_network: str) -> None:
    cnn = timm.create_model(image_network, num_classes=5)
    save_file({key: value.contiguous() for key, value in cnn.state_dict().items()}, tmp_path / "timm.safetensors")
    torch.manual_seed(1)
    fresh = gesture_zoo.create_model(arch, num_classes=5).state_dict()
    torch.manual_seed(1)
    again = loaded(convert_checkpoint(tmp_path / "timm.safetensors", arch, tmp_path / "out").directory)
    filled = {key.removeprefix("base_model.").replace(".net.", "."): v for key, v in again.state_dict().items()}
    assert all(torch.equal(value, filled.pop(key)) for key, value in cnn.state_dict().items())
    learned = {key.removeprefix("base_model.").replace(".net.", "."): value for key, value in fresh.items()}
    assert all(torch.equal(value, learned[key]) for key, value in filled.items()), "what is left is temporal"


def test_an_image_head_is_kept_only_where_it_fits(tmp_path: Path) -> None:
    cnn = timm.create_model("resnet18")
    torch.save({"model": cnn.state_dict()}, tmp_path / "cnn.pth")
    kept = convert_checkpoint(tmp_path / "cnn.pth", "tsm_resnet18", tmp_path / "kept")
    assert torch.equal(loaded(kept.directory).get_classifier().weight, cnn.fc.weight)
    new = convert_checkpoint(tmp_path / "cnn.pth", "tsm_resnet18", tmp_path / "new", num_classes=5, labels=NAMES)
    assert loaded(new.directory).get_classifier().weight.std() < 0.002
    assert "the classifier of 5 classes is new: the file's has 1000 classes" in new.notes
    torch.save({k: v for k, v in cnn.state_dict().items() if not k.startswith("fc.")}, tmp_path / "headless.pth")
    headless = convert_checkpoint(tmp_path / "headless.pth", "tsm_resnet18", tmp_path / "headless", labels=NAMES)
    assert "the classifier of 5 classes is new: the file has none" in headless.notes
    with pytest.raises(WeightsError, match="5 labels do not name the 1000 classes of .*; num_classes = 5 makes a new"):
        convert_checkpoint(tmp_path / "cnn.pth", "tsm_resnet18", tmp_path / "other", labels=NAMES)


def test_the_image_network_that_tsm_starts_from_is_told_from_its_demo(tmp_path: Path) -> None:
    model = made("tsn_mobilenetv2_100", 1000)
    torch.save(official_online(model), tmp_path / "mobilenet_v2.pth.tar")
    done = convert_checkpoint(tmp_path / "mobilenet_v2.pth.tar", "tsn_mobilenetv2_100", tmp_path / "out")
    assert done.layout.startswith("image network")
    assert same(loaded(done.directory), model)


# What is written down.


def test_the_folder_says_where_it_is_from_and_how_to_use_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "TSM_mine_RGB_resnet18_shift4_blockres_avg_segment16_e50.pth"
    torch.save({"state_dict": official(made("tsm_resnet18"))}, source)
    (tmp_path / "labels.json").write_text(json.dumps(NAMES))
    arguments = ["--labels", str(tmp_path / "labels.json"), "--dataset", "mine", "--origin-url", "https://example.org"]
    assert main(["convert", str(source), "--arch", "tsm_resnet18", "--out", str(tmp_path / "out"), *arguments]) == 0
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    printed = capsys.readouterr().out
    assert f"official TSM, 122 keys, 5 classes, 16 segments; SHA-256 {digest}" in printed
    assert f"Written to {tmp_path / 'out'}" in printed

    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["label_names"] == list(NAMES)
    assert config["model_args"] == {"num_segments": 16, "shift_div": 4, "in_chans": 3}
    assert config["gesture_zoo"] | {"version": ""} == {
        "version": "",
        "num_segments": 16,
        "dataset": "mine",
        "checkpoint": f"converted from {source.name} (official TSM, SHA-256 {digest})",
        "layout": "official TSM",
        "source_file": source.name,
        "source_sha256": digest,
        "origin_url": "https://example.org",
    }
    model = loaded(tmp_path / "out")
    data = gesture_zoo.resolve_data_config(model=model)
    assert (data["input_size"], data["interpolation"], data["crop_pct"]) == ((3, 224, 224), "bilinear", 0.875)
    assert (data["mean"], data["std"]) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert model.base_model.layer1[0].conv1.shift_div == 4
    assert f"SHA-256 {digest}" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(("file", "tag"), [("mobilenetv2_jester_online.pth.tar", ""), ("renamed.pth", ".jester_8f")])
def test_a_published_file_is_known_by_its_name_or_tag(tmp_path: Path, file: str, tag: str) -> None:
    torch.save(official_online(made("tsm_mobilenetv2_100_online", 27)), tmp_path / file)
    done = convert_checkpoint(tmp_path / file, f"tsm_mobilenetv2_100_online{tag}", tmp_path / "out")
    assert "num_segments 8: as published" in done.notes
    assert done.label_names == jester.ORDERS["alphabetical"]
    ours = json.loads((tmp_path / "out" / "config.json").read_text())["gesture_zoo"]
    assert (ours["dataset"], ours["origin_url"]) == ("Jester", "https://github.com/mit-han-lab/temporal-shift-module")
    assert ours["license"].startswith("code MIT")


def test_what_no_tensor_tells_is_noted(tmp_path: Path) -> None:
    torch.save(official(made("tsm_mobilenetv2_100")), tmp_path / "a.pth")
    done = convert_checkpoint(tmp_path / "a.pth", "tsm_mobilenetv2_100_online", tmp_path / "out")
    assert any("look back only" in note for note in done.notes)
    assert "num_segments: the default, no tensor tells it" in done.notes
    torch.save(mmaction(made("tsm_resnet18", 27)), tmp_path / "tsm_r18_1x1x16_jester.pth")
    done = convert_checkpoint(tmp_path / "tsm_r18_1x1x16_jester.pth", "tsm_resnet18", tmp_path / "b", labels="jester")
    assert done.num_segments == 16
    assert any("order of jester_official" in note for note in done.notes)


# What can go wrong: one line, exit code 2, nothing written.


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.save({"state_dict": official(made("tsm_resnet18"))}, tmp_path / "ckpt.pth")
    return tmp_path / "ckpt.pth"


@pytest.mark.parametrize(
    ("arch", "options", "message"),
    [
        ("tsm_resnet50", {}, r"does not fit 'tsm_resnet50' \(official TSM\): .*missing.*it fits tsm_resnet18"),
        ("action_resnet18", {}, r"\d+ of \d+ keys are missing, such as .*action_.*it fits tsm_resnet18"),
        ("tsn_resnet18", {}, "it fits tsm_resnet18"),
        ("tsm_resnet18_msd", {}, "no decoders: convert for 'tsm_resnet18'"),
        ("tsm_resnet19", {}, "unknown model 'tsm_resnet19'; did you mean"),
        ("tsm_resnet18", {"labels": "jester"}, "27 labels do not name the 5 classes of"),
        ("tsm_resnet18", {"labels": ["a"]}, "1 labels do not name the 5 classes of"),
        ("tsm_resnet18", {"num_classes": 27}, "has 5 classes, not num_classes = 27"),
        ("tsm_resnet18", {"num_segments": 0}, "num_segments must be an integer of at least 1"),
        ("tsn_resnet18", {"shift_div": 4}, "tsn_resnet18 takes no argument 'shift_div'"),
    ],
)
def test_a_file_that_does_not_fit(tmp_path: Path, checkpoint: Path, arch: str, options: dict, message: str) -> None:
    with pytest.raises(GestureZooError, match=message) as error:
        convert_checkpoint(checkpoint, arch, tmp_path / "out", **options)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_state_dict_of_ours_with_decoders_is_shown_its_way(tmp_path: Path) -> None:
    model = gesture_zoo.create_model("tsm_test_resnet_msd", num_classes=3)
    torch.save(model.state_dict(), tmp_path / "ours.pth")
    way = r"a state dict of ours, .* into create_model\('tsm_test_resnet_msd'\) with load_state_dict\(torch.load\(FILE"
    with pytest.raises(WeightsError, match=way):
        convert_checkpoint(tmp_path / "ours.pth", "tsm_test_resnet_msd", tmp_path / "out")
    twin = gesture_zoo.create_model("tsm_test_resnet_msd", num_classes=3)
    twin.load_state_dict(torch.load(tmp_path / "ours.pth", weights_only=True))
    assert all(torch.equal(value, twin.state_dict()[key]) for key, value in model.state_dict().items())


def test_the_demos_weights_are_for_an_online_model_only(tmp_path: Path) -> None:
    torch.save(official_online(made("tsm_mobilenetv2_100_online", 27)), tmp_path / "a.pth")
    for arch in ("tsm_mobilenetv2_100", "tsn_mobilenetv2_100"):
        with pytest.raises(WeightsError, match="it fits tsm_mobilenetv2_100_online"):
            convert_checkpoint(tmp_path / "a.pth", arch, tmp_path / "out")


class Harmful:
    """Unpickled as pickles are, it would leave a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def broken(folder: Path) -> dict[str, tuple[Callable[[Path], object], str]]:
    """By file name, how to write it and what is said of it."""
    good = folder / "good.pth"
    torch.save({"state_dict": {"fc.weight": torch.rand(100, 100)}}, good)
    return {
        "harmful.pth": (
            lambda path: torch.save({"state_dict": Harmful(folder / "harm")}, path),
            r"holds \w+\.mkdir, not only tensors, and is not unpickled.*save its state dict alone",
        ),
        "raw.pth": (lambda path: path.write_bytes(pickle.dumps(Harmful(folder / "harm"))), "cannot be read"),
        "cut.pth": (lambda path: path.write_bytes(good.read_bytes()[:-200]), "damaged, cut short or of another kind"),
        "noise.pth.tar": (lambda path: path.write_bytes(bytes(range(256)) * 9), "damaged, cut short"),
        "cut.safetensors": (lambda path: path.write_bytes(b"\x10" * 99), "cannot be read as safetensors"),
        "page.pth": (lambda path: path.write_text("\n<!DOCTYPE html><html>"), "is an HTML page, not weights"),
        "empty.pth": (lambda path: path.touch(), "is empty"),
        "folder.pth": (lambda path: path.mkdir(), "is a directory"),
        "none.pth": (lambda path: None, "there is no file"),
        "tensor.pth": (lambda path: torch.save(torch.zeros(3), path), "holds a Tensor, expected a state dict"),
        "words.pth": (lambda path: torch.save({"epoch": 3}, path), "'epoch' holds a int, not a tensor"),
        "nothing.pth": (lambda path: torch.save({}, path), "not a state dict: it is empty"),
        "other.pth": (lambda path: torch.save({"a": torch.zeros(1)}, path), "keys are missing.*fits no model here"),
        "headless.pth": (
            lambda path: torch.save({"base_model.layer1.0.conv1.net.weight": torch.zeros(1)}, path),
            "no classifier among its 1 keys",
        ),
    }


def test_a_file_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, (write, message) in broken(tmp_path).items():
        write(tmp_path / name)
        with pytest.raises(WeightsError, match=message) as error:
            convert_checkpoint(tmp_path / name, "tsm_resnet18", tmp_path / "out")
        assert name in str(error.value)
        assert "\n" not in str(error.value)
    assert main(["convert", str(tmp_path / "page.pth"), "--arch", "tsm_resnet18", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "harm").exists()
    assert not (tmp_path / "out").exists()


def test_convert_official_reads_the_other_layouts_too() -> None:
    for arch, write in (("tsm_resnet18", mmaction), ("tsm_mobilenetv2_100_online", official_online)):
        model = made(arch)
        other = gesture_zoo.create_model(arch, num_classes=5)
        other.load_state_dict(gesture_zoo.convert_official(write(model), arch))
        assert same(other, model)
    with pytest.raises(WeightsError, match="it fits tsm_resnet18"):
        gesture_zoo.convert_official(mmaction(made("tsm_resnet18")), "tsm_resnet34")
    assert issubclass(ModelError, GestureZooError)
