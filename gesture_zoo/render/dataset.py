"""Rendered clips: a scene drawn, lit, photographed and measured; a dataset and an endless row of batches of them."""

from __future__ import annotations

import hashlib
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
from .classes import CLASSES
from .depth_sensor import kept_colour, sense
from .draw import draw, surface
from .look import Dice, LookRanges
from .ranges import VIEWS
from .scene import Scene, sample_scene
from .shading import Lights, occlusion, sample_lights, shade, shadows, texture_frames
from .solids import PARTS, Camera, Solids

_DRAWN = 1  # clips drawn at once on a CPU: their pixels stay in its cache
_PAINTED = 8  # clips painted at once: many small pictures
_SPLITS = {"train": 100, "val": 20, "test": 20}  # clips per class unless the caller says how many
_STEP = 4.0  # pixels at a height of 128 that a hand may move between two pictures of one frame
_MOST = 3  # times `samples` that a frame may take


class RenderedClips(NamedTuple):
    """A batch: `frames` (B, T, 3, H, W) uint8; `depth` (B, T, 1, H, W) float32 in [0, 1], nearer is larger, 0 where
    `valid` bool is false; `labels` (B,) int64; `stroke` (B, T) float32, 0 before, 1 after, inside rising."""

    frames: Tensor
    depth: Tensor
    valid: Tensor
    labels: Tensor
    stroke: Tensor


def render_scene(
    scene: Scene, size: tuple[int, int] | int, generator: torch.Generator, ranges: LookRanges | None = None
) -> RenderedClips:
    """Pictures and depth of a scene as `sample_scene` gives it, H x W pixels; `ranges` says how looks vary.

    The generator may live on the CPU whatever the scene's device is. Raises DataError for less than 16 x 16 pixels.

    >>> scene = sample_scene(torch.tensor([0]), num_frames=2, generator=0)
    >>> render_scene(scene, (24, 32), torch.Generator().manual_seed(0)).frames.shape
    torch.Size([1, 2, 3, 24, 32])
    """
    ranges = LookRanges() if ranges is None else ranges
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 16:
        raise DataError(f"a picture of {height} x {width} pixels is too small: at least 16 x 16")
    with torch.no_grad():
        return _render(scene, (height, width), Dice(generator, scene.solids.start.device), ranges)


def _render(scene: Scene, size: tuple[int, int], dice: Dice, ranges: LookRanges) -> RenderedClips:
    in_car = scene.view == VIEWS.index("car")
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
    foremost, rear = _foremost(actors), _rear(actors)
    at_once = _DRAWN if dice.device.type == "cpu" else batch
    taken = []
    for low in range(0, batch, at_once):
        part = slice(low, low + at_once)
        scene = Solids(*(field[part] for field in solids)), Camera(camera.focal[part])
        looks = Look(*(field[part] for field in look)), Lights(*(field[part] for field in lights))
        light, distance = _expose(*scene, *looks, (behind[part], wall[part], exposure[part]), ranges)
        kept = kept_colour(distance, (foremost[part], rear[part]), dice, ranges) if ranges.cut else None
        taken.append((photograph(light, dice, ranges, kept), *sense(distance, foremost[part], dice, ranges)))
    pictures, depth, valid = (torch.cat(group) for group in zip(*taken, strict=True))
    return pictures, depth, valid


def _foremost(solids: Solids) -> Tensor:
    """Distances (B,) in metres of hands, or of whatever there is: the farthest place they reach in the clip."""
    hand = (solids.part == PARTS.index("skin")) | (solids.part == PARTS.index("glove"))
    hand = hand[:, None] & solids.present
    hand = torch.where(hand.any((1, 2))[:, None, None], hand, solids.present)
    depth = solids.end[..., 2].clamp(min=0.1)
    middle = (depth * hand).sum((1, 2)) / hand.sum((1, 2)).clamp(min=1)
    return middle.clamp(min=0.2)


def _rear(solids: Solids) -> Tensor:
    """Distances (B,) in metres behind which nothing of the people is, but for what is thin."""
    farthest = torch.maximum(solids.start[..., 2], solids.end[..., 2]).masked_fill(~solids.present, 0)
    return farthest.amax((1, 2)).clamp(min=0.3)


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
        step = torch.where(takes.moment.view(1, -1, *[1] * (values.dim() - 2)) > 0, ahead[:, takes.frame], back[:, takes.frame])
        return values[:, takes.frame] + step * share

    start, end = move(solids.start), move(solids.end)
    radii = (values[:, takes.frame] for values in (solids.radius_start, solids.radius_end))
    return Solids(start, end, *radii, solids.part, solids.flat, solids.present[:, takes.frame])


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


