"""download_url: a file of weights from any server comes whole, is a checkpoint, and is kept with its checksum."""

from __future__ import annotations

import gzip
import hashlib
import io
from pathlib import Path

import pytest
import torch
from hub_server import HubServer
from safetensors.torch import save

import gesture_zoo
from gesture_zoo import _url
from gesture_zoo._url import download_url
from gesture_zoo.errors import HubError


def pickled(checkpoint: object, **options: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer, **options)
    return buffer.getvalue()


STATE = {"fc.weight": torch.arange(512.0)}
WEIGHTS, LEGACY, TENSORS = pickled(STATE), pickled(STATE, _use_new_zipfile_serialization=False), save(STATE)
FILES = {"a.pth": WEIGHTS, "a.pth.tar": LEGACY, "a.safetensors": TENSORS, "A.SAFETENSORS": TENSORS}
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()


@pytest.fixture
def url(hub: HubServer) -> str:
    hub.add_repo("me/a", {**FILES, f"{'w' * 300}.pth": WEIGHTS, "line\nbreak.pth": WEIGHTS})
    return f"{hub.url}/me/a/resolve/main/a.pth"


def refused(url: str, folder: Path, **options: object) -> str:
    """What is said of a download that fails: one line, and nothing is left behind."""
    before = sorted(folder.iterdir())
    with pytest.raises(HubError) as error:
        download_url(url, cache_dir=folder, **options)
    assert sorted(folder.iterdir()) == before
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_checkpoint_comes(url: str, tmp_path: Path, name: str) -> None:
    for _ in range(2):
        path = download_url(url.replace("a.pth", name), cache_dir=tmp_path)
        assert path.read_bytes() == FILES[name]
    # The suffix is what the file is read by, so it is written as everywhere.
    assert path.name.partition("-")[2] == name.partition(".")[0] + "." + name.partition(".")[2].lower()


@pytest.mark.parametrize("name", ["w" * 300 + ".pth", "line%0Abreak.pth"])
def test_names_that_a_file_cannot_have(url: str, tmp_path: Path, name: str) -> None:
    path = download_url(url.replace("a.pth", name), cache_dir=tmp_path)
    assert path.read_bytes() == WEIGHTS and path.suffix == ".pth"
    assert len(path.name) < 150 and "\n" not in path.name


def test_a_file_that_changed_is_not_loaded(url: str, tmp_path: Path) -> None:
    path = download_url(url, cache_dir=tmp_path)
    path.write_bytes(WEIGHTS + b"!")
    with pytest.raises(HubError, match=rf"has changed: .* is recorded.*delete {path} and .*\.sha256 .*{url}"):
        download_url(url, cache_dir=tmp_path)
    path.unlink()
    path.with_name(f"{path.name}.sha256").unlink()
    assert download_url(url, cache_dir=tmp_path).read_bytes() == WEIGHTS


def test_a_known_checksum_counts_more_than_the_recorded_one(url: str, tmp_path: Path) -> None:
    assert "is not the file it should be" in refused(url, tmp_path, sha256="0" * 64)
    path = download_url(url, cache_dir=tmp_path, sha256=DIGEST.upper())
    path.with_name(f"{path.name}.sha256").write_text("0" * 64)
    assert download_url(url, cache_dir=tmp_path, sha256=DIGEST) == path
    with pytest.raises(HubError, match="is known"):
        download_url(url, cache_dir=tmp_path, sha256="1" * 64)
    cfg = {"url": url, "sha256": "2" * 64}
    with pytest.raises(HubError, match=f"{'2' * 64} is known"):
        gesture_zoo.create_model("tsm_resnet18", True, pretrained_cfg=cfg, cache_dir=tmp_path)
    known = gesture_zoo.PretrainedCfg(url="https://example.org/b.pth", sha256=DIGEST)
    assert gesture_zoo.pretrained.overlay_cfg(known, {"url": url}).sha256 is None, "another file has another one"


