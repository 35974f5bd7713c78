"""One pass over the batches of an evaluation: its progress bar, and its precision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn
from tqdm import tqdm

from ..errors import ModelError
from .distributed import is_first
from .loader import ClipLoader
from .optim import autocast
from .recipes import AMP


def batches(loader: ClipLoader, what: str, *, progress: bool) -> Iterator[Any]:
    """The batches, with a bar named ``what``, drawn by one process and only on a terminal."""
    yield from tqdm(loader, desc=what, unit="batch", disable=None if progress and is_first() else True, leave=False)


def precision(model: nn.Module, amp: str) -> Any:
    """The context of a forward pass on the model's device; an ``amp`` that there is not is a ModelError."""
    if amp not in AMP:
        raise ModelError(f"amp is one of {', '.join(AMP)}, not {amp!r}")
    return autocast(amp, next(model.parameters()).device)
