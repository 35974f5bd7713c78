"""What a camera makes of light: exposure, colour, blur, noise, a small sensor, compression.

Steps work in place where they can, on pictures (B, T, 3, H, W): passes over all pixels are what costs time here.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from .draws import Draw
from .look import LookRanges
from .views import MARGIN

_LUMA = (0.299, 0.587, 0.114)


def photograph(light: Tensor, draw: Draw, ranges: LookRanges, kept: Tensor | None = None) -> Tensor:
    """Pictures (B, T, 3, H, W) uint8 of linear light of that shape, 1 being what a white wall sends in good light.

    Where `kept` (B, T, H, W) is 0 they are black. `light` is used up.

    >>> draw = Draw(torch.Generator().manual_seed(0))
    >>> photograph(torch.full((1, 2, 3, 16, 16), 0.25), draw, LookRanges.plain()).unique().tolist()
    [128]
    """
    images = _expose(light, draw, ranges)
    images = _soften(images, draw, ranges)
    images = _grain(images, draw, ranges)
    images = _develop(images, draw, ranges)
    if kept is not None:
        images *= kept[:, :, None]
    images = _shrink(images, draw, ranges)
    if ranges.jpeg and ranges.jpeg_chance:
        images = _some(images, draw.chance(ranges.jpeg_chance, len(images)), lambda part: jpeg(part, draw, ranges.jpeg))
    images = _borders(images, draw, ranges)
    return images.mul_(255).add_(0.5).clamp_(0, 255).to(torch.uint8)


def _some(images: Tensor, chosen: Tensor, change) -> Tensor:  # type: ignore[no-untyped-def]
    """The pictures, the chosen (B,) of the clips changed: an effect that few clips have costs little."""
    index = torch.nonzero(chosen).squeeze(1)
    if len(index) == 0:
        return images
    if len(index) == len(images):
        return change(images)
    images[index] = change(images[index])
    return images


def _expose(light: Tensor, draw: Draw, ranges: LookRanges) -> Tensor:
    """Automatic exposure with its errors, drift, flicker, colour cast and dark corners, in linear light."""
    batch, frames, _, height, width = light.shape
    device = light.device
    gain = torch.ones(batch, frames, 3, 1, 1, device=device)
    if ranges.brightness:
        mean = light[:, :, :, ::4, ::4].mean((1, 2, 3, 4)).clamp(min=0.02)
        # Cameras bring the mean to a middle grey, not quite.
        auto = (0.2 / mean) ** draw.uniform((0.3, 1.0), batch)
        gain = gain * (auto.clamp(0.3, 4) * 2 ** draw.uniform(ranges.brightness, batch)).view(-1, 1, 1, 1, 1)
    time = torch.linspace(-0.5, 0.5, frames, device=device).view(1, frames)
    stops = time * (draw.uniform(ranges.drift, batch, 1) * (1 - 2 * draw.chance(0.5, batch, 1).float()))
    stops = stops + draw.normal(1.0, batch, frames) * draw.switched(0.4, ranges.flicker, batch, 1)
    gain = gain * (2**stops)[:, :, None, None, None]
    cast = draw.normal(1.0, batch, 1) * draw.uniform(ranges.white_balance, batch, 1)
    green = 0.4 * draw.normal(1.0, batch, 1) * draw.uniform(ranges.white_balance, batch, 1)
    gain = gain * torch.cat([cast, green, -cast], 1).exp()[:, None, :, None, None]
    y = torch.linspace(-1, 1, height, device=device).view(-1, 1).square()
    x = torch.linspace(-1, 1, width, device=device).square()
    corners = 1 - (x + y) * (0.5 * draw.uniform(ranges.vignette, batch).view(-1, 1, 1))
    return light.mul_(gain).mul_(corners[:, None, None])


def _soften(images: Tensor, draw: Draw, ranges: LookRanges) -> Tensor:
    """Defocus: a blur of up to a pixel or so, by a kernel of three taps each way, twice for the strongest."""
    height = images.shape[3]
    sigma = draw.uniform(ranges.defocus, len(images)) * height / 128
    if not ranges.defocus:
        return images
    # A kernel (w, 1 - 2 w, w) has variance 2 w; the strongest blurs are made of two.
    weight = (sigma.square() / 2).clamp(0, 0.3)
    images = _some(images, weight > 0.01, lambda part: _blur3(part, weight[weight > 0.01]))
    more = (sigma.square() / 2 - 0.3).clamp(0, 0.33)
    return _some(images, more > 0.01, lambda part: _blur3(part, more[more > 0.01]))


def _blur3(images: Tensor, weight: Tensor) -> Tensor:
    """Every pixel takes `weight` (B,) of each neighbour, first along y, then along x."""
    weight = weight.view(-1, 1, 1, 1, 1)
    for dim in (3, 4):
        size = images.shape[dim]
        middle = images.narrow(dim, 1, size - 2)
        ring = images.narrow(dim, 0, size - 2) + images.narrow(dim, 2, size - 2)
        ring.sub_(middle, alpha=2).mul_(weight)
        images = images.clone()
        images.narrow(dim, 1, size - 2).add_(ring)
    return images


def _noise(images: Tensor, draw: Draw, soft: Tensor, grey: Tensor) -> Tensor:
    """Normal noise of the shape of (B, T, 3, H, W), of `soft` (B,) clips smooth, of `grey` (B,) mostly one in colours.

    It consists of pieces of one strip, each from another place: drawing a normal number takes as long as ten other
    operations on it.
    """
    batch, frames, _, height, width = images.shape
    strip = draw.normal(1.0, 1, 1, 1, 4 * height + 1, width)
    smooth = _blur3(strip, torch.full((1,), 0.25, device=strip.device)) * 2
    starts = draw.integer(3 * height, batch, frames, 3)
    # Every row of both strips begins a piece of the size of a picture.
    pieces = torch.cat((strip, smooth)).flatten().unfold(0, height * width, width)
    first = starts + soft.view(-1, 1, 1) * strip.shape[3]
    noise = pieces.index_select(0, first.flatten()).view_as(images)
    own = torch.where(grey, 0.3, 1.0).view(-1, 1, 1, 1, 1)
    noise[:, :, 1:] = torch.lerp(noise[:, :, :1], noise[:, :, 1:], own)
    return noise


def _grain(images: Tensor, draw: Draw, ranges: LookRanges) -> Tensor:
    """Noise of the sensor: of each pixel, more in the dark once developed, at times soft and mostly without colour."""
    if not ranges.noise:
        return images
    batch = len(images)
    low, high = (math.log(max(bound, 1e-4)) for bound in ranges.noise)
    level = draw.uniform((low, high), batch, 1, 1, 1, 1).exp()
    read = level * draw.uniform((0.1, 0.5), batch, 1, 1, 1, 1)
    noise = _noise(images, draw, draw.chance(ranges.coarse_noise, batch), draw.chance(0.5, batch))
    square = images.clamp(0.0, 1.0).mul_(level * level).add_(read * read)
    return images.addcmul_(noise, square.mul_(square.rsqrt()))


def _develop(images: Tensor, draw: Draw, ranges: LookRanges) -> Tensor:
    """Display values of linear light: gamma, contrast, saturation."""
    batch = len(images)
    images = images.clamp_(1e-8, 4)
    images.mul_(images.rsqrt())
    if ranges.gamma:
        bend = draw.uniform(ranges.gamma, batch, 1, 1, 1, 1)
        images.addcmul_(images * bend, 1 - images.clamp(max=1))
    if ranges.contrast:
        slope = draw.uniform(ranges.contrast, batch, 1, 1, 1, 1)
        x = images.clamp(0, 1)
        curve = (x - 0.5).mul_(x).mul_(1 - x).mul_(2 * slope)
        images.add_(curve)
    if ranges.saturation or ranges.grey:
        amount = draw.uniform(ranges.saturation or (1.0, 1.0), batch)
        amount = amount.masked_fill(draw.chance(ranges.grey, batch), 0).view(-1, 1, 1, 1)
        luma = sum(share * images[:, :, channel] for channel, share in enumerate(_LUMA))
        luma = torch.as_tensor(luma) * (1 - amount)
        images.mul_(amount[:, None]).add_(luma[:, :, None])
    return images.clamp_(0, 1)


def _shrink(images: Tensor, draw: Draw, ranges: LookRanges) -> Tensor:
    """Some of the pictures as if they had been smaller, and some sharpened, as cameras do."""
    batch, _, _, height, width = images.shape
    for clip in torch.nonzero(draw.chance(ranges.low_resolution, batch)).flatten().tolist():
        factor = float(draw.uniform((1.2, 2.5), 1))
        small = functional.interpolate(
            images[clip], size=(max(int(height / factor), 4), max(int(width / factor), 4)), mode="area"
        )
        images[clip] = functional.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)
    if not ranges.sharpen:
        return images
    strength = draw.uniform((0.05, 0.3), batch)
    chosen = draw.chance(ranges.sharpen, batch)
    return _some(images, chosen, lambda part: _blur3(part, -strength[chosen]).clamp_(0, 1))


def _borders(images: Tensor, draw: Draw, ranges: LookRanges) -> Tensor:
    """Black bars left and right, or above and below, where no hand gestures (views.MARGIN)."""
    for clip in torch.nonzero(draw.chance(ranges.borders, len(images))).flatten().tolist():
        dim = int(draw.integer(2, 1)) + 2
        bar = int(float(draw.uniform((0.03, 0.5 - MARGIN), 1)) * images.shape[dim + 1])
        images[clip].narrow(dim, 0, bar).zero_()
        images[clip].narrow(dim, images.shape[dim + 1] - bar, bar).zero_()
    return images


# How coarsely JPEG rounds brightness at quality 50, by frequency: Annex K of its standard, smoothed to a formula.
def _quantisation(device: torch.device) -> Tensor:
    step = torch.arange(8.0, device=device)
    radius = step[:, None] + step[None]
    return 11 + 4.2 * radius + 0.75 * radius.square()


def _cosines(device: torch.device) -> Tensor:
    """The orthonormal discrete cosine transform of an 8 x 8 block, (64, 64)."""
    step = torch.arange(8.0, device=device)
    line = torch.cos((2 * step[None] + 1) * step[:, None] * (math.pi / 16)) * 0.5
    line[0] = math.sqrt(1 / 8)
    return torch.kron(line, line)


def jpeg(images: Tensor, draw: Draw, quality: tuple[float, float]) -> Tensor:
    """Pictures (B, T, 3, H, W) in [0, 1] with the losses of JPEG or a video codec at a quality from 1 to 100.

    Whole blocks of 8 x 8 pixels are rounded; rows and columns that make no whole block stay as they are.

    >>> draw = Draw(torch.Generator().manual_seed(0))
    >>> ramp = torch.linspace(0, 1, 16).expand(1, 1, 3, 16, 16)
    >>> bool((jpeg(ramp, draw, (90.0, 90.0)) - ramp).abs().max() < 0.1)
    True
    """
    batch, frames, _, height, width = images.shape
    down, across = height // 8, width // 8
    drawn = draw.uniform(quality, batch)
    scale = torch.where(drawn < 50, 50 / drawn, 2 - drawn / 50).clamp(min=0.02)
    whole = images[..., : down * 8, : across * 8]
    y = _LUMA[0] * whole[:, :, 0] + _LUMA[1] * whole[:, :, 1] + _LUMA[2] * whole[:, :, 2]
    planes = torch.stack([y, whole[:, :, 2] - y, whole[:, :, 0] - y], 2)
    blocks = planes.view(batch, frames, 3, down, 8, across, 8).transpose(4, 5).reshape(batch, -1, 64)
    cosines, table = _cosines(images.device), _quantisation(images.device).reshape(64) / 255
    step = table * scale[:, None, None]
    # Colour is rounded more coarsely than brightness.
    coarse = torch.tensor([1.0, 1.7, 1.7], device=images.device).repeat_interleave(down * across).repeat(frames)
    step = step * coarse[:, None]
    blocks = (blocks @ cosines.t()).div_(step).round_().mul_(step) @ cosines
    planes = blocks.view(batch, frames, 3, down, across, 8, 8).transpose(4, 5)
    planes = planes.reshape(batch, frames, 3, down * 8, across * 8)
    y, blue, red = planes.unbind(2)
    green = -(_LUMA[2] * blue + _LUMA[0] * red) / _LUMA[1]
    result = images.clone()
    result[..., : down * 8, : across * 8] = torch.stack([y + red, y + green, y + blue], 2)
    return result.clamp_(0, 1)
