"""Checkpoints as training leaves them: wrapped, averaged, with decoders, for depth; tensors that no network loads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from foreign_checkpoints import official
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import gesture_zoo
from gesture_zoo.cli import main
from gesture_zoo.convert import convert_checkpoint
from gesture_zoo.errors import WeightsError

ARCH = "tsm_test_resnet"


def made(arch: str = ARCH, **options: int) -> nn.Module:
    return gesture_zoo.create_model(arch, **{"num_classes": 5, **options})


def same(one: nn.Module, two: nn.Module) -> bool:
    first, second = one.state_dict(), two.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def loaded(folder: Path) -> nn.Module:
    return gesture_zoo.create_model(f"local-dir:{folder}")


def refused(checkpoint: object, folder: Path) -> str:
    """What is said of a checkpoint that is not converted: one line, and nothing is written."""
    torch.save(checkpoint, folder / "bad.pth")
    with pytest.raises(WeightsError) as error:
        convert_checkpoint(folder / "bad.pth", ARCH, folder / "out")
    assert "\n" not in str(error.value)
    assert not (folder / "out").exists()
    return str(error.value)


# Wrappers and envelopes.


@pytest.mark.parametrize(
    "prefix", ["_orig_mod.", "model.", "module.", "module._orig_mod.", "_orig_mod.module.", "model.module._orig_mod."]
)
@pytest.mark.parametrize("image", [False, True])
def test_wrappers_are_taken_off(tmp_path: Path, prefix: str, image: bool) -> None:
    model = made()
    inner = timm.create_model("test_resnet", num_classes=5) if image else model
    torch.save({"state_dict": {f"{prefix}{k}": v for k, v in inner.state_dict().items()}}, tmp_path / "a.ckpt")
    again = loaded(convert_checkpoint(tmp_path / "a.ckpt", ARCH, tmp_path / "out").directory)
    if image:
        assert torch.equal(again.get_classifier().weight, inner.get_classifier().weight)
    else:
        assert same(again, model)


def test_a_prefix_of_some_keys_is_part_of_their_names(tmp_path: Path) -> None:
    state = {f"{'' if 'fc' in key else 'model.'}{key}": value for key, value in made().state_dict().items()}
    assert "keys are not in the model" in refused(state, tmp_path)


@pytest.mark.parametrize("envelope", ["state_dict_ema", "model_ema", "ema_state_dict"])
def test_an_average_counts_where_there_is_nothing_else(tmp_path: Path, envelope: str) -> None:
    plain, average = made(), made()
    torch.save({envelope: official(average), "epoch": 3}, tmp_path / "ema.pth")
    done = convert_checkpoint(tmp_path / "ema.pth", ARCH, tmp_path / "ema")
    assert same(loaded(done.directory), average)
    assert f"the weights are those under '{envelope}', an average" in done.notes
    torch.save({envelope: official(average), "state_dict": official(plain)}, tmp_path / "both.pth")
    done = convert_checkpoint(tmp_path / "both.pth", ARCH, tmp_path / "both")
    assert same(loaded(done.directory), plain)
    assert not any("average" in note for note in done.notes)


def test_an_averaged_model_of_torch(tmp_path: Path) -> None:
    model = made()
    torch.save({"model_ema": AveragedModel(model).state_dict()}, tmp_path / "swa.pth")
    assert same(loaded(convert_checkpoint(tmp_path / "swa.pth", ARCH, tmp_path / "out").directory), model)


def test_a_suffix_in_capitals(tmp_path: Path) -> None:
    model = made()
    save_file(dict(model.state_dict()), tmp_path / "A.SAFETENSORS")
    assert same(loaded(convert_checkpoint(tmp_path / "A.SAFETENSORS", ARCH, tmp_path / "out").directory), model)


@pytest.mark.parametrize("prefix", ["", "module.", "model._orig_mod."])
def test_our_own_model_with_decoders(tmp_path: Path, prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = made(f"{ARCH}_msd")
    torch.save({f"{prefix}{key}": value for key, value in model.state_dict().items()}, tmp_path / "a.pth")
    assert main(["convert", str(tmp_path / "a.pth"), str(tmp_path / "out"), "--arch", ARCH]) == 0
    assert same(loaded(tmp_path / "out"), model.model)
    assert "note: the decoders are left out: with_msd attaches new ones\n" in capsys.readouterr().out


def test_the_file_of_a_saved_model_with_decoders(tmp_path: Path) -> None:
    model = made(f"{ARCH}_msd")
    file = gesture_zoo.save_pretrained(model, tmp_path / "msd") / "model.safetensors"
    assert same(loaded(convert_checkpoint(file, ARCH, tmp_path / "out").directory), model.model)


# Depth.


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("image", [False, True])
def test_a_network_that_sees_depth_stays_one(tmp_path: Path, channels: int, image: bool) -> None:
    model = made(in_chans=channels)
    cnn = timm.create_model("test_resnet", num_classes=5, in_chans=channels)
    torch.save(cnn.state_dict() if image else official(model), tmp_path / "a.pth")
    done = convert_checkpoint(tmp_path / "a.pth", ARCH, tmp_path / "out")
    again = loaded(done.directory)
    assert again.in_chans == channels
    if image:
        assert torch.equal(next(again.base_model.parameters()), next(cnn.parameters()))
    else:
        assert same(again, model)
        assert gesture_zoo.convert_official(official(model), ARCH).keys() == model.state_dict().keys()
    assert f"in_chans {channels}: as the file's first convolution" in done.notes
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["model_args"]["in_chans"] == config["pretrained_cfg"]["input_size"][0] == channels
    for test in (False, True):
        assert gesture_zoo.resolve_data_config(model=again, use_test_size=test)["input_size"][0] == channels


def test_what_a_network_that_sees_depth_would_fit(tmp_path: Path) -> None:
    torch.save(official(made("tsm_resnet18", in_chans=4)), tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"it fits tsm_resnet18$"):
        convert_checkpoint(tmp_path / "a.pth", "tsm_resnet34", tmp_path / "out")


# Tensors that cannot be a network's.

SPOILED: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "sparse": (lambda w: w.to_sparse(), "is nested or sparse_coo, expected a dense tensor"),
    "csr": (lambda w: w.to_sparse_csr(), "is nested or sparse_csr, expected a dense tensor"),
    "meta": (lambda w: w.to("meta"), "is without data, expected a dense tensor"),
    "quantised": (lambda w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8), "is quantised, expected a dense tensor"),
    "expanded": (lambda w: w[:1].expand(10**11, -1), "of shape (100000000000, 96) is larger than what is stored of it"),
    "int8": (lambda w: w.to(torch.int8), "is int8, expected floating point"),
    "complex": (lambda w: w.to(torch.complex64), "is complex64, expected floating point"),
    "nan": (lambda w: w.clone().fill_(torch.nan), "holds NaN or infinity, expected finite numbers"),
    "inf": (lambda w: w.clone().index_fill_(0, torch.tensor([0]), torch.inf), "holds NaN or infinity"),
}


@pytest.mark.filterwarnings("ignore")  # of torch, that these kinds of tensors will go
@pytest.mark.parametrize("kind", SPOILED)
@pytest.mark.parametrize("image", [False, True])
def test_a_tensor_that_no_network_can_load(tmp_path: Path, kind: str, image: bool) -> None:
    spoil, message = SPOILED[kind]
    state = dict(timm.create_model("test_resnet", num_classes=5).state_dict()) if image else official(made())
    key = next(key for key in state if key.endswith("fc.weight"))
    state[key] = spoil(state[key])
    said = refused({"state_dict": state}, tmp_path)
    assert f"the tensor '{key}' {message}" in said and "bad.pth" in said


def test_half_precision_and_averaged_counts_are_fine(tmp_path: Path) -> None:
    model = made()
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        torch.save({key: value.to(dtype) for key, value in official(model).items()}, tmp_path / "a.pth")
        again = loaded(convert_checkpoint(tmp_path / "a.pth", ARCH, tmp_path / "out").directory)
        expected = model.get_classifier().weight.to(dtype).float()
        assert torch.equal(again.get_classifier().weight, expected)


def test_a_key_of_several_lines(tmp_path: Path) -> None:
    assert "not in the model" in refused({**official(made()), "module.a\nb": torch.zeros(1)}, tmp_path)


# The folder that is written.


def test_lists_of_labels_are_checked(tmp_path: Path) -> None:
    torch.save(official(made(num_classes=3)), tmp_path / "a.pth")
    for labels, message in (
        (["a", "a", "a"], "labels: class 1 has the name of class 0"),
        ([None, "", 3], "labels: class 0 has the name None, expected text"),
        (["a", "b", "c\nd"], "labels: class 2 has a name of several lines"),
    ):
        with pytest.raises(WeightsError, match=message):
            convert_checkpoint(tmp_path / "a.pth", ARCH, tmp_path / "out", labels=labels)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "files",
    [
        {"README.md": "mine"},
        {"config.json": "{}", "notes.txt": ""},
        {"config.json": '{"model_type": "bert"}', "model.safetensors": "x"},
        {"config.json": "[", "model.safetensors": "x"},
    ],
)
def test_a_folder_of_somebody_elses_stays_as_it_is(tmp_path: Path, files: dict[str, str]) -> None:
    torch.save(official(made()), tmp_path / "a.pth")
    out = tmp_path / "project"
    out.mkdir()
    for name, text in files.items():
        (out / name).write_text(text)
    with pytest.raises(WeightsError, match=f"{out} is not empty and holds no saved model of gesture_zoo") as error:
        convert_checkpoint(tmp_path / "a.pth", ARCH, out)
    assert "\n" not in str(error.value)
    assert {path.name: path.read_text() for path in out.iterdir()} == files
    with pytest.raises(WeightsError, match="a.pth is a file"):
        convert_checkpoint(tmp_path / "a.pth", ARCH, tmp_path / "a.pth")


def test_an_empty_folder_and_a_saved_model_are_written_to(tmp_path: Path) -> None:
    first, second, out = made(), made(), tmp_path / "out"
    out.mkdir()
    for model in (first, second):
        torch.save(official(model), tmp_path / "a.pth")
        convert_checkpoint(tmp_path / "a.pth", ARCH, out)
        (out / "notes.txt").write_text("beside it")
        assert same(loaded(out), model)


def test_a_training_run_stays_as_it_is(tmp_path: Path) -> None:
    torch.save(official(made()), tmp_path / "a.pth")
    run = gesture_zoo.save_pretrained(made(), tmp_path / "run")
    (run / "checkpoint.safetensors").write_text("where training goes on")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(WeightsError, match=f"^{run} holds a training run, and is left as it is: name a new or empty"):
        convert_checkpoint(tmp_path / "a.pth", ARCH, run)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
