"""Which solid every pixel sees, and how far away: round cones hit by perspective rays, tile by tile.

A solid is tested against the 8 x 8 pixel tiles that its outline may touch and no others. Every test is exact (the ray
meets the cone's side or one of its two balls) and made of multiplications and clamps alone, without masks: on a CPU
those take a tenth of the time.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import DataError
from .solids import Camera, Solids

TILE = 8
NEAREST = 0.03  # metres; what is nearer to the lens is not drawn
NOTHING = 2.0**20  # metres; the distance where no solid is, whose lowest bits are 0
_MISS = 1e12  # added to the distance of what a ray misses
_INDEX_BITS = 63  # the lowest bits of a distance carry the solid's number: 2e-5 of the distance is lost
_ROWS = 1024  # tile tests at once on a CPU, so that temporaries stay in its cache
_ROWS_ELSEWHERE = 2**18  # and on other devices, which take as long to start a small operation as a large one


class Drawing(NamedTuple):
    """What is seen: `distance` (B, T, H, W) float32 in metres along the view axis, NOTHING where no solid is,
    and `solid` (B, T, H, W) int32, which of the K solids, 0 where none is."""

    distance: Tensor
    solid: Tensor


class Surface(NamedTuple):
    """The P pixels that see a solid, in order.

    `pixel` (P,) int64 into the flat (B, T, H, W); `row` (P,) int64 into the flat (B, T, K); `point` (3, P) metres in
    camera coordinates; `normal` (3, P) unit vectors, towards the camera; `along` (P,) from 0 at the start to 1 at the
    end of the solid; `radius` (P,) metres, the solid's own there.
    """

    pixel: Tensor
    row: Tensor
    point: Tensor
    normal: Tensor
    along: Tensor
    radius: Tensor


def draw(solids: Solids, camera: Camera, size: tuple[int, int], *, offset: Tensor | None = None) -> Drawing:
    """The nearest solid (B, T, H, W) at every pixel of a picture of `size` (H, W); at most 64 solids a frame.

    `offset` (T, 2), x and y in pixels, moves the place in the pixel through which a frame's rays go off its middle.

    >>> ball = torch.tensor([0.0, 0.0, 1.0]).reshape(1, 1, 1, 3)
    >>> radius, one = torch.full((1, 1, 1), 0.25), torch.ones(1, 1)
    >>> scene = Solids(ball, ball, radius, radius, one.long(), one, radius > 0)
    >>> drawing = draw(scene, Camera(torch.tensor([1.0])), (9, 9))
    >>> round(drawing.distance[0, 0, 4, 4].item(), 3), int((drawing.distance < 2).sum())
    (0.75, 21)
    """
    batch, frames, count = solids.present.shape
    if count > _INDEX_BITS + 1:
        raise DataError(f"{count} solids in a frame: at most {_INDEX_BITS + 1} can be drawn")
    height, width = size
    down, across = -(-height // TILE), -(-width // TILE)
    focal = camera.focal.to(solids.start) * height
    offset = torch.zeros(frames, 2, device=focal.device) if offset is None else offset
    table, columns, rows, reach = _prepare(solids, focal, size, offset)
    test, tile = _candidates(solids, columns, rows, reach, (down, across))
    nearest = torch.full((batch * frames * down * across, TILE * TILE), NOTHING, device=table.device)
    features = _pixel_features(table)
    step = torch.arange(batch, device=table.device).repeat_interleave(frames * count)
    at_once = _ROWS if table.device.type == "cpu" else _ROWS_ELSEWHERE
    for low in range(0, len(test), at_once):
        part, where = test[low : low + at_once], tile[low : low + at_once]
        shift = offset[torch.div(part, count, rounding_mode="floor") % frames]
        distance = _hit(table[part], focal[step[part]], where, features, size, shift, (down, across))
        keys = distance.view(torch.int32)
        keys.bitwise_and_(~_INDEX_BITS).bitwise_or_((part % count).to(torch.int32)[:, None])
        nearest.scatter_reduce_(0, where[:, None].expand(-1, TILE * TILE), distance, "amin")
    image = nearest.view(batch, frames, down, across, TILE, TILE).transpose(3, 4)
    image = image.reshape(batch, frames, down * TILE, across * TILE)[..., :height, :width]
    bits = image.contiguous().view(torch.int32)
    return Drawing((bits & ~_INDEX_BITS).view(torch.float32), bits & _INDEX_BITS)


def _prepare(
    solids: Solids, focal: Tensor, size: tuple[int, int], offset: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Constants of every solid's test (N, 16), and its outline: columns and rows (N, 2) of its ends and reach (N, 2)
    in pixels, N = B x T x K. A flat solid is a round one in a space where distances are stretched by 1 / flat."""
    batch, frames, count = solids.present.shape
    flat = solids.flat[:, None].expand(-1, frames, -1).reshape(-1)
    ends = [
        p.reshape(-1, 3) * torch.stack([flat * 0 + 1, flat * 0 + 1, 1 / flat], 1) for p in (solids.start, solids.end)
    ]
    (a, b), (ra, rb) = ends, (solids.radius_start.reshape(-1), solids.radius_end.reshape(-1))
    axis, narrowing = b - a, ra - rb
    m0, m1, m5 = (axis * axis).sum(1), -(axis * a).sum(1), (a * a).sum(1)
    d2 = m0 - narrowing * narrowing
    # One ball inside the other: there is no side, and no ray comes within `half` of its middle.
    half = torch.where(d2 > 1e-9, d2 / 2, torch.full_like(d2, -1e-9))
    k0 = d2 * m5 - m1 * m1 + 2 * m1 * narrowing * ra - m0 * ra * ra
    own_a, own_b = m5 - ra * ra, (b * b).sum(1) - rb * rb
    slope, start = narrowing * ra - m1, m1 - ra * narrowing
    table = torch.cat(
        [a, axis, torch.stack([d2, k0, own_a, own_b, slope, start, half, 1 / flat, ra, rb], 1)], 1
    ).contiguous()
    scale = focal.repeat_interleave(frames * count)
    shift = offset.repeat_interleave(count, 0).repeat(batch, 1)
    columns, rows, reach = [], [], []
    for centre, radius in ((a, ra), (b, rb)):
        spans = []
        for axis_index, middle in ((0, size[1] / 2), (1, size[0] / 2)):
            across, z = centre[:, axis_index], centre[:, 2]
            outside = (z * z - radius * radius).clamp(min=1e-9)
            spread = radius * (across * across + outside).clamp(min=0).sqrt()
            edges = torch.stack([across * z - spread, across * z + spread], 1) / outside[:, None]
            spans.append(edges * (scale / flat)[:, None] + (middle - shift[:, axis_index, None]))
        # A ball beside or behind the lens has no outline: its solid may be seen anywhere.
        wild = z <= radius * 1.02
        columns.append(spans[0].mean(1).masked_fill(wild, size[1] / 2))
        rows.append(spans[1].mean(1).masked_fill(wild, size[0] / 2))
        extent = torch.stack([(span[:, 1] - span[:, 0]) / 2 for span in spans], 1).amax(1)
        reach.append(extent.masked_fill(wild, float(sum(size))))
    return table, torch.stack(columns, 1), torch.stack(rows, 1), torch.stack(reach, 1)


