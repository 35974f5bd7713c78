"""How near masks come to depth: sums over batches that add up to the same number in any order, and what they say.

The sums are of doubles, added without rounding in between (math.fsum), and, where there is one for every pixel, of
whole numbers: so several processes find exactly what one does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..msd import MSDModel
from ..msd.loss import check_depth, resize_depth
from .distributed import gather
from .loader import ClipLoader
from .passes import batches, precision
from .readers import naming_dead_readers

_UNIT = 2.0**32  # of the whole numbers; 2^31 frames fit into 64 bits
_FLAT = 1e-12  # a variance below this is rounding


@dataclass(frozen=True)
class DepthError:
    """Root mean squared error of one tap's masks over the valid pixels, in units of depth (0 to 1).

    ``baseline`` is the error of answering the mean depth of these clips everywhere, ``pixel_baseline`` that of
    answering at every pixel its own mean over the frames of these clips, which no model knows beforehand.
    ``correlation`` is Pearson's between mask and depth over the valid pixels, in [-1, 1]; None where either is flat.

    >>> error = DepthError(rmse=0.12, baseline=0.21, correlation=0.8)
    >>> error.rmse < error.baseline  # the masks know more than the mean depth
    True
    """

    rmse: float
    baseline: float
    pixel_baseline: float | None = None
    correlation: float | None = None


@naming_dead_readers()
@torch.inference_mode()
def evaluate_depth(
    model: MSDModel, loader: ClipLoader, *, amp: str = "none", progress: bool = False
) -> dict[str, DepthError]:
    """Error of every tap's masks on the clips of ``loader`` that have depth, by tap name; empty if none has.

    Depth is resized to each mask as in ``MSDLoss``. Of clips with several views the first counts. The model is left in
    eval mode.

    >>> import gesture_zoo
    >>> from gesture_zoo.engine import make_loader, make_test_dataset
    >>> model = gesture_zoo.create_model("tsm_test_resnet_msd", num_classes=12, num_segments=2)
    >>> data = make_test_dataset("synthetic", None, model, split="val", size=32, num_clips=2)
    >>> sorted(evaluate_depth(model, make_loader(data, 2, workers=0)))
    ['layer4', 'res1']
    """
    context = precision(model, amp)
    model.eval()
    device = next(model.parameters()).device
    moments: list[dict[str, list[float]]] = []
    pixels: dict[str, Tensor] = {}
    for batch in batches(loader, "depth", progress=progress):
        if batch.depth is None:
            continue
        frames, depth, valid = batch.frames, batch.depth, batch.valid
        if frames.ndim == 6:
            frames, depth, valid = frames[:, 0], depth[:, 0], None if valid is None else valid[:, 0]
        with context:
            masks = model.predict_masks(frames.to(device))
        sums = {name: depth_sums(mask, depth, valid) for name, mask in masks.items()}
        moments.append({name: part.moments for name, part in sums.items()})
        for name, part in sums.items():
            pixels[name] = pixels[name] + part.pixels if name in pixels else part.pixels
    moments, shares = [row for part in gather(moments) for row in part], gather(pixels)
    names = dict.fromkeys(name for share in shares for name in share)
    errors = {
        name: depth_error(
            [row[name] for row in moments], torch.stack([share[name] for share in shares if name in share]).sum(0)
        )
        for name in names
    }
    return {name: error for name, error in errors.items() if error is not None}


class DepthSums(NamedTuple):
    """Sums over a batch: ``moments`` over all its pixels, ``pixels`` (2, h, w) over its frames.

    Moments: weight, squared error, depth, squared depth, mask, squared mask, depth times mask, each times the weight.
    Pixels: weight, and weight times depth, as whole numbers of 2^-32.
    """

    moments: list[float]
    pixels: Tensor


def depth_sums(mask: Tensor, depth: Tensor, valid: Tensor | None) -> DepthSums:
    """Sums of one tap's masks (N, T, 1, h, w) against depth (N, T, 1, H, W), resized to them as in ``MSDLoss``."""
    # Apple's GPUs have no double precision.
    mask = mask.float().cpu() if mask.device.type == "mps" else mask.float()
    depth, valid = depth.to(mask.device), None if valid is None else valid.to(mask.device)
    depth, weight = resize_depth(*check_depth(depth, valid, mask), mask.shape[-2:])
    # Clip by clip: double precision of a whole batch would go through memory many times.
    parts = [_clip_sums(*(part.double() for part in clip)) for clip in zip(mask, depth, weight, strict=True)]
    moments, pixels = (torch.stack(column).sum(0) for column in zip(*parts, strict=True))
    return DepthSums(moments.tolist(), pixels.cpu())


def _clip_sums(mask: Tensor, depth: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """``moments`` and ``pixels`` of one clip, all of whose arguments are (T, 1, h, w) doubles."""
    weighted = weight * depth
    flat = [part.flatten() for part in (weight, weighted, depth, mask)]
    sums = [(weight * (mask - depth).square()).sum(), weighted.sum(), flat[1].dot(flat[2])]
    sums += [flat[0].dot(flat[3]), (weight * mask).flatten().dot(flat[3]), flat[1].dot(flat[3])]
    pixels = torch.stack([(part * _UNIT).round_().long().sum((0, 1)) for part in (weight, weighted)])
    return torch.stack([weight.sum(), *sums]), pixels


def depth_error(moments: Sequence[Sequence[float]], pixels: Tensor) -> DepthError | None:
    """What the sums of all batches say: their ``moments``, and their ``pixels`` added up; None without a valid pixel.

    >>> mask, depth = torch.zeros(1, 1, 1, 1, 2), torch.tensor([0.0, 1.0]).view(1, 1, 1, 1, 2)
    >>> sums = depth_sums(mask, depth, None)
    >>> depth_error([sums.moments], sums.pixels)
    DepthError(rmse=0.7071067811865476, baseline=0.5, pixel_baseline=0.0, correlation=None)
    """
    weight, *sums = (math.fsum(column) for column in zip(*moments, strict=True))
    if not weight:
        return None
    error, depth, depth2, mask, mask2, product = (total / weight for total in sums)
    counts, totals = pixels.double() / _UNIT
    # The mean square of what is left of depth is that of depth less that of the means.
    explained = math.fsum((totals.square() / counts.clamp(min=1 / _UNIT)).flatten().tolist()) / weight
    spread, mask_spread = depth2 - depth**2, mask2 - mask**2
    correlation = None
    if min(spread, mask_spread) > _FLAT:
        correlation = max(-1.0, min(1.0, (product - depth * mask) / math.sqrt(spread * mask_spread)))
    return DepthError(
        rmse=math.sqrt(error),
        baseline=math.sqrt(max(0.0, spread)),
        pixel_baseline=math.sqrt(max(0.0, depth2 - explained)),
        correlation=correlation,
    )
