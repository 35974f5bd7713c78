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
from .classes import CLASSES, GESTURES, class_index, mirrored_class
from .depth_sensor import kept_colour, sense
from .draws import Draw
from .exposure import expose
from .look import LookRanges
from .ranges import VIEWS, MotionRanges
from .scene import HAND, Scene, sample_scene
from .shading import Lights, sample_lights
from .solids import PARTS, Camera, Solids, project

_DRAWN = 1  # clips drawn at once on a CPU: their pixels stay in its cache
_PAINTED = 8  # clips painted at once: many small pictures
_SPLITS = {"train": 100, "val": 20, "test": 20}  # clips per class unless the caller says how many


class RenderedClips(NamedTuple):
    """A batch: `frames` (B, T, 3, H, W) uint8; `depth` (B, T, 1, H, W) float32 in [0, 1], nearer is larger, 0 where
    `valid` bool is false; `labels` (B,) int64; `stroke` (B, T) float32, 0 before, 1 after, inside rising.

    >>> clips = next(render_batches(0, batch=1, num_frames=2, size=32))
    >>> clips.frames.shape, clips.depth.shape, clips.labels.shape, clips.stroke.shape
    (torch.Size([1, 2, 3, 32, 32]), torch.Size([1, 2, 1, 32, 32]), torch.Size([1]), torch.Size([1, 2]))
    """

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
    ranges = _checked_looks(ranges)
    height_width = _checked_size(size)
    with torch.no_grad():
        return _render(scene, height_width, Draw(generator, scene.solids.start.device), ranges)


def _checked_looks(ranges: LookRanges | None) -> LookRanges:
    if ranges is not None and not isinstance(ranges, LookRanges):
        hint = ": those are given as `motions`" if isinstance(ranges, MotionRanges) else ""
        raise DataError(f"`ranges` are LookRanges, not {type(ranges).__name__}{hint}")
    return LookRanges() if ranges is None else ranges


def _checked_size(size: tuple[int, int] | int) -> tuple[int, int]:
    """Height and width; DataError unless they are those of a picture."""
    both = (size, size) if isinstance(size, int) else tuple(size) if isinstance(size, (tuple, list)) else ()
    if len(both) != 2 or not all(isinstance(side, int) for side in both):
        raise DataError(f"the size is {size!r}: it must be a number of pixels, or height and width")
    if min(both) < 16:
        raise DataError(f"a picture of {both[0]} x {both[1]} pixels is too small: at least 16 x 16")
    return both[0], both[1]


def _aspect(size: tuple[int, int] | int) -> float:
    height, width = _checked_size(size)
    return width / height


def _render(scene: Scene, size: tuple[int, int], draw: Draw, ranges: LookRanges) -> RenderedClips:
    in_car = scene.view == VIEWS.index("car")
    free = free_edges(scene, size)
    at_once = _PAINTED if draw.device.type == "cpu" else len(scene.labels)
    parts = []
    for low in range(0, len(scene.labels), at_once):
        part = slice(low, low + at_once)
        solids, camera = Solids(*(field[part] for field in scene.solids)), Camera(scene.camera.focal[part])
        parts.append(_render_clips(solids, camera, (in_car[part], free[part]), size, draw, ranges))
    pictures, depth, valid = (torch.cat(group) for group in zip(*parts, strict=True))
    return RenderedClips(pictures, depth, valid, scene.labels, scene.stroke)


