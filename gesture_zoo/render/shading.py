"""Light on what is seen: lamps, highlights, dark rims, and shadows and occlusion made from the picture's own depth."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from .appearance import TEXELS, Look
from .draw import Surface
from .draws import Draw
from .look import LookRanges
from .solids import PARTS, Camera, Solids

_REACHES = (0.03, 0.07, 0.15, 0.3)  # metres towards the lamp at which something in its way is looked for
_THICK = 0.35  # metres; what stands farther before a ray passes in front of it


class Lights(NamedTuple):
    """Two lamps far away and light from everywhere: directions (B, 2, 3) towards the lamps, colours (B, 2, 3),
    light from above and from below (B, 3), and (B,) each: darkening of rims, of shadows, of what stands behind."""

    direction: Tensor
    colour: Tensor
    above: Tensor
    below: Tensor
    rim: Tensor
    shadow: Tensor
    occlusion: Tensor


def sample_lights(batch: int, draw: Draw, ranges: LookRanges) -> Lights:
    """Lights of a batch, from above and before more often than from elsewhere.

    >>> draw = Draw(torch.Generator().manual_seed(0))
    >>> sample_lights(2, draw, LookRanges()).direction.shape
    torch.Size([2, 2, 3])
    """
    x, y, z = draw.normal(1.0, batch, 2), draw.normal(1.0, batch, 2) * 0.6 - 0.6, draw.normal(1.0, batch, 2) * 0.6 - 0.7
    direction = functional.normalize(torch.stack([x, y, z], 2), dim=2)
    strength = torch.stack([draw.uniform(ranges.key_light, batch), draw.uniform(ranges.side_light, batch)], 1)
    # Lamps differ from yellow to blue far more than from green to purple.
    warm = draw.normal(1.0, batch, 3, 1) * torch.tensor([1.0, 0.1, -1.0], device=draw.device)
    warm = warm + 0.25 * draw.normal(1.0, batch, 3, 3)
    tint = (1 + warm * draw.uniform(ranges.tint, batch, 1, 1)).clamp(0.3, 1.8)
    everywhere = tint[:, 2] * (draw.uniform((0.35, 0.75), batch, 1) if ranges.key_light else 1.0)
    below = everywhere * (draw.uniform((0.4, 1.0), batch, 1) if ranges.key_light else 1.0)
    others = (draw.uniform(span, batch) for span in (ranges.rim, ranges.shadow, ranges.occlusion))
    return Lights(direction, tint[:, :2] * strength[..., None], everywhere, below, *others)


def texture_frames(solids: Solids, look: Look) -> Tensor:
    """Origin, axis and side (9, B x T x K) of every solid's page: the solid's own, or its body part's."""
    start, end = solids.start, solids.end
    middle = (start + end) / 2
    torso = (solids.part == PARTS.index("torso")) & look.shared
    face = (solids.part == PARTS.index("face")) & look.shared
    chest, top, (skull, forward, jaw) = _mean(middle, torso), _mean(middle, face), _head(solids, middle, face)
    view = torch.tensor([0.0, 0.0, 1.0], device=start.device)
    upright = torch.tensor([0.0, -1.0, 0.0], device=start.device)
    up = functional.normalize(torch.where((torso.any(1) & face.any(1))[:, None, None], top - chest, upright), dim=2)
    # A head that has a nose says where it looks.
    turned = ((face.sum(1) > 2)[:, None, None] & (forward.norm(dim=2, keepdim=True) > 1e-3)).expand_as(up)
    forward = torch.where(turned, functional.normalize(forward, dim=2), -view)
    crown = torch.where(turned, skull - jaw, up)
    crown = functional.normalize(crown - (crown * forward).sum(2, keepdim=True) * forward, dim=2)
    own_axis = functional.normalize(end - start + 1e-6, dim=3)
    torso, face = torso[:, None, :, None], face[:, None, :, None]
    axis = torch.where(torso, up[:, :, None], torch.where(face, crown[:, :, None], own_axis))
    origin = torch.where(torso, chest[:, :, None], torch.where(face, skull[:, :, None], start))
    away = torch.where(face, -forward[:, :, None], view.expand_as(axis))
    side = functional.normalize(torch.linalg.cross(axis, away) + 1e-6, dim=3)
    return torch.cat([origin, axis, side], 3).reshape(-1, 9).t().contiguous()


