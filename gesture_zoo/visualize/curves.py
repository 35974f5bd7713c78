"""The curves of a training: losses, accuracies, depth errors and the learning rate, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from .picture import check_name, save_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What of an epoch's record is no curve.
BOOKKEEPING = ("epoch", "step", "second", "clips", "memory", "skipped", "bad", "scale", "grad", "share")
PANELS = ("loss", "accuracy", "depth error", "learning rate")


def save_curves(history: Sequence[Mapping[str, Any]], path: str | Path) -> Path:
    """Draw ``curves_figure`` as a PNG.

    >>> import tempfile
    >>> save_curves([{"epoch": 1, "loss": 2.0}], Path(tempfile.mkdtemp()) / "curves.png").name
    'curves.png'
    """
    check_name(path)
    return save_png(curves_figure(history), path)


def curves_figure(history: Sequence[Mapping[str, Any]]) -> Figure:
    """A panel each for losses (on a log axis where all are positive), accuracies, depth errors and learning rate.

    ``history``: one record per epoch, as in history.json; what no record has is not drawn. Accuracies are shares in
    [0, 1]. Without any record it is a ModelError.

    >>> figure = curves_figure([{"epoch": 1, "loss": 2.0, "val_top1": 0.2}, {"epoch": 2, "loss": 1.0, "val_top1": 0.6}])
    >>> [axis.get_ylabel() for axis in figure.axes]
    ['loss', 'accuracy']
    """
    panels: dict[str, list[str]] = {panel: [] for panel in PANELS}
    for key in dict.fromkeys(key for record in history for key in record):
        if (panel := panel_of(key)) and any(is_number(record.get(key)) for record in history):
            panels[panel].append(key)
    drawn = {panel: keys for panel, keys in panels.items() if keys}
    if not drawn:
        raise ModelError("there are no curves to draw: the history has no epoch with a number in it")
    from matplotlib.figure import Figure  # late, as it takes a second to import
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(4.6 * len(drawn) + 0.2, 3.6), layout="constrained")
    axes = figure.subplots(1, len(drawn), squeeze=False)[0]
    for axis, (panel, keys) in zip(axes, drawn.items(), strict=True):
        epochs: list[float] = []
        values: list[float] = []
        for key in keys:
            points = [(r.get("epoch", n), r[key]) for n, r in enumerate(history, start=1) if is_number(r.get(key))]
            x, y = ([point[place] for point in points] for place in (0, 1))
            # Few points are lost without a mark.
            axis.plot(x, y, marker="o" if len(points) < 30 else "", ms=3, lw=1.5, label=key)
            epochs, values = epochs + x, values + y
        if panel == "loss" and min(values) > 0:
            axis.set_yscale("log")
        if panel == "accuracy":
            axis.set_ylim(-0.02, 1.02)
        axis.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)  # room for a single epoch, too
        axis.set_xlabel("epoch")
        axis.set_ylabel(panel)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    return figure


def panel_of(key: str) -> str | None:
    """Which panel a number of an epoch's record belongs to; None for bookkeeping.

    >>> [panel_of(key) for key in ("loss", "res1", "val_top1", "lr", "depth_res1", "seconds")]
    ['loss', 'loss', 'accuracy', 'learning rate', 'depth error', None]
    """
    if key == "lr" or key.startswith("lr_"):
        return "learning rate"
    if any(word in key for word in ("top1", "top5", "macro", "accuracy")):
        return "accuracy"
    if any(word in key for word in ("depth", "rmse")):
        return "depth error"
    return None if any(word in key for word in BOOKKEEPING) else "loss"


def is_number(value: object) -> bool:
    """Whether a value can be a point of a curve."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
