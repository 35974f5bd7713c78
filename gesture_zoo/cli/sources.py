"""What the user's own clips are kept from: being written over by what is made of them."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import GestureZooError


def check_apart(option: str, out: Path, source: str | Path) -> None:
    """A file to be written (of ``option``) that is the clip that is read, or a file in it, is a GestureZooError.

    >>> import tempfile
    >>> clip = Path(tempfile.mkdtemp()) / "clip.mp4"
    >>> clip.touch()
    >>> check_apart("--out", clip.with_name("masks.mp4"), clip)
    >>> check_apart("--out", clip, clip)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    gesture_zoo.errors.GestureZooError: --out /.../clip.mp4: it is the clip that is read; name another file
    """
    if not (out.exists() and os.path.exists(source)):
        return
    if os.path.samefile(out, source):
        raise GestureZooError(f"{option} {out}: it is the clip that is read; name another file")
    if os.path.isdir(source) and any(path.exists() and path.samefile(out) for path in Path(source).iterdir()):
        raise GestureZooError(f"{option} {out}: it is a file of the clip that is read; name another file")
