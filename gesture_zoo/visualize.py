"""Pictures: the paper's Figure 5 (RGB, depth, local mask, global mask) and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from .data import ClipSample
from .errors import ModelError
from .msd import MSDModel


def save_figure5(
    model: MSDModel,
    samples: Sequence[ClipSample],
    path: str | Path,
    *,
    class_names: Sequence[str] | None = None,
    frame: int | None = None,
) -> Path:
    """Draw one row per clip as a PNG: its RGB frame, its depth, and the mask of every tap at that frame.

    ``samples`` are transformed for ``model``; ``frame`` is an index into the T frames, the middle one by
    default. Depth and masks share one scale, 0 (far) to 1 (near); grey is where depth is not valid.
    """
    if not isinstance(model, MSDModel):
        raise ModelError("Figure 5 shows depth masks: it needs a model with decoders (a name ending in _msd)")
    if not samples:
        raise ModelError("Figure 5 needs at least one clip")
    frame = model.num_segments // 2 if frame is None else frame
    device = next(model.parameters()).device
    with torch.inference_mode():
        masks = model.eval().predict_masks(torch.stack([s.frames for s in samples]).to(device))
    titles = [f"mask of {name} ({mask.shape[-2]} x {mask.shape[-1]})" for name, mask in masks.items()]
    columns = ["RGB", "depth", *titles]
    figure = Figure(figsize=(2.3 * len(columns) + 0.6, 2.3 * len(samples) + 0.5), layout="constrained")
    axes = figure.subplots(len(samples), len(columns), squeeze=False)
    image = None
    for row, sample in enumerate(samples):
        maps = [_depth_map(sample, frame), *(mask[row, frame, 0].float().cpu() for mask in masks.values())]
        axes[row][0].imshow(denormalize(sample.frames[frame], model.pretrained_cfg).permute(1, 2, 0).numpy())
        axes[row][0].set_ylabel(class_names[sample.label] if class_names else str(sample.label))
        for column, values in enumerate(maps, start=1):
            axes[row][column].set_facecolor("0.6")
            if values is not None:
                image = axes[row][column].imshow(values.numpy(), cmap="magma", vmin=0, vmax=1)
        for column, axis in enumerate(axes[row]):
            axis.set_xticks([])
            axis.set_yticks([])
            if row == 0:
                axis.set_title(columns[column], fontsize=9)
    if image is not None:
        figure.colorbar(image, ax=axes, shrink=0.6, label="depth, far to near", pad=0.01)
    return _save(figure, path)


def save_confusion(confusion: Tensor, class_names: Sequence[str], path: str | Path) -> Path:
    """Draw a confusion matrix (true, predicted) of counts as a PNG, every row as shares of its class."""
    names = list(class_names)
    if confusion.shape != (len(names), len(names)):
        raise ModelError(f"a {tuple(confusion.shape)} confusion matrix does not go with {len(names)} class names")
    shares = confusion / confusion.sum(1, keepdim=True).clamp(min=1)
    side = min(24.0, 2.5 + 0.55 * len(names))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axis.set_yticks(range(len(names)), names)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    if len(names) <= 30:
        for true, predicted in torch.nonzero(confusion).tolist():
            color = "white" if shares[true, predicted] > 0.5 else "black"
            axis.text(predicted, true, str(int(confusion[true, predicted])), ha="center", va="center", color=color)
    figure.colorbar(image, ax=axis, shrink=0.8, label="share of the true class")
    return _save(figure, path)


def denormalize(frame: Tensor, cfg: dict[str, Any]) -> Tensor:
    """A normalised RGB frame (3, H, W) back to [0, 1]."""
    mean, std = (torch.tensor(cfg[key]).view(-1, 1, 1) for key in ("mean", "std"))
    return (frame * std + mean).clamp(0, 1)


def _depth_map(sample: ClipSample, frame: int) -> Tensor | None:
    if sample.depth is None:
        return None
    values = sample.depth[frame, 0]
    return values if sample.valid is None else values.where(sample.valid[frame, 0], torch.nan)


def _save(figure: Figure, path: str | Path) -> Path:
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ModelError(f"pictures are PNG files, got the name {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path
