"""Which frames of a video make the clip: TSN's one frame from each of T equal segments (arXiv 1608.00859)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from ..errors import DataError


def segment_indices(
    num_frames: int, num_segments: int, *, generator: torch.Generator | None = None, random: bool = False
) -> list[int]:
    """One frame index in [0, num_frames) from each of ``num_segments`` equal segments, ascending.

    ``random`` draws it anywhere in the segment (training), else it is the middle. A video shorter than the
    clip repeats frames.

    >>> segment_indices(16, 4)
    [2, 6, 10, 14]
    """
    if num_frames < 1 or num_segments < 1:
        raise DataError(f"cannot sample {num_segments} frames from a video of {num_frames}")
    places = torch.full((num_segments,), 0.5, dtype=torch.float64)
    if random:
        places = torch.rand(num_segments, generator=generator, dtype=torch.float64)
    starts = torch.arange(num_segments, dtype=torch.float64) + places
    return (starts * num_frames / num_segments).long().clamp_(max=num_frames - 1).tolist()


def sample_generator(*numbers: int) -> torch.Generator:
    """A random generator of one sample's own, of numbers such as (seed, index): its draws depend on nothing else.

    >>> torch.rand((), generator=sample_generator(0, 7)) == torch.rand((), generator=sample_generator(0, 7))
    tensor(True)
    """
    return torch.Generator().manual_seed(derived_seed(*numbers))


def derived_seed(*numbers: int) -> int:
    """One seed out of several whole numbers that are not negative."""
    # torch's generator listens to 32 bits of its seed: numpy's hash spreads the numbers over them.
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint32)[0])


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """Let torch's own generator start from these numbers inside, and go on as if nothing had happened after.

    >>> with seeded(0, 7):
    ...     first = torch.rand(())
    >>> with seeded(0, 7):
    ...     bool(torch.rand(()) == first)
    True
    """
    before = torch.get_rng_state()
    # Not torch.manual_seed, which also reaches for the GPU: a worker process has none.
    torch.default_generator.manual_seed(derived_seed(*numbers))
    try:
        yield
    finally:
        torch.set_rng_state(before)
