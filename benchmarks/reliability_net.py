"""The parts of reliability.py with servers: a Hub that cuts, refuses or lies; cameras and streams that fall silent."""

import os
import random
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import huggingface_hub
import torch
from huggingface_hub import constants
from reliability_tools import Try, half_written, tree
from safetensors.torch import save

from gesture_zoo._url import download_url
from gesture_zoo.data import write_video
from gesture_zoo.errors import DataError, HubError
from gesture_zoo.hub import download
from gesture_zoo.live import open_source

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from hub_server import HubServer
from live_tools import FakeCv2, frame, jpeg, mpegts

REPO, NAME = "me/model", "model.safetensors"
WEIGHTS = save({"fc.weight": torch.arange(4096.0)})
CONFIG = b'{"architecture": "tsm_test_resnet"}\n'
TIMEOUT, PATIENCE = 1.0, 20.0  # seconds: what a source is given, and after which it counts as hanging


@contextmanager
def hub_server(folder: Path) -> Iterator[HubServer]:
    """A Hub on the loopback with one repository, which the client finds; it does not wait between its retries."""
    with ExitStack() as stack:
        hub = stack.enter_context(HubServer())
        hub.add_repo(REPO, {NAME: WEIGHTS, "config.json": CONFIG})
        environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "home"), "NO_PROXY": "127.0.0.1"}
        stack.enter_context(patch.dict(os.environ, environment))
        stack.enter_context(patch.object(constants, "HF_HUB_DISABLE_XET", True))
        for module in (huggingface_hub.utils._http, huggingface_hub.file_download):
            stack.enter_context(patch.object(module, "time", SimpleNamespace(sleep=lambda seconds: None)))
        stack.callback(huggingface_hub.close_session)
        yield hub


def url_of(hub: HubServer) -> str:
    """Where the same weights are for who knows nothing of Hubs."""
    return f"{hub.url}/{REPO}/resolve/main/{NAME}"


