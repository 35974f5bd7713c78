"""Weights from a plain URL, kept in torch.hub's folder for checkpoints."""

from __future__ import annotations

import hashlib
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import torch

from .errors import HubError


def download_url(url: str, *, cache_dir: str | Path | None = None) -> Path:
    """Fetch a .safetensors file once and return where it is; any failure is a HubError that names the URL.

    The file is complete or absent: torch writes beside it and moves. Its name in the cache starts with a hash of
    the URL, so that two sources never share a file.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.path.endswith(".safetensors"):
        raise HubError(f"cannot load weights from {url!r}: expected an http(s) address of a .safetensors file")
    folder = Path(cache_dir) if cache_dir else Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{Path(parts.path).name}"
    if not path.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), progress=False)
        except (OSError, HTTPException, ValueError) as error:
            raise HubError(f"cannot fetch weights from {url}: {' '.join(str(error).split())}") from error
    return path
