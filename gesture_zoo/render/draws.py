"""Random numbers for batches of clips, all from one generator and on its device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..errors import DataError

Range = tuple[float, float]


@dataclass(frozen=True)
class Draw:
    """Draws tensors of the asked shape from a generator.

    >>> Draw(torch.Generator().manual_seed(0)).uniform((2.0, 2.0), 3)
    tensor([2., 2., 2.])
    """

    generator: torch.Generator

    def uniform(self, limits: Range, *shape: int) -> torch.Tensor:
        """Evenly between the two limits."""
        low, high = limits
        return low + (high - low) * torch.rand(shape, generator=self.generator, device=self.generator.device)

    def degrees(self, limits: Range, *shape: int) -> torch.Tensor:
        """Radians, evenly between limits in degrees."""
        return torch.deg2rad(self.uniform(limits, *shape))

    def log_uniform(self, limits: Range, *shape: int) -> torch.Tensor:
        """Between two positive limits, as often in each octave."""
        low, high = torch.tensor(limits).log().tolist()
        return self.uniform((low, high), *shape).exp()

    def normal(self, deviation: float, *shape: int) -> torch.Tensor:
        """Around zero."""
        return deviation * torch.randn(shape, generator=self.generator, device=self.generator.device)

    def chance(self, probability: float, *shape: int) -> torch.Tensor:
        """True with this probability."""
        return torch.rand(shape, generator=self.generator, device=self.generator.device) < probability

    def sign(self, *shape: int) -> torch.Tensor:
        """1 or -1."""
        return 1 - 2 * self.chance(0.5, *shape).float()

    def integers(self, low: int, high: int, *shape: int) -> torch.Tensor:
        """From low to high, both included."""
        return torch.randint(low, high + 1, shape, generator=self.generator, device=self.generator.device)

    def pick(self, weights: Sequence[float], count: int) -> torch.Tensor:
        """Indices (count,) into the weights, each drawn in proportion to its weight."""
        table = torch.tensor(weights, dtype=torch.float32, device=self.generator.device)
        return torch.multinomial(table, count, replacement=True, generator=self.generator)

    def box(self, limits: Sequence[Range], *shape: int) -> torch.Tensor:
        """Points (*shape, len(limits)), each coordinate between its own limits."""
        return torch.stack([self.uniform(pair, *shape) for pair in limits], dim=-1)


def as_generator(generator: torch.Generator | int) -> torch.Generator:
    """The generator itself, or a new one on the CPU from a seed.

    >>> as_generator(3).initial_seed()
    3
    """
    if isinstance(generator, torch.Generator):
        return generator
    if isinstance(generator, bool) or not isinstance(generator, int):
        raise DataError(f"the generator is {generator!r}; it must be a torch.Generator or an int seed")
    return torch.Generator().manual_seed(generator)
