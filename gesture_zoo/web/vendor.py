"""The page's one dependency, onnxruntime-web: fetched from npm when the package is built, served from disk later.

``python -m gesture_zoo.web.vendor`` does what the build does. The version is that of ``package.json``, and npm checks
every package against the hashes of ``package-lock.json``. Builds run this: it imports the standard library alone.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ..errors import GestureZooError, one_line

HERE = Path(__file__).parent
VENDOR = HERE / "static" / "vendor"
PACKAGE = "onnxruntime-web"
# One bundle that computes with WebGPU, and one for processors alone, which is half as much to load.
FILES = (
    "ort.webgpu.bundle.min.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
    "ort.wasm.bundle.min.mjs",
    "ort-wasm-simd-threaded.wasm",
)
LICENCE = "LICENSE.onnxruntime-web.txt"
STAMP = "version.txt"
COMMAND = "python -m gesture_zoo.web.vendor"
_SECONDS = 600


def wanted_version() -> str:
    """The version of onnxruntime-web that the page is made for.

    >>> wanted_version().count(".")
    2
    """
    return json.loads((HERE / "package.json").read_text(encoding="utf-8"))["dependencies"][PACKAGE]


def is_vendored(folder: Path = VENDOR) -> bool:
    """Whether ``folder`` holds everything the page needs, of the right version.

    >>> is_vendored(Path("there is no such folder"))
    False
    """
    stamp = folder / STAMP
    complete = all((folder / name).is_file() for name in (*FILES, LICENCE, STAMP))
    return complete and stamp.read_text(encoding="utf-8").strip() == wanted_version()


def vendor(folder: Path = VENDOR) -> bool:
    """Put onnxruntime-web into ``folder`` by npm; False where it was there already.

    Without npm, or where npm fails (no network, a hash that differs), a GestureZooError says so and ``folder`` stays
    as it was.
    """
    if is_vendored(folder):
        return False
    npm = shutil.which("npm")
    if npm is None:
        raise GestureZooError(f"npm is not installed, which brings {PACKAGE}: install Node.js, then run '{COMMAND}'")
    with tempfile.TemporaryDirectory(prefix="gesture-zoo-web-") as temporary:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, temporary)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        try:
            done = subprocess.run(command, cwd=temporary, capture_output=True, text=True, timeout=_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise GestureZooError(f"npm could not fetch {PACKAGE} in {_SECONDS} s: run '{COMMAND}' again") from error
        if done.returncode:
            reason = one_line(done.stderr or done.stdout)[:300]
            raise GestureZooError(f"npm could not fetch {PACKAGE}, run '{COMMAND}' again: {reason}")
        _install(Path(temporary) / "node_modules" / PACKAGE / "dist", folder)
    return True


def _install(dist: Path, folder: Path) -> None:
    """Copy what the page needs; the stamp comes last, so that half a copy does not pass for a whole one."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name in FILES:
        content = (dist / name).read_bytes()
        if name.endswith(".mjs"):
            # The map is not copied, and a browser would look for it.
            content = b"\n".join(line for line in content.split(b"\n") if not line.startswith(b"//# sourceMappingURL="))
        (folder / name).write_bytes(content)
    shutil.copy(HERE / LICENCE, folder / LICENCE)
    (folder / STAMP).write_text(f"{wanted_version()}\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        news = vendor()
    except GestureZooError as failure:
        sys.exit(f"gesture-zoo: error: {failure}")
    sys.stdout.write(f"{PACKAGE} {wanted_version()}: {'copied to' if news else 'already in'} {VENDOR}\n")
