"""The page's server, its files and the command, without a browser."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import onnx
import pytest
from onnx import helper
from web_gestures import LABELS, write_model

import gesture_zoo.cli.web as cli_web
import gesture_zoo.web.vendor as vendor
from gesture_zoo.cli import main
from gesture_zoo.errors import GestureZooError, WeightsError
from gesture_zoo.runtime.info import METADATA_KEY
from gesture_zoo.web import WebServer, write_site
from gesture_zoo.web.onnx_metadata import onnx_metadata
from gesture_zoo.web.server import POLICY
from gesture_zoo.web.site import STATIC, describe_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "swipes.onnx", "stream")


@pytest.fixture
def vendored(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if onnxruntime-web were there: what is served beside it is the same."""
    monkeypatch.setattr(vendor, "is_vendored", lambda: True)


@pytest.fixture
def server(model: Path, vendored: None) -> Iterator[WebServer]:
    with WebServer(model) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(
    server: WebServer, path: str, method: str = "GET", *, host: str | None = "127.0.0.1"
) -> tuple[int, dict[str, str], bytes]:
    """The answer to a path exactly as it is given, which a client's library would tidy up."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), content


def test_page_and_model_are_served(server: WebServer, model: Path) -> None:
    assert urlsplit(server.url).hostname == "127.0.0.1"
    status, headers, content = ask(server, "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert content == (STATIC / "index.html").read_bytes()
    for path, kind in (("/js/app.js", "text/javascript; charset=utf-8"), ("/hand.svg", "image/svg+xml")):
        status, headers, content = ask(server, path + "?again=1")
        assert (status, headers["Content-Type"]) == (200, kind)
        assert content == (STATIC / path[1:]).read_bytes()
    assert ask(server, "/model.onnx")[2] == model.read_bytes()
    assert json.loads(ask(server, "/model.json")[2]) == json.loads(json.dumps(describe_model(model)))
    status, headers, content = ask(server, "/model.onnx", "HEAD")
    assert (status, int(headers["Content-Length"]), content) == (200, model.stat().st_size, b"")


def test_every_answer_is_isolated_and_closed_to_other_hosts(server: WebServer) -> None:
    for path in ("/", "/model.onnx", "/js/worker.js", "/no/such/file"):
        headers = ask(server, path)[1]
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Python" not in headers["Server"]


@pytest.mark.parametrize(
    "path",
    [
        "/../server.py",
        "/js/../../server.py",
        "/%2e%2e/server.py",
        "/..%2fserver.py",
        "//etc/passwd",
        "/js/",
        "/js",
        "/vendor",
        "/index.html/",
        "/static/index.html",
        "/model.onnx/../../../etc/passwd",
        "/\x00",
        "//[",
        "/..\\server.py",
        "file:///etc/passwd",
    ],
)
def test_nothing_else_can_be_had(server: WebServer, path: str) -> None:
    # Not by the client's library, which refuses some of these itself.
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.connect()
    connection.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = connection.sock.makefile("rb").read()
    connection.close()
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"root:" not in answer and b"import" not in answer


def test_a_link_that_is_planted_later_is_not_served(
    model: Path, vendored: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gesture_zoo.web.site.STATIC", tmp_path)
    (tmp_path / "index.html").write_text("page")
    with WebServer(model) as server:
        (tmp_path / "planted.txt").symlink_to("/etc/passwd")
        assert server.open("planted.txt") is None and server.open("index.html") is not None


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "127.1.2.3", "[::1]:80", None])
def test_a_host_of_this_machine_is_answered(server: WebServer, host: str | None) -> None:
    assert ask(server, "/model.json", host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", "[", "", "@"]
)
def test_another_host_is_not_this_server(server: WebServer, host: str) -> None:
    """DNS rebinding: a page from elsewhere has its own name stand for this machine, to read what is served here."""
    status, _, content = ask(server, "/model.json", host=host)
    assert status == 421 and b"labels" not in content
    assert ask(server, "/model.json", "HEAD", host=host)[::2] == (421, b"")


def test_a_server_that_is_open_to_others_has_any_name(model: Path, vendored: None) -> None:
    with WebServer(model, host="0.0.0.0") as server:
        assert server.answers_to("camera.example:8000")


def test_only_get_and_head_are_answered(server: WebServer) -> None:
    assert {method: ask(server, "/", method)[0] for method in ("POST", "PUT", "DELETE", "OPTIONS")} == {
        "POST": 501,
        "PUT": 501,
        "DELETE": 501,
        "OPTIONS": 501,
    }


def test_a_model_written_anew_does_not_part_from_its_description(server: WebServer, model: Path) -> None:
    before = model.read_bytes()
    model.write_bytes(b"another model")
    try:
        assert ask(server, "/model.onnx")[2] == before
        assert json.loads(ask(server, "/model.json")[2])["bytes"] == len(before)
    finally:
        model.write_bytes(before)


def test_page_and_server_state_the_same_policy_and_nothing_is_inline() -> None:
    html = (STATIC / "index.html").read_text()
    assert re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)[1] == POLICY
    assert not re.search(r'\sstyle=|\son\w+=|<style|<script(?! type="module" src=)', html)
    # Not even a link leads elsewhere.
    for path in STATIC.rglob("*"):
        if path.suffix in (".html", ".css", ".js"):
            assert "://" not in path.read_text(), path


def test_every_element_the_script_looks_for_is_on_the_page() -> None:
    html, script = ((STATIC / name).read_text() for name in ("index.html", "js/ui.js"))
    wanted = set(re.findall(r'find\("([\w-]+)"\)', script))
    assert len(wanted) > 20
    assert wanted <= set(re.findall(r'id="([\w-]+)"', html))


def test_description_holds_all_that_the_page_asks_for(model: Path) -> None:
    described = describe_model(model)
    assert described["labels"] == LABELS
    assert described["file"] == "swipes.onnx" and described["bytes"] == model.stat().st_size
    assert described["events"]["no_gesture"] == ("no_gesture",)
    script = (STATIC / "js" / "events.js").read_text()
    assert all(re.search(rf"\b{name}\b", script) for name in described["events"])


def test_metadata_is_what_onnx_reads(model: Path, tmp_path: Path) -> None:
    loaded = onnx.load(model)
    helper.set_model_props(loaded, {METADATA_KEY: "{}", "längst": "x" * 70_000, "": ""})
    onnx.save(loaded, tmp_path / "other.onnx")
    expected = {prop.key: prop.value for prop in onnx.load(tmp_path / "other.onnx").metadata_props}
    assert onnx_metadata(tmp_path / "other.onnx") == expected
    assert len(expected) == 3


def test_any_damage_is_an_error_of_one_line(model: Path, tmp_path: Path) -> None:
    whole, path = model.read_bytes(), tmp_path / "damaged.onnx"
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(WeightsError, match="damaged.onnx"):
            describe_model(path)
    path.write_bytes(b"\x0a" + b"\xff" * 12)
    with pytest.raises(WeightsError, match="is no ONNX file, or damaged: expected one from 'gesture-zoo export'"):
        describe_model(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (None, "does not say what it is: expected an ONNX file from 'gesture-zoo export'"),
        ({"input_size": [4, 32, 32]}, "sees 4 channels: a camera gives the page red, green and blue"),
        ({"labels": ["idle", "nothing", "no_gesture"]}, "has no gestures: all of its classes mean 'no gesture'"),
        ({"interpolation": "hamming"}, "wants frames resized by 'hamming': the page knows nearest, bilinear"),
        ({"kind": "sound"}, "does not describe a model of gesture_zoo"),
    ],
)
def test_models_that_the_page_cannot_use(model: Path, tmp_path: Path, changes: dict | None, message: str) -> None:
    loaded = onnx.load(model)
    info = json.loads(loaded.metadata_props[0].value)
    del loaded.metadata_props[:]
    if changes is not None:
        helper.set_model_props(loaded, {METADATA_KEY: json.dumps({**info, **changes})})
    onnx.save(loaded, tmp_path / "model.onnx")
    with pytest.raises(WeightsError, match=message):
        WebServer(tmp_path / "model.onnx")
    with pytest.raises(WeightsError, match=message):
        write_site(tmp_path / "model.onnx", tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_port_in_use_and_impossible_addresses(server: WebServer, model: Path) -> None:
    with pytest.raises(GestureZooError, match=f"cannot serve on port {server.server_port} of 127.0.0.1: it is in use"):
        WebServer(model, port=server.server_port)
    for values in ({"port": 70000}, {"host": "256.1.1.1"}, {"host": "no such host"}):
        with pytest.raises(GestureZooError, match="cannot serve on port"):
            WebServer(model, **values)


def test_missing_vendor_files_say_what_to_run(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendor, "is_vendored", lambda *_: False)
    with pytest.raises(GestureZooError, match="run 'python -m gesture_zoo.web.vendor' once, which needs npm"):
        WebServer(model)
    with pytest.raises(GestureZooError, match="onnxruntime-web is not in"):
        write_site(model, tmp_path / "site")


def test_static_site_is_the_page_with_the_model(model: Path, tmp_path: Path, vendored: None) -> None:
    site = write_site(model, tmp_path / "a" / "site")
    assert (site / "model.onnx").read_bytes() == model.read_bytes()
    assert json.loads((site / "model.json").read_text())["labels"] == list(LABELS)
    assert (site / "js" / "app.js").read_bytes() == (STATIC / "js" / "app.js").read_bytes()
    # A second time it is written anew; but not over something else.
    write_site(model, site)
    write_site(site / "model.onnx", site)
    assert (site / "model.onnx").read_bytes() == model.read_bytes()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(GestureZooError, match="holds other files: name a new or empty folder"):
        write_site(model, tmp_path / "mine")
    with pytest.raises(GestureZooError, match="is a file, expected a folder"):
        write_site(model, model)
    # Another program's model.json makes no site of a folder.
    (tmp_path / "mine" / "model.json").write_text('{"format": "layers-model"}')
    (tmp_path / "mine" / "index.html").write_text("mine")
    with pytest.raises(GestureZooError, match="holds other files"):
        write_site(model, tmp_path / "mine")
    assert (tmp_path / "mine" / "index.html").read_text() == "mine"


def test_a_site_that_breaks_off_leaves_what_was_there(
    model: Path, tmp_path: Path, vendored: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = write_site(model, tmp_path / "site")
    before = {path: path.read_bytes() for path in sorted(site.rglob("*")) if path.is_file()}

    def full(source: Path, target: Path) -> None:
        if Path(source).name == model.name:
            raise OSError(28, "No space left on device")
        target.write_bytes(b"newer")

    monkeypatch.setattr("gesture_zoo.web.site.shutil.copyfile", full)
    for folder in (site, tmp_path / "new"):
        with pytest.raises(GestureZooError, match="No space left on device"):
            write_site(model, folder)
    assert {path: path.read_bytes() for path in sorted(site.rglob("*")) if path.is_file()} == before
    assert not (tmp_path / "new").exists()


COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
import gesture_zoo.web.vendor as vendor
from gesture_zoo.cli import main
vendor.is_vendored = lambda: True
code = main(["web", *sys.argv[1:]])
heavy = {"torch", "timm", "torchvision", "onnx", "onnxruntime"} & set(sys.modules)
print("ended", code, heavy or "without PyTorch", flush=True)
"""


