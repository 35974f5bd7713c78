"""Making a picture into what a model takes, without torch: the zoo's test transform."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from ..errors import DataError
from .info import ModelInfo

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def centre_box(height: int, width: int, info: ModelInfo) -> tuple[int, int, int, int]:
    """The part of a picture that the model sees, in pixels: (left, top, right, bottom).

    >>> info = ModelInfo("tsm_resnet18", "clip", ("a",), (3, 112, 112), (0.5,) * 3, (0.5,) * 3, crop_pct=0.875)
    >>> centre_box(240, 320, info)
    (55, 15, 265, 225)
    """
    rows, columns = info.input_size[1:]
    unit = min(height / rows, width / columns) * info.crop_pct
    high, wide = max(1, round(rows * unit)), max(1, round(columns * unit))
    top, left = round((height - high) * 0.5), round((width - wide) * 0.5)
    return left, top, left + wide, top + high


def check_frame(rgb: Any) -> None:
    """DataError unless ``rgb`` is a frame: an array (H, W, 3) uint8.

    >>> check_frame(None)
    Traceback (most recent call last):
    gesture_zoo.errors.DataError: a frame is (H, W, 3) uint8, got None
    """
    if not isinstance(rgb, np.ndarray):
        raise DataError(f"a frame is (H, W, 3) uint8, got {'None' if rgb is None else f'a {type(rgb).__name__}'}")
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
        raise DataError(f"a frame is (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}")


def preprocess(rgb: np.ndarray, info: ModelInfo) -> np.ndarray:
    """One frame (H, W, 3) uint8 RGB as the model takes it: (1, 3, h, w) float32, cropped, resized and normalised.

    Within a level of rounding what ``create_transform`` does to the same frame. A model that sees depth, or an array of
    another kind, is a DataError.

    >>> info = ModelInfo("tsm_resnet18", "clip", ("a",), (3, 112, 112), (0.5,) * 3, (0.5,) * 3)
    >>> preprocess(np.zeros((240, 320, 3), np.uint8), info).shape
    (1, 3, 112, 112)
    """
    if info.input_size[0] != 3:
        raise DataError(f"the model sees {info.input_size[0]} channels: a picture has red, green and blue")
    check_frame(rgb)
    if info.interpolation not in _FILTERS:
        raise DataError(f"the model wants frames resized by {info.interpolation!r}: use one of {', '.join(_FILTERS)}")
    rows, columns = info.input_size[1:]
    box = centre_box(rgb.shape[0], rgb.shape[1], info)
    # Cropped first, as the transform does: a filter must not look beyond the crop.
    picture = Image.fromarray(rgb).crop(box).resize((columns, rows), _FILTERS[info.interpolation])
    scaled = np.asarray(picture, np.float32) / np.float32(255)
    normalised = (scaled - np.asarray(info.mean, np.float32)) / np.asarray(info.std, np.float32)
    return np.ascontiguousarray(normalised.transpose(2, 0, 1)[None])
