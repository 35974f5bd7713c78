"""The page in headless Chromium: a rendered gesture before a fake camera, or in a file, becomes the right event.

Needs chromium and chromedriver (Debian: chromium, chromium-driver) and onnxruntime-web, else it skips. The models are
those of web_gestures.py: made by hand, they follow what is bright. So what is tested is the page: frames in the right
order, at the right rate, not mirrored; states kept from frame to frame; events; and nothing from another host.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from web_gestures import LABELS, render_swipe, write_frames, write_model

from gesture_zoo import create_model, export_model
from gesture_zoo.runtime import open_exported
from gesture_zoo.web import WebServer, write_site
from gesture_zoo.web.vendor import is_vendored

webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
SECONDS = 60  # to wait at most; a loaded machine is slow
SWIPES = LABELS[:2]

pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Chromium and chromedriver"),
    pytest.mark.skipif(not is_vendored(), reason="needs onnxruntime-web: python -m gesture_zoo.web.vendor"),
]


class Browser:
    """A Chromium that shows the page."""

    def __init__(self, *arguments: str) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        # Without a sandbox, because CI is root in a container; it sees nothing but our own page.
        always = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900")
        for argument in (*always, *arguments):
            options.add_argument(argument)
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        self.driver.set_script_timeout(SECONDS)

    def open(self, url: str) -> None:
        """Show the page, and wait until its model is ready or is not going to be."""
        self.driver.get(url)
        self.wait(lambda: self.state != "loading")

    def wait(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < end, f"the page: {self.state}, {self.text('problem')!r}, {self.events}"
            time.sleep(0.05)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def click(self, name: str) -> None:
        self.driver.find_element("id", name).click()

    def text(self, name: str) -> str:
        return self.run("return document.getElementById(arguments[0]).textContent", name)

    @property
    def state(self) -> str:
        return self.run("return document.body.dataset.state")

    @property
    def events(self) -> list[dict]:
        """Those on the page, the newest first: label, score, start and end in seconds."""
        script = "return [...document.querySelectorAll('#events li')].map((item) => ({...item.dataset}))"
        return [{k: v if k == "label" else float(v) for k, v in event.items()} for event in self.run(script)]


@contextmanager
def browser(*arguments: str) -> Iterator[Browser]:
    chromium = Browser(*arguments)
    try:
        yield chromium
    finally:
        chromium.driver.quit()


@contextmanager
def running(server: HTTPServer) -> Iterator[str]:
    """Answers until the block ends; gives the address."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, and videos of both swipes: raw, as a camera gives them, and VP8, which every Chromium plays."""
    folder = tmp_path_factory.mktemp("page")
    for kind in ("stream", "clip"):
        write_model(folder / f"{kind}.onnx", kind)
    for label in SWIPES:
        frames = render_swipe(label)
        write_frames(frames, folder / f"{label}.y4m", "wrapped_avframe")
        write_frames(frames, folder / f"{label}.webm", "libvpx")
    return folder


@pytest.fixture(scope="module")
def plain(folder: Path) -> Iterator[Browser]:
    """A browser on a machine without a camera."""
    with browser() as chromium:
        yield chromium


@pytest.mark.parametrize("label", SWIPES)
def test_gesture_before_the_camera_becomes_its_event(folder: Path, label: str) -> None:
    camera = f"--use-file-for-fake-video-capture={folder / label}.y4m"
    fake = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", camera)
    with running(WebServer(folder / "stream.onnx")) as url, browser(*fake) as chromium:
        chromium.open(url)
        assert chromium.state == "ready" and chromium.events == []
        chromium.click("camera")
        chromium.wait(lambda: len(chromium.events) >= 2)  # the fake camera starts over and over
        events = chromium.events
        assert {event["label"] for event in events} == {label}
        assert all(0.6 <= event["score"] <= 1 and event["start"] <= event["end"] for event in events)
        assert chromium.text("count") == str(len(events))
        assert float(chromium.text("fps")) > 0
        # In the display alone it is a mirror.
        assert chromium.run("return getComputedStyle(video).transform").startswith("matrix(-1")
        chromium.click("clear")
        assert not {event["label"] for event in chromium.events} - {label}
        chromium.click("stop")
        chromium.wait(lambda: chromium.state == "stopped")
        assert chromium.run("return video.srcObject") is None
        chromium.click("camera")
        chromium.wait(lambda: chromium.state == "running")
        # As when it is unplugged.
        chromium.run("video.srcObject.getTracks()[0].dispatchEvent(new Event('ended'))")
        chromium.wait(lambda: chromium.state == "stopped")
        assert chromium.text("source") == "The camera is gone."
        names = chromium.run("return performance.getEntriesByType('resource').map(({ name }) => name)")
        assert len(names) > 10
        assert all(name.startswith((url, f"blob:{url}")) for name in names)