def render_batches(
    seed: int,
    *,
    batch: int = 16,
    num_frames: int = 8,
    size: tuple[int, int] | int = 112,
    frame_rate: float | None = None,
    classes: Sequence[str] = CLASSES,
    ranges: LookRanges | None = None,
    device: torch.device | str = "cpu",
    **scene_options: Any,
) -> Iterator[RenderedClips]:
    """Endless batches of clips of classes drawn evenly, the same ones for the same arguments on one machine.

    `classes` are names out of CLASSES, all by default, and labels are indices into them; `scene_options` go to
    `sample_scene`.

    >>> next(render_batches(0, batch=2, num_frames=2, size=32, classes=("Thumb Up", "Stop Sign"))).labels.shape
    torch.Size([2])
    """
    generator = torch.Generator().manual_seed(seed)
    known = torch.tensor([CLASSES.index(name) for name in classes])
    while True:
        labels = torch.randint(len(known), (batch,), generator=generator)
        options = {"num_frames": num_frames, "frame_rate": frame_rate, "generator": generator, "device": device}
        scene = sample_scene(known[labels], **options, **scene_options)
        yield render_scene(scene, size, generator, ranges)._replace(labels=labels.to(device))


class RenderedGestures(Dataset):
    """Rendered gestures as a dataset of ClipSample, made when asked for, the same ones every time on one machine.

    A sample has frames (T, 3, H, W) uint8, depth (T, 1, H, W) float32 in [0, 1] with nearer larger, valid, the label
    (an index into `class_names`), and an id such as "rendered/train/000012/Thumb Up". Clip i has class
    i % len(class_names); the splits train, val and test share no clip. `ranges` are the looks, `scene_options` the
    further arguments of `sample_scene`, such as views. Raises DataError for an unknown split or class.

    >>> data = RenderedGestures("val", num_segments=2, size=32, classes=("Thumb Up", "No gesture"), num_clips=4)
    >>> len(data), data[1].id, tuple(data[1].frames.shape)
    (4, 'rendered/val/000001/No gesture', (2, 3, 32, 32))
    """

    def __init__(
        self,
        split: str = "train",
        *,
        num_segments: int = 8,
        size: tuple[int, int] | int = 112,
        num_clips: int | None = None,
        seed: int = 0,
        classes: Sequence[str] = CLASSES,
        ranges: LookRanges | None = None,
        transform: Callable[[ClipSample], ClipSample] | None = None,
        **scene_options: Any,
    ) -> None:
        if split not in _SPLITS:
            raise DataError(f"no split {split!r}: there are {', '.join(_SPLITS)}")
        unknown = [name for name in classes if name not in CLASSES]
        if unknown or not classes:
            raise DataError(f"no class {unknown[0] if unknown else ''!r}: there are {', '.join(CLASSES)}")
        self.split, self.seed, self.class_names = split, seed, tuple(classes)
        self.num_segments, self.size, self.ranges, self.transform = num_segments, size, ranges, transform
        self.num_clips = _SPLITS[split] * len(self.class_names) if num_clips is None else num_clips
        self.scene_options = scene_options

    def __len__(self) -> int:
        return self.num_clips

    def labels(self) -> list[int]:
        """Class index of every clip, without rendering any."""
        return [index % len(self.class_names) for index in range(self.num_clips)]

    def __getitem__(self, index: int) -> ClipSample:
        if not -self.num_clips <= index < self.num_clips:
            raise IndexError(f"clip {index} of {self.num_clips}")
        index = int(index) % self.num_clips
        label = index % len(self.class_names)
        name = self.class_names[label]
        # Mixed, because the first numbers of generators whose seeds are neighbours are alike.
        key = f"{self.seed}/{self.split}/{index}".encode()
        generator = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(key).digest()[:8], "little") >> 1)
        scene = sample_scene(
            torch.tensor([CLASSES.index(name)]), num_frames=self.num_segments, generator=generator, **self.scene_options
        )
        clips = render_scene(scene, self.size, generator, self.ranges)
        name = f"rendered/{self.split}/{index:06d}/{name}"
        sample = ClipSample(clips.frames[0], clips.depth[0], clips.valid[0], label, name)
        return sample if self.transform is None else self.transform(sample)
