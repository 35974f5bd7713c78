"""Tests of gesture_zoo.hub: the real huggingface_hub client against a Hub of our own on the loopback."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch
from hub_server import HubServer, etag
from huggingface_hub import constants
from safetensors.torch import save

from gesture_zoo import hub as zoo_hub
from gesture_zoo import model_folder
from gesture_zoo.errors import GestureZooError, HubError, WeightsError

REPO = "me/model"
WEIGHTS = save({"head.weight": torch.arange(600.0).reshape(20, 30), "head.bias": torch.ones(20)})
NEWER = save({"head.weight": torch.zeros(20, 30), "head.bias": torch.zeros(20)})
CONFIG = b'{"architecture": "r3d_18", "num_classes": 20}\n'
FILES = {"model.safetensors": WEIGHTS, "config.json": CONFIG, "README.md": b"# A model\n"}


def cache_of(hub: HubServer) -> Path:
    return Path(os.environ["HF_HUB_CACHE"])


def assert_clean(hub: HubServer) -> None:
    """Every file in the cache is a whole file of some commit, or one of the client's own small notes."""
    commits = [files for repo in hub.repos.values() for files in repo.commits.values()]
    whole = {etag(name, data): data for files in commits for name, data in files.items()}
    for path in cache_of(hub).rglob("*"):
        assert not path.is_symlink() or path.exists(), f"{path} points nowhere"
        if path.is_symlink() or path.is_dir():
            continue
        folder = path.relative_to(cache_of(hub)).parts[:2]
        if "blobs" in folder:
            assert path.read_bytes() == whole[path.name], f"{path} is not a whole file"
        elif "refs" in folder:
            assert re.fullmatch("[0-9a-f]{40}", path.read_text())
        else:
            assert {path.name, *folder} & {"CACHEDIR.TAG", ".locks", ".no_exist"}, f"{path} was left behind"


def fails(hub: HubServer, *words: str, filename: str = "model.safetensors", **options: object) -> HubError:
    """Assert that a download fails with one clear line and leaves a clean cache; return the error."""
    with pytest.raises(HubError) as caught:
        zoo_hub.download(REPO, filename, **options)  # type: ignore[arg-type]
    check_line(caught.value, REPO, filename, *words)
    assert_clean(hub)
    return caught.value


def check_line(error: Exception, *words: str) -> None:
    line = str(error)
    assert isinstance(error, GestureZooError) and line == " ".join(line.split())
    for word in words:
        assert word in line, line


def test_download_then_cache_hit(hub: HubServer) -> None:
    hub.add_repo(REPO, FILES)
    path = zoo_hub.download(REPO, "model.safetensors")
    assert path.read_bytes() == WEIGHTS and cache_of(hub) in path.parents
    assert zoo_hub.download(REPO, "model.safetensors") == path
    assert hub.count("GET", "model.safetensors") == 1
    assert set(model_folder.load_safetensors(path)) == {"head.weight", "head.bias"}
    assert model_folder.read_config(zoo_hub.download(REPO, "config.json"))["num_classes"] == 20
    assert_clean(hub)


