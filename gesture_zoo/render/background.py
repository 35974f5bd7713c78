"""What is behind the people: rooms and cars painted at random, things and people that pass, a camera that shakes."""

from __future__ import annotations

import torch
from torch import Tensor

from .appearance import cloth_colour
from .draws import Draw
from .look import LookRanges, clouds, windows
from .solids import PARTS, Camera, Solids

EXTRA = 9  # solids that `bystanders` adds
_MARGIN = 0.12  # of the picture's height that is painted beyond each edge, for the camera to move
_PANELS = 11
_TORSO, _FACE, _HAIR, _OBJECT, _SLEEVE = (PARTS.index(p) for p in ("torso", "face", "hair", "object", "sleeve"))


def paint_rooms(batch: int, size: tuple[int, int], draw: Draw, ranges: LookRanges) -> Tensor:
    """Still pictures (B, 3, H, W) in display colours: a wall with panels on it that may be shelves, windows or doors.

    >>> draw = Draw(torch.Generator().manual_seed(0))
    >>> paint_rooms(2, (24, 32), draw, LookRanges()).shape
    torch.Size([2, 3, 24, 32])
    """
    height, width = size
    y = ((torch.arange(height, device=draw.device) + 0.5) / height - 0.5).view(1, height, 1)
    x = ((torch.arange(width, device=draw.device) + 0.5) / height - 0.5 * width / height).view(1, 1, width)
    wall = cloth_colour(draw, batch)
    light = draw.uniform((0.3, 0.95), batch, 1)
    wall = torch.where(draw.chance(0.6, batch, 1), light + (wall - wall.mean(1, keepdim=True)) * 0.3, wall)
    image = wall[:, :, None, None].expand(-1, -1, height, width)
    if not ranges.scenery:
        return image.clamp(0.02, 1)
    image = image.clone()
    rich = draw.chance(ranges.scenery, batch)
    for index in range(_PANELS):
        image = _panel(image, x, y, rich & draw.chance(0.8 if index < 5 else 0.5, batch), draw)
    curtain = draw.uniform((0.0, 1.0), batch, 1, 1) * draw.chance(0.3, batch, 1, 1)
    cycles, phase = draw.uniform((4.0, 30.0), batch, 1, 1), draw.uniform((0.0, 6.0), batch, 1, 1)
    folds = torch.sin(x * cycles + phase + 0.6 * torch.sin(x * cycles * 0.37)) * curtain * 0.35
    slope = draw.uniform((-0.5, 0.5), batch, 2, 1, 1)
    soft = clouds(draw, 1, 1, (2 * height, 2 * width), (7, 15))[0, 0]
    fine = clouds(draw, 1, 1, (2 * height, 2 * width), (23, 90))[0, 0]
    noise = windows(soft, batch, size, draw)[:, None] * draw.uniform((0.0, 0.3), batch, 1, 1, 1) ** 2
    strength = 0.2 * draw.uniform((0.0, 0.4), batch, 3, 1, 1) ** 2
    colour_noise = windows(fine, 3 * batch, size, draw).view(batch, 3, *size) * strength
    shade = 1 + folds + x * slope[:, 0] + y * slope[:, 1]
    return (image * (shade[:, None] + noise) + colour_noise).clamp_(0.01, 1.2)


def _paint(draw: Draw, batch: int) -> Tensor:
    """Display colours (B, 3) such as walls and furniture have: mostly dull."""
    colour = cloth_colour(draw, batch)
    return torch.lerp(colour.mean(1, keepdim=True), colour, draw.uniform((0.0, 1.0), batch, 1) ** 1.5)


