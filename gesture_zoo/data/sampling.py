"""Which frames of a video make the clip: TSN's one frame from each of T equal segments (arXiv 1608.00859)."""

from __future__ import annotations

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


def sample_generator(seed: int, index: int) -> torch.Generator:
    """A random generator of one sample's own: what is drawn for it depends on nothing else.

    >>> torch.rand((), generator=sample_generator(0, 7)) == torch.rand((), generator=sample_generator(0, 7))
    tensor(True)
    """
    # torch's generator listens to 32 bits of its seed: numpy's hash spreads both numbers over them.
    state = np.random.SeedSequence([seed, index]).generate_state(1, np.uint32)
    return torch.Generator().manual_seed(int(state[0]))
