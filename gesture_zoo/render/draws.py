"""Random numbers for batches of clips, all from one generator and on one device."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..errors import DataError

Range = tuple[float, float]


class Draw:
    """Draws tensors of the asked shape from a generator, for a device: the generator's unless another one is named.

    >>> draw = Draw(torch.Generator().manual_seed(0))
    >>> draw.uniform((2.0, 2.0), 3), draw.uniform(None, 2).tolist(), draw.chance(0.0, 4).any().item()
    (tensor([2., 2., 2.]), [0.0, 0.0], False)
    """

    def __init__(self, generator: torch.Generator, device: torch.device | None = None) -> None:
        self.generator, self.device = generator, generator.device if device is None else device

    def _even(self, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.rand(shape, generator=self.generator, device=self.generator.device).to(self.device)

    def uniform(self, limits: Range | None, *shape: int) -> torch.Tensor:
        """Evenly between the two limits; 0 without limits."""
        low, high = limits or (0.0, 0.0)
        return low + (high - low) * self._even(shape)

    def degrees(self, limits: Range, *shape: int) -> torch.Tensor:
        """Radians, evenly between limits in degrees."""
        return torch.deg2rad(self.uniform(limits, *shape))

    def log_uniform(self, limits: Range, *shape: int) -> torch.Tensor:
        """Between two positive limits, as often in each octave."""
        low, high = torch.tensor(limits).log().tolist()
        return self.uniform((low, high), *shape).exp()

    def normal(self, deviation: float, *shape: int) -> torch.Tensor:
        """Around zero."""
        numbers = torch.randn(shape, generator=self.generator, device=self.generator.device)
        return deviation * numbers.to(self.device)

    def chance(self, probability: float, *shape: int) -> torch.Tensor:
        """True with this probability."""
        return self._even(shape) < probability

    def switched(self, probability: float, limits: Range | None, *shape: int) -> torch.Tensor:
        """Evenly between the two limits, but 0 except with this probability."""
        return self.uniform(limits, *shape) * self.chance(probability, *shape)

    def sign(self, *shape: int) -> torch.Tensor:
        """1 or -1."""
        return 1 - 2 * self.chance(0.5, *shape).float()

    def integer(self, count: int, *shape: int) -> torch.Tensor:
        """From 0 to count - 1."""
        return torch.randint(count, shape, generator=self.generator, device=self.generator.device).to(self.device)

    def pick(self, weights: Sequence[float], count: int) -> torch.Tensor:
        """Indices (count,) into the weights, each drawn in proportion to its weight."""
        table = torch.tensor(weights, dtype=torch.float32, device=self.generator.device)
        return torch.multinomial(table, count, replacement=True, generator=self.generator).to(self.device)

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
