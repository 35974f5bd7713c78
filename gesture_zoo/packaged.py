"""Files of weights that come with the package: found without a network, and without PyTorch.

``DEFAULT_MODEL`` is what ``predict`` and ``web`` use where no model is named: a tag of ``models/rendered.py``, or None
while there are no such weights. Beside its weights lies the same network as a streaming ONNX file, for the page.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

from .errors import WeightsError

FOLDER = "rendered_weights"
PREFIX = "package:"
DEFAULT_MODEL: str | None = "tsm_resnet28_nano_online.rendered"


@contextmanager
def packaged_file(name: str, *, sha256: str | None = None) -> Iterator[Path]:
    """The path of a file of ``FOLDER``, which may end with the context where the package is an archive.

    A file that is missing, or is not the one with the checksum ``sha256``, is a WeightsError.

    >>> with packaged_file("no_such.onnx"):  # doctest: +ELLIPSIS
    ...     pass
    Traceback (most recent call last):
    gesture_zoo.errors.WeightsError: rendered_weights/no_such.onnx is missing from the installed gesture_zoo: ...
    """
    resource = files(__package__) / FOLDER / name
    try:
        there = Path(name).name == name and resource.is_file()
    except (OSError, ValueError):  # a name that no file can have
        there = False
    if not there:
        raise WeightsError(f"{FOLDER}/{name} is missing from the installed gesture_zoo: install it again")
    with as_file(resource) as path:
        if sha256 is not None and hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            raise WeightsError(f"{FOLDER}/{name} of the installed gesture_zoo is damaged: install it again")
        yield path
