"""What people and things are coloured like: skin, cloth, hair, faces and objects, as small pictures on the solids.

Every clip has one atlas of pages. A page is laid on its solid in the solid's own coordinates, along its axis and
across it as the camera sees it, so that a pattern moves with what wears it. Colours are linear light, not display
values: twice the number is twice the light.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .draws import Draw
from .look import LookRanges, clouds, windows
from .solids import PARTS, Solids

TEXELS = 64  # a page's side
_PAGES = ("skin", "face", "sleeve", "glove", "torso", "hair", "trousers", "object", "object", "object", "other", "bare")
_OTHER, _BARE = 10, 11  # pages of the people and things behind: their clothes, and their skin and hair
_CLOTH_METRES = 0.64  # a page of cloth; it repeats

# Display colours of skin from palest to darkest, lit by white light.
_SKIN = (
    (250, 222, 204), (241, 204, 180), (235, 190, 160), (226, 173, 138), (208, 155, 118), (188, 134, 98),
    (164, 110, 76), (136, 86, 58), (108, 66, 45), (84, 51, 37), (62, 39, 31), (46, 30, 26),
)  # fmt: skip


class Look(NamedTuple):
    """How a batch looks: `atlas` (B, pages, TEXELS, TEXELS, 3) linear colours; for every solid (B, K) its `page`,
    the page's size along and across `metres` (B, K, 2), its `gloss`, and whether it keeps its own coordinates or has
    those of the whole body part, `shared` bool."""

    atlas: Tensor
    page: Tensor
    metres: Tensor
    gloss: Tensor
    shared: Tensor


def skin_colour(place: Tensor) -> Tensor:
    """Display colours (B, 3) in [0, 1] at places (B,) of the scale of skin tones, 0 palest to 1 darkest.

    >>> (skin_colour(torch.tensor([0.0, 1.0])) * 255).round().long().tolist()
    [[250, 222, 204], [46, 30, 26]]
    """
    tones = torch.tensor(_SKIN, dtype=torch.float32, device=place.device) / 255
    at = place.clamp(0, 1) * (len(_SKIN) - 1)
    low = at.long().clamp(max=len(_SKIN) - 2)
    return torch.lerp(tones[low], tones[low + 1], (at - low)[:, None])


def cloth_colour(draw: Draw, batch: int) -> Tensor:
    """Display colours (B, 3) such as clothes have: black, white and grey often, blue and dull ones, some bright."""
    grey = draw.uniform((0.04, 0.95), batch, 1).expand(-1, 3)
    hue, value = draw.uniform((0.0, 1.0), batch, 1), draw.uniform((0.12, 0.95), batch, 1)
    strength = draw.uniform((0.0, 1.0), batch, 1) ** 1.3
    wheel = torch.tensor([0.0, 1 / 3, 2 / 3], device=draw.device)
    # Distance on the wheel of hues to red, green and blue.
    pure = (2 - 6 * ((hue - wheel + 0.5) % 1 - 0.5).abs()).clamp(0, 1)
    return torch.where(draw.chance(0.4, batch, 1), grey, value * (1 - strength * (1 - pure)))


def paint_cloth(draw: Draw, batch: int, patterns: float) -> Tensor:
    """Pages of cloth (B, TEXELS, TEXELS, 3) in display colours: plain, striped, checked, dotted, printed, creased."""
    v, u = _grid(draw.device)
    main, second = cloth_colour(draw, batch), cloth_colour(draw, batch)
    cycles = torch.exp(draw.uniform((1.0, 2.9), batch, 1, 1)).round()
    share = draw.uniform((0.15, 0.6), batch, 1, 1)
    across, along = (u * cycles % 1 < share).float(), (v * cycles % 1 < share).float()
    dots = (((u * cycles) % 1 - 0.5) ** 2 + ((v * cycles) % 1 - 0.5) ** 2 < share * share / 2).float()
    # Pieces of one pattern: a new one for every page would take half of the time of a clip.
    large = clouds(draw, 1, 1, (4 * TEXELS, 4 * TEXELS), (20, 44, 92))[0, 0]
    noise = windows(large, 3 * batch, (TEXELS, TEXELS), draw).view(3, batch, TEXELS, TEXELS)
    print_, fine = (noise[0] > 0.5 - share).float(), noise[1].abs().clamp(0, 1)
    zero = torch.zeros_like(print_)
    kinds = torch.stack([zero + along, zero + across, (across + along) / 2, zero + dots, print_, fine], 1)
    kind = draw.integer(6, batch)
    amount = kinds[torch.arange(batch, device=draw.device), kind] * draw.chance(patterns, batch, 1, 1)
    page = torch.lerp(main[:, None, None], second[:, None, None], amount[..., None])
    if not patterns:
        return page
    return page * (1 + noise[2][..., None] * draw.uniform((0.0, 0.16), batch, 1, 1, 1))


def _grid(device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows (TEXELS, 1) and columns (1, TEXELS) of a page from 0 to 1."""
    step = (torch.arange(TEXELS, device=device) + 0.5) / TEXELS
    return step[:, None], step[None]