def test_command_serves_until_interrupted_and_imports_no_torch(model: Path) -> None:
    command = [sys.executable, "-c", COMMAND, str(model), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        address = re.search(r"at (http://127\.0\.0\.1:(\d+)/) \(Ctrl-C ends\)", line)
        assert address, line + process.stderr.read()
        connection = http.client.HTTPConnection("127.0.0.1", int(address[2]), timeout=10)
        connection.request("GET", "/model.json")
        assert json.loads(connection.getresponse().read())["kind"] == "stream"
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()  # leaving the block waits for it, whatever became of it
    assert (out, err, process.returncode) == ("ended 0 without PyTorch\n", "", 0)


def test_command_writes_a_site(model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", COMMAND, str(model), "--out", str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Written to {tmp_path / 'site'}: any web server can serve it")
    assert (tmp_path / "site" / "index.html").is_file()


def test_browser_is_opened_where_there_is_a_display(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(cli_web, "serve", lambda path, *, host, port, ready: ready(f"http://{host}:{port}/"))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    for display, options in (("", []), (":0", ["--no-browser"]), (":0", []), (":0", ["--port", "8123"])):
        monkeypatch.setenv("DISPLAY", display)
        assert main(["web", str(model), *options]) == 0
        out = capsys.readouterr().out
        assert f"Serving {model} at http://127.0.0.1:" in out and "https" not in out
    assert main(["web", str(model), "--host", "0.0.0.0", "--no-browser"]) == 0
    assert "their browsers give a camera to pages of https alone" in capsys.readouterr().out
    assert opened == ["http://127.0.0.1:8000/", "http://127.0.0.1:8123/"]