def test_cache_folder(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add_repo(REPO, FILES)
    path = zoo_hub.download(REPO, "config.json", cache_dir=tmp_path / "elsewhere")
    assert tmp_path / "elsewhere" in path.parents and not cache_of(hub).exists()
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    assert tmp_path / "home" / "hub" in zoo_hub.download(REPO, "config.json").parents
    monkeypatch.setenv("HF_HUB_CACHE", str(path / "below a file"))
    fails(hub, "cannot be stored in the cache", str(path / "below a file"))


def test_revisions(hub: HubServer) -> None:
    first = hub.add_repo(REPO, FILES)
    second = hub.repos[REPO].commit("main", {"model.safetensors": NEWER})
    hub.repos[REPO].branches["old"] = first
    assert zoo_hub.download(REPO, "model.safetensors").read_bytes() == NEWER
    assert zoo_hub.download(REPO, "model.safetensors", revision="old").read_bytes() == WEIGHTS
    assert zoo_hub.download(REPO, "model.safetensors", revision=first).read_bytes() == WEIGHTS
    assert zoo_hub.download(REPO, "model.safetensors", revision=second).read_bytes() == NEWER
    fails(hub, "v9", "branches, tags", hub.url, revision="v9")


@pytest.mark.parametrize("repo_id", ["", "a/b/c", "bad id", "../up", "a--b", "x/y\nz", "/model", "./model"])
def test_malformed_repo_id(hub: HubServer, repo_id: str) -> None:
    with pytest.raises(HubError) as caught:
        zoo_hub.download(repo_id, "model.safetensors")
    check_line(caught.value, "expected 'user/name'", hub.url)
    assert not hub.requests


@pytest.mark.parametrize("token", [None, "hf_other"])
@pytest.mark.parametrize("private", [False, True])
def test_missing_or_private_repo(hub: HubServer, token: str | None, private: bool) -> None:
    if private:
        hub.add_repo(REPO, FILES, private=True)
    fails(hub, "does not exist or is private", "hf auth login", "HF_TOKEN", hub.url, token=token)


@pytest.mark.parametrize("token", [None, "hf_other"])
def test_gated_repo(hub: HubServer, token: str | None) -> None:
    hub.add_repo(REPO, FILES, gated=True)
    fails(hub, "gated", f"request access at {hub.url}/{REPO}", "hf auth login", token=token)


def test_token_opens_private_and_gated(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add_repo(REPO, FILES, gated=True, private=True)
    assert zoo_hub.download(REPO, "config.json", token="hf_me").read_bytes() == CONFIG
    monkeypatch.setenv("HF_TOKEN", "hf_me")
    assert zoo_hub.download(REPO, "model.safetensors").read_bytes() == WEIGHTS


def test_invalid_and_absent_token(hub: HubServer) -> None:
    hub.add_repo(REPO, FILES)
    error = fails(hub, "HTTP 401", "hf auth login", token="hf_expired")
    assert "hf_expired" not in str(error)
    fails(hub, "no token", "hf auth login", token=True)
    assert "hf_me" not in str(fails(hub, "token is a single word", token="hf_me\nX"))


def test_missing_file(hub: HubServer) -> None:
    hub.add_repo(REPO, {"README.md": b"# Nothing\n"})
    fails(hub, "no such file", "it holds README.md", hub.url)
    fails(hub, "no such file", filename="sub/other.json")
    zoo_hub.download(REPO, "README.md")
    hub.repos[REPO].commits[hub.repos[REPO].commit("main", {})].clear()
    fails(hub, "no such file", "it holds no files", filename="README.md")
    fails(hub, "not in the cache", filename="README.md", local_files_only=True)


def test_only_pickles(hub: HubServer) -> None:
    hub.add_repo(REPO, {"pytorch_model.bin": b"pickle", "config.json": CONFIG})
    fails(hub, "only pickled weights (pytorch_model.bin)", "convert", "gesture_zoo.convert_official")
    assert hub.count("GET", ".bin") == 0


@pytest.mark.parametrize("suffix", model_folder.PICKLE_SUFFIXES)
def test_pickles_are_refused(hub: HubServer, tmp_path: Path, suffix: str) -> None:
    name = f"weights{suffix.upper()}"
    hub.add_repo(REPO, {name: b"pickle"})
    fails(hub, "pickle", ".safetensors", filename=name)
    (tmp_path / name).write_bytes(b"pickle")
    with pytest.raises(WeightsError) as caught:
        model_folder.load_safetensors(tmp_path / name)
    check_line(caught.value, name, "gesture_zoo.convert_official", "weights_only=True")
    assert not hub.requests


@pytest.mark.parametrize("name", ["", ".", "../up.json", "/etc/x.json", "a//b.json", "a\\..\\b.json"])
def test_names_that_leave_the_cache(hub: HubServer, name: str) -> None:
    fails(hub, "expected 'name' or 'folder/name'", filename=name)
    if name.startswith(("/", "..")):
        with pytest.raises(HubError, match="expected a branch, tag or commit id"):
            zoo_hub.download(REPO, "config.json", revision=name)
    assert not hub.requests


FAULTS = {
    "cut": ({"cut_after": 700}, ("connection broke off", "nothing of it was kept")),
    "cut at once": ({"cut_after": 0}, ("connection broke off",)),
    "short": ({"body": WEIGHTS[:1000]}, ("incomplete", "1000 bytes of")),
    "long": ({"body": WEIGHTS + b"x"}, ("incomplete", str(len(WEIGHTS) + 1))),
    "claimed": ({"method": "HEAD", "claim_size": len(WEIGHTS) + 1}, ("incomplete", f"{len(WEIGHTS)} bytes")),
    "empty": ({"body": b""}, ("incomplete", "0 bytes of")),
    "other bytes": ({"body": WEIGHTS[:-1] + b"x"}, ("does not match its checksum",)),
    "status 500": ({"status": 500}, ("HTTP 500", "try again later")),
    "status 403": ({"status": 403}, ("HTTP 403", "hf auth login")),
    "status 429": ({"status": 429, "headers": {"Retry-After": "1"}}, ("HTTP 429", "wait")),
    "status 418": ({"status": 418, "body": b"a\nb"}, ("HTTP 418 (a b)",)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_spoiled_transfer(hub: HubServer, fault: str) -> None:
    hub.add_repo(REPO, FILES)
    how, words = FAULTS[fault]
    hub.fault("model.safetensors", **how)
    fails(hub, *words, hub.url)
    hub.faults.clear()
    assert zoo_hub.download(REPO, "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("fault", FAULTS)
def test_spoiled_update_keeps_the_older_file(hub: HubServer, fault: str) -> None:
    hub.add_repo(REPO, FILES)
    older = zoo_hub.download(REPO, "model.safetensors")
    hub.repos[REPO].commit("main", {"model.safetensors": NEWER})
    how, words = FAULTS[fault]
    hub.fault("model.safetensors", **how)
    fails(hub, *words)
    assert older.read_bytes() == WEIGHTS
    assert zoo_hub.download(REPO, "model.safetensors", local_files_only=True) == older
    hub.faults.clear()
    assert zoo_hub.download(REPO, "model.safetensors").read_bytes() == NEWER


def test_cut_once_is_resumed_and_small_files_are_checked(hub: HubServer) -> None:
    hub.add_repo(REPO, FILES)
    hub.fault("model.safetensors", cut_after=700, times=1)
    assert zoo_hub.download(REPO, "model.safetensors").read_bytes() == WEIGHTS
    assert_clean(hub)
    hub.fault("config.json", body=CONFIG.replace(b"20", b"21"))
    fails(hub, "checksum", filename="config.json")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_failing_hub(hub: HubServer, status: int) -> None:
    hub.add_repo(REPO, FILES)
    hub.fault("model.safetensors", method="HEAD", status=status)
    fails(hub, f"HTTP {status}", hub.url)
    hub.faults.clear()
    path = zoo_hub.download(REPO, "model.safetensors")
    hub.fault("model.safetensors", method="HEAD", status=status)
    assert zoo_hub.download(REPO, "model.safetensors") == path


def test_hub_that_does_not_answer(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add_repo(REPO, FILES)
    path = zoo_hub.download(REPO, "config.json")
    hub.fault(".safetensors", method="HEAD", delay=0.5)
    hub.fault(".json", method="HEAD", delay=0.5)
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.05)
    monkeypatch.setattr("huggingface_hub.file_download._ETAG_RETRY_TIMEOUT", 0.05)
    fails(hub, "timed out", "not in the cache", "HF_HUB_OFFLINE=1")
    assert zoo_hub.download(REPO, "config.json") == path


def test_a_hub_that_takes_long_is_said_to(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gesture_zoo.hub.SILENCE", 0.2)
    hub.add_repo(REPO, FILES)
    hub.fault("/config.json", delay=1.0)
    assert zoo_hub.download(REPO, "config.json").is_file()
    (said,) = [record.getMessage() for record in caplog.records if record.name == "gesture_zoo.hub"]
    assert said.startswith(f"no answer from {hub.url} for 0.2 seconds, trying on; with HF_HUB_OFFLINE=1")
    caplog.clear()
    hub.faults.clear()
    zoo_hub.download(REPO, "config.json")
    assert not caplog.records


def test_no_connection(hub: HubServer) -> None:
    hub.add_repo(REPO, FILES)
    path = zoo_hub.download(REPO, "config.json")
    hub.stop()
    fails(hub, hub.url, "no connection", "not in the cache", str(cache_of(hub)), "HF_HUB_OFFLINE=1")
    assert zoo_hub.download(REPO, "config.json") == path


def test_offline(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add_repo(REPO, FILES)
    path = zoo_hub.download(REPO, "config.json")
    hub.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert zoo_hub.download(REPO, "config.json") == path
    fails(hub, "offline mode", "not in the cache", str(cache_of(hub)))
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert zoo_hub.download(REPO, "config.json", local_files_only=True) == path
    fails(hub, "offline mode", local_files_only=True)
    assert not hub.requests


@pytest.mark.parametrize(
    "endpoint",
    [
        "hub.example",
        "ftp://hub.example",
        "https://me:secret@hub.example",
        "http://[::1",
        "http://host:port",
        "http://\x7f",
    ],
)
def test_endpoint_that_is_no_hub(hub: HubServer, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(HubError) as caught:
        zoo_hub.download(REPO, "config.json")
    check_line(caught.value, REPO, "HF_ENDPOINT", "https://host")
    assert "secret" not in str(caught.value) and not hub.requests
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    hub.fault("model.safetensors", method="HEAD", status=200)
    fails(hub, "does not answer like a Hugging Face Hub", "HF_ENDPOINT")