def _head(solids: Solids, middle: Tensor, face: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The middle of the skull (B, T, 3), the way from it to the nose, and the middle of the jaw.

    Of a face's solids the largest is the skull and the smallest the nose; what else there is is jaw.
    """
    size = solids.radius_start.mean(1) * face
    skull = size.argmax(1)
    nose = torch.where(face, size, torch.full_like(size, 1e9)).argmin(1)
    clip = torch.arange(len(face), device=face.device)
    rest = face.clone()
    rest[clip, skull] = rest[clip, nose] = False
    at = middle[clip, :, skull]
    return at, middle[clip, :, nose] - at, _mean(middle, rest)


def _mean(points: Tensor, chosen: Tensor) -> Tensor:
    """Means (B, T, 3) over the chosen (B, K) of points (B, T, K, 3)."""
    weight = chosen[:, None, :, None].to(points)
    return (points * weight).sum(2) / weight.sum(2).clamp(min=1)


def shade(
    seen: Surface, solids: Solids, look: Look, lights: Lights, frames: Tensor, lit: Tensor | None = None
) -> Tensor:
    """Linear colours (3, P) of the P pixels of a surface; `lit` (P,) is the share of the key light that reaches them.

    `frames` is what `texture_frames` gives for these solids.
    """
    batch, count_frames, count = solids.present.shape
    clip = torch.div(seen.row, count_frames * count, rounding_mode="floor")
    own = clip * count + seen.row % count
    ox, oy, oz, ax, ay, az, sx, sy, sz = frames.index_select(1, seen.row.int())
    metres, pages = look.metres.reshape(-1, 2), look.atlas.shape[1]
    first_texel = (look.page + torch.arange(batch, device=own.device)[:, None] * pages).reshape(-1) * TEXELS**2
    per_solid = torch.stack([1 / metres[:, 0], 1 / metres[:, 1], look.gloss.reshape(-1), first_texel.to(frames)])
    per_v, per_u, gloss, first_texel = per_solid.index_select(1, own.int())
    x, y, z = seen.point
    dx, dy, dz = x - ox, y - oy, z - oz
    # Pages repeat, and their middle is the origin; TEXELS is a power of two.
    v = (dx * ax + dy * ay + dz * az).mul_(per_v).add_(0.5).mul_(TEXELS).floor_().long().bitwise_and_(TEXELS - 1)
    u = (dx * sx + dy * sy + dz * sz).mul_(per_u).add_(0.5).mul_(TEXELS).floor_().long().bitwise_and_(TEXELS - 1)
    texel = v.mul_(TEXELS).add_(u).add_(first_texel.long())
    albedo = look.atlas.reshape(-1, 3).t().contiguous().index_select(1, texel)

    nx, ny, nz = seen.normal
    lamp = torch.cat([lights.direction.reshape(batch, 6), lights.colour.reshape(batch, 6), lights.above, lights.below,
                      lights.rim[:, None]], 1).t()  # fmt: skip
    lamp = lamp.index_select(1, clip.int()) if batch > 1 else lamp
    key = _wrapped(nx * lamp[0] + ny * lamp[1] + nz * lamp[2])
    side = _wrapped(nx * lamp[3] + ny * lamp[4] + nz * lamp[5])
    if lit is not None:
        key = key * lit
    facing = -(nx * x + ny * y + nz * z) * (x * x + y * y + z * z).rsqrt()
    rim = 1 - lamp[18] * (1 - facing).clamp(0, 1).square()
    # The half way between the lamp and a camera straight ahead is near enough for a highlight's place.
    half = nx * lamp[0] + ny * lamp[1] + nz * (lamp[2] - 1)
    shine = (half * (2 - 2 * lamp[2]).clamp(min=0.1).rsqrt()).clamp_(min=0)
    for _ in range(4):
        shine.square_()
    shine *= gloss * key
    sky = 0.5 - 0.5 * ny
    light = lamp[15:18] + (lamp[12:15] - lamp[15:18]) * sky
    light.addcmul_(lamp[6:9], key).addcmul_(lamp[9:12], side)
    return light.mul_(albedo).mul_(rim).addcmul_(lamp[6:9], shine)


def _wrapped(cosine: Tensor) -> Tensor:
    """Brightness by the cosine to a lamp of some width: it goes round the edge a little."""
    return ((cosine + 0.25) / 1.25).clamp(min=0)


def shadows(distance: Tensor, camera: Camera, lights: Lights) -> Tensor:
    """Shares of the key light (B, T, H, W) that reach what lies at distances (B, T, H, W) in metres, soft-edged.

    Only what is in the picture throws shadows, and only the side the camera sees.
    """
    batch, frames, height, width = distance.shape
    small = functional.avg_pool2d(distance, 2, ceil_mode=True)
    h, w = small.shape[-2:]
    x = (torch.arange(w, device=distance.device) + 0.5) * (width / w) - width / 2
    y = ((torch.arange(h, device=distance.device) + 0.5) * (height / h) - height / 2)[:, None]
    focal = (camera.focal.to(distance) * height)[:, None, None, None]
    blocked = torch.zeros_like(small)
    base = torch.arange(batch * frames, device=distance.device).view(batch, frames, 1, 1) * (h * w)
    flat = small.reshape(-1)
    for reach in _REACHES:
        lx, ly, lz = (lights.direction[:, 0] * reach)[:, :, None, None, None].unbind(1)
        z = (small + lz).clamp(min=0.05)
        column = ((x * small + focal * lx) / z + width / 2).mul_(w / width).long().clamp_(0, w - 1)
        row = ((y * small + focal * ly) / z + height / 2).mul_(h / height).long().clamp_(0, h - 1)
        gap = z - flat[base + row * w + column] - 0.2 * reach
        hidden = (gap / (0.25 * reach)).clamp_(0, 1) * ((_THICK + reach - gap) / reach).clamp_(0, 1)
        blocked = torch.maximum(blocked, hidden)
    blocked = functional.avg_pool2d(blocked, 3, stride=1, padding=1)
    blocked = functional.interpolate(blocked, size=(height, width), mode="bilinear", align_corners=False)
    return 1 - blocked * lights.shadow[:, None, None, None]


def occlusion(distance: Tensor, lights: Lights) -> Tensor:
    """Brightness factors (B, T, H, W): what lies close behind something nearer around it is darker."""
    height, width = distance.shape[-2:]
    nearness = functional.avg_pool2d(1 / distance, 4, ceil_mode=True)
    around = functional.avg_pool2d(nearness, 5, stride=1, padding=2, count_include_pad=False)
    nearest = functional.max_pool2d(nearness, 7, stride=1, padding=3)
    both = torch.cat([around, nearest], 1)
    both = functional.interpolate(both, size=(height, width), mode="bilinear", align_corners=False)
    around, nearest = both.chunk(2, 1)
    behind = (4 - 4 / (around * distance)).clamp_(0, 1)
    # What is far behind is not darker: that would draw a halo on the wall around everybody.
    close = (1 - 2 * (distance - 1 / nearest)).clamp_(0, 1)
    return 1 - behind * close * lights.occlusion[:, None, None, None]
