"""What the page is made of: its files, the model, and what the page is told of the model."""

from __future__ import annotations

import inspect
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import GestureZooError, WeightsError
from ..files import FILLING, filling
from .onnx_metadata import onnx_metadata

STATIC = Path(__file__).parent / "static"
MODEL, DESCRIPTION = "model.onnx", "model.json"
# What the page can do to a picture; the filters are those of js/resize.js.
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")


def page_files() -> dict[str, Path]:
    """The files of the page by their path in the site, "index.html" among them; without the model.

    Where onnxruntime-web is missing, a GestureZooError says how to get it.
    """
    from .vendor import COMMAND, VENDOR, is_vendored  # late, so that python -m gesture_zoo.web.vendor is the first

    if not is_vendored():
        raise GestureZooError(
            f"onnxruntime-web is not in {VENDOR}: run '{COMMAND}' once, which needs npm (Node.js) and a network"
        )
    files = sorted(path for path in STATIC.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(STATIC).as_posix(): path for path in files}


def describe_model(path: str | Path) -> dict[str, Any]:
    """What the page must know of an exported model: its ModelInfo, its name and size, and how events are made.

    A file that is missing, no ONNX file, not from ``export_model`` or not for pictures is a WeightsError.
    """
    from ..live.events import EventDetector, no_gesture_labels
    from ..runtime.info import METADATA_KEY, ModelInfo

    path = Path(path)
    text = onnx_metadata(path).get(METADATA_KEY)
    if text is None:
        raise WeightsError(f"{path} does not say what it is: expected an ONNX file from 'gesture-zoo export'")
    info = ModelInfo.from_json(text, where=str(path))
    if info.input_size[0] != 3:
        raise WeightsError(f"{path} sees {info.input_size[0]} channels: a camera gives the page red, green and blue")
    if info.interpolation not in _INTERPOLATIONS:
        raise WeightsError(
            f"{path} wants frames resized by {info.interpolation!r}: the page knows {', '.join(_INTERPOLATIONS)}"
        )
    detector = inspect.signature(EventDetector).parameters.values()
    events = {p.name: p.default for p in detector if p.kind is p.KEYWORD_ONLY}
    events["no_gesture"] = no_gesture_labels(info.labels)
    if len(events["no_gesture"]) == len(info.labels):
        raise WeightsError(f"{path} has no gestures: all of its classes mean 'no gesture' ({', '.join(info.labels)})")
    # One number may stand for all channels; the page takes one of each.
    spread = {key: (*getattr(info, key),) * (3 // len(getattr(info, key))) for key in ("mean", "std")}
    return {**asdict(info), **spread, "file": path.name, "bytes": path.stat().st_size, "events": events}


def write_site(model_path: str | Path, folder: str | Path) -> Path:
    """Write the page with a model as a static site into ``folder`` and return it; any web server can serve it.

    ``folder`` is made, or must be empty or hold such a site. What cannot be used is a GestureZooError.

    >>> write_site("no_such.onnx", "site")
    Traceback (most recent call last):
    gesture_zoo.errors.WeightsError: there is no file no_such.onnx
    """
    description, files, folder = describe_model(model_path), page_files(), Path(folder)
    if folder.exists() and not folder.is_dir():
        raise GestureZooError(f"cannot write the site: {folder} is a file, expected a folder")
    # What a process that was killed left of the site is nobody's.
    is_new = not folder.is_dir() or all(path.name.startswith(FILLING) for path in folder.iterdir())
    if not is_new and not _is_site(folder):
        raise GestureZooError(f"{folder} holds other files: name a new or empty folder")
    try:
        with filling(folder, last=(MODEL, DESCRIPTION)) as made:
            for name, path in {**files, MODEL: Path(model_path)}.items():
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, made / name)
            text = json.dumps(description, indent=1) + "\n"
            (made / DESCRIPTION).write_text(text, encoding="utf-8")
    except OSError as error:
        raise GestureZooError(f"cannot write the site to {folder}: {error.strerror or error}") from error
    return folder


def _is_site(folder: Path) -> bool:
    """Whether a folder holds a page with a model; other programs, too, call a file model.json."""
    try:
        said = json.loads((folder / DESCRIPTION).read_bytes())
        return (folder / "index.html").is_file() and {"events", "labels", "architecture"} <= set(said)
    except (OSError, ValueError, TypeError, RecursionError):
        return False
