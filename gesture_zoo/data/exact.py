"""Random numbers and trigonometry that come out the same to the last bit on every machine.

numpy's own normal and uniform draws, its sines and its interpolation pass through the platform's mathematical
library, or may be compiled to fused multiply-adds, so their last bit depends on the machine. Here are only integer
draws, single operations that IEEE 754 rounds, and scalars of ``math`` with the uncertain digits rounded away. (Two
libraries can still fall on either side of a rounding, once in some million sines: by 1e-9, too little for a pixel.)
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np

_DIGITS = 9  # far coarser than the error of any mathematical library, far finer than a pixel
_LEVEL_BITS = 12  # the normal draws take 2 ** 12 values


def cos(angle: float) -> float:
    """Return the cosine of an angle in radians, rounded to 9 decimals.

    >>> cos(0.0)
    1.0
    """
    return round(math.cos(angle), _DIGITS)


def sin(angle: float) -> float:
    """Return the sine of an angle in radians, rounded to 9 decimals.

    >>> sin(math.pi)
    0.0
    """
    return round(math.sin(angle), _DIGITS)


def uniform(rng: np.random.Generator, low: float, high: float, size: int | tuple[int, ...] | None = None) -> Any:
    """Draw uniformly from [low, high): a float, or a float64 array of shape ``size``.

    >>> 2.0 <= uniform(np.random.default_rng(0), 2.0, 3.0) < 3.0
    True
    """
    # Generator.uniform does the same in one compiled expression, which some compilers fuse.
    return low + (high - low) * rng.random(size)


def normal(rng: np.random.Generator, size: int | tuple[int, ...]) -> np.ndarray:
    """Draw standard normal numbers, float32 of shape ``size``, out of 4096 equally likely values in +-3.67.

    >>> normal(np.random.default_rng(0), (2, 3)).shape
    (2, 3)
    """
    # The full range of the type: numpy then takes its bits as they come, without rejection.
    bits = rng.integers(0, 1 << 16, size=size, dtype=np.uint16)
    return _normal_levels()[bits >> (16 - _LEVEL_BITS)]


@lru_cache(maxsize=1)
def _normal_levels() -> np.ndarray:
    count = 1 << _LEVEL_BITS
    return np.array([round(NormalDist().inv_cdf((i + 0.5) / count), 6) for i in range(count)], np.float32)
