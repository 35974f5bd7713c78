"""How onnxruntime-web gets into the package: by npm, at its one version, when the package is built."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gesture_zoo.web.vendor as vendor
from gesture_zoo.errors import GestureZooError


def fake_npm(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def working_npm() -> str:
    """Makes what ``npm ci`` makes, as far as the page is concerned, and one file more."""
    dist, names = "node_modules/onnxruntime-web/dist", " ".join((*vendor.FILES, "something.else.mjs"))
    script = f'test "$1" = ci && test -f package-lock.json && mkdir -p {dist} && cd {dist} && '
    return script + f"for name in {names}; do printf 'code\\n//# sourceMappingURL=x.map\\n' >$name; done"


def test_vendoring_copies_what_the_page_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_npm(tmp_path / "bin", working_npm(), monkeypatch)
    folder = tmp_path / "vendor"
    folder.mkdir()
    (folder / "old.mjs").write_text("of an earlier version")
    assert vendor.vendor(folder)
    assert {path.name for path in folder.iterdir()} == {*vendor.FILES, vendor.LICENCE, vendor.STAMP}
    assert (folder / "ort.wasm.bundle.min.mjs").read_text() == "code\n"
    assert vendor.is_vendored(folder)
    # There already: npm is not asked.
    fake_npm(tmp_path / "bin2", "exit 1", monkeypatch)
    assert not vendor.vendor(folder)
    (folder / vendor.STAMP).write_text("0.0.1\n")
    assert not vendor.is_vendored(folder)


@pytest.mark.parametrize("npm_works", [True, False])
def test_a_build_holds_the_page_and_goes_on_without_npm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, npm_works: bool
) -> None:
    root, copy = vendor.HERE.parents[1], tmp_path / "clone"
    copy.mkdir()
    for name in ("setup.py", "setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(root / name, copy)
    shutil.copytree(root / "gesture_zoo", copy / "gesture_zoo", ignore=shutil.ignore_patterns("__pycache__", "vendor"))
    fake_npm(tmp_path / "bin", working_npm() if npm_works else "exit 1", monkeypatch)
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path / "built")]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    static = tmp_path / "built" / "gesture_zoo" / "web" / "static"
    assert (static / "js" / "app.js").is_file() and (static / "hand.svg").is_file()
    assert vendor.is_vendored(static / "vendor") == npm_works
    assert ("gesture-zoo web will not work yet: npm could not fetch" in done.stderr) != npm_works


def test_npm_that_fails_leaves_all_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_npm(tmp_path / "bin", "echo 'npm error network' >&2; exit 1", monkeypatch)
    folder = tmp_path / "vendor"
    folder.mkdir()
    (folder / "old.mjs").write_text("of an earlier version")
    with pytest.raises(GestureZooError, match="npm could not fetch onnxruntime-web, .*: npm error network"):
        vendor.vendor(folder)
    assert [path.name for path in folder.iterdir()] == ["old.mjs"]


def test_lock_file_pins_by_hash_and_names_no_host() -> None:
    lock = json.loads((vendor.HERE / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages["node_modules/onnxruntime-web"]["version"] == vendor.wanted_version()
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert not any("resolved" in package for package in packages.values())


def test_without_npm_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(GestureZooError, match="npm is not installed, .*: install Node.js, then run 'python -m"):
        vendor.vendor(tmp_path / "vendor")
