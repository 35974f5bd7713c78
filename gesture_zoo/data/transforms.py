"""Clip transforms: one geometric draw for all frames of a clip and its depth, then colour, then normalisation.

RGB and depth share every crop and flip, always: a mask that is trained on another crop learns nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from ..errors import DataError
from .names import MODALITIES
from .sample import ClipSample

# Section IV of arXiv 2110.15639.
SCALES = (1.0, 7 / 8, 3 / 4, 2 / 3)
COLOR_JITTER = {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2}
COLOR_JITTER_PROB = 0.4
# Where a crop lies, as shares of the room there is: (down, right).
CORNERS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))
CENTRE = (0.5, 0.5)

# What resolve_data_config says; the first three are needed.
ENTRIES = ("input_size", "mean", "std", "interpolation", "crop_pct", "crop_mode", "num_segments", "with_depth")

Box = tuple[int, int, int, int]  # top, left, height, width


def sees(channels: int) -> str:
    """What a network of so many input channels sees, in words.

    >>> sees(3), sees(4)
    ('RGB alone', 'RGB and depth')
    """
    return MODALITIES.get(channels, f"{channels} channels") + (" alone" if channels in (1, 3) else "")


class ClipTransform:
    """Make a ClipSample of uint8 frames into what a model takes: cropped, resized, float, normalised.

    Training: a crop of {1, 7/8, 3/4, 2/3} of the largest that fits, at a corner or the centre, and a colour jitter
    of the whole clip in 40 % of cases (the paper's). With ``hflip`` as its probability, a clip is mirrored left to
    right and gets the label ``flip_labels`` has for its class; a class that it lacks is never mirrored. Testing:
    shorter side to size / crop_pct, centre crop; or with ``num_crops`` 3 the paper's: shorter side to size, a crop
    at either end of the longer side and one between. Depth and validity get the same crop, by nearest neighbour so
    that holes do not bleed. Random draws are torch's.

    A clip with views (V, T, 3, H, W) keeps them; three crops become three times as many views.

    ``channels`` says what the network sees: 3 RGB, 1 depth alone, 4 RGB and depth; depth that was not measured is 0.
    Depth is normalised by the averages of the RGB ``mean`` and ``std``: a stem made of RGB weights expects that.

    >>> transform = ClipTransform((32, 32), is_training=False, mean=(0.5,) * 3, std=(0.5,) * 3)
    >>> white = ClipSample(torch.full((8, 3, 48, 64), 255, dtype=torch.uint8), None, None, 0, "white")
    >>> clip = transform(white)
    >>> clip.frames.shape, clip.frames.mean()
    (torch.Size([8, 3, 32, 32]), tensor(1.))
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
        hflip: float = 0.0,
        flip_labels: Mapping[int, int] | None = None,
        num_crops: int = 1,
        channels: int = 3,
    ) -> None:
        if channels not in MODALITIES:
            kinds = ", ".join(f"{count} ({what})" for count, what in MODALITIES.items())
            raise DataError(f"clips give a network {kinds} channels, not {channels}")
        if num_crops not in (1, 3) or (num_crops == 3 and is_training):
            raise DataError(f"num_crops is 1, or 3 in testing, got {num_crops}")
        if not 0 <= hflip <= 1:
            raise DataError(f"hflip is a probability in [0, 1], got {hflip}")
        if hflip and not flip_labels:
            raise DataError(
                "hflip needs to know which labels swap, and this dataset does not say: leave hflip out, or beside "
                "clips of your own write flips.csv, with lines such as swipe_left,swipe_right"
            )
        self.size = size
        self.is_training = is_training
        self.crop_pct = crop_pct
        self.interpolation = v2.InterpolationMode(interpolation)
        self.jitter = v2.RandomApply([v2.ColorJitter(**COLOR_JITTER)], p=color_jitter_prob)
        # In levels of the frames, 0 to 255: one pass less than to scale them first.
        self.mean, self.std = (255 * torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
        self.channels = channels
        self.hflip = hflip
        self.flip_labels = dict(flip_labels or {})
        self.num_crops = num_crops

    def __call__(self, sample: ClipSample) -> ClipSample:
        boxes = self.training_boxes(sample.frames) if self.is_training else self.test_boxes(sample.frames)
        flipped = self.is_training and self.draw_flip(sample.label)
        frames = self.crop(sample.frames, boxes, self.interpolation, flipped)
        if self.is_training and self.channels != 1:
            frames = self.jitter(frames)
        depth = None if sample.depth is None else self.nearest(sample.depth, boxes, flipped)
        valid = None if sample.valid is None else self.nearest(sample.valid, boxes, flipped)
        return sample._replace(
            frames=self.network_input(frames, depth, valid, sample.id),
            depth=depth,
            valid=valid,
            label=self.flip_labels[sample.label] if flipped else sample.label,
        )

    def crop(self, maps: Tensor, boxes: list[Box], interpolation: v2.InterpolationMode, flipped: bool) -> Tensor:
        """Cut out every box, at the transform's size; several boxes of a clip become views of it."""
        parts = [F.resized_crop(maps, *box, list(self.size), interpolation) for box in boxes]
        if flipped:
            parts = [part.flip(-1) for part in parts]
        if self.num_crops == 1:
            return parts[0]
        return torch.cat(parts) if maps.ndim > 4 else torch.stack(parts)

    def network_input(self, frames: Tensor, depth: Tensor | None, valid: Tensor | None, name: str) -> Tensor:
        """What the network sees of a clip, (.., channels, H, W)."""
        if self.channels == 3:
            return self.normalize(frames)
        if depth is None:
            raise DataError(f"clip {name} has no depth: a network of {self.channels} channels takes {self.modality}")
        measured = depth if valid is None else depth * valid
        seen = measured.sub(self.mean.mean() / 255).div_(self.std.mean() / 255)
        return seen if self.channels == 1 else torch.cat((self.normalize(frames), seen), dim=-3)

    @property
    def modality(self) -> str:
        """What the network sees, in words."""
        return MODALITIES[self.channels]

    def normalize(self, frames: Tensor) -> Tensor:
        """uint8 frames as float, less the mean and over the standard deviation."""
        return frames.float().sub_(self.mean).div_(self.std)

    def nearest(self, maps: Tensor, boxes: list[Box], flipped: bool) -> Tensor:
        """Depth or validity in the frames' crops."""
        is_bool = maps.dtype == torch.bool  # resizing knows no bool; the same bytes as numbers cost no copy
        parts = self.crop(maps.view(torch.uint8) if is_bool else maps, boxes, v2.InterpolationMode.NEAREST, flipped)
        return parts.view(torch.bool) if is_bool else parts

    def draw_flip(self, label: int) -> bool:
        """Whether this clip is mirrored."""
        return bool(self.hflip) and label in self.flip_labels and float(torch.rand(())) < self.hflip

    def training_boxes(self, frames: Tensor) -> list[Box]:
        """One random crop."""
        scale = SCALES[int(torch.randint(len(SCALES), ()))]
        return [self.box(frames, scale, CORNERS[int(torch.randint(len(CORNERS), ()))])]

    def test_boxes(self, frames: Tensor) -> list[Box]:
        """The centre crop, or the three along the longer side."""
        if self.num_crops == 1:
            return [self.box(frames, self.crop_pct, CENTRE)]
        return [self.box(frames, 1.0, (share, share)) for share in (0.0, 0.5, 1.0)]

    def box(self, frames: Tensor, scale: float, place: tuple[float, float]) -> Box:
        """``scale`` of the largest box of ``size``'s aspect ratio, at ``place`` (down, right) in [0, 1]."""
        height, width = frames.shape[-2:]
        unit = min(height / self.size[0], width / self.size[1]) * scale
        box = max(1, round(self.size[0] * unit)), max(1, round(self.size[1] * unit))
        return round((height - box[0]) * place[0]), round((width - box[1]) * place[1]), *box


def create_transform(
    config: dict[str, Any] | None = None,
    *,
    is_training: bool = False,
    hflip: float = 0.0,
    flip_labels: Mapping[int, int] | None = None,
    num_crops: int = 1,
    **entries: Any,
) -> ClipTransform:
    """The transform for a ``resolve_data_config`` dictionary, or for its entries by name, as timm's takes them.

    ``hflip``: probability of a horizontal flip in training, which needs the dataset's ``flip_labels``.
    ``num_crops``: 1, or 3 for the paper's test (with the test size: ``resolve_data_config(use_test_size=True)``).
    An entry that such a dictionary does not have is a TypeError.

    >>> from gesture_zoo.data import ClipSample
    >>> config = {"input_size": (3, 64, 64), "mean": (0.5,) * 3, "std": (0.5,) * 3}
    >>> transform = create_transform(**config)  # create_transform(config) is the same
    >>> transform(ClipSample(torch.zeros(8, 3, 48, 80, dtype=torch.uint8), None, None, 0, "")).frames.shape
    torch.Size([8, 3, 64, 64])
    """
    if config is None:
        config = entries
        entries = {name: value for name, value in entries.items() if name not in ENTRIES}
    if entries:
        raise TypeError(f"create_transform takes no {', '.join(entries)}; of a configuration, {', '.join(ENTRIES)}")
    if missing := [name for name in ENTRIES[:3] if name not in config]:
        raise TypeError(f"create_transform needs a resolve_data_config dictionary; this has no {', '.join(missing)}")
    return ClipTransform(
        tuple(config["input_size"][-2:]),
        is_training=is_training,
        mean=config["mean"],
        std=config["std"],
        crop_pct=config.get("crop_pct", 0.875),
        interpolation=config.get("interpolation", "bilinear"),
        hflip=hflip,
        flip_labels=flip_labels,
        num_crops=num_crops,
        channels=config["input_size"][0],
    )
