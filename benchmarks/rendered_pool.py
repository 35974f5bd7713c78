"""Rendered clips and streams on disk, to learn from more than once: a part of rendered_training.py.

A pool is a folder of shards. A shard is one batch: frames, the classes of its frames, how far their strokes are, depth
at a quarter of the size, and where points of the hand are; and how it was rendered. Several processes may write one
pool, with seeds apart.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from gesture_zoo.errors import DataError
from gesture_zoo.files import replacing
from gesture_zoo.render import (
    GESTURES,
    MIRROR,
    LookRanges,
    MotionRanges,
    Scene,
    project,
    render_scene,
    sample_scene,
    sample_stream,
)
from gesture_zoo.render.draws import Draw
from gesture_zoo.render.scene import HAND

DEPTH_DIV = 4
PALM = 4  # the first solids of a hand; three of every finger follow, the thumb's last
POINTS = ("palm", "wrist", "index tip", "middle tip", "ring tip", "little tip", "thumb tip")
WEIGHTS = (1.0,) * len(GESTURES) + (1.5, 4.0)  # of classes in clips: what is no gesture has the most faces
MARGIN = 0.2  # between a palm and the border of a cut, where half the picture is 1
RENDERER = 10  # raise it whenever rendered pictures change
# At 128 pixels and 16 frames, what is smaller or shorter than this is a few pixels or one frame: nothing to learn from.
# Gestures have to be learned from as far away as no gestures are: a small hand must not be a sign of them.
# All cameras face the person. One on the person's forehead sees a swipe to the left go to the left, where they see it
# go to the right; a small network does not tell the two from each other, and then knows neither.
# As many hands come as for a stop sign and show some other one: else it is told by how they come.
MOTIONS = MotionRanges(
    hand_size=(1 / 9, 1 / 2), distance=(0.5, 2.6), window=(1.4, 2.2), late_or_early=0.1, lookalikes=0.3,
    views={"person": 1, "car": 1},
)  # fmt: skip


class Batch(NamedTuple):
    """Frames (N, T, 3, S, S) uint8; of every frame its class and how far its stroke is, (N, T); depth (N, T, 1, s, s)
    uint8, nearer is larger, 0 where there is none; where POINTS of the hand are, (N, T, P, 2), x and y from -1 to 1
    over the picture; the class of a whole clip (N,), or -1 of a stream."""

    frames: Tensor
    classes: Tensor
    stroke: Tensor
    depth: Tensor
    points: Tensor
    labels: Tensor


def render(
    seed: int,
    *,
    streams: bool,
    count: int,
    frames: int,
    size: int,
    frame_rate: float,
    plain: bool = False,
    device: torch.device | str = "cpu",
) -> Batch:
    """``count`` streams of ``frames`` frames at ``frame_rate``, or as many clips of 1.4 to 2.2 seconds.

    ``plain`` pictures have flat colours before a wall: four times as fast to render, and hands are found in them first.
    """
    generator = torch.Generator(device).manual_seed(seed)
    if streams:
        scene = sample_stream(count, num_frames=frames, generator=generator, frame_rate=frame_rate, ranges=MOTIONS)
        labels = torch.full((count,), -1, device=device)
    else:
        labels = Draw(generator).pick(WEIGHTS, count)
        scene = sample_scene(labels, num_frames=frames, generator=generator, ranges=MOTIONS)
    made = render_scene(scene, size, generator, LookRanges.plain() if plain else None)
    small = F.adaptive_max_pool2d((made.depth * made.valid).flatten(0, 1), size // DEPTH_DIV)
    depth = (small * 255).round().to(torch.uint8).unflatten(0, made.depth.shape[:2])
    return Batch(made.frames, scene.frame_labels, scene.stroke, depth, hand_points(scene), labels)


def hand_points(scene: Scene) -> Tensor:
    """Where POINTS of the gesturing hand are in a square picture, (B, T, P, 2): x and y, from -1 to 1 inside it.

    Of clips that show nobody they are outside.
    """
    start, end = scene.solids.start[:, :, HAND], scene.solids.end[:, :, HAND]
    wrist, knuckles = start[:, :, :PALM].mean(2, keepdim=True), end[:, :, :PALM].mean(2, keepdim=True)
    tips = end[:, :, PALM + 2 :: 3]
    places = project(torch.cat(((wrist + knuckles) / 2, wrist, tips), 2), scene.camera, 2, 2).clamp(-4, 6) - 1
    there = scene.solids.present[:, :, HAND].any(2)
    return torch.where(there[..., None, None], places, 5.0)


def write_shards(folder: Path, seeds: range, **options: object) -> Iterator[Path]:
    """A shard for every seed that has none yet."""
    folder.mkdir(parents=True, exist_ok=True)
    made_by = {"renderer": str(RENDERER)} | {key: str(value) for key, value in options.items()}
    for seed in seeds:
        path = folder / f"{seed:06d}.safetensors"
        if not path.exists():
            batch = render(seed, **options)  # type: ignore[arg-type]
            with replacing(path) as temporary:
                save_file({key: value.contiguous() for key, value in batch._asdict().items()}, temporary, made_by)
            yield path


class Pool:
    """All shards of folders that are there, in memory as they come.

    ``made_by`` says of every folder how its shards were rendered; one that was rendered otherwise is a DataError.
    """

    def __init__(self, *folders: Path) -> None:
        for folder in folders:
            if not folder.is_dir():
                raise DataError(f"there is no pool {folder}: `rendered_training.py pool --out {folder}` makes one")
        self.folders = folders
        self.shards: dict[Path, Batch] = {}
        self.made_by: dict[Path, dict[str, str]] = {}

    def refresh(self) -> int:
        """Load what is new; how many items there are."""
        for path in (path for folder in self.folders for path in sorted(folder.glob("[0-9]*.safetensors"))):
            if path in self.shards:
                continue
            with safe_open(path, "pt") as file:
                made_by, others = file.metadata(), self.made_by.get(path.parent)
                if made_by != (others or made_by):
                    raise DataError(f"{path} was rendered with {made_by}, others of its pool with {others}")
                self.made_by[path.parent] = made_by
                self.shards[path] = Batch(**{key: file.get_tensor(key) for key in Batch._fields})
        return sum(len(shard.labels) for shard in self.shards.values())

    def sample(self, rng: random.Random, batch: int) -> Batch:
        """Items drawn from all shards, half of them mirrored."""
        shards, items = list(self.shards.values()), []
        for _ in range(batch):
            shard = shards[rng.randrange(len(shards))]
            place = rng.randrange(len(shard.labels))
            items.append([field[place] for field in shard])
        flip = torch.tensor([rng.random() < 0.5 for _ in range(batch)])
        return mirrored(Batch(*(torch.stack(field) for field in zip(*items, strict=True))), flip)


def mirrored(batch: Batch, flip: Tensor) -> Batch:
    """The items with those of ``flip`` (N,) bool as seen in a mirror, classes and all."""
    to = torch.tensor(MIRROR, device=flip.device)

    def either(there: Tensor, here: Tensor) -> Tensor:
        return torch.where(flip.view(-1, *[1] * (here.dim() - 1)), there, here)

    return batch._replace(
        frames=either(batch.frames.flip(-1), batch.frames),
        depth=either(batch.depth.flip(-1), batch.depth),
        points=either(batch.points * batch.points.new_tensor((-1.0, 1.0)), batch.points),
        classes=either(to[batch.classes], batch.classes),
        labels=torch.where(flip & (batch.labels >= 0), to[batch.labels.clamp(min=0)], batch.labels),
    )


def augmented(batch: Batch, draw: Draw) -> tuple[Tensor, Tensor, Tensor]:
    """Frames and depth as floats in [0, 1] and points of the hand, each item cut, stretched and lit its own way."""
    count = len(batch.frames)
    zoom, ratio = draw.uniform((0.6, 1.08), count), draw.uniform((0.9, 1.1), count)
    zoomed = torch.stack((zoom * ratio, zoom / ratio), 1)
    middle = _centres(batch.points[:, :, 0], (1 - zoom).abs()[:, None], zoom[:, None], draw)
    way = torch.cat((torch.diag_embed(zoomed), middle[:, :, None]), 2)
    frames, depth = (_moved(maps, way) for maps in (batch.frames, batch.depth))
    points = (batch.points - middle[:, None, None]) / zoomed[:, None, None]
    gamma, gain = (draw.uniform(limits, count, 1, 1, 1, 1) for limits in ((0.7, 1.4), (0.7, 1.3)))
    tint = draw.uniform((0.8, 1.25), count, 1, 3, 1, 1)
    lit = frames.clamp(1e-4, 1) ** gamma * gain * tint
    grey = lit.mean(2, keepdim=True)
    return grey.lerp(lit, draw.uniform((0.0, 1.4), count, 1, 1, 1, 1)).clamp(0, 1), depth, points


def _centres(palms: Tensor, free: Tensor, zoom: Tensor, draw: Draw) -> Tensor:
    """Middles of cuts that reach no further out of the picture than they must, and keep the palms (N, T, 2) inside."""
    at = draw.uniform((-1.0, 1.0), len(palms), 2) * free
    low, high = palms.amin(1).clamp(-1, 1), palms.amax(1).clamp(-1, 1)
    reach = zoom - MARGIN
    least, most = high - reach, low + reach  # the palms fit in where the middle is between these
    middle = ((low + high) / 2).maximum(-free).minimum(free)
    return torch.where(least < most, at.maximum(least).minimum(most), middle)


def _moved(maps: Tensor, way: Tensor) -> Tensor:
    """Maps (N, T, C, H, W) uint8 as floats in [0, 1], all frames of an item moved one way (N, 2, 3)."""
    grid = F.affine_grid(way, [len(maps), 1, *maps.shape[-2:]], align_corners=False)
    flat = maps.flatten(1, 2).float() / 255
    return F.grid_sample(flat, grid, padding_mode="border", align_corners=False).view(maps.shape)
