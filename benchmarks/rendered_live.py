"""Rendered clips and streams on a device, rendered there while a network learns from them: a part of
rendered_training.py, for machines whose accelerator renders faster than it could be fed from a disk.
"""

import time

import torch
from rendered_pool import MOTIONS, RENDERER, Batch, mirrored, render

FIRST_SEED = 10_000_000  # far from those of shards and of held-out items


class Ring:
    """So many items of one kind; the oldest make room for new ones."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.made, self.items = capacity, 0, None

    def put(self, batch: Batch) -> None:
        """Keep the items of a batch."""
        if self.items is None:
            self.items = Batch(
                *(torch.empty(self.capacity, *f.shape[1:], dtype=f.dtype, device=f.device) for f in batch)
            )
        device = batch.labels.device
        places = torch.arange(self.made, self.made + len(batch.labels), device=device) % self.capacity
        for kept, field in zip(self.items, batch, strict=True):
            kept[places] = field
        self.made += len(batch.labels)

    def take(self, count: int, generator: torch.Generator) -> list[torch.Tensor]:
        """Fields of items drawn evenly from what is there."""
        assert self.items is not None
        there = min(self.made, self.capacity)
        places = torch.randint(there, (count,), generator=generator, device=generator.device)
        return [field[places] for field in self.items]


class LivePool:
    """Clips and streams (one for three clips) that are made while they are learned from.

    Of the time since ``start`` a share ``rendering`` is spent on making new ones.
    """

    def __init__(
        self, *, capacity: int, batch: int, frames: int, size: int, seed: int, rendering: float, device: torch.device
    ) -> None:
        self.clips, self.streams = Ring(capacity * 3 // 4), Ring(capacity // 4)
        self.batch, self.frames, self.size, self.device = batch, frames, size, device
        self.generator = torch.Generator(device).manual_seed(seed)
        self.seed, self.rendering = FIRST_SEED + seed * 100_000, rendering
        self.batches, self.seconds, self.started = 0, 0.0, time.perf_counter()
        self.made_by = (
            f"renderer {RENDERER}, {frames} frames of {size} x {size}, batches of {batch} from seed {self.seed}"
        )

    def refresh(self) -> int:
        """Render another batch if it is time to; how many items were made so far."""
        if self.seconds <= self.rendering * (time.perf_counter() - self.started):
            self.fill(self.clips.made + self.streams.made + 1)
        return self.clips.made + self.streams.made

    def fill(self, count: int) -> None:
        """Render until so many items were made."""
        while self.clips.made + self.streams.made < count:
            began = time.perf_counter()
            seed, streams = self.seed + self.batches, self.batches % 4 == 3
            # Streams have as many frames a second as clips.
            window = MOTIONS.window[0] + (MOTIONS.window[1] - MOTIONS.window[0]) * ((0.618 * self.batches) % 1)
            batch = render(
                seed,
                streams=streams,
                count=self.batch,
                frames=self.frames,
                size=self.size,
                frame_rate=self.frames / window,
                device=self.device,
            )
            (self.streams if streams else self.clips).put(batch)
            self.batches += 1
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            self.seconds += time.perf_counter() - began

    def sample(self, count: int, *, clips_only: bool) -> Batch:
        """Items drawn evenly, half of them mirrored."""
        streams = 0 if clips_only else count // 4
        kinds = [self.clips.take(count - streams, self.generator)]
        kinds += [self.streams.take(streams, self.generator)] if streams else []
        items = Batch(*(torch.cat(fields) for fields in zip(*kinds, strict=True)))
        flip = torch.rand(count, generator=self.generator, device=self.device) < 0.5
        return mirrored(items, flip)
