"""What all pictures share: frames as people see them, and figures as PNG files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import ModelError
from ..files import write_files
from .fonts import naming_missing_letters

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 110


def denormalize(frame: Tensor, cfg: dict[str, Any]) -> Tensor:
    """A normalised frame (C, H, W) back to [0, 1], as RGB (3, H, W): the colours, or depth alone as grey.

    >>> white = torch.ones(3, 4, 4)
    >>> denormalize(white, {"mean": (0.5,) * 3, "std": (0.25,) * 3}).max()
    tensor(0.7500)
    """
    mean, std = (torch.tensor(cfg[key]).view(-1, 1, 1) for key in ("mean", "std"))
    if len(frame) == 1:
        return (frame * std.mean() + mean.mean()).clamp(0, 1).expand(3, -1, -1)
    return (frame[:3] * std + mean).clamp(0, 1)


def check_name(path: str | Path, suffixes: Sequence[str] = (".png",)) -> Path:
    """The path of a picture, whose name must end in one of ``suffixes``; another is a ModelError.

    >>> check_name("masks.mp4", (".png", ".mp4")).suffix
    '.mp4'
    >>> check_name("masks.gif")
    Traceback (most recent call last):
    gesture_zoo.errors.ModelError: pictures are PNG files, got the name masks.gif
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        videos = ", ".join(suffix for suffix in suffixes if suffix != ".png")
        kinds = ["pictures are PNG files"] if ".png" in suffixes else []
        kind = ", ".join([*kinds, f"videos are {videos} files"] if videos else kinds)
        raise ModelError(f"{kind}, got the name {path}")
    return path


def png(figure: Figure) -> bytes:
    """A figure as the contents of a PNG file.

    >>> from matplotlib.figure import Figure
    >>> png(Figure(figsize=(1, 1)))[1:4]
    b'PNG'
    """
    buffer = io.BytesIO()
    with naming_missing_letters():
        figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight")
    return buffer.getvalue()


def save_png(figure: Figure, path: str | Path) -> Path:
    """Write a figure as a PNG file, whole or not at all; its folder is made if need be.

    >>> import tempfile
    >>> from matplotlib.figure import Figure
    >>> save_png(Figure(figsize=(1, 1)), Path(tempfile.mkdtemp()) / "new" / "empty.png").is_file()
    True
    """
    path = check_name(path)
    write_files(path.parent, {path.name: png(figure)})
    return path
