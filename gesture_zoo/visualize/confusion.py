"""The confusion matrix as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import ModelError
from .fonts import every_script
from .picture import check_name, save_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Up to so many classes there is room for the numbers, for names of the usual size, and for names at all.
MAX_NUMBERS, MAX_LARGE_NAMES, MAX_NAMES = 30, 60, 130


def save_confusion(confusion: Tensor, class_names: Sequence[str], path: str | Path) -> Path:
    """Draw a confusion matrix (true, predicted) of counts as a PNG, every row as shares of its class.

    >>> import tempfile
    >>> save_confusion(torch.eye(2), ["fist", "wave"], Path(tempfile.mkdtemp()) / "confusion.png").name
    'confusion.png'
    """
    check_name(path)
    return save_png(confusion_figure(confusion, class_names), path)


@every_script
def confusion_figure(confusion: Tensor, class_names: Sequence[str]) -> Figure:
    """A confusion matrix (true, predicted) of counts as a figure, every row as shares of its class.

    With more than 130 classes the axes name some of them, evenly. Another number of names than of classes is a
    ModelError.

    >>> type(confusion_figure(torch.eye(2), ["fist", "wave"])).__name__
    'Figure'
    """
    names = list(class_names)
    if confusion.shape != (len(names), len(names)):
        raise ModelError(f"a {tuple(confusion.shape)} confusion matrix does not go with {len(names)} class names")
    shares = confusion / confusion.sum(1, keepdim=True).clamp(min=1)
    side = min(24.0, 2.5 + 0.5 * len(names)) if len(names) <= MAX_NAMES else 12.0
    from matplotlib.figure import Figure  # late, as it takes a second to import

    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    step = 1 if len(names) <= MAX_NAMES else math.ceil(len(names) / MAX_NUMBERS)
    shown = range(0, len(names), step)
    size = 10 if len(shown) <= MAX_LARGE_NAMES else 6.5
    upright = len(shown) > MAX_NUMBERS
    style: dict[str, Any] = {"fontsize": size, "parse_math": False}  # a name may hold dollar signs
    turned: dict[str, Any] = {"rotation": 90 if upright else 45, "ha": "center" if upright else "right"}
    axis.set_xticks(shown, names[::step], **style, **turned)
    axis.set_yticks(shown, names[::step], **style)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    if len(names) <= MAX_NUMBERS:
        for true, predicted in torch.nonzero(confusion).tolist():
            color = "white" if shares[true, predicted] > 0.5 else "black"
            axis.text(predicted, true, str(int(confusion[true, predicted])), ha="center", va="center", color=color)
    figure.colorbar(image, ax=axis, shrink=0.8, label="share of the true class", pad=0.02, aspect=30)
    return figure