def paint_torso(draw: Draw, cloth: Tensor, skin: Tensor, patterns: float) -> Tensor:
    """Cloth (B, TEXELS, TEXELS, 3) with what is on a chest: a logo, a neckline (skin), an open jacket, a belt."""
    if not patterns:
        return cloth
    batch = len(cloth)
    v, u = _grid(draw.device)
    x, y = (u - 0.5) * _CLOTH_METRES, (v - 0.5) * _CLOTH_METRES  # metres from the body's middle, y towards the head
    page = cloth.clone()
    noise = clouds(draw, batch, 1, (TEXELS, TEXELS), (16, 24))[:, 0]
    size, place = draw.uniform((0.04, 0.14), batch, 1, 1), draw.uniform((-0.06, 0.1), batch, 1, 1)
    logo = (x.abs() < size) & ((y - place).abs() < size * 0.6) & (noise > 0) & draw.chance(0.35, batch, 1, 1)
    page = torch.where(logo[..., None], cloth_colour(draw, batch)[:, None, None], page)
    width = draw.uniform((0.03, 0.16), batch, 1, 1)
    jacket = (x.abs() < width * (0.5 + (y + 0.3))) & draw.chance(0.2, batch, 1, 1)
    page = torch.where(jacket[..., None], cloth_colour(draw, batch)[:, None, None], page)
    depth, wide = draw.uniform((0.02, 0.16), batch, 1, 1), draw.uniform((0.05, 0.1), batch, 1, 1)
    neck = (0.22 - y) / depth + x.abs() / wide < 1
    neck &= draw.chance(0.7, batch, 1, 1)
    return torch.where(neck[..., None], skin[:, None, None], page)


def paint_face(draw: Draw, skin: Tensor, hair: Tensor, chance: float) -> Tensor:
    """Pages (B, TEXELS, TEXELS, 3) of faces in display colours: eyes, brows, nose, mouth, at times beard and glasses.

    The page spans 1.3 half widths of the head to every side, with its middle row at the head's middle, chin first.
    """
    batch = len(skin)
    v, u = _grid(draw.device)
    turn = draw.uniform((-0.35, 0.35), batch, 1, 1)
    x, y = (u - 0.5) * 2.6 - turn, (v - 0.5) * 2.6 - draw.uniform((-0.1, 0.1), batch, 1, 1)
    page = skin[:, None, None].expand(-1, TEXELS, TEXELS, -1).clone()
    seen = draw.chance(chance, batch, 1, 1)

    def put(mask: Tensor, colour: Tensor, strength: float | Tensor = 1.0) -> None:
        nonlocal page
        amount = (mask & seen).float() * strength
        page = torch.lerp(page, colour[:, None, None], amount[..., None])

    def blob(cx: float, cy: float, rx: float, ry: float) -> Tensor:
        return ((x.abs() if cx else x) - cx).square() / rx**2 + (y - cy).square() / ry**2 < 1

    dark, lips = skin * 0.55, skin * torch.tensor([0.85, 0.55, 0.55], device=skin.device)
    put(blob(0.55, -0.2, 0.3, 0.25), lips, 0.15)
    put((y < -0.42) | (x.abs() > 0.85), hair, 0.75 * draw.chance(0.3, batch, 1, 1))
    put(blob(0.0, -0.22, 0.18, 0.07), dark, 0.6)
    put(blob(0.0, -0.1, 0.08, 0.25), skin * 1.15, 0.5)
    put(blob(0.36, 0.1, 0.24, 0.14), dark, 0.6)
    put(blob(0.36, 0.1, 0.16, 0.07), torch.full_like(skin, 0.75), 0.8)
    put(blob(0.36, 0.1, 0.08, 0.08), torch.full_like(skin, 0.06))
    put(blob(0.36, 0.3, 0.24, 0.05), hair * 0.8, 0.8)
    put(blob(0.0, -0.55, 0.3, 0.08), lips * 0.9)
    glasses = blob(0.38, 0.1, 0.34, 0.26) & ~blob(0.38, 0.1, 0.27, 0.2)
    glasses |= (x.abs() < 0.12) & ((y - 0.14).abs() < 0.05)
    put(glasses & draw.chance(0.3, batch, 1, 1), torch.full_like(skin, 0.08))
    put(y > draw.uniform((0.5, 0.95), batch, 1, 1), hair)
    return page


