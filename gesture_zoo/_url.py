"""Weights from a plain URL, kept in torch.hub's folder for checkpoints with a checksum beside them."""

from __future__ import annotations

import errno
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
from tqdm import tqdm

from .errors import HubError, WeightsError, one_line
from .files import file_sha256, remove_leftovers, replacing, user_path
from .pickles import check_checkpoint

_logger = logging.getLogger(__name__)

SUFFIXES = (".safetensors", ".pth", ".pth.tar")
# Seconds that a server may stay silent.
TIMEOUT = 30.0
_CHUNK = 1 << 20
# Seconds after which a download that nobody has written to is nobody's any more.
_ABANDONED = 3600.0
# Bytes of a file's own name that are kept: the cache adds to it, and file systems end at 255.
_NAME_BYTES = 120
_DISK_ERRORS = (errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.ENOSPC, errno.EPERM, errno.EROFS)


def download_url(url: str, *, cache_dir: str | Path | None = None, sha256: str | None = None) -> Path:
    """Fetch a .safetensors, .pth or .pth.tar file once and return where it is; any failure is a HubError with the URL.

    The file is complete and a checkpoint, or absent: what cannot be read as one never gets its name. That name in the
    cache starts with a hash of the URL, so that two sources never share a file. The checksum is written to
    ``FILE.sha256`` at the first download and compared at every later use; ``sha256``, where it is known beforehand,
    is what counts instead.

    >>> path = download_url("https://example.org/weights.pth")  # doctest: +SKIP
    """
    path = (user_path(cache_dir) if cache_dir else Path(torch.hub.get_dir()) / "checkpoints") / _cache_name(url)
    if sha256 is not None and not (isinstance(sha256, str) and re.fullmatch(r"[0-9a-fA-F]{64}", sha256)):
        raise _error(f"cannot check {url}: its SHA-256 is 64 hexadecimal digits, got {sha256!r}")
    try:
        if path.exists():
            _check(path, url, sha256)
            return path
        remove_leftovers(path.parent, of=path.name, older=_ABANDONED)
        _logger.info("fetching %s to %s", url, path)
        with replacing(path) as temporary:
            _fetch(url, temporary)
            digest = file_sha256(temporary)
            if sha256 and digest != sha256.lower():
                raise HubError(f"{url} is not the file it should be: its SHA-256 is {digest}, expected {sha256}")
            check_checkpoint(temporary, source="what is there")
    except HubError:
        raise
    except (WeightsError, OSError, HTTPException, ValueError) as error:
        reason = _reason(error)
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            reason = f"it cannot be stored as {path} ({error.strerror}): check space and rights"
        raise _error(f"cannot fetch weights from {url}: {reason}") from error
    _record(path, digest)
    return path


def _cache_name(url: str) -> str:
    """The name of a URL's file in the cache; a URL that can be no checkpoint's is a HubError."""
    try:
        parts = urlsplit(url)
        scheme, name = parts.scheme, Path(unquote(parts.path)).name
    except (ValueError, TypeError, AttributeError):
        scheme, name = "", ""
    suffix = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)
    if scheme not in ("http", "https") or suffix is None:
        raise _error(f"cannot load weights from {url!r}: expected an http(s) address of a {', '.join(SUFFIXES)} file")
    stem = re.sub(r"[\x00-\x1f\x7f]", "_", name[: -len(suffix)]).encode(errors="replace")[:_NAME_BYTES]
    digest = hashlib.sha256(url.encode(errors="surrogatepass")).hexdigest()[:12]
    return f"{digest}-{stem.decode(errors='ignore')}{suffix}"


def _fetch(url: str, path: Path) -> None:
    """Write what is at ``url`` to ``path``; what arrives compressed, or shorter than was announced, is a HubError."""
    request = Request(url, headers={"User-Agent": "gesture_zoo"})  # some servers turn Python's own name away
    with urlopen(request, timeout=TIMEOUT) as response, open(path, "wb") as file:
        # Not asked for, and urllib does not undo it.
        encoding = response.headers.get("Content-Encoding") or "identity"
        if encoding.lower() != "identity":
            raise _error(f"cannot fetch weights from {url}: the server sends them as {encoding}, not as they are")
        announced = response.headers.get("Content-Length")
        total = int(announced) if announced else None
        with tqdm.wrapattr(response, "read", total=total, desc="download", disable=None, leave=False) as body:
            shutil.copyfileobj(body, file, _CHUNK)
    size = path.stat().st_size
    if total is not None and size != total:
        raise _error(f"cannot fetch weights from {url}: the connection ended after {size} of {total} bytes")


def _record(path: Path, digest: str) -> None:
    """Write a checksum beside its file, where that is possible: the file is good without it, too."""
    try:
        # The format of sha256sum, so that `sha256sum -c` reads it.
        with replacing(_checksum(path)) as temporary:
            temporary.write_text(f"{digest}  {path.name}\n")
    except OSError as error:
        _logger.info("no checksum beside %s: %s", path, error)


def _check(path: Path, url: str, sha256: str | None) -> None:
    """Compare a cached file with the checksum that is known or was recorded, and record it where none was."""
    record = _checksum(path)
    again = f"delete {path}{f' and {record.name} beside it' if record.exists() else ''} to fetch {url} again"
    if path.is_dir():
        raise _error(f"{path} is a directory, expected a file of weights: {again}")
    try:
        digest = file_sha256(path)
        recorded = record.read_text() if record.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise _error(f"{path} or its checksum cannot be read ({_reason(error)}): {again}") from error
    expected = sha256.lower() if sha256 else None if recorded is None else _first_word(recorded)
    if expected is not None and digest != expected:
        where = "known" if sha256 else "recorded at its download"
        raise _error(f"{path} has changed: its SHA-256 is {digest}, {expected or 'none'} is {where}; {again}")
    try:
        # A file may be older than the check at its download.
        check_checkpoint(path, source=str(path))
    except WeightsError as error:
        raise _error(f"{error}; {again}") from error
    if recorded is None:
        _record(path, digest)


def _checksum(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _first_word(text: str) -> str:
    found = re.match(r"[0-9a-fA-F]{64}\b", text)
    return found[0].lower() if found else ""


def _error(message: str) -> HubError:
    return HubError(one_line(message))


def _reason(error: Any) -> str:
    if isinstance(error, HTTPError):
        return f"the server answers {error.code} {error.reason}"
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return f"no answer within {TIMEOUT:g} s"
    return one_line(reason) or type(error).__name__
