"""Bytes of a file in a folder or behind an http(s) URL, first to last.

webdataset's own opener runs a shell command for "pipe:" and for most URLs, so it is not used.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Protocol

from ..errors import DataError

TIMEOUT = 30.0  # seconds without a byte
RETRIES = 4
BACKOFF = 0.5  # seconds before the first new attempt; doubles
_PROGRESS = 1 << 20  # bytes after which a connection counts as good, and the attempts start anew
_TRANSIENT = (429, 500, 502, 503, 504)
_MAX_INDEX = 1 << 29  # bytes


class ByteStream(Protocol):
    """What webdataset reads a shard from."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes; none at the end."""

    def close(self) -> None:
        """Let go of the file or connection."""


def is_url(root: str | Path) -> bool:
    """Whether shards are to be fetched; anything that is not http(s) is the name of a folder.

    >>> is_url("https://example.org/shards"), is_url("pipe:cat shards"), is_url("shards")
    (True, False, False)
    """
    return str(root).lower().startswith(("http://", "https://"))


def locate(root: str | Path, *parts: str) -> str:
    """The path or URL of a file under a root; a URL keeps its query.

    >>> locate("http://host/shards/?key=1", "train", "index.json")
    'http://host/shards/train/index.json?key=1'
    """
    if not is_url(root):
        return str(Path(root).joinpath(*parts))
    try:
        url = urllib.parse.urlsplit(str(root))
        if not url.hostname:
            raise ValueError("it names no host")
        _ = url.port
        str(root).encode()  # halves of characters cannot be quoted
    except ValueError as error:
        raise DataError(f"{root!r} is no URL: {error}") from error
    # What is quoted already stays as it is.
    path = "/".join([urllib.parse.quote(url.path.rstrip("/"), "/%~:@!$&'()*+,;="), *map(urllib.parse.quote, parts)])
    return urllib.parse.urlunsplit(url._replace(path=path, fragment=""))


def shown(where: str) -> str:
    """A path or URL for a message: without the query, which may be a key."""
    if not is_url(where):
        return where
    url = urllib.parse.urlsplit(where)
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


def open_stream(where: str, size: int | None = None) -> ByteStream:
    """Open a path or URL; one that is not there, or has not ``size`` bytes, is a DataError that names it."""
    if is_url(where):
        return RemoteFile(where, size)
    try:
        file = open(where, "rb")  # noqa: SIM115 - the caller closes it
        length = file.seek(0, 2)
        file.seek(0)
    except FileNotFoundError:
        raise DataError(f"there is no file {where}") from None
    except OSError as error:
        raise DataError(f"cannot read {where}: {error.strerror}") from error
    if size is not None and length != size:
        file.close()
        raise DataError(f"{where} has {length} bytes, not {size} as its index says: it is truncated or another file")
    return file


def read_index_bytes(where: str) -> bytes:
    """All bytes of an index."""
    stream = open_stream(where)
    try:
        parts, length = [], 0
        while data := stream.read(1 << 20):
            parts.append(data)
            length += len(data)
            if length > _MAX_INDEX:
                raise DataError(f"{shown(where)} is too large for an index of shards")
        return b"".join(parts)
    except OSError as error:
        raise DataError(f"cannot read {shown(where)}: {error.strerror}") from error
    finally:
        stream.close()


def exists(where: str) -> bool:
    """Whether a file is there; a server that answers neither yes nor no is a DataError."""
    if not is_url(where):
        return Path(where).is_file()
    try:
        RemoteFile(where).close()
    except NotThere:
        return False
    return True


class NotThere(DataError):
    """A server that says it has no such file."""


class RemoteFile:
    """A file behind an http(s) URL; where the connection is cut, it is opened again and goes on from there."""

    def __init__(self, url: str, size: int | None = None) -> None:
        self.url = url
        self.size = size
        self.position = 0
        self.attempts = 0
        self.good = 0
        self.response: http.client.HTTPResponse | None = None
        self.read(0)

    def __str__(self) -> str:
        return shown(self.url)

    def __enter__(self) -> RemoteFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self.response is not None:
            self.response.close()
            self.response = None

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes; none at the end of the file, and only there."""
        while True:
            try:
                if self.response is None:
                    self.response = self.connect()
                data = self.response.read() if size < 0 else self.response.read(size)
            except (OSError, http.client.HTTPException) as error:
                self.retry(error)
                continue
            self.position += len(data)
            # A cut connection looks like the end of the file.
            if data or size == 0 or self.size is None or self.position == self.size:
                return data
            self.retry(ConnectionError(f"the connection ended after {self.position} of {self.size} bytes"))

    def connect(self) -> http.client.HTTPResponse:
        """Ask for the rest of the file."""
        headers = {"Accept-Encoding": "identity", "User-Agent": "gesture_zoo"}
        if self.position:
            headers["Range"] = f"bytes={self.position}-"
        try:
            request = urllib.request.Request(self.url, headers=headers)
            response: http.client.HTTPResponse = _opener().open(request, timeout=TIMEOUT)
        except (ValueError, http.client.InvalidURL) as error:
            raise DataError(f"{self} is no URL: {error}") from error
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in _TRANSIENT:
                raise ConnectionError(f"the server answers {error.code} {error.reason}") from error
            # Object stores answer 403 for what is not there to those who may not list.
            kind = NotThere if error.code in (403, 404, 410) else DataError
            raise kind(f"cannot read {self}: the server answers {error.code} {error.reason}") from error
        try:
            self.check(response)
            if response.status != 206:
                self.skip(response)
        except BaseException:
            response.close()
            raise
        return response

    def check(self, response: http.client.HTTPResponse) -> None:
        """Make sure that the answer is the file, or the part of it that was asked for."""
        length = response.headers.get("Content-Length", "")
        start = self.position if response.status == 206 else 0
        span = response.headers.get("Content-Range", "")
        if response.status == 206 and not span.startswith(f"bytes {start}-"):
            raise DataError(f"cannot read {self}: asked for byte {start}, the server sends {span[:80]!r}")
        if length.isdecimal():
            if self.size is None:
                self.size = int(length)
            elif start + int(length) != self.size:
                raise DataError(f"{self} has {start + int(length)} bytes, not {self.size} as its index says")

    def skip(self, response: http.client.HTTPResponse) -> None:
        """Pass over what was already delivered: a server need not know of ranges."""
        left = self.position
        while left:
            data = response.read(min(left, 1 << 20))
            if not data:
                raise ConnectionError("the connection was cut")
            left -= len(data)

    def retry(self, error: Exception) -> None:
        """Wait before another attempt, or give up."""
        self.close()
        if self.position - self.good >= _PROGRESS:
            self.attempts = 0
        self.good = self.position
        self.attempts += 1
        if self.attempts > RETRIES:
            reason = getattr(error, "reason", None) or error
            raise DataError(f"cannot read {self}: {reason} ({RETRIES} attempts)") from error
        time.sleep(BACKOFF * 2 ** (self.attempts - 1))


def _opener() -> urllib.request.OpenerDirector:
    """Python's opener for http and https alone: a redirection must not lead to a file or to FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener
