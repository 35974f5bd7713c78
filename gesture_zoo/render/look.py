"""LookRanges: everything about how a rendered clip looks that is drawn at random, and smooth noise."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ..errors import DataError
from .draws import Draw, Range


@dataclass(frozen=True)
class LookRanges:
    """From where to where every effect varies from clip to clip.

    A range is (least, most); None switches its effect off, as a probability of 0 does. `LookRanges.plain()` has all
    of them off.

    >>> LookRanges(noise=None).noise is None, LookRanges.plain().samples
    (True, 1)
    """

    samples: int = 2  # pictures drawn per frame, at other times of the exposure and other places in the pixel
    exposure: Range | None = (0.02, 0.45)  # of the time between two frames: motion blur
    skin: Range | None = (0.0, 1.0)  # place on the scale of skin tones, palest to darkest
    patterns: float = 0.6  # chance that a cloth is not plain
    face: float = 0.9  # chance of eyes, mouth and so on
    scenery: float = 0.75  # chance that the room is more than one plain wall
    passers_by: float = 0.25  # chance of somebody else in the picture
    drifting: float = 0.35  # chance of objects that cross the picture
    seat: float = 0.25  # chance of a seat's back behind the person; three times that in a car
    key_light: Range | None = (0.3, 1.3)  # strength of the strongest light; None leaves light from everywhere
    side_light: Range | None = (0.0, 0.6)  # and of the second
    tint: Range | None = (0.0, 0.25)  # how far a light's colour is from white
    gloss: Range | None = (0.0, 0.35)  # strength of highlights on skin
    rim: Range | None = (0.2, 0.6)  # darkening of what is seen at a grazing angle; it parts the fingers
    shadow: Range | None = (0.1, 0.75)  # how much of the key light a cast shadow takes
    occlusion: Range | None = (0.1, 0.6)  # darkening around what stands before something
    shake: Range | None = (0.0, 0.012)  # of the picture's height: how far a camera held or mounted badly moves
    pan: Range | None = (0.0, 0.06)  # of the picture's height: how far it turns during a clip
    cut: float = 0.25  # chance that all is black where a depth camera measures nothing, or only what is far
    defocus: Range | None = (0.0, 0.9)  # pixels at a height of 128
    brightness: Range | None = (-0.6, 0.8)  # stops around a good exposure
    drift: Range | None = (0.0, 0.3)  # stops that it drifts during a clip
    flicker: Range | None = (0.0, 0.05)  # of the light from frame to frame
    white_balance: Range | None = (0.0, 0.18)  # gain of red and blue off neutral
    saturation: Range | None = (0.4, 1.4)
    contrast: Range | None = (-0.5, 0.7)  # slope of the tone curve in the middle, 0 leaves it
    gamma: Range | None = (-0.35, 0.35)  # bend of the tone curve
    vignette: Range | None = (0.0, 0.5)  # darkening of the corners
    noise: Range | None = (0.002, 0.05)  # standard deviation in dim light, of full white
    coarse_noise: float = 0.35  # chance that the noise is soft, as after a camera's own filters
    low_resolution: float = 0.35  # chance that the picture was smaller, by up to 2.5
    sharpen: float = 0.3  # chance of the halos of a camera's sharpening
    jpeg: Range | None = (12.0, 95.0)  # quality
    jpeg_chance: float = 0.4
    grey: float = 0.03  # chance of a picture without colour
    borders: float = 0.1  # chance of black bars at two sides
    depth_noise: Range | None = (0.5, 2.0)  # of a depth camera, 1 is a good one
    depth_holes: Range | None = (0.3, 1.5)  # how often it measures nothing, 1 is usual
    depth_shift: Range | None = (0.0, 0.02)  # of the picture's height: how far depth lies beside colour
    depth_cut: float = 0.3  # chance that it ends somewhere behind the hand

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple) and len(value) == 2 and not value[0] <= value[1]:
                raise DataError(f"LookRanges.{field.name} is {value}: the least comes first, then the most")
            if isinstance(value, float) and not 0 <= value <= 1:
                raise DataError(f"LookRanges.{field.name} is {value}: a chance lies between 0 and 1")
        if self.jpeg is not None and not 1 <= self.jpeg[0] <= self.jpeg[1] <= 100:
            raise DataError(f"LookRanges.jpeg is {self.jpeg}: a quality lies between 1 and 100")
        if self.samples < 1:
            raise DataError(f"LookRanges.samples is {self.samples}: at least one picture has to be drawn")

    @classmethod
    def plain(cls) -> LookRanges:
        """Every effect off: flat colours in even light before one wall, exact depth."""
        off = {field.name: 0.0 if field.type == "float" else None for field in fields(cls)}
        return cls(**{**off, "samples": 1})  # type: ignore[arg-type]


def clouds(draw: Draw, batch: int, channels: int, size: tuple[int, int], cells: tuple[int, ...]) -> Tensor:
    """Smooth noise (B, C, H, W) of standard deviation about 1, summed over grids of `cells` points a side.

    >>> draw = Draw(torch.Generator().manual_seed(0))
    >>> clouds(draw, 2, 1, (8, 8), (2, 4)).shape
    torch.Size([2, 1, 8, 8])
    """
    total = torch.zeros(batch, channels, *size, device=draw.device)
    for count in cells:
        grid = draw.normal(1.0, batch, channels, count, count) / len(cells) ** 0.5
        total += torch.nn.functional.interpolate(grid, size=size, mode="bilinear", align_corners=False)
    return total


def windows(pattern: Tensor, count: int, size: tuple[int, int], draw: Draw) -> Tensor:
    """Windows (count, H, W) cut at random places of one larger pattern: cheaper than a new pattern for every frame.

    >>> draw = Draw(torch.Generator().manual_seed(0))
    >>> windows(torch.zeros(20, 20), 3, (8, 9), draw).shape
    torch.Size([3, 8, 9])
    """
    height, width = size
    tops = draw.integer(pattern.shape[0] - height + 1, count)
    lefts = draw.integer(pattern.shape[1] - width + 1, count)
    return pattern.unfold(0, height, 1).unfold(1, width, 1)[tops, lefts]
