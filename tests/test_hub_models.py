"""Tests of gesture_zoo.hub: models saved in a directory, read from it, and pushed to a Hub of our own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from hub_server import HubServer
from safetensors import safe_open
from test_hub import FILES, REPO, WEIGHTS, check_line

from gesture_zoo import hub as zoo_hub
from gesture_zoo import model_folder
from gesture_zoo.errors import HubError, WeightsError

NAMES = ("model.safetensors", "config.json", "README.md")


def save_model(directory: Path, value: float) -> dict[str, torch.Tensor]:
    tensors = {"weight": torch.full((4, 5), value)}
    model_folder.save_safetensors_dir(
        directory, tensors, {"num_classes": 4, "scale": value}, f"# A model\n{model_folder.CARD_MARK}\n"
    )
    return tensors


def test_push_then_download(hub: HubServer, tmp_path: Path) -> None:
    save_model(tmp_path / "model", 1.0)
    (tmp_path / "model" / "secret.txt").write_text("not to be uploaded")
    url = zoo_hub.push(tmp_path / "model", REPO, token="hf_me", private=True, commit_message="First")
    first = url.rpartition("/")[2]
    assert url == f"{hub.url}/{REPO}/commit/{first}" and hub.repos[REPO].private
    assert set(hub.repos[REPO].commits[first]) == set(NAMES)
    for name in NAMES:
        path = zoo_hub.download(REPO, name, token="hf_me")
        assert path.read_bytes() == (tmp_path / "model" / name).read_bytes()
    save_model(tmp_path / "model", 2.0)
    second = zoo_hub.push(tmp_path / "model", REPO, token="hf_me").rpartition("/")[2]
    assert second != first
    for revision, value in ((None, 2.0), (second, 2.0), (first, 1.0)):
        path = zoo_hub.download(REPO, "model.safetensors", revision=revision, token="hf_me")
        assert model_folder.load_safetensors(path)["weight"][0, 0] == value
    assert zoo_hub.push(tmp_path / "model", REPO, token="hf_me").endswith(second), "nothing new, no new commit"


def test_push_to_a_branch_and_to_a_bare_name(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, FILES)
    save_model(tmp_path, 1.0)
    for _ in range(2):
        zoo_hub.push(tmp_path, REPO, revision="v2", token="hf_me")
    assert zoo_hub.download(REPO, "model.safetensors").read_bytes() == WEIGHTS
    assert zoo_hub.download(REPO, "model.safetensors", revision="v2").read_bytes() != WEIGHTS
    assert zoo_hub.push(tmp_path, "fresh", token="hf_me").startswith(f"{hub.url}/me/fresh/commit/")


@pytest.mark.parametrize("token", [None, "hf_other", "hf_expired"])
@pytest.mark.parametrize("exists", [False, True])
def test_push_without_rights(hub: HubServer, tmp_path: Path, token: str | None, exists: bool) -> None:
    if exists:
        hub.add_repo(REPO, FILES)
    save_model(tmp_path, 1.0)
    push_fails(tmp_path, "refused with HTTP 40", "token that may write", "hf auth login", hub.url, token=token)


def test_push_that_cannot_work(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    push_fails(tmp_path, str(tmp_path), "no model.safetensors and no config.json", repo="")
    save_model(tmp_path, 1.0)
    hub.add_repo(REPO, FILES)
    hub.fault("/commit/main", method="POST", status=500)
    push_fails(tmp_path, "HTTP 500", hub.url, token="hf_me")
    assert len(hub.repos[REPO].commits) == 1
    hub.stop()
    push_fails(tmp_path, "cannot be reached", "no connection", hub.url, token="hf_me")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    push_fails(tmp_path, "offline mode", "HF_HUB_OFFLINE", token="hf_me")


def push_fails(directory: Path, *words: str, repo: str = REPO, token: str | None = None) -> None:
    with pytest.raises(HubError) as caught:
        zoo_hub.push(directory, REPO, token=token)
    check_line(caught.value, repo, *words)


def saved(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_save_and_load(tmp_path: Path) -> None:
    tensors = save_model(tmp_path / "new" / "model", 0.5)
    directory = tmp_path / "new" / "model"
    assert sorted(saved(directory)) == sorted(NAMES)
    assert torch.equal(model_folder.load_safetensors(directory / "model.safetensors")["weight"], tensors["weight"])
    with safe_open(directory / "model.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
    config = {"z": [1, "Geste é"], "a": None}
    model_folder.save_safetensors_dir(directory, {}, config, f"# é\n{model_folder.CARD_MARK}\n")
    assert model_folder.read_config(directory / "config.json") == config
    assert (directory / "config.json").read_text() == json.dumps(config, indent=2) + "\n"
    assert (directory / "README.md").read_bytes() == f"# é\n{model_folder.CARD_MARK}\n".encode()
    plain = tmp_path / "plain"
    plain.touch()
    modes = {path.stat().st_mode & 0o777 for path in [*directory.iterdir(), plain]}
    assert len(modes) == 1, "the files have the usual rights, not those of temporary files"


def test_save_tensors_of_every_layout(tmp_path: Path) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    tensors = {
        "parameter": torch.nn.Parameter(base.clone()),
        "whole": base,
        "same": base,
        "view": base[1:3],
        "transposed": base.T,
        "strided": base[:, ::2],
        "tail": torch.arange(10)[7:],
        "expanded": torch.ones(1, 1).expand(3, 4),
        "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "empty too": torch.zeros(0, 3),
        "half": base.bfloat16(),
        "mask": base > 3,
    }
    model_folder.save_safetensors_dir(tmp_path, tensors, {}, "")
    loaded = model_folder.load_safetensors(tmp_path / "model.safetensors")
    assert set(loaded) == set(tensors)
    for name, tensor in tensors.items():
        assert torch.equal(loaded[name], tensor) and loaded[name].dtype == tensor.dtype, name


BAD_MODELS = {
    "meta tensor": ({"w": torch.zeros(2, device="meta")}, {}),
    "sparse tensor": ({"w": torch.eye(2).to_sparse()}, {}),
    "odd dtype": ({"w": torch.zeros(2, dtype=torch.complex128)}, {}),
    "list": ({"w": [1.0]}, {}),
    "key": ({1: torch.zeros(2)}, {}),
    "object in config": ({}, {"a": object()}),
    "nan in config": ({}, {"a": float("nan")}),
}


@pytest.mark.parametrize("bad", BAD_MODELS)
def test_failing_save_changes_nothing(tmp_path: Path, bad: str) -> None:
    save_model(tmp_path, 1.0)
    before = saved(tmp_path)
    with pytest.raises(WeightsError) as caught:
        model_folder.save_safetensors_dir(tmp_path, *BAD_MODELS[bad], "# New")  # type: ignore[arg-type]
    check_line(caught.value, str(tmp_path), "cannot be saved")
    assert saved(tmp_path) == before


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_save_on_a_failing_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    save_model(tmp_path, 1.0)
    before = saved(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, failing, fail)
        with pytest.raises(WeightsError) as caught:
            save_model(tmp_path, 2.0)
    check_line(caught.value, str(tmp_path), "No space left")
    assert saved(tmp_path) == before


def test_load_damaged_weights(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    header = int.from_bytes(WEIGHTS[:8], "little")
    damaged = {
        "absent": None,
        "empty": b"",
        "random": bytes(range(256)) * 8,
        "header with a hole": WEIGHTS[:20] + b"\xff" * 8 + WEIGHTS[28:],
        "header too long": b"\xff" * 8 + WEIGHTS[8:],
        "unknown dtype": WEIGHTS.replace(b'"F32"', b'"F99"'),
        "pickle": b"\x80\x02}q\x00.",
        **{f"cut at {at}": WEIGHTS[:at] for at in (7, 8, 9, 8 + header, 9 + header, len(WEIGHTS) - 1)},
        "too long": WEIGHTS + b"x",
    }
    for name, content in damaged.items():
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(WeightsError) as caught:
            model_folder.load_safetensors(path)
        check_line(caught.value, str(path), "safetensors")
        assert not isinstance(caught.value, HubError), name
    with pytest.raises(WeightsError, match="not a file"):
        model_folder.load_safetensors(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'"x"', b"\xff\xfe", b"[" * 100_000, b"null"])
def test_read_damaged_config(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        model_folder.read_config(path)
    check_line(caught.value, str(path), "expected a JSON")


def test_a_folder_without_a_config_holds_no_model(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        model_folder.read_config(tmp_path / "config.json")
    check_line(caught.value, f"{tmp_path} holds no model", "expected a folder that train")
