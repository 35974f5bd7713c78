"""Reading frames from image files, with torchvision's decoders (libjpeg-turbo, libpng)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms.functional import rgb_to_grayscale

from ..errors import DataError

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KIND, _PALETTE = 25, 3  # the byte of the header that says what pixels are
_COLOUR, _COLOURED_SHARE = 16, 0.01  # levels of 255 between two channels, and the share of pixels that may have more
COLOURED = "is in colours: depth is stored as grey levels, not drawn with a colour map"


def read_images(paths: Sequence[Path], *, gray: bool = False) -> Tensor:
    """Image files as uint8 (len(paths), 3, H, W) RGB, or (.., 1, H, W) with ``gray``; 16-bit PNGs stay uint16.

    A file that is missing, damaged or of another size than the first is a DataError that names it.
    """
    frames: dict[Path, Tensor] = {}
    for path in paths:
        if path not in frames:
            frames[path] = decode(read_bytes(path), path, gray=gray)
    for path, frame in frames.items():
        _check_alike(path, frame, paths[0], frames[paths[0]])
    return torch.stack([frames[path] for path in paths])


def check_images(paths: Iterable[Path], *, gray: bool = False) -> None:
    """Raise what ``read_images`` of all these files would raise, with the memory of two of them."""
    first: tuple[Path, Tensor] | None = None
    for path in paths:
        frame = decode(read_bytes(path), path, gray=gray)
        first = first or (path, frame)
        _check_alike(path, frame, *first)


def _check_alike(path: Path, frame: Tensor, first_path: Path, first: Tensor) -> None:
    if frame.shape != first.shape or frame.dtype != first.dtype:
        sizes = [f"{f.shape[-2]}x{f.shape[-1]} {str(f.dtype).removeprefix('torch.')}" for f in (frame, first)]
        raise DataError(f"frame {path} is {sizes[0]}, but {first_path.name} is {sizes[1]}")


def decode(data: bytes, name: object, *, gray: bool = False) -> Tensor:
    """One encoded image as uint8 (3, H, W), or (1, H, W) with ``gray``, turned as its EXIF says.

    ``name`` is for the error. With ``gray``, a picture in colours is a DataError: what a colour map made of depth is no
    depth, and its luminance need not even rise with it.
    """
    if not data:
        raise DataError(f"image {name} is empty")
    _check_sums(data, name)
    # A copy, because torch wants to write where Python does not.
    raw = torch.from_numpy(np.frombuffer(data, np.uint8).copy())
    try:
        frame = _decode(raw, ImageReadMode.UNCHANGED if gray else ImageReadMode.RGB)
        if gray and (len(frame) > 1 or (data.startswith(_PNG) and data[_PNG_KIND] == _PALETTE)):
            # What is stored as grey, as most depth is, costs nothing more.
            if is_coloured(frame if len(frame) == 3 else _decode(raw, ImageReadMode.RGB)):
                raise DataError(f"the depth {name} {COLOURED}")
            frame = _decode(raw, ImageReadMode.GRAY)
    except RuntimeError as error:
        reason = str(error).rpartition(", ")[2] or "damaged"
        if "Unsupported image file" in str(error):  # what follows is advice for other formats than ours
            reason = "it is no JPEG, PNG or WebP picture, or is damaged"
        raise DataError(f"cannot read image {name}: {reason}") from error
    if not gray and frame.dtype == torch.uint16:
        frame = (frame.int() >> 8).to(torch.uint8)  # colour is 8-bit everywhere else
    if frame.ndim != 3:
        raise DataError(f"image {name} is an animation, not a single picture")
    if gray and len(frame) > 1:
        frame = rgb_to_grayscale(frame)  # WebP and GIF are decoded in colour whatever is asked
    return frame


def _decode(raw: Tensor, mode: ImageReadMode) -> Tensor:
    return decode_image(raw, mode, apply_exif_orientation=True)


def is_coloured(frames: Tensor) -> bool:
    """Whether pictures (..., 3, H, W) are in colours, by more than lossy coding adds to grey.

    JPEG, WebP and MPEG-4 leave the channels of what was grey within 2 of 255 levels of each other (measured).

    >>> gray = torch.arange(0, 256, dtype=torch.uint8).view(1, 16, 16)
    >>> is_coloured(gray.expand(3, 16, 16)), is_coloured(torch.cat((gray, gray, 255 - gray)))
    (False, True)
    """
    levels = frames.int() if frames.dtype == torch.uint8 else frames.int() >> 8
    return bool((levels.amax(-3) - levels.amin(-3) > _COLOUR).float().mean() > _COLOURED_SHARE)


def _check_sums(data: bytes, name: object) -> None:
    """Raise a DataError for a PNG whose checksums are wrong: torchvision 0.29 ends the process over most of those."""
    if not data.startswith(_PNG):
        return
    place = len(_PNG)
    while place < len(data):
        size, kind = struct.unpack_from(">I4s", data, place) if place + 8 <= len(data) else (len(data), b"")
        end = place + 8 + size
        if end + 4 > len(data):
            raise DataError(f"cannot read image {name}: it is cut off at byte {len(data)}, or damaged")
        if zlib.crc32(memoryview(data)[place + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise DataError(f"cannot read image {name}: it is damaged between bytes {place} and {end + 4}")
        if kind == b"IEND":
            return
        place = end + 4


def read_bytes(path: Path) -> bytes:
    """A file's bytes; one that cannot be read is a DataError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
