"""Weights from a plain URL, kept in torch.hub's folder for checkpoints with a checksum beside them."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

import torch

from .errors import HubError
from .files import replacing
from .pickles import file_sha256, is_html

_logger = logging.getLogger(__name__)

SUFFIXES = (".safetensors", ".pth", ".pth.tar")
# Seconds that a server may stay silent.
TIMEOUT = 30.0
_CHUNK = 1 << 20


def download_url(url: str, *, cache_dir: str | Path | None = None, sha256: str | None = None) -> Path:
    """Fetch a .safetensors, .pth or .pth.tar file once and return where it is; any failure is a HubError with the URL.

    The file is complete or absent. Its name in the cache starts with a hash of the URL, so that two sources never
    share a file. The checksum is written to ``FILE.sha256`` at the first download and compared at every later use;
    ``sha256``, where it is known beforehand, is what counts instead.

    >>> path = download_url("https://example.org/weights.pth")  # doctest: +SKIP
    """
    parts = urlsplit(url)
    name = Path(unquote(parts.path)).name
    if parts.scheme not in ("http", "https") or not name.endswith(SUFFIXES):
        raise HubError(f"cannot load weights from {url!r}: expected an http(s) address of a {', '.join(SUFFIXES)} file")
    folder = Path(cache_dir) if cache_dir else Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{name}"
    if path.exists():
        _check(path, url, sha256)
        return path
    try:
        _logger.info("fetching %s to %s", url, path)
        with replacing(path) as temporary:
            _fetch(url, temporary)
            digest = file_sha256(temporary)
            if sha256 and digest != sha256.lower():
                raise HubError(f"{url} is not the file it should be: its SHA-256 is {digest}, expected {sha256}")
        _record(path, digest)
    except HubError:
        raise
    except (OSError, HTTPException, ValueError) as error:
        raise HubError(f"cannot fetch weights from {url}: {_reason(error)}") from error
    return path


def _fetch(url: str, path: Path) -> None:
    """Write what is at ``url`` to ``path``; a web page, or less than was announced, is a HubError."""
    request = Request(url, headers={"User-Agent": "gesture_zoo"})  # some servers turn Python's own name away
    with urlopen(request, timeout=TIMEOUT) as response, open(path, "wb") as file:
        shutil.copyfileobj(response, file, _CHUNK)
        announced = response.headers.get("Content-Length")
    size = path.stat().st_size
    if announced and size != int(announced):
        raise HubError(f"cannot fetch weights from {url}: the connection ended after {size} of {announced} bytes")
    with open(path, "rb") as file:
        start = file.read(256)
    if not start:
        raise HubError(f"cannot fetch weights from {url}: the file there is empty")
    if is_html(start):
        raise HubError(f"cannot fetch weights from {url}: there is a web page, not a file of weights")


def _record(path: Path, digest: str) -> None:
    # The format of sha256sum, so that `sha256sum -c` reads it.
    with replacing(_checksum(path)) as temporary:
        temporary.write_text(f"{digest}  {path.name}\n")


def _check(path: Path, url: str, sha256: str | None) -> None:
    """Compare a cached file with the checksum that is known or was recorded, and record it where none was."""
    digest, record = file_sha256(path), _checksum(path)
    try:
        recorded = record.read_text() if record.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise HubError(f"{record} cannot be read ({error}): delete it and {path} to fetch {url} again") from error
    if sha256 is None and recorded is None:
        _record(path, digest)
        return
    expected = sha256.lower() if sha256 else _first_word(str(recorded))
    if digest != expected:
        where = "known" if sha256 else "recorded at its download"
        raise HubError(
            f"{path} has changed: its SHA-256 is {digest}, {expected or 'none'} is {where}; "
            f"delete {path} and {record.name} beside it to fetch {url} again"
        )


def _checksum(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _first_word(text: str) -> str:
    found = re.match(r"[0-9a-fA-F]{64}\b", text)
    return found[0].lower() if found else ""


def _reason(error: Any) -> str:
    if isinstance(error, HTTPError):
        return f"the server answers {error.code} {error.reason}"
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return f"no answer within {TIMEOUT:g} s"
    return " ".join(str(reason).split()) or type(error).__name__
