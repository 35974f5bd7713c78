"""Clip transforms: one geometric draw for all frames of a clip and its depth, then colour, then normalisation.

RGB and depth share every crop, always: a mask that is trained on another crop learns nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from .sample import ClipSample

# Section IV of arXiv 2110.15639.
SCALES = (1.0, 7 / 8, 3 / 4, 2 / 3)
COLOR_JITTER = {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2}
COLOR_JITTER_PROB = 0.4


class ClipTransform:
    """Make a ClipSample of uint8 frames into what a model takes: cropped, resized, float, normalised.

    Training: a crop of {1, 7/8, 3/4, 2/3} of the largest that fits, at a corner or the centre, and a colour
    jitter of the whole clip in 40 % of cases (the paper's). Testing: shorter side to size / crop_pct, centre
    crop. Depth and validity get the same crop, by nearest neighbour so that holes do not bleed. Random draws
    are torch's.
    """

    def __init__(
        self,
        size: tuple[int, int],
        *,
        is_training: bool,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        crop_pct: float = 0.875,
        interpolation: str = "bilinear",
        color_jitter_prob: float = COLOR_JITTER_PROB,
    ) -> None:
        self.size = size
        self.is_training = is_training
        self.crop_pct = crop_pct
        self.interpolation = v2.InterpolationMode(interpolation)
        self.jitter = v2.RandomApply([v2.ColorJitter(**COLOR_JITTER)], p=color_jitter_prob)
        self.normalize = v2.Normalize(list(mean), list(std))

    def __call__(self, sample: ClipSample) -> ClipSample:
        box = self.training_box(sample.frames) if self.is_training else self.test_box(sample.frames)
        frames = F.resized_crop(sample.frames, *box, list(self.size), self.interpolation)
        if self.is_training:
            frames = self.jitter(frames)
        frames = self.normalize(F.to_dtype(frames, torch.float32, scale=True))
        return sample._replace(
            frames=frames, depth=self.nearest(sample.depth, box), valid=self.nearest(sample.valid, box)
        )

    def nearest(self, maps: Tensor | None, box: tuple[int, int, int, int]) -> Tensor | None:
        """Depth or validity in the frames' crop."""
        if maps is None:
            return None
        resized = F.resized_crop(maps.float(), *box, list(self.size), interpolation=v2.InterpolationMode.NEAREST)
        return resized.to(maps.dtype)

    def training_box(self, frames: Tensor) -> tuple[int, int, int, int]:
        """A random crop (top, left, height, width)."""
        scale = SCALES[int(torch.randint(len(SCALES), ()))]
        corners = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5)]
        return self.crop_box(frames, scale, corners[int(torch.randint(len(corners), ()))])

    def test_box(self, frames: Tensor) -> tuple[int, int, int, int]:
        """The centre crop (top, left, height, width)."""
        return self.crop_box(frames, self.crop_pct, (0.5, 0.5))

    def crop_box(self, frames: Tensor, scale: float, place: tuple[float, float]) -> tuple[int, int, int, int]:
        """``scale`` of the largest box of ``size``'s aspect ratio, at ``place`` (down, right) in [0, 1]."""
        height, width = frames.shape[-2:]
        unit = min(height / self.size[0], width / self.size[1]) * scale
        box = max(1, round(self.size[0] * unit)), max(1, round(self.size[1] * unit))
        return round((height - box[0]) * place[0]), round((width - box[1]) * place[1]), *box


def create_transform(config: dict[str, Any], *, is_training: bool = False) -> ClipTransform:
    """The transform for a ``resolve_data_config`` dictionary.

    >>> from gesture_zoo.data import ClipSample
    >>> transform = create_transform({"input_size": (3, 64, 64), "mean": (0.5,) * 3, "std": (0.5,) * 3})
    >>> transform(ClipSample(torch.zeros(8, 3, 48, 80, dtype=torch.uint8), None, None, 0, "")).frames.shape
    torch.Size([8, 3, 64, 64])
    """
    return ClipTransform(
        tuple(config["input_size"][-2:]),
        is_training=is_training,
        mean=config["mean"],
        std=config["std"],
        crop_pct=config.get("crop_pct", 0.875),
        interpolation=config.get("interpolation", "bilinear"),
    )
