"""The page's server: the files of the page, one model, and nothing else of this machine."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import socket
import sys
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from ipaddress import ip_address
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from ..errors import GestureZooError
from .site import DESCRIPTION, MODEL, describe_model, page_files

_logger = logging.getLogger(__name__)
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".onnx": "application/octet-stream",
}
# The page may load and send nothing beyond its own server; index.html says the same, for other servers.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "style-src 'self'; img-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'"
)
_HEADERS = {
    # Alone in its process, a page may share memory between threads: WebAssembly on several cores.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": POLICY + "; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), microphone=()",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class WebServer(ThreadingHTTPServer):
    """Serves the page with one exported model on ``host``; ``port`` 0 takes a free one. ``url`` says where it is.

    Bound when made; ``serve_forever()`` answers until ``shutdown()``, and leaving a ``with`` block closes it. Only the
    page's own files and the model can be had. A model that cannot be used, missing files of the page or an address
    that cannot be had are a GestureZooError.

    >>> WebServer("no_such.onnx")
    Traceback (most recent call last):
    gesture_zoo.errors.WeightsError: there is no file no_such.onnx
    """

    daemon_threads = True

    def __init__(self, model_path: str | Path, *, host: str = "127.0.0.1", port: int = 0) -> None:
        # Read once: a file that is written anew while the page is open would not go with its description.
        self.model = Path(model_path).read_bytes() if os.path.isfile(model_path) else b""
        self.description = json.dumps(describe_model(model_path)).encode()
        self.files = page_files()
        self.host = host
        if ":" in host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((host, port), PageHandler)
        except (OSError, OverflowError) as error:
            taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
            reason = "it is in use" if taken else str(error)
            raise GestureZooError(
                f"cannot serve on port {port} of {host}: {reason}; choose another port, or 0 for a free one"
            ) from error

    @property
    def url(self) -> str:
        """The page's address, on this machine."""
        host, port = self.server_address[:2]
        name = {"0.0.0.0": "localhost", "::": "localhost"}.get(str(host), str(host))
        return f"http://{f'[{name}]' if ':' in name else name}:{port}/"

    def answers_to(self, host: str | None) -> bool:
        """Whether a request for this ``Host`` is answered: on the loopback, one for a name of this machine.

        A page from elsewhere can have the name of its own server stand for this machine (DNS rebinding), and would then
        read the model.
        """
        bound = str(self.server_address[0])
        if host is None or not is_loopback(bound):
            return True
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in ("localhost", self.host.lower()) or is_loopback(name)

    def open(self, name: str) -> tuple[BinaryIO, int] | None:
        """The content and its size of a path of the site, without the leading slash; None where there is none."""
        if name in (DESCRIPTION, MODEL):
            content = self.description if name == DESCRIPTION else self.model
            return BytesIO(content), len(content)
        path = self.files.get(name or "index.html")
        if path is None:
            return None
        return path.open("rb"), path.stat().st_size

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        # A browser that leaves in the middle of a file is no fault.
        level = logging.DEBUG if isinstance(error, ConnectionError) else logging.ERROR
        _logger.log(level, "the page's server: %s: %s", type(error).__name__, error)


class PageHandler(BaseHTTPRequestHandler):
    """Answers GET and HEAD of the paths that the server knows."""

    server: WebServer
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        if not self.server.answers_to(self.headers.get("Host")):
            self._answer_text(
                HTTPStatus.MISDIRECTED_REQUEST, "This page is at localhost; --host 0.0.0.0 opens it to others."
            )
            return
        name = unquote(self.path.partition("?")[0]).removeprefix("/")
        # A name is looked up, never joined to a folder: what is not in the table cannot be reached.
        try:
            found = self.server.open(name)
        except OSError:
            found = None
        if found is None:
            self._answer_text(HTTPStatus.NOT_FOUND, "There is no such file here.")
            return
        file, size = found
        with file:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", _TYPES.get(Path(name or "index.html").suffix, "application/octet-stream"))
            self.send_header("Content-Length", str(size))
            self.end_headers()
            if body:
                shutil.copyfileobj(file, self.wfile)

    def _answer_text(self, status: HTTPStatus, text: str) -> None:
        content = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", _TYPES[".txt"])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def end_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def version_string(self) -> str:
        return "gesture-zoo"

    def log_message(self, format: str, *args: Any) -> None:
        _logger.debug(format, *args)


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, where nobody else comes to.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("example.org")
    (True, True, False, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def serve(
    model_path: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    ready: Callable[[str], object] | None = None,
) -> None:
    """Serve the page with one exported model until it is interrupted (Ctrl-C).

    ``ready`` is called with the page's address once it can be opened. Errors are those of ``WebServer``.

    >>> serve("no_such.onnx", port=0, ready=print)
    Traceback (most recent call last):
    gesture_zoo.errors.WeightsError: there is no file no_such.onnx
    """
    with WebServer(model_path, host=host, port=port) as server:
        if ready is not None:
            ready(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