def hub(folder: Path, tries: int, draw: random.Random) -> Iterator[Try]:
    """What a server may do to a download; afterwards it is well again, and the same download has to work."""
    with hub_server(folder) as server:
        ways: dict[str, tuple[bytes, Callable[[Path], Path]]] = {
            "Hub, weights": (WEIGHTS, lambda out: download(REPO, NAME, cache_dir=out)),
            "Hub, configuration": (CONFIG, lambda out: download(REPO, "config.json", cache_dir=out)),
            "URL, weights": (WEIGHTS, lambda out: download_url(url_of(server), cache_dir=out)),
        }
        for way, (data, fetch) in ways.items():
            name = "config.json" if data is CONFIG else NAME
            faults: dict[str, dict[str, Any]] = {
                **{f"cut at {part} %": {"cut_after": len(data) * part // 100} for part in (0, 25, 50, 75)},
                "cut before the last byte": {"cut_after": len(data) - 1},
                **{f"answers {status}": {"status": status} for status in (429, 500, 503)},
                "another file of the same size": {"body": bytes(byte ^ 1 for byte in data)},
            }
            if way.startswith("Hub"):
                faults |= {f"answers {status} at once": {"status": status, "method": "HEAD"} for status in (429, 500)}
            for fault, how in faults.items():
                out = folder / re.sub(r"\W", "_", f"{way} {fault}")
                server.fault(name, **how)
                yield fetched(f"{way}: {fault}", fetch, out, folder)
                server.faults.clear()
                passed = fetch(out).read_bytes() == data and not half_written(out / "models--me--model/blobs")
                yield Try(f"{way}: then a healthy server", passed, "the file" if passed else f"{sorted(tree(out))}")
                if "cut_after" in how and way.startswith("Hub"):
                    server.fault(name, **how, times=1)
                    passed = fetch(out / "once").read_bytes() == data
                    server.faults.clear()
                    yield Try(f"{way}: cut once", passed, "goes on where it was cut" if passed else "another file")


def fetched(what: str, fetch: Callable[[Path], Path], out: Path, folder: Path) -> Try:
    """A download that should fail, and leave nothing."""
    try:
        fetch(out)
    except HubError as error:
        left = [name for name in tree(out) if not any(note in name for note in (".locks/", "/refs/", "CACHEDIR.TAG"))]
        seen = re.sub(r"127.0.0.1:\d+", "SERVER", str(error).replace(str(folder), "FOLDER"))
        return Try(what, not left, f"{seen}; left: {left}" if left else seen)
    except Exception as error:
        return Try(what, False, f"{type(error).__name__}: {error}")
    return Try(what, False, "no error")


def stall(folder: Path, tries: int, draw: random.Random) -> Iterator[Try]:
    """Cameras and streams that send so much and then nothing, while the connection stays."""
    head = b"HTTP/1.0 200 OK\r\nContent-Type: {}\r\n\r\n"
    picture = jpeg(frame(True))
    part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(picture), picture)
    mjpeg = head.replace(b"{}", b"multipart/x-mixed-replace; boundary=frame")
    stream = mpegts([frame(True)] * 60, 30)
    folder.mkdir(parents=True, exist_ok=True)
    write_video(torch.randint(0, 255, (60, 48, 64, 3), dtype=torch.uint8).numpy(), folder / "clip.mkv", fps=10)
    video = (folder / "clip.mkv").read_bytes()
    file_head = b"HTTP/1.0 200 OK\r\nContent-Type: video/x-matroska\r\nContent-Length: %d\r\n\r\n" % len(video)
    sent: dict[str, tuple[str, bytes, bytes]] = {
        "nothing at all": ("http", b"", b""),
        "nothing at all (rtsp)": ("rtsp", b"", b""),
        "a header (MJPEG)": ("http", mjpeg, b""),
        "frames, and half a frame (MJPEG)": ("http", mjpeg + 5 * part + part[: len(part) // 2], b""),
        "frames, then a byte now and then (MJPEG)": ("http", mjpeg + 5 * part, b"\r\n"),
        "half a stream (MPEG-TS)": ("http", head.replace(b"{}", b"video/mp2t") + stream[: len(stream) // 2], b""),
        "half a file (Matroska)": ("http", file_head + video[: len(video) // 2], b""),
    }
    for what, (scheme, data, drip) in sent.items():
        for _ in range(tries):
            with silent_server(data, drip) as port:
                yield watched(f"a URL that sends {what}", lambda: f"{scheme}://127.0.0.1:{port}/camera")  # noqa: B023
    for given in (0, 3):
        with patch.dict(sys.modules, cv2=blocking_cv2(given)):
            yield watched(f"a camera whose driver waits for ever after {given} frames", lambda: "0")


@contextmanager
def silent_server(data: bytes, drip: bytes) -> Iterator[int]:
    """A port of the loopback that answers whoever comes with ``data``, and then with ``drip`` again and again."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as stack:

        def serve() -> None:
            server.settimeout(0.05)
            while not ended.is_set():
                try:
                    connection = stack.enter_context(server.accept()[0])
                except TimeoutError:
                    continue
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            try:
                connection.recv(1 << 16)
                connection.sendall(data)
                while not ended.wait(0.2):
                    connection.sendall(drip)
            except OSError:
                return  # the other end has had enough

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        ended.set()
        thread.join()


def blocking_cv2(given: int) -> FakeCv2:
    """An OpenCV whose camera gives so many frames and then never returns."""
    fake = FakeCv2([frame(True)] * given)
    make = fake.VideoCapture

    def capture(index: int) -> Any:
        camera = make(index)
        read = camera.read

        def blocking() -> Any:
            good, picture = read()
            if not good:
                threading.Event().wait()
            return good, picture

        camera.read = blocking
        return camera

    fake.VideoCapture = capture  # type: ignore[method-assign]
    return fake


def watched(what: str, name: Callable[[], str]) -> Try:
    """Whether a source ends, and says why."""
    said: list[str] = []

    def look() -> None:
        try:
            with open_source(name(), timeout=TIMEOUT) as source:
                count = len(list(source))
            said.append(f"frames, then the note: {source.note}" if source.note and count else "")
        except DataError as error:
            said.append(f"DataError: {error}")
        except Exception as error:
            said.extend(("", f"unexpected {type(error).__name__}: {error}"))

    start = time.monotonic()
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    seen = said[-1] if said else "hangs"
    passed = len(said) == 1 and bool(seen) and time.monotonic() - start < PATIENCE
    return Try(what, passed, re.sub(r"127.0.0.1:\d+", "SERVER", seen))