@pytest.mark.parametrize("kind", ["stream", "clip"])
@pytest.mark.parametrize("label", SWIPES)
def test_gesture_in_a_file_becomes_its_event(plain: Browser, folder: Path, kind: str, label: str) -> None:
    with running(WebServer(folder / f"{kind}.onnx")) as url:
        plain.open(url)
        plain.driver.find_element("id", "file").send_keys(str(folder / f"{label}.webm"))
        plain.wait(lambda: plain.state == "stopped")
        (event,) = plain.events
        assert event["label"] == label
        # The hand is there from 0.5 to 1.7 s; a window of clips remembers it for 0.7 s more.
        assert 0.5 < event["start"] < 1.2 and 1.2 < event["end"] < 2.4
        assert 14 <= int(plain.text("frames")) <= 23  # ten a second of 2.2 s, less where the machine is busy
        assert plain.text("source") == f"{label}.webm: ended"
        plain.click("again")
        plain.wait(lambda: len(plain.events) == 2)
        again, before = plain.events
        assert again["label"] == label
        assert again["start"] == pytest.approx(before["start"], abs=0.25)


@pytest.mark.parametrize("allowed", [True, False])
def test_a_camera_that_answers_late_leaves_the_video_alone(plain: Browser, folder: Path, allowed: bool) -> None:
    with running(WebServer(folder / "stream.onnx")) as url:
        plain.open(url)
        plain.run(
            """
            const canvas = document.createElement("canvas");
            canvas.getContext("2d");
            const stream = canvas.captureStream();
            navigator.mediaDevices.getUserMedia = () => new Promise((allow, refuse) => {
              window.answer = (allowed) => allowed ? allow(stream) : refuse(new DOMException("", "NotAllowedError"));
            });
            """
        )
        plain.click("camera")
        plain.driver.find_element("id", "file").send_keys(str(folder / "swipe_left.webm"))
        plain.wait(lambda: int(plain.text("frames") or 0) > 2)
        plain.run("answer(arguments[0])", allowed)
        plain.wait(lambda: plain.state == "stopped")
        assert plain.text("problem") == "" and plain.text("source") == "swipe_left.webm: ended"
        assert [event["label"] for event in plain.events] == ["swipe_left"]


def test_what_a_hidden_page_misses_is_part_of_no_event(folder: Path) -> None:
    camera = f"--use-file-for-fake-video-capture={folder / 'swipe_left'}.y4m"
    fake = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", camera)
    with running(WebServer(folder / "stream.onnx")) as url, browser(*fake) as chromium:
        chromium.open(url)
        chromium.click("camera")
        chromium.wait(lambda: chromium.run("return document.body.dataset.active"))  # a gesture goes on
        page = chromium.driver.current_window_handle
        chromium.driver.switch_to.new_window("tab")
        time.sleep(4)
        chromium.driver.close()
        chromium.driver.switch_to.window(page)
        chromium.wait(lambda: len(chromium.events) >= 2)
        assert chromium.state == "running"
        assert all(event["end"] - event["start"] < 3 for event in chromium.events)


def test_sensitivity_can_be_changed(plain: Browser, folder: Path) -> None:
    move = "on.value = arguments[0]; on.dispatchEvent(new Event('input'))"
    with running(WebServer(folder / "stream.onnx")) as url:
        plain.open(url)
        assert (plain.text("on-value"), plain.text("off-value")) == ("60 %", "40 %")
        plain.run(move, 30)
        assert (plain.text("on-value"), plain.text("off-value")) == ("30 %", "30 %")
        plain.run(move, 100)  # no score is quite 1
        plain.driver.find_element("id", "file").send_keys(str(folder / "swipe_left.webm"))
        plain.wait(lambda: plain.state == "stopped")
        assert plain.events == []


def test_without_a_camera_the_page_says_so(plain: Browser, folder: Path) -> None:
    with running(WebServer(folder / "stream.onnx")) as url:
        plain.open(url)
        plain.click("camera")
        plain.wait(lambda: plain.text("problem"))
        assert plain.text("problem") == "No camera was found. Connect one, or choose a video file."
        assert plain.state == "ready"


