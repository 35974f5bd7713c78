"""The videos and pictures in a folder, and reading a picture; without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..errors import DataError
from ..media_names import IMAGE_SUFFIXES, VIDEO_SUFFIXES, is_depth_name, natural_key


def pictures(folder: Path) -> list[Path]:
    """The pictures in a folder, in natural order; a folder that cannot be read is a DataError."""
    return _found(folder, IMAGE_SUFFIXES)


def videos(folder: Path) -> list[Path]:
    """The videos in a folder, in natural order, without those that hold the depth of another."""
    found = _found(folder, VIDEO_SUFFIXES)
    names = {path.name for path in found}
    return [path for path in found if not is_depth_name(path.name, names)]


def _found(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror}") from error
    visible = [name for name in names if name.lower().endswith(suffixes) and not name.startswith(".")]
    return [folder / name for name in sorted(visible, key=natural_key)]


def read_picture(path: Path) -> np.ndarray:
    """A picture (H, W, 3) uint8 RGB, turned as its EXIF says.

    One that is missing, damaged or an animation is a DataError that names it.
    """
    try:
        with Image.open(path) as picture:
            if getattr(picture, "n_frames", 1) > 1:
                raise DataError(f"image {path} is an animation, not a single picture")
            if picture.mode.startswith("I"):
                # 16 bits of grey: PIL would cut off at 255, and colour is the upper 8 bits everywhere else.
                grey = (np.asarray(picture).astype(np.int64) >> 8).astype(np.uint8)
                return np.repeat(grey[..., None], 3, axis=2)
            return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"cannot read image {path}: {error}") from error