def _render_clips(
    actors: Solids, camera: Camera, known: tuple[Tensor, Tensor], size: tuple[int, int], draw: Draw, ranges: LookRanges
) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures, depth and validity of a few clips of which is known whether they are in a car, and `free_edges`."""
    in_car, free = known
    batch, frames, count = actors.present.shape
    way = wander(batch, frames, draw, ranges)
    wall = wall_distance(batch, size, actors, draw, ranges)
    extra = bystanders(actors, camera, in_car, draw, ranges)
    solids = shaken(with_bystanders(actors, extra), camera, way)
    # The seat is the first two of what was added.
    others = torch.arange(solids.part.shape[1], device=draw.device) >= count + 2
    look = sample_look(solids, others.expand(batch, -1), draw, ranges)
    lights = sample_lights(batch, draw, ranges)
    exposure = draw.uniform(ranges.exposure, batch)
    behind = backdrop(way, size, draw, ranges)
    nearest, farthest = hand_reach(actors)
    rear = _rear(actors)
    at_once = _DRAWN if draw.device.type == "cpu" else batch
    taken = []
    for low in range(0, batch, at_once):
        part = slice(low, low + at_once)
        scene = Solids(*(field[part] for field in solids)), Camera(camera.focal[part])
        looks = Look(*(field[part] for field in look)), Lights(*(field[part] for field in lights))
        light, distance = expose(*scene, *looks, (behind[part], wall[part], exposure[part]), ranges)
        kept = kept_colour(distance, (farthest[part], rear[part]), free[part], draw, ranges) if ranges.cut else None
        taken.append(
            (photograph(light, draw, ranges, kept), *sense(distance, (nearest[part], farthest[part]), draw, ranges))
        )
    pictures, depth, valid = (torch.cat(group) for group in zip(*taken, strict=True))
    return pictures, depth, valid


def hand_reach(solids: Solids) -> tuple[Tensor, Tensor]:
    """The least and the most distance (B,) in metres of the hand that gestures in a clip, or of whatever there is; 0.1
    and 0.2 at least: no depth camera sees what is nearer."""
    skin = (solids.part == PARTS.index("skin")) | (solids.part == PARTS.index("glove"))
    hand = skin[:, None] & solids.present
    hand[:, :, HAND.stop :] = False
    hand = torch.where(hand.any((1, 2))[:, None, None], hand, solids.present)
    ends = torch.stack([solids.start[..., 2], solids.end[..., 2]])
    nearest, farthest = ends.masked_fill(~hand, torch.inf).amin((0, 2, 3)), ends.masked_fill(~hand, 0).amax((0, 2, 3))
    farthest = farthest.clamp(min=0.2)
    return nearest.clamp(min=0.1).minimum(farthest), farthest


def free_edges(scene: Scene, size: tuple[int, int]) -> Tensor:
    """Shares (B, 4) of the picture that no gesture needs, at its left, right, top and bottom."""
    solids, shown = scene.solids, (scene.frame_labels < len(GESTURES))[:, :, None, None]
    ends = torch.cat([solids.start[:, :, HAND], solids.end[:, :, HAND]], 2)
    height, width = size
    places = project(ends, scene.camera, height, width) / torch.tensor([width, height], device=ends.device)
    low = places.masked_fill(~shown, 1.0).amin((1, 2)).clamp(0, 1)
    high = places.masked_fill(~shown, 0.0).amax((1, 2)).clamp(0, 1)
    return torch.stack([low[:, 0], 1 - high[:, 0], low[:, 1], 1 - high[:, 1]], 1)


def _rear(solids: Solids) -> Tensor:
    """Distances (B,) in metres behind which nothing of the people is, but for what is thin."""
    farthest = torch.maximum(solids.start[..., 2], solids.end[..., 2]).masked_fill(~solids.present, 0)
    return farthest.amax((1, 2)).clamp(min=0.3)


def render_batches(
    seed: int,
    *,
    batch: int = 16,
    num_frames: int = 8,
    size: tuple[int, int] | int = 112,
    frame_rate: float | None = None,
    classes: Sequence[str] = CLASSES,
    views: tuple[str, ...] = VIEWS,
    ranges: LookRanges | None = None,
    motions: MotionRanges | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[RenderedClips]:
    """Endless batches of clips of classes drawn evenly, the same ones for the same arguments on one machine.

    `classes` are names out of CLASSES, all by default, and labels are indices into them. `ranges` say how looks vary,
    `motions` how people and cameras do. Raises DataError for an unknown class and what nothing can be rendered with.

    >>> next(render_batches(0, batch=2, num_frames=2, size=32, classes=("Thumb Up", "Stop Sign"))).labels.shape
    torch.Size([2])
    """
    known, aspect = torch.tensor(_indices(classes)), _aspect(size)
    ranges = _checked_looks(ranges)
    generator = torch.Generator().manual_seed(seed)

    def endless() -> Iterator[RenderedClips]:
        while True:
            labels = torch.randint(len(known), (batch,), generator=generator)
            scene = sample_scene(
                known[labels],
                num_frames=num_frames,
                generator=generator,
                frame_rate=frame_rate,
                views=views,
                aspect=aspect,
                ranges=motions,
                device=device,
            )
            yield render_scene(scene, size, generator, ranges)._replace(labels=labels.to(device))

    return endless()


def _indices(classes: Sequence[str]) -> list[int]:
    """The labels of classes, DataError for unknown ones or none at all."""
    if not classes:
        raise DataError(f"no classes are named; there are {', '.join(CLASSES)}")
    return [class_index(name) for name in classes]


class RenderedGestures(Dataset):
    """Rendered gestures as a dataset of ClipSample, made when asked for, the same ones every time on one machine.

    A sample has frames (T, 3, H, W) uint8, depth (T, 1, H, W) float32 in [0, 1] with nearer larger, valid, the label
    (an index into `class_names`), and an id such as "rendered/train/000012/Thumb Up". Clip i has class
    i % len(class_names); the splits train, val and test share no clip. `ranges` say how looks vary, `motions` how
    people and cameras do; `frame_rate` and `views` are as of `sample_scene`. Raises DataError for an unknown split or
    class, and for what nothing can be rendered with.

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
        frame_rate: float | None = None,
        classes: Sequence[str] = CLASSES,
        views: tuple[str, ...] = VIEWS,
        ranges: LookRanges | None = None,
        motions: MotionRanges | None = None,
        transform: Callable[[ClipSample], ClipSample] | None = None,
    ) -> None:
        if split not in _SPLITS:
            raise DataError(f"no split {split!r}: there are {', '.join(_SPLITS)}")
        if num_clips is not None and num_clips < 0:
            raise DataError(f"num_clips is {num_clips}; it must be 0 or more")
        self._scene: dict[str, Any] = {
            "num_frames": num_segments,
            "frame_rate": frame_rate,
            "views": views,
            "aspect": _aspect(size),
            "ranges": motions,
        }
        # What no clip can be made of is told here, not by a worker.
        sample_scene(torch.tensor(_indices(classes)[:1]), generator=0, **self._scene)
        self.split, self.seed, self.class_names = split, seed, tuple(classes)
        self.num_segments, self.size, self.transform = num_segments, size, transform
        self.ranges = _checked_looks(ranges)
        self.num_clips = _SPLITS[split] * len(self.class_names) if num_clips is None else num_clips

    def __len__(self) -> int:
        return self.num_clips

    @property
    def labels(self) -> list[int]:
        """Class index of every clip, without rendering any."""
        return [index % len(self.class_names) for index in range(self.num_clips)]

    @property
    def flip_labels(self) -> dict[int, int]:
        """Class index after a horizontal flip, for the classes that have another one then."""
        index = {name: label for label, name in enumerate(self.class_names)}
        turned = {label: mirrored_class(name) for name, label in index.items()}
        return {label: index[name] for label, name in turned.items() if index.get(name, label) != label}

    def __getitem__(self, index: int) -> ClipSample:
        if not -self.num_clips <= index < self.num_clips:
            raise IndexError(f"clip {index} of {self.num_clips}")
        index = int(index) % self.num_clips
        label = index % len(self.class_names)
        name = self.class_names[label]
        # Mixed, because the first numbers of generators whose seeds are neighbours are alike.
        key = f"{self.seed}/{self.split}/{index}".encode()
        generator = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(key).digest()[:8], "little") >> 1)
        scene = sample_scene(torch.tensor([class_index(name)]), generator=generator, **self._scene)
        clips = render_scene(scene, self.size, generator, self.ranges)
        name = f"rendered/{self.split}/{index:06d}/{name}"
        sample = ClipSample(clips.frames[0], clips.depth[0], clips.valid[0], label, name)
        return sample if self.transform is None else self.transform(sample)