def test_files_that_are_no_video_are_an_error_that_the_next_file_ends(plain: Browser, folder: Path) -> None:
    with running(WebServer(folder / "stream.onnx")) as url:
        plain.open(url)
        plain.driver.find_element("id", "file").send_keys(str(folder / "stream.onnx"))
        plain.wait(lambda: plain.text("problem"))
        assert plain.text("problem").startswith("This browser cannot play “stream.onnx”.")
        plain.driver.find_element("id", "file").send_keys(str(folder / "swipe_left.webm"))
        plain.wait(lambda: plain.events)
        assert plain.text("problem") == ""


def test_model_that_cannot_run_is_said_to_be_so(plain: Browser, folder: Path, tmp_path: Path) -> None:
    model = onnx.load(folder / "stream.onnx")
    model.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(model, tmp_path / "odd.onnx")
    with running(WebServer(tmp_path / "odd.onnx")) as url:
        plain.open(url)
        assert plain.state == "broken"
        assert plain.text("welcome-text") == "This model cannot be used here"
        assert "NoSuchOperator" in plain.text("problem")


def test_static_site_works_on_any_server(plain: Browser, folder: Path, tmp_path: Path) -> None:
    site = write_site(folder / "clip.onnx", tmp_path / "site")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    with running(ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))) as url:
        plain.open(url)
        assert not plain.run("return crossOriginIsolated")
        plain.driver.find_element("id", "file").send_keys(str(folder / "swipe_right.webm"))
        plain.wait(lambda: plain.state == "stopped")
        assert [event["label"] for event in plain.events] == ["swipe_right"]


def test_page_can_reach_no_other_server(plain: Browser, folder: Path) -> None:
    reached = []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reached.append(self.path)
            self.send_response(204)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with (
        running(WebServer(folder / "stream.onnx")) as url,
        running(ThreadingHTTPServer(("127.0.0.1", 0), Other)) as other,
    ):
        plain.open(url)
        answer = plain.driver.execute_async_script(
            """
            const [other, done] = arguments;
            const image = new Image();
            image.onload = image.onerror = () => fetch(other).then(() => done("reached"), () => done("refused"));
            image.src = other + "image";
            """,
            other,
        )
    assert (answer, reached) == ("refused", [])


@pytest.mark.parametrize("name", ["tsm_test_resnet_online", "tsm_test_resnet"])
def test_network_answers_frame_by_frame_as_in_python(plain: Browser, tmp_path: Path, name: str) -> None:
    causal = name.endswith("_online")
    export_model(create_model(name, num_classes=5), tmp_path / "net.onnx", stream=causal, size=(32, 32))
    runner = open_exported(tmp_path / "net.onnx")
    frames = np.random.default_rng(0).normal(size=(6, 1, 3, 32, 32)).astype(np.float32)
    with running(WebServer(tmp_path / "net.onnx")) as url:
        plain.open(url)
        assert plain.state == "ready"
        rounds = plain.driver.execute_async_script(
            """
            const [frames, done] = arguments;
            (async () => {
              const { Model } = await import("/js/model.js");
              const info = await (await fetch("/model.json")).json();
              const content = new Uint8Array(await (await fetch("/model.onnx")).arrayBuffer());
              const model = await Model.load(content, info, "wasm");
              const rounds = [];
              for (let round = 0; round < 2; round++) {
                for (const frame of frames) rounds.push([...(await model.step(Float32Array.from(frame)))]);
                model.reset();
              }
              return rounds;
            })().then(done, (error) => done(String(error)));
            """,
            frames.reshape(len(frames), -1).tolist(),
        )
    expected = np.concatenate([runner.step(frame) for frame in frames])
    # Twice, with a fresh start in between.
    np.testing.assert_allclose(np.array(rounds).reshape(2, *expected.shape), np.stack([expected] * 2), atol=1e-4)


def test_webgpu_gives_the_same_event(folder: Path) -> None:
    """With a graphics card made of software, where Chromium brings one; on a card, states stay there between frames."""
    software = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")
    with running(WebServer(folder / "stream.onnx")) as url, browser(*software) as chromium:
        chromium.open(f"{url}?engine=webgpu")
        if chromium.state == "broken" and chromium.text("problem") == "This browser has no webgpu.":
            pytest.skip("this Chromium has no WebGPU")
        assert chromium.text("engine") == "WebGPU"
        for count, label in enumerate(SWIPES, 1):
            chromium.driver.find_element("id", "file").send_keys(str(folder / f"{label}.webm"))
            chromium.wait(lambda count=count: len(chromium.events) == count and chromium.state == "stopped")
        assert [event["label"] for event in reversed(chromium.events)] == list(SWIPES)
