"""Rendered clips: a scene drawn, lit, photographed and measured; a dataset and an endless row of batches of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..data.sample import ClipSample
from ..errors import DataError
from .appearance import Look, sample_look
from .background import backdrop, bystanders, shaken, wall_distance, wander, with_bystanders
from .camera_effects import photograph
from .depth_sensor import kept_colour, sense
from .draw import draw, surface
from .look import Dice, LookRanges
from .shading import Lights, occlusion, sample_lights, shade, shadows, texture_frames
from .solids import PARTS, Camera, Solids

_DRAWN = 2  # clips drawn at once on a CPU: their pixels stay in its cache
_PAINTED = 8  # clips painted at once: many small pictures
# Places in the pixel of 1 to 4 pictures per frame.
_PLACES = (
    ((0.0, 0.0),),
    ((-0.25, -0.25), (0.25, 0.25)),
    ((-0.3, -0.1), (0.1, 0.3), (0.2, -0.3)),
    ((-0.125, -0.375), (0.375, -0.125), (0.125, 0.375), (-0.375, 0.125)),
)


class RenderedClips(NamedTuple):
    """A batch: `frames` (B, T, 3, H, W) uint8; `depth` (B, T, 1, H, W) float32 in [0, 1], nearer is larger, 0 where
    `valid` bool is false; `labels` (B,) int64; `stroke` (B, T) float32, 0 before, 1 after, inside rising."""

    frames: Tensor
    depth: Tensor
    valid: Tensor
    labels: Tensor
    stroke: Tensor


def render_scene(
    scene: Any, size: tuple[int, int] | int, generator: torch.Generator, ranges: LookRanges | None = None
) -> RenderedClips:
    """Pictures and depth of a scene as `sample_scene` gives it, H x W pixels; `ranges` says how looks vary.

    Scene: solids, camera, stroke (B, T), labels (B,), and a view (B,) or none. The generator may live on the CPU
    whatever the scene's device is.
    """
    ranges = LookRanges() if ranges is None else ranges
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 16:
        raise DataError(f"a picture of {height} x {width} pixels is too small: at least 16 x 16")
    with torch.no_grad():
        return _render(scene, (height, width), Dice(generator, scene.solids.start.device), ranges)


def _render(scene: Any, size: tuple[int, int], dice: Dice, ranges: LookRanges) -> RenderedClips:
    in_car = _in_car(scene, len(scene.labels), dice.device)
    at_once = _PAINTED if dice.device.type == "cpu" else len(scene.labels)
    parts = []
    for low in range(0, len(scene.labels), at_once):
        part = slice(low, low + at_once)
        solids, camera = Solids(*(field[part] for field in scene.solids)), Camera(scene.camera.focal[part])
        parts.append(_render_clips(solids, camera, in_car[part], size, dice, ranges))
    pictures, depth, valid = (torch.cat(group) for group in zip(*parts, strict=True))
    return RenderedClips(pictures, depth, valid, scene.labels, scene.stroke)


def _render_clips(
    actors: Solids, camera: Camera, in_car: Tensor, size: tuple[int, int], dice: Dice, ranges: LookRanges
) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures, depth and validity of a few clips."""
    batch, frames, count = actors.present.shape
    way = wander(batch, frames, dice, ranges)
    wall = wall_distance(batch, size, actors, dice, ranges)
    extra = bystanders(actors, camera, in_car, dice, ranges)
    solids = shaken(with_bystanders(actors, extra), camera, way)
    # The seat is the first two of what was added.
    others = torch.arange(solids.part.shape[1], device=dice.device) >= count + 2
    look = sample_look(solids, others.expand(batch, -1), dice, ranges)
    lights = sample_lights(batch, dice, ranges)
    exposure = dice.uniform(ranges.exposure, batch)
    behind = backdrop(way, size, dice, ranges)
    foremost = _foremost(actors)
    at_once = _DRAWN if dice.device.type == "cpu" else batch
    taken = []
    for low in range(0, batch, at_once):
        part = slice(low, low + at_once)
        scene = Solids(*(field[part] for field in solids)), Camera(camera.focal[part])
        looks = Look(*(field[part] for field in look)), Lights(*(field[part] for field in lights))
        light, distance = _expose(*scene, *looks, (behind[part], wall[part], exposure[part]), ranges)
        kept = kept_colour(distance, foremost[part], dice, ranges) if ranges.cut else None
        taken.append((photograph(light, dice, ranges, kept), *sense(distance, foremost[part], dice, ranges)))
    pictures, depth, valid = (torch.cat(group) for group in zip(*taken, strict=True))
    return pictures, depth, valid


