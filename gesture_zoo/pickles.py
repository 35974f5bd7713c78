"""Read a checkpoint file without running what is in it.

The one place that opens pickles: ``torch.load(weights_only=True)`` reads tensors and plain containers and refuses
everything else. It is for files that somebody chose to convert, or that a published tag names. (Programs of
torch.export are another matter: ``runtime/pt2_check.py``.)
"""

from __future__ import annotations

import os
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from .errors import WeightsError, one_line
from .files import user_path
from .model_folder import load_safetensors

_MOST_PACKED = 10
# How web pages start.
PAGES = (b"<!doctype", b"<!--", b"<html", b"<head", b"<?xml")


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """What is in a .pth, .pth.tar or .safetensors file, on the CPU: a state dict, or a dictionary around one.

    A file that is missing, damaged, no checkpoint, or that holds more than tensors and plain values is a WeightsError.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "model.pth"
    >>> torch.save({"epoch": 3, "state_dict": {"fc.bias": torch.zeros(2)}}, path)
    >>> read_checkpoint(path)["state_dict"]["fc.bias"].tolist()
    [0.0, 0.0]
    """
    path = user_path(path)
    if os.path.isdir(path):
        raise WeightsError(f"{path} is a directory: expected a .pth, .pth.tar or .safetensors file")
    if not os.path.isfile(path):
        raise WeightsError(f"there is no file {path}: expected a .pth, .pth.tar or .safetensors file")
    start = _start(path)
    if not start:
        raise WeightsError(f"{path} is empty: fetch it again")
    if is_html(start):
        raise WeightsError(
            f"{path} is an HTML page, not weights: the download fetched a web page; fetch the file itself"
        )
    if is_safetensors(path):
        return dict(load_safetensors(path))
    return _unpickle(path, str(path))


def check_checkpoint(path: str | Path, *, source: str) -> None:
    """A WeightsError unless a file is a checkpoint that ``read_checkpoint`` reads; ``source`` names it in messages.

    Of a .safetensors file the header is read, which says how long the file must be.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "model.pth"
    >>> torch.save({"fc.bias": torch.zeros(2)}, path)
    >>> check_checkpoint(path, source="model.pth")
    """
    path = Path(path)
    start = _start(path)
    if not start:
        raise WeightsError(f"{source} is empty")
    if is_html(start):
        raise WeightsError(f"{source} is a web page, not weights")
    if not is_safetensors(path):
        _unpickle(path, source)
        return
    try:
        with safe_open(path, framework="pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{source} cannot be read as safetensors ({one_line(error)})") from error


def is_safetensors(path: str | Path) -> bool:
    """Whether a file is called as safetensors files are, in capitals too."""
    return Path(path).suffix.lower() == ".safetensors"


def _unpickle(path: Path, source: str) -> dict[str, Any]:
    if _is_bomb(path):
        raise WeightsError(f"{source} unpacks to more than {_MOST_PACKED} times its size: no checkpoint is packed so")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of archives that it then refuses
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # damaged bytes end in whatever the byte that was hit leads to
        raise WeightsError(_refusal(source, error, is_archive=zipfile.is_zipfile(path))) from error
    if not isinstance(checkpoint, dict):
        kind = type(checkpoint).__name__
        raise WeightsError(f"{source} holds a {kind}, expected a state dict or a dictionary with a 'state_dict'")
    return checkpoint


def _is_bomb(path: Path) -> bool:
    """Whether a few bytes of an archive would fill the memory; torch.save packs nothing."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        return unpacked > _MOST_PACKED * path.stat().st_size
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return False  # not of that kind, or damaged: torch says so


def is_html(start: bytes) -> bool:
    """Whether a file's first bytes are those of a web page."""
    return start.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(PAGES)


def _start(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(256)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror})") from error


def _refusal(source: str, error: Exception, *, is_archive: bool) -> str:
    """What torch refused to unpickle, or that the file is broken."""
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    if found is not None:
        what = f"holds {found[1]}, not only tensors, and is not unpickled, because that could run any code"
        return (
            f"{source} {what}: where you trust it, load it with weights_only=False and save its state dict alone, with "
            "torch.save(checkpoint['state_dict'], 'weights.pth'), or of a whole model model.state_dict()"
        )
    if is_archive and "Unsupported operand 149" in str(error):  # what every protocol from 4 on begins with
        return (
            f"{source} is pickled in a newer way than torch reads without running code: load it with "
            "weights_only=False where you trust it, and save it again without pickle_protocol"
        )
    if "TorchScript" in str(error):
        return (
            f"{source} is a TorchScript program: expected a checkpoint, saved with torch.save(model.state_dict(), path)"
        )
    return (
        f"{source} cannot be read as a checkpoint: it is damaged, cut short or of another kind; fetch or save it again"
    )