def _panel(image: Tensor, x: Tensor, y: Tensor, shown: Tensor, draw: Draw) -> Tensor:
    """The pictures (B, 3, H, W) with one leaning rectangle more each: filled, framed, striped or glowing."""
    batch = len(image)
    cx, cy = draw.uniform((-0.8, 0.8), batch, 1, 1), draw.uniform((-0.6, 0.6), batch, 1, 1)
    half = torch.exp(draw.uniform((-3.2, -0.7), batch, 2, 1, 1))
    turn = draw.normal(1.0, batch, 1, 1) * 0.06 + draw.switched(0.15, (-0.8, 0.8), batch, 1, 1)
    lean = draw.normal(1.0, batch, 1, 1) * 0.15
    u = (x - cx) * torch.cos(turn) + (y - cy) * torch.sin(turn)
    v = ((y - cy) * torch.cos(turn) - (x - cx) * torch.sin(turn)) / (1 + lean * u / half[:, 0]).clamp(min=0.3)
    edge = torch.minimum(half[:, 0] - u.abs(), half[:, 1] - v.abs())
    soft = image.shape[2]
    inside = (edge * soft + 0.5).clamp(0, 1) * shown[:, None, None]
    colour, frame = _paint(draw, batch), _paint(draw, batch)
    bright = draw.chance(0.15, batch, 1)
    colour = torch.where(bright, 0.8 + 0.4 * colour, colour)
    thick = draw.switched(0.4, (0.005, 0.04), batch, 1, 1)
    stripes = draw.switched(0.35, (6.0, 50.0), batch, 1, 1)
    wave = torch.sin(torch.where(draw.chance(0.5, batch, 1, 1), u, v) * stripes) > 0
    second = ((edge < thick) | wave).float()[:, None]
    fill = torch.lerp(colour[:, :, None, None], frame[:, :, None, None], second)
    return torch.lerp(image, fill, inside[:, None])


def backdrop(way: Tensor, size: tuple[int, int], draw: Draw, ranges: LookRanges) -> Tensor:
    """Moving pictures (B, T, 3, H, W) in linear light: rooms that move in the picture as `way` (B, T, 2) says.

    >>> draw = Draw(torch.Generator().manual_seed(0))
    >>> backdrop(wander(2, 3, draw, LookRanges()), (24, 32), draw, LookRanges()).shape
    torch.Size([2, 3, 3, 24, 32])
    """
    batch, (height, width) = len(way), size
    margin = int(_MARGIN * height) + 1
    room = paint_rooms(batch, (height + 2 * margin, width + 2 * margin), draw, ranges)
    room = room * room
    images = _window(room, margin - (way * height).clamp(-margin + 1, margin - 1), size)
    images = images.expand(-1, way.shape[1], -1, -1, -1).contiguous()
    if ranges.scenery:
        images = _screen(images, draw, ranges)
    return images


def wander(batch: int, frames: int, draw: Draw, ranges: LookRanges) -> Tensor:
    """How far the content of the picture has moved (B, T, 2), x and y in picture heights: a pan and a shake.

    >>> wander(2, 3, Draw(torch.Generator().manual_seed(0)), LookRanges()).shape
    torch.Size([2, 3, 2])
    """
    time = torch.linspace(-0.5, 0.5, frames, device=draw.device)[:, None]
    angle = draw.uniform((0.0, 6.2832), batch, 1, 1)
    pan = torch.cat([angle.cos(), 0.4 * angle.sin()], 2) * draw.uniform(ranges.pan, batch, 1, 1)
    pan = pan * draw.chance(0.3, batch, 1, 1)
    rate, phase = draw.uniform((3.0, 30.0), batch, 1, 2), draw.uniform((0.0, 6.2832), batch, 1, 2)
    shake = draw.uniform(ranges.shake, batch, 1, 1) * draw.chance(0.5, batch, 1, 1)
    return pan * time + torch.sin(time * rate + phase) * shake


def _window(images: Tensor, place: Tensor, size: tuple[int, int]) -> Tensor:
    """Windows (B, T, 3, *size) at places (B, T, 2), x then y in pixels, of larger pictures (B, 3, H, W)."""
    height, width = size
    if bool((place == place[:, :1]).all()):
        place = place[:, :1]
    low = place.floor()
    right, down = (place - low)[..., None, None, None].unbind(2)
    left, top = low.long().unbind(2)
    clip = torch.arange(len(images), device=place.device)[:, None]
    cut = images.unfold(2, height + 1, 1).unfold(3, width + 1, 1)[clip, :, top, left]
    cut = torch.lerp(cut[..., :-1, :], cut[..., 1:, :], down)
    return torch.lerp(cut[..., :-1], cut[..., 1:], right)