def _candidates(
    solids: Solids, columns: Tensor, rows: Tensor, reach: Tensor, tiles: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """The tests to be made: solid numbers (M,) into B x T x K, and tile numbers (M,) into B x T x tiles."""
    down, across = tiles
    count = solids.present.shape[2]
    box = []
    for place, limit in ((columns, across), (rows, down)):
        low = ((place - reach).amin(1) / TILE).floor().clamp(0, limit).long()
        high = ((place + reach).amax(1) / TILE).ceil().clamp(0, limit).long()
        box += [low, (high - low).clamp(min=0)]
    left, wide, top, tall = box
    ahead = torch.maximum(solids.start[..., 2] + solids.radius_start, solids.end[..., 2] + solids.radius_end).reshape(
        -1
    )
    amount = wide * tall * (solids.present.reshape(-1) & (ahead > NEAREST))
    solid = torch.arange(len(amount), device=amount.device).repeat_interleave(amount)
    place = torch.arange(len(solid), device=amount.device) - (amount.cumsum(0) - amount)[solid]
    row = torch.div(place, wide[solid], rounding_mode="floor")
    column = place - row * wide[solid] + left[solid]
    row = row + top[solid]
    # A long thin solid on the diagonal fills little of its box: keep the tiles near the line between its ends.
    outline = torch.cat([columns, rows, reach.amax(1, keepdim=True)], 1)[solid]
    x0, x1, y0, y1, far = outline.unbind(1)
    dx, dy = (column + 0.5) * TILE - x0, (row + 0.5) * TILE - y0
    ex, ey = x1 - x0, y1 - y0
    share = ((dx * ex + dy * ey) / (ex * ex + ey * ey + 1e-6)).clamp(0, 1)
    dx, dy, far = dx - share * ex, dy - share * ey, far + TILE * 0.7072
    near = torch.nonzero(dx * dx + dy * dy <= far * far).squeeze(1)
    solid, row, column = solid[near], row[near], column[near]
    frame = torch.div(solid, count, rounding_mode="floor")
    return solid, (frame * down + row) * across + column


def _pixel_features(like: Tensor) -> Tensor:
    """(4, TILE * TILE): one, x, y and the squared distance from the tile's first pixel, in pixels."""
    step = torch.arange(TILE, device=like.device, dtype=like.dtype)
    y, x = step.repeat_interleave(TILE), step.repeat(TILE)
    return torch.stack([x * 0 + 1, x, y, x * x + y * y])


def _hit(
    table: Tensor,
    focal: Tensor,
    tile: Tensor,
    features: Tensor,
    size: tuple[int, int],
    offset: Tensor,
    tiles: tuple[int, int],
) -> Tensor:
    """Distances (M, TILE * TILE) at which the rays of tiles meet solids, NOTHING or more where they do not.

    With o the ray's origin, d its direction, a the start and e the axis of the solid, all that the closed form asks
    for of a pixel is linear in 1, x, y and x^2 + y^2: one matrix product.
    """
    down, across = tiles
    pixel = 1 / focal
    x = ((tile % across) * TILE + 0.5 - size[1] / 2 + offset[:, 0]) * pixel
    y = (torch.div(tile, across, rounding_mode="floor") % down * TILE + 0.5 - size[0] / 2 + offset[:, 1]) * pixel
    a, axis = table[:, :3], table[:, 3:6]
    d2, k0, own_a, own_b, slope, start, half, stretch = table[:, 6:14].unbind(1)
    zero = torch.zeros_like(x)
    first = torch.stack([x, y, stretch], 1)
    along = torch.stack([(axis * first).sum(1), axis[:, 0] * pixel, axis[:, 1] * pixel, zero], 1)
    away = -torch.stack([(a * first).sum(1), a[:, 0] * pixel, a[:, 1] * pixel, zero], 1)
    length = torch.stack([(first * first).sum(1), 2 * x * pixel, 2 * y * pixel, pixel * pixel], 1)
    forms = [
        along,
        d2[:, None] * away + slope[:, None] * along,
        d2[:, None] * length,
        away,
        away - along,
        own_a[:, None] * length,
        own_b[:, None] * length,
        length,
    ]
    m2, k1, k2, m3, m6, q3, q6, dd = (torch.stack(forms) @ features).unbind(0)
    k2.addcmul_(m2, m2, value=-1)
    side = torch.addcmul(k1 * k1, k2, k0[:, None], value=-1)
    miss = (side * -1e30).clamp_(0, _MISS)
    side = _root(side).add_(k1).div_(k2).neg_()
    # Where along the axis the side is hit, from its middle.
    place = m2.mul_(side).add_((start - half)[:, None]).abs_().sub_(half[:, None])
    side.add_(miss).add_(place.mul_(1e30).clamp_(0, _MISS))
    balls = []
    for dot, square in ((m3, q3), (m6, q6)):
        ball = torch.addcmul(square.neg_(), dot, dot)
        miss = (ball * -1e30).clamp_(0, _MISS)
        balls.append(_root(ball).add_(dot).div_(dd).neg_().add_(miss))
    nearest = torch.minimum(torch.minimum(*balls), side.nan_to_num_(nan=_MISS, posinf=_MISS, neginf=_MISS)).clamp_(
        -NOTHING, NOTHING
    )
    behind = (NEAREST - nearest).mul_(1e30).clamp_(0, 4 * NOTHING)
    return nearest.add_(behind)


def _root(square: Tensor) -> Tensor:
    """Square roots, 0 of what is negative; in place, and five times as fast on a CPU as `sqrt`."""
    square.clamp_(min=1e-20)
    return square.mul_(square.rsqrt())


def surface(drawing: Drawing, solids: Solids, camera: Camera, *, offset: Tensor | None = None) -> Surface:
    """Points, normals and the solids' own coordinates at the P pixels of a drawing that see a solid.

    >>> ball = torch.tensor([0.0, 0.0, 1.0]).reshape(1, 1, 1, 3)
    >>> radius, one = torch.full((1, 1, 1), 0.25), torch.ones(1, 1)
    >>> scene, camera = Solids(ball, ball, radius, radius, one.long(), one, radius > 0), Camera(torch.tensor([1.0]))
    >>> seen = surface(draw(scene, camera, (9, 9)), scene, camera)
    >>> seen.normal[:, len(seen.pixel) // 2].add(0.0).tolist()
    [0.0, 0.0, -1.0]
    """
    batch, frames, height, width = drawing.distance.shape
    count = solids.present.shape[2]
    z = drawing.distance.reshape(-1)
    pixel = torch.nonzero(z < NOTHING / 2).squeeze(1)
    frame = torch.div(pixel, height * width, rounding_mode="floor")
    row = frame * count + drawing.solid.reshape(-1)[pixel]
    z = z[pixel]
    # The rays of one frame, then each frame's focal length.
    place = pixel - frame * (height * width)
    step = torch.arange(height * width, device=z.device)
    column, line = (step % width).to(z), torch.div(step, width, rounding_mode="floor").to(z)
    rays = torch.stack([column + (0.5 - width / 2), line + (0.5 - height / 2)]).index_select(1, place.int())
    if offset is not None:
        rays += offset.t().repeat(1, batch).contiguous().index_select(1, frame.int())
    x, y = rays * (z / (camera.focal.to(z) * height).repeat_interleave(frames)[frame])
    start, axis = solids.start, solids.end - solids.start
    stretch = 1 / solids.flat[:, None].expand(-1, frames, -1)
    az, ez = start[..., 2] * stretch, axis[..., 2] * stretch
    narrowing = solids.radius_start - solids.radius_end
    square = (axis[..., 0].square() + axis[..., 1].square() + ez.square()).clamp(min=1e-9)
    # A point of the side belongs to the ball whose centre lies a little towards the wide end of its foot.
    towards = narrowing / square / (1 - narrowing.square() / square).clamp(min=1e-3).sqrt()
    columns = [start[..., 0], start[..., 1], az, axis[..., 0], axis[..., 1], ez, 1 / square, towards]
    columns += [solids.radius_start, narrowing, stretch]
    own = torch.stack([part.reshape(-1) for part in columns]).index_select(1, row.int())
    ax, ay, az, ex, ey, ez, per_square, towards, ra, narrowing, stretch = own
    dx, dy, dz = x - ax, y - ay, z * stretch - az
    share = (dx * ex + dy * ey + dz * ez) * per_square
    across = _root(dx * dx + dy * dy + dz * dz - share * share / per_square)
    along = (share - across * towards).clamp_(0, 1)
    normal = torch.stack([dx - along * ex, dy - along * ey, (dz - along * ez) * stretch])
    normal *= normal.square().sum(0).clamp_(min=1e-12).rsqrt_()
    return Surface(pixel, row, torch.stack([x, y, z]), normal, along, ra - along * narrowing)