def _in_car(scene: Any, batch: int, device: torch.device) -> Tensor:
    """Which clips (B,) are of drivers: views may be names or numbers in the order person, car, ego."""
    view = getattr(scene, "view", None)
    if isinstance(view, Tensor):
        return view.to(device) == 1
    return torch.tensor([name == "car" for name in view or [""] * batch], device=device)


def _foremost(solids: Solids) -> Tensor:
    """Distances (B,) in metres of hands, or of whatever there is: the farthest place they reach in the clip."""
    hand = (solids.part == PARTS.index("skin")) | (solids.part == PARTS.index("glove"))
    hand = hand[:, None] & solids.present
    hand = torch.where(hand.any((1, 2))[:, None, None], hand, solids.present)
    depth = solids.end[..., 2].clamp(min=0.1)
    middle = (depth * hand).sum((1, 2)) / hand.sum((1, 2)).clamp(min=1)
    return middle.clamp(min=0.2)


def _at(solids: Solids, moment: Tensor) -> Solids:
    """The solids `moment` (B,) frames later, between -1 and 1, moving straight on from frame to frame."""
    frames = solids.present.shape[1]
    if frames == 1 or not bool((moment != 0).any()):
        return solids
    weight = moment.view(-1, 1, 1, 1)

    def move(values: Tensor) -> Tensor:
        share = weight if values.dim() == 4 else weight[..., 0]
        step = values[:, 1:] - values[:, :-1]
        ahead = torch.cat([step, step[:, -1:]], 1) * share.clamp(min=0)
        back = torch.cat([step[:, :1], step], 1) * share.clamp(max=0)
        return values + ahead + back

    return solids._replace(start=move(solids.start), end=move(solids.end))


def _expose(
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
    places = _PLACES[min(ranges.samples, len(_PLACES)) - 1]
    distance, lit, dark, total = None, None, None, None
    for index in range(ranges.samples):
        offset = places[index % len(places)]
        now = _at(solids, exposure * ((index + 0.5) / ranges.samples - 0.5))
        drawing = draw(now, camera, size, offset=offset)
        seen = surface(drawing, now, camera, offset=offset)
        if distance is None:
            # Shadows are soft: those of one moment will do for all of a frame.
            distance = torch.minimum(drawing.distance, wall)
            lit = shadows(distance, camera, lights) if ranges.shadow and ranges.key_light else None
            dark = occlusion(distance, lights) if ranges.occlusion else None
            if lit is not None:
                behind = behind * (lit * 0.5 + 0.5)[:, :, None]
        share = None if lit is None else lit.reshape(-1).index_select(0, seen.pixel)
        image = behind.clone()
        _put(image, seen.pixel, shade(seen, now, look, lights, texture_frames(now, look), share))
        total = image if total is None else total.add_(image)
    if dark is not None:
        total.mul_(dark[:, :, None])
    return total.div_(ranges.samples), distance


def _put(image: Tensor, pixel: Tensor, colour: Tensor) -> None:
    """Write colours (3, P) into pictures (B, T, 3, H, W) at the flat pixels (P,) of (B, T, H, W)."""
    area = image.shape[3] * image.shape[4]
    frame = torch.div(pixel, area, rounding_mode="floor")
    place = pixel + frame * (2 * area)
    flat = image.view(-1)
    for channel in range(3):
        flat.index_copy_(0, place + channel * area, colour[channel])


def render_batches(
    seed: int,
    *,
    batch: int = 16,
    num_frames: int = 8,
    size: tuple[int, int] | int = 112,
    frame_rate: float = 10.0,
    classes: Sequence[int] | None = None,
    ranges: LookRanges | None = None,
    device: torch.device | str = "cpu",
    **scene_options: Any,
) -> Iterator[RenderedClips]:
    """Endless batches of clips of classes drawn evenly, the same ones for the same arguments on one machine.

    `classes` are indices into the classes, all by default; `scene_options` go to `sample_scene`.
    """
    from . import CLASSES, sample_scene  # type: ignore[attr-defined]

    generator = torch.Generator().manual_seed(seed)
    choice = torch.tensor(list(range(len(CLASSES))) if classes is None else list(classes))
    while True:
        labels = choice[torch.randint(len(choice), (batch,), generator=generator)]
        scene = sample_scene(
            labels, num_frames=num_frames, frame_rate=frame_rate, generator=generator, device=device, **scene_options
        )
        yield render_scene(scene, size, generator, ranges)


class RenderedGestures(Dataset):
    """Placeholder."""

    def __init__(self, transform: Callable[[ClipSample], ClipSample] | None = None) -> None:
        self.transform = transform
