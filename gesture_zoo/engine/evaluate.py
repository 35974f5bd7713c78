"""Evaluation: accuracy from RGB alone, and how near the masks come to the depth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..errors import DataError
from ..msd import MSDModel
from ..msd.loss import check_depth, resize_depth
from .loader import ClipLoader


@dataclass(frozen=True)
class Accuracy:
    """Top-1 and top-5 accuracy in [0, 1] over ``count`` clips, and the confusion matrix (true, predicted).

    ``skipped``: what was wrong with every clip that was left out because it could not be read.
    """

    top1: float
    top5: float
    count: int
    confusion: Tensor
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class DepthError:
    """Root mean squared error of one tap's masks over the valid pixels, in units of depth (0 to 1).

    ``baseline`` is the error of answering the mean depth of these clips everywhere.
    """

    rmse: float
    baseline: float


@torch.inference_mode()
def evaluate(model: nn.Module, loader: ClipLoader, *, progress: bool = False) -> Accuracy:
    """Classify every clip of ``loader`` from its RGB frames and count what is right.

    A clip with several views (random clips, crops) gets the mean of their softmax (section IV of arXiv 2110.15639). A
    model with decoders runs without them. A clip without a label is a DataError; one that cannot be read is too,
    unless the loader was told to skip it. The model is left in eval mode.
    """
    model.eval()
    device = next(model.parameters()).device
    top1 = top5 = count = 0
    confusion = torch.zeros(0, 0, dtype=torch.long)
    for batch in tqdm(loader, desc="evaluate", unit="batch", disable=None if progress else True, leave=False):
        if batch.labels.min() < 0:
            unknown = batch.ids[int(batch.labels.argmin())]
            raise DataError(f"clip {unknown} has no label, so there is nothing to compare an answer with")
        scores = class_scores(model, batch.frames.to(device)).cpu()
        if not count:
            confusion = torch.zeros(scores.shape[1], scores.shape[1], dtype=torch.long)
        ranked = scores.topk(min(5, scores.shape[1])).indices
        hits = ranked == batch.labels[:, None]
        top1 += int(hits[:, 0].sum())
        top5 += int(hits.any(1).sum())
        count += len(batch.labels)
        confusion.index_put_((batch.labels, ranked[:, 0]), torch.tensor(1), accumulate=True)
    return Accuracy(top1 / max(count, 1), top5 / max(count, 1), count, confusion, tuple(loader.bad))


def class_scores(model: nn.Module, frames: Tensor) -> Tensor:
    """Probabilities (N, classes) of clips (N, T, C, H, W), or of (N, V, T, C, H, W) as the mean over the views V."""
    if frames.ndim == 5:
        return model(frames).float().softmax(1)
    # View by view: thirty views of a batch at once are more than a device may hold.
    return torch.stack([model(view).float().softmax(1) for view in frames.unbind(1)]).mean(0)


@torch.inference_mode()
def evaluate_depth(model: MSDModel, loader: ClipLoader, *, progress: bool = False) -> dict[str, DepthError]:
    """Error of every tap's masks on the clips of ``loader`` that have depth, by tap name; empty if none has.

    Depth is resized to each mask as in ``MSDLoss``. The model is left in eval mode.
    """
    model.eval()
    device = next(model.parameters()).device
    sums: dict[str, Tensor] = {}
    for batch in tqdm(loader, desc="depth", unit="batch", disable=None if progress else True, leave=False):
        if batch.depth is None:
            continue
        masks = model.predict_masks(batch.frames.to(device))
        for name, mask in masks.items():
            depth, valid = check_depth(batch.depth, batch.valid, mask)
            depth, weight = (part.double() for part in resize_depth(depth, valid, mask.shape[-2:]))
            error = (mask.double().cpu() - depth).square()
            terms = torch.stack([weight.sum(), *((weight * x).sum() for x in (error, depth, depth.square()))])
            sums[name] = sums.get(name, torch.zeros_like(terms)) + terms
    errors = {}
    for name, total in sums.items():
        weight, error, depth, square = total.tolist()
        if weight:
            variance = max(0.0, square / weight - (depth / weight) ** 2)
            errors[name] = DepthError(math.sqrt(error / weight), math.sqrt(variance))
    return errors