def sample_look(solids: Solids, others: Tensor, draw: Draw, ranges: LookRanges) -> Look:
    """Colours for a batch; `others` (B, K) bool are the solids that belong to nobody who gestures.

    >>> one = torch.ones(1, 1, 1)
    >>> ball = Solids(one[..., None].expand(-1, -1, -1, 3), one[..., None].expand(-1, -1, -1, 3), one, one,
    ...               torch.zeros(1, 1).long(), one[0], one > 0)
    >>> draw = Draw(torch.Generator().manual_seed(0))
    >>> sample_look(ball, torch.zeros(1, 1).bool(), draw, LookRanges()).atlas.shape
    torch.Size([1, 12, 64, 64, 3])
    """
    batch = len(solids.part)
    place = draw.uniform(ranges.skin or (0.35, 0.35), batch)
    skin = (skin_colour(place) * (1 + 0.04 * draw.normal(1.0, batch, 3) * bool(ranges.skin))).clamp(0.03, 1)
    shade = draw.uniform((0.03, 1.0), batch, 1) ** 2.5
    fair = torch.tensor([0.75, 0.62, 0.48], device=draw.device)
    hair = shade * fair + 0.04 + 0.02 * draw.normal(1.0, batch, 3)
    hair = torch.where(draw.chance(0.1, batch, 1), draw.uniform((0.3, 0.8), batch, 1).expand(-1, 3), hair)
    bare = _mottle(draw, skin, ranges)
    first, second, *more = paint_cloth(draw, 8 * batch, ranges.patterns).view(8, batch, TEXELS, TEXELS, 3)
    pages = {
        "skin": bare,
        "face": paint_face(draw, skin, hair, ranges.face),
        "sleeve": torch.where(draw.chance(0.15, batch, 1, 1, 1), second, first),
        "torso": paint_torso(draw, first, skin, ranges.patterns),
        "hair": _strands(draw, hair, ranges),
        "bare": _mottle(draw, skin_colour(draw.uniform((0.0, 1.0), batch)), ranges),
    }
    atlas = [pages[name] if name in pages else more.pop() for name in _PAGES]
    return _lay(solids, others, torch.stack(atlas, 1).clamp(0.01, 1) ** 2, draw, ranges)


def _mottle(draw: Draw, skin: Tensor, ranges: LookRanges) -> Tensor:
    """Skin (B, TEXELS, TEXELS, 3) with slight blotches, redder where darker."""
    strength = draw.uniform((0.0, 0.07), len(skin), 1, 1, 1) * bool(ranges.skin)
    noise = clouds(draw, len(skin), 1, (TEXELS, TEXELS), (6, 13, 40))[:, 0, ..., None] * strength
    return skin[:, None, None] * (1 + noise * torch.tensor([0.7, 1.1, 1.2], device=skin.device))


def _strands(draw: Draw, hair: Tensor, ranges: LookRanges) -> Tensor:
    """Hair (B, TEXELS, TEXELS, 3): lighter and darker strands."""
    noise = clouds(draw, len(hair), 1, (TEXELS, TEXELS), (9, 31))[:, 0, ..., None]
    return (hair[:, None, None] * (1 + 0.3 * noise * (ranges.patterns > 0))).clamp(0.01, 1)


def _lay(solids: Solids, others: Tensor, atlas: Tensor, draw: Draw, ranges: LookRanges) -> Look:
    """Which page lies on which solid, and how large it is there."""
    batch, count = solids.part.shape
    part, device = solids.part, solids.part.device
    index = torch.arange(count, device=device).expand(batch, -1)
    first_object = _PAGES.index("object")
    page = torch.where(part == PARTS.index("object"), first_object + index % 3, part)
    flesh = (part == PARTS.index("face")) | (part == PARTS.index("hair")) | (part == PARTS.index("skin"))
    page = torch.where(others, torch.where(flesh, _BARE, torch.where(page < first_object, _OTHER, page)), page)
    width = torch.maximum(solids.radius_start, solids.radius_end).mean(1)
    head = (part == PARTS.index("face")) & ~others
    size = (width * head).amax(1, keepdim=True)
    across = torch.where(head, size, _CLOTH_METRES / 2.6)
    metres = 2.6 * torch.stack([torch.where(head, 1.3 * across, across), across], 2)
    shiny = (page == 0) | head | (part == PARTS.index("object"))
    gloss = draw.uniform(ranges.gloss, batch, 1) * shiny
    shared = ((part == PARTS.index("torso")) | head) & ~others
    return Look(atlas, page, metres, gloss, shared)