def _screen(images: Tensor, draw: Draw, ranges: LookRanges) -> Tensor:
    """Some of the clips (B, T, 3, H, W) with a patch behind everything that moves or flickers: a screen, a window."""
    batch, frames, _, height, width = images.shape
    chosen = torch.nonzero(draw.chance(0.25 * (ranges.scenery > 0), batch)).flatten().tolist()
    for clip in chosen:
        h, w = (int(draw.integer(max(side // 2, 4), 1)) + 4 for side in (height, width))
        top, left = int(draw.integer(max(height - h, 1), 1)), int(draw.integer(max(width - w, 1), 1))
        h, w = min(h, height - top), min(w, width - left)
        scene = clouds(draw, 1, 3, (h, w * 3), (4, 9))[0] * 0.25 + draw.uniform((0.2, 0.9), 3, 1, 1)
        speed = float(draw.uniform((-1.0, 1.0), 1)) * w / max(frames, 2)
        glow = 1 + 0.4 * draw.normal(1.0, frames) * draw.chance(0.5, 1)
        shift = [int(w + speed * (frame - frames / 2)) % (2 * w) for frame in range(frames)]
        shown = scene.clamp(0.02, 1.1).square().unfold(2, w, 1)[:, :, shift].permute(2, 0, 1, 3)
        images[clip, :, :, top : top + h, left : left + w] = shown * glow.clamp(0.2, 2).view(-1, 1, 1, 1)
    return images


def wall_distance(batch: int, size: tuple[int, int], solids: Solids, draw: Draw, ranges: LookRanges) -> Tensor:
    """Distances (B, 1, H, W) in metres of the wall: some way behind the people, not straight on."""
    height, width = size
    farthest = torch.maximum(solids.start[..., 2], solids.end[..., 2]).masked_fill(~solids.present, 0).amax((1, 2))
    gap = torch.exp(draw.uniform((-1.5, 1.2), batch)) if ranges.scenery else torch.ones(batch, device=draw.device)
    tilt = draw.normal(1.0, batch, 2, 1, 1) * 0.15 * bool(ranges.scenery)
    y = torch.linspace(-1, 1, height, device=draw.device).view(1, -1, 1)
    x = torch.linspace(-1, 1, width, device=draw.device).view(1, 1, -1)
    base = (farthest + 0.2 + gap)[:, None, None]
    return (base * (1 + x * tilt[:, 0] + y * tilt[:, 1]).clamp(min=0.6))[:, None]


def _seat(solids: Solids, torso: Tensor, draw: Draw) -> list[tuple[Tensor, Tensor, Tensor, Tensor, int, float]]:
    """The back of a seat and its head rest, right behind the solids of a torso (B, T, K) bool, as wide or wider."""
    batch, device = len(torso), torso.device

    def furthest(axis: int, way: int, flat: Tensor | float = 1.0) -> Tensor:
        """How far (B, 1, 1, 1) the torso reaches along an axis, or against it, during the clip."""
        start = way * solids.start[..., axis] + solids.radius_start * flat
        end = way * solids.end[..., axis] + solids.radius_end * flat
        return way * torch.maximum(start, end).masked_fill(~torso, -1e3).amax((1, 2)).view(-1, 1, 1, 1)

    right, left = furthest(0, 1), furthest(0, -1)
    top, rear = furthest(1, -1), furthest(2, 1, solids.flat[:, None])
    shoulders = ((right - left) / 2).clamp(0.1, 0.5)
    wide = shoulders * draw.uniform((0.85, 1.25), batch, 1, 1, 1)
    rise = draw.uniform((0.02, 0.22), batch, 1, 1, 1)  # of the back above the shoulders
    aside = (right + left) / 2 + 0.03 * draw.normal(1.0, batch, 1, 1, 1)
    flat = 0.3
    behind = rear + flat * wide + 0.02
    upper = torch.cat([aside, top - rise + wide, behind], 3)  # camera coordinates: up is less
    lower = upper + torch.tensor([0.0, 0.5, 0.0], device=device)
    rest = 0.45 * shoulders
    along = torch.tensor([1.0, 0.0, 0.0], device=device) * 0.3 * shoulders
    head = torch.cat([aside, top - rise - 0.6 * rest, behind], 3)
    return [
        (upper, lower, wide, wide, _OBJECT, flat),
        (head - along, head + along, rest, rest, _OBJECT, 0.5),
    ]


def bystanders(solids: Solids, camera: Camera, in_car: Tensor, draw: Draw, ranges: LookRanges) -> Solids:
    """The solids (B, T, EXTRA) of a seat's back (2), somebody who passes (4) and things that cross (3).

    `in_car` (B,) bool makes seats likelier. Times of a frame are spread evenly over the clip.
    """
    batch, frames = solids.present.shape[:2]
    device = solids.start.device
    time = torch.linspace(-0.5, 0.5, frames, device=device).view(1, frames, 1, 1)
    torso = (solids.part == _TORSO)[:, None] & solids.present
    somebody = torso.any(2).any(1)
    middle = ((solids.start + solids.end) / 2 * torso[..., None]).sum((1, 2), keepdim=True)
    middle = middle / torso.sum((1, 2)).clamp(min=1).view(-1, 1, 1, 1)
    # Whoever passes does so behind the person, wherever that is, or two metres away if nobody is seen.
    depth = torch.where(somebody.view(-1, 1, 1, 1), middle[..., 2:], torch.full_like(middle[..., 2:], 1.0))
    seated = somebody & (draw.uniform((0.0, 1.0), batch) < ranges.seat * torch.where(in_car, 3.0, 1.0))
    seat = _seat(solids, torso, draw)
    span = depth / camera.focal.to(depth).view(-1, 1, 1, 1)  # the picture's height in metres, at the person

    def passing(reach: float) -> Tensor:
        at = torch.cat([draw.uniform((-0.7, 0.7), batch, 1, 1, 1), draw.uniform((-0.3, 0.3), batch, 1, 1, 1)], 3)
        speed = draw.normal(1.0, batch, 1, 1, 2) * torch.tensor([1.0, 0.25], device=device)
        far = draw.uniform((0.35, 1.6), batch, 1, 1, 1)
        place = (at + speed * time * reach) * span * (1 + far / depth)
        return torch.cat([place, (depth + far).expand(-1, frames, -1, -1)], 3)

    place = passing(0.6)
    down = torch.tensor([0.0, 1.0, 0.0], device=device)
    person = [
        (place, place + down * 0.55, place[..., 2:] * 0 + 0.2, place[..., 2:] * 0 + 0.17, _TORSO, 0.5),
        (place - down * 0.42, place - down * 0.33, place[..., 2:] * 0 + 0.095, place[..., 2:] * 0 + 0.075, _FACE, 1.0),
        (place - down * 0.46, place - down * 0.4, place[..., 2:] * 0 + 0.1, place[..., 2:] * 0 + 0.09, _HAIR, 1.0),
        (place + down * 0.02 + 0.22, place + down * 0.5 + 0.28, place[..., 2:] * 0 + 0.06, place[..., 2:] * 0 + 0.04,
         _SLEEVE, 1.0),
    ]  # fmt: skip
    passes = draw.chance(ranges.passers_by, batch)
    parts, shown = seat + person, [seated, seated] + [passes] * 4
    drifts = draw.chance(ranges.drifting, batch)
    for _ in range(3):
        place = passing(1.2)
        bend = draw.normal(1.0, batch, 1, 1, 3) * 0.12
        size = torch.exp(draw.uniform((-4.0, -2.0), batch, 1, 1, 1))
        parts.append((place, place + bend, size, size * draw.uniform((0.4, 1.4), batch, 1, 1, 1), _OBJECT, 0.7))
        shown.append(drifts & draw.chance(0.7, batch))
    starts, ends, r0, r1, kinds, flat = zip(*parts, strict=True)

    def spread(values: tuple[Tensor, ...], last: int) -> Tensor:
        return torch.cat([value.expand(batch, frames, 1, last) for value in values], 2)

    return Solids(
        spread(starts, 3),
        spread(ends, 3),
        spread(r0, 1)[..., 0],
        spread(r1, 1)[..., 0],
        torch.tensor(kinds, device=device).expand(batch, -1),
        torch.tensor(flat, device=device).expand(batch, -1),
        torch.stack(shown, 1)[:, None].expand(-1, frames, -1),
    )


def with_bystanders(solids: Solids, extra: Solids) -> Solids:
    """Both groups of solids (B, T, K) of the same frames in one, (B, T, K1 + K2)."""
    joined = [torch.cat(pair, 2 if pair[0].dim() > 2 else 1) for pair in zip(solids, extra, strict=True)]
    return Solids(*joined)


def shaken(solids: Solids, camera: Camera, way: Tensor) -> Solids:
    """The solids as a camera sees them that shakes so that the picture moves by `way` (B, T, 2)."""
    shift = (way / camera.focal.to(way).view(-1, 1, 1))[:, :, None]

    def move(points: Tensor) -> Tensor:
        return torch.cat([points[..., :2] + shift * points[..., 2:], points[..., 2:]], 3)

    return solids._replace(start=move(solids.start), end=move(solids.end))