def test_a_file_of_an_older_version_gets_its_checksum(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = download_url(url, cache_dir=tmp_path)
    record = path.with_name(f"{path.name}.sha256")
    before = record.read_text()
    record.unlink()

    def read_only(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(_url, "replacing", read_only)
        assert download_url(url, cache_dir=tmp_path) == path, "a good file of a cache that may not be written to"
    download_url(url, cache_dir=tmp_path)
    assert record.read_text() == before


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"status": 404}, "the server answers 404 Not Found"),
        ({"status": 503}, "the server answers 503"),
        ({"cut_after": 3}, f"the connection ended after 3 of {len(WEIGHTS)} bytes"),
        # As without Content-Length.
        ({"body": WEIGHTS[:-300]}, "what is there cannot be read as a checkpoint"),
        ({"body": LEGACY[:-300]}, "what is there cannot be read as a checkpoint"),
        ({"status": 200, "body": b'{"error": "try again"}'}, "what is there cannot be read as a checkpoint"),
        ({"body": b"<!DOCTYPE html><title>Moved</title>"}, "what is there is a web page, not weights"),
        ({"body": b"<!-- moved --><html>"}, "what is there is a web page, not weights"),
        (
            {"status": 200, "body": gzip.compress(WEIGHTS), "headers": {"Content_Encoding": "gzip"}},
            "sends them as gzip",
        ),
        ({"body": b""}, "what is there is empty"),
        ({"delay": 3.0}, "no answer within 0.2 s"),
    ],
)
def test_a_failed_download_leaves_nothing(
    hub: HubServer, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: dict, message: str
) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(_url, "TIMEOUT", 0.2)
        hub.fault("a.pth", times=1, **fault)
        said = refused(url, folder)
    assert said.startswith(f"cannot fetch weights from {url}: ") and message in said
    assert download_url(url, cache_dir=folder).read_bytes() == WEIGHTS, "and the next one comes"


def test_a_cut_safetensors_file_leaves_nothing(hub: HubServer, url: str, tmp_path: Path) -> None:
    hub.fault("a.safetensors", body=TENSORS[:-8])
    assert "what is there cannot be read as safetensors" in refused(url.replace("a.pth", "a.safetensors"), tmp_path)


def test_a_server_that_sends_in_circles(hub: HubServer, url: str, tmp_path: Path) -> None:
    hub.fault("a.pth", status=302, headers={"Location": url})
    assert "the server answers 302" in refused(url, tmp_path)


@pytest.mark.parametrize("url", ["http://[::1/a.pth", "ftp://example.org/a.pth", "https://example.org/a.zip", 3])
def test_what_is_no_address_of_weights(tmp_path: Path, url: str) -> None:
    assert "expected an http(s) address of a .safetensors, .pth, .pth.tar file" in refused(url, tmp_path)


@pytest.mark.parametrize("sha256", [123, "abc", ""])
def test_what_is_no_checksum(url: str, tmp_path: Path, sha256: object) -> None:
    assert "its SHA-256 is 64 hexadecimal digits, got" in refused(url, tmp_path, sha256=sha256)


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "is empty"), (b"<!-- -->", "is a web page"), (b'{"error": 1}', "cannot be read as a checkpoint")],
)
def test_a_bad_file_in_the_cache_is_named_with_what_to_delete(
    url: str, tmp_path: Path, data: bytes, message: str
) -> None:
    path = download_url(url, cache_dir=tmp_path)
    record = path.with_name(f"{path.name}.sha256")
    path.write_bytes(data)
    record.write_text(hashlib.sha256(data).hexdigest())
    said = refused(url, tmp_path)
    assert f"{path} {message}" in said and f"delete {path} and {record.name} beside it to fetch {url} again" in said
    record.unlink()
    assert f"delete {path} to fetch {url} again" in refused(url, tmp_path)


def test_a_folder_where_the_file_would_be(url: str, tmp_path: Path) -> None:
    path = download_url(url, cache_dir=tmp_path)
    path.unlink()
    path.mkdir()
    assert f"{path} is a directory, expected a file of weights: delete {path}" in refused(url, tmp_path)
