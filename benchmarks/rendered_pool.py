"""Rendered clips and streams on disk, to learn from more than once: a part of rendered_training.py.

A pool is a folder of shards. A shard is one batch: frames, the classes of its frames, how far their strokes are, and
depth at a quarter of the size; and how it was rendered. Several processes may write one pool, with seeds apart.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from gesture_zoo.errors import DataError
from gesture_zoo.files import replacing
from gesture_zoo.render import CLASSES, MIRROR, MotionRanges, Scene, project, render_scene, sample_scene, sample_stream
from gesture_zoo.render.scene import HAND

DEPTH_DIV = 4
RENDERER = 2  # raise it whenever rendered pictures change
# At 96 pixels and 16 frames, what is smaller or shorter than this is a few pixels or one frame: nothing to learn from.
MOTIONS = MotionRanges(hand_size=(1 / 6, 1 / 2), distance=(0.5, 2.0), window=(1.4, 2.2), late_or_early=0.1)


class Batch(NamedTuple):
    """Frames (N, T, 3, S, S) uint8; of every frame its class and how far its stroke is, (N, T); depth (N, T, 1, s, s)
    uint8, nearer is larger, 0 where there is none; where the hand is, (N, T, 2), x and y from -1 to 1 over the picture;
    the class of a whole clip (N,), or -1 of a stream."""

    frames: Tensor
    classes: Tensor
    stroke: Tensor
    depth: Tensor
    hand: Tensor
    labels: Tensor


def render(seed: int, *, streams: bool, count: int, frames: int, size: int, frame_rate: float) -> Batch:
    """``count`` streams of ``frames`` frames at ``frame_rate``, or as many clips of 1.4 to 2.2 seconds."""
    generator = torch.Generator().manual_seed(seed)
    if streams:
        scene = sample_stream(count, num_frames=frames, generator=generator, frame_rate=frame_rate, ranges=MOTIONS)
        labels = torch.full((count,), -1)
    else:
        labels = torch.randint(len(CLASSES), (count,), generator=generator)
        scene = sample_scene(labels, num_frames=frames, generator=generator, ranges=MOTIONS)
    made = render_scene(scene, size, generator)
    small = F.adaptive_max_pool2d((made.depth * made.valid).flatten(0, 1), size // DEPTH_DIV)
    depth = (small * 255).round().to(torch.uint8).unflatten(0, made.depth.shape[:2])
    return Batch(made.frames, scene.frame_labels, scene.stroke, depth, hand_places(scene), labels)


def hand_places(scene: Scene) -> Tensor:
    """Where the middle of the gesturing hand is in a square picture, (B, T, 2): x and y, from -1 to 1."""
    middle = scene.solids.end[:, :, HAND].mean(2)
    return project(middle, scene.camera, 2, 2).clamp(-4, 6) - 1


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
    """All shards of a folder that are there, in memory as they come.

    ``made_by`` says how they were rendered; a shard that was rendered otherwise is a DataError.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"there is no pool {folder}: `rendered_training.py pool --out {folder}` makes one")
        self.folder = folder
        self.shards: dict[str, Batch] = {}
        self.made_by: dict[str, str] = {}

    def refresh(self) -> int:
        """Load what is new; how many items there are."""
        for path in sorted(self.folder.glob("[0-9]*.safetensors")):
            if path.name in self.shards:
                continue
            with safe_open(path, "pt") as file:
                made_by = file.metadata()
                if made_by != (self.made_by or made_by):
                    raise DataError(f"{path} was rendered with {made_by}, others of its pool with {self.made_by}")
                self.made_by = made_by
                self.shards[path.name] = Batch(**{key: file.get_tensor(key) for key in Batch._fields})
        return sum(len(shard.labels) for shard in self.shards.values())

    def sample(self, rng: random.Random, batch: int) -> Batch:
        """Items drawn from all shards, half of them mirrored."""
        shards, mirror = list(self.shards.values()), torch.tensor(MIRROR)
        items = []
        for _ in range(batch):
            shard = shards[rng.randrange(len(shards))]
            place = rng.randrange(len(shard.labels))
            item = Batch(*(field[place] for field in shard))
            if rng.random() < 0.5:
                item = item._replace(
                    frames=item.frames.flip(-1),
                    depth=item.depth.flip(-1),
                    hand=item.hand * torch.tensor([-1.0, 1.0]),
                    classes=mirror[item.classes],
                    labels=mirror[item.labels] if item.labels >= 0 else item.labels,
                )
            items.append(item)
        return Batch(*(torch.stack(field) for field in zip(*items, strict=True)))


def augmented(batch: Batch, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Frames and depth as floats in [0, 1] and hand places, each item cut, stretched and lit in a way of its own."""
    count = len(batch.frames)
    zoom, ratio = rng.uniform(0.8, 1.08, count), rng.uniform(0.9, 1.1, count)
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 1, 1] = zoom * ratio, zoom / ratio
    theta[:, :, 2] = rng.uniform(-1, 1, (count, 2)) * np.abs(1 - zoom)[:, None]
    way = torch.from_numpy(theta)
    frames, depth = (_moved(maps, way) for maps in (batch.frames, batch.depth))
    hand = (batch.hand - way[:, None, :, 2]) / torch.stack((way[:, 0, 0], way[:, 1, 1]), 1)[:, None]
    gamma, gain = (
        torch.from_numpy(rng.uniform(low, high, (count, 1, 1, 1, 1))).float() for low, high in ((0.7, 1.4), (0.7, 1.3))
    )
    tint = torch.from_numpy(rng.uniform(0.88, 1.12, (count, 1, 3, 1, 1))).float()
    return (frames.clamp(1e-4, 1) ** gamma * gain * tint).clamp(0, 1), depth, hand


def _moved(maps: Tensor, way: Tensor) -> Tensor:
    """Maps (N, T, C, H, W) uint8 as floats in [0, 1], all frames of an item moved one way (N, 2, 3)."""
    grid = F.affine_grid(way, [len(maps), 1, *maps.shape[-2:]], align_corners=False)
    flat = maps.flatten(1, 2).float() / 255
    return F.grid_sample(flat, grid, padding_mode="border", align_corners=False).view(maps.shape)
