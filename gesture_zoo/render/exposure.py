"""What falls on the sensor while the shutter is open: frames as means of pictures drawn at several moments."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .appearance import Look
from .draw import draw, surface
from .look import LookRanges
from .shading import Lights, occlusion, shade, shadows, texture_frames
from .solids import PARTS, Camera, Solids

_STEP = 5.0  # pixels at a height of 128 that a hand may move between two pictures of one frame
_MOST = 3  # times `samples` that a frame may take


class _Takes(NamedTuple):
    """The N pictures that the T frames are means of: the `frame` (N,) of each, its `moment` (N,) as a share of the
    exposure from -0.5 to 0.5, its place in the pixel `offset` (N, 2), and how many its frame has, `of` (N,)."""

    frame: Tensor
    moment: Tensor
    offset: Tensor
    of: Tensor


def _plan(solids: Solids, camera: Camera, exposure: Tensor, samples: int) -> _Takes:
    """How many pictures which frame is made of: more where hands move fast while the shutter is open."""
    frames = solids.present.shape[1]
    need = torch.ones(frames, dtype=torch.long, device=exposure.device)
    if samples > 1 and frames > 1:
        hands = (solids.part == PARTS.index("skin")) | (solids.part == PARTS.index("glove"))
        seen = solids.end[..., :2] / solids.end[..., 2:].clamp(min=0.1) * camera.focal.to(exposure).view(-1, 1, 1, 1)
        speed = ((seen[:, 1:] - seen[:, :-1]).norm(dim=3) * hands[:, None]).amax(2) * 128
        speed = torch.maximum(torch.cat([speed[:, :1], speed], 1), torch.cat([speed, speed[:, -1:]], 1))
        need = ((speed * exposure[:, None]).amax(0) / (_STEP * samples)).ceil().clamp(1, _MOST).long()
    of = need * samples
    frame = torch.arange(frames, device=of.device).repeat_interleave(of)
    index = torch.arange(len(frame), device=of.device) - (of.cumsum(0) - of)[frame]
    of = of[frame]
    x = (index + 0.5) / of - 0.5
    y = ((index * (of // 2 + 1) + 0.5) / of) % 1 - 0.5
    return _Takes(frame, x, torch.stack([x, y], 1), of)


def _taken(solids: Solids, exposure: Tensor, takes: _Takes) -> Solids:
    """The solids (B, N, K) at the moments of pictures, moving straight on from frame to frame."""
    weight = (exposure[:, None] * takes.moment)[:, :, None, None]

    def move(values: Tensor) -> Tensor:
        if values.shape[1] == 1:
            return values[:, takes.frame]
        share = weight if values.dim() == 4 else weight[..., 0]
        step = values[:, 1:] - values[:, :-1]
        ahead, back = torch.cat([step, step[:, -1:]], 1), torch.cat([step[:, :1], step], 1)
        step = torch.where(
            takes.moment.view(1, -1, *[1] * (values.dim() - 2)) > 0, ahead[:, takes.frame], back[:, takes.frame]
        )
        return values[:, takes.frame] + step * share

    start, end = move(solids.start), move(solids.end)
    first, last = (values[:, takes.frame] for values in (solids.radius_start, solids.radius_end))
    return Solids(start, end, first, last, solids.part, solids.flat, solids.present[:, takes.frame])


def expose(
    solids: Solids,
    camera: Camera,
    look: Look,
    lights: Lights,
    scenery: tuple[Tensor, Tensor, Tensor],
    ranges: LookRanges,
) -> tuple[Tensor, Tensor]:
    """Linear light (B, T, 3, H, W) and distances (B, T, H, W) of a few clips before their backgrounds."""
    behind, wall, exposure = scenery
    size = (behind.shape[3], behind.shape[4])
    takes = _plan(solids, camera, exposure, ranges.samples)
    now = _taken(solids, exposure, takes)
    drawing = draw(now, camera, size, offset=takes.offset)
    seen = surface(drawing, now, camera, offset=takes.offset)
    # Shadows are soft: those of the picture in the middle of the exposure will do for all of a frame.
    middle = torch.searchsorted(takes.frame, torch.arange(behind.shape[1], device=wall.device))
    middle = middle + takes.of[middle] // 2
    distance = torch.minimum(drawing.distance[:, middle], wall)
    share = None
    if ranges.shadow and ranges.key_light:
        lit = shadows(distance, camera, lights)
        behind = behind * (lit * 0.5 + 0.5)[:, :, None]
        share = lit[:, takes.frame].reshape(-1).index_select(0, seen.pixel)
    images = behind[:, takes.frame]
    _put(images, seen.pixel, shade(seen, now, look, lights, texture_frames(now, look), share))
    light = torch.zeros_like(behind).index_add_(1, takes.frame, images.div_(takes.of.view(-1, 1, 1, 1)))
    if ranges.occlusion:
        light *= occlusion(distance, lights)[:, :, None]
    return light, distance


def _put(image: Tensor, pixel: Tensor, colour: Tensor) -> None:
    """Write colours (3, P) into pictures (B, T, 3, H, W) at the flat pixels (P,) of (B, T, H, W)."""
    area = image.shape[3] * image.shape[4]
    frame = torch.div(pixel, area, rounding_mode="floor")
    place = pixel + frame * (2 * area)
    flat = image.view(-1)
    # One channel after the other: an index of a third of the size.
    for channel in range(3):
        flat.index_copy_(0, place + channel * area, colour[channel])
