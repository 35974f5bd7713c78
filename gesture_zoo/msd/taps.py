"""Taps: which layers of a network the decoders read, and the hooks that read them.

The hooks stay on the network for good and are gated: they record only while the wrapper's own forward runs. Hooks
that come and go would break torch.compile's graph; these compile, copy and pickle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from ..errors import TapError
from ..outputs import feature_map

# A config.json may come from anywhere: what is wider or longer only asks for memory.
MOST_WIDTH, MOST_LAYERS = 8192, 16


@dataclass(frozen=True)
class Tap:
    """One decoder: the layer it reads, the size of what it predicts, and its weight in the loss.

    ``name``: an alias (``res1`` ... ``res5``) or a dotted module name. ``scale``: side of the mask relative
    to the frame, 1 for the paper's local decoder and 1/4 for its global one. ``weight``: factor of its mean
    squared error in ``MSDLoss``. ``widths``: channels between the convolutions. Left out, a layer of stride 4
    or less gets the local decoder (scale 1, weight 1), a deeper one the global decoder (scale 1/4, weight
    0.01), with widths that fall geometrically to 32.

    >>> Tap("layer4", scale=1 / 4, weight=0.1, widths=(256, 32)).name
    'layer4'
    """

    name: str
    scale: float | None = None
    weight: float | None = None
    widths: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TapError(f"a tap's name is a string, got {self.name!r}")
        if self.scale is not None and not (_is_number(self.scale) and 0 < self.scale <= 1):
            raise TapError(f"tap {self.name!r}: scale must be in (0, 1], got {self.scale!r}")
        if self.weight is not None and not (_is_number(self.weight) and 0 <= self.weight < math.inf):
            raise TapError(f"tap {self.name!r}: weight must be a number of at least 0, got {self.weight!r}")
        if self.widths is not None and not _are_widths(self.widths):
            raise TapError(f"tap {self.name!r}: widths must be positive integers, got {self.widths!r:.80}")

    def mask_size(self, height: int, width: int) -> tuple[int, int]:
        """Size of the mask for frames of a size."""
        scale = 1.0 if self.scale is None else self.scale
        return round(height * scale), round(width * scale)


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) < 1 << 53)


def _are_widths(value: Any) -> bool:
    if not isinstance(value, (tuple, list)) or len(value) > MOST_LAYERS:
        return False
    return all(type(width) is int and 0 < width <= MOST_WIDTH for width in value)


def as_tap(tap: str | Tap | dict[str, Any]) -> Tap:
    """A Tap from its name, itself, or its fields.

    >>> as_tap({"name": "res1", "widths": [32]}).widths
    (32,)
    """
    if isinstance(tap, Tap):
        return tap
    if isinstance(tap, str):
        return Tap(tap)
    if not isinstance(tap, dict):
        raise TapError(f"a tap is a name or a Tap object, got {tap!r}")
    fields = {**tap, "widths": tuple(tap["widths"])} if isinstance(tap.get("widths"), list) else tap
    try:
        return Tap(**fields)
    except TypeError as error:
        raise TapError(f"not a tap: {tap!r}; it has name, scale, weight, widths") from error


@dataclass
class TapHook:
    """A forward hook that keeps its module's output while ``is_open``; closed, it does nothing."""

    name: str
    to_frames: str | None = None  # einops pattern, None where the output is (frames, C, h, w) already
    is_open: bool = False
    calls: int = 0
    output: Any = None
    version: int | None = None
    had_grad: bool = True

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        if not self.is_open:
            return
        self.calls += 1
        self.output = feature_map(output)
        self.had_grad = torch.is_grad_enabled()
        self.version = version_of(self.output)

    def open(self) -> None:
        self.is_open = True
        self.calls = 0

    def close(self) -> None:
        # A kept non-leaf tensor would make the model uncopyable and hold its graph in memory.
        self.is_open = False
        self.output = None

    def read(self) -> Tensor:
        """The recorded feature map; a TapError if there is none or it cannot carry a gradient."""
        where = f"tap {self.name!r}"
        if self.calls == 0:
            raise TapError(
                f"{where} never fired: its module was replaced after with_msd (SyncBatchNorm conversion?) or is "
                "skipped in training (gradient checkpointing of a stage?); tap a block inside the stage, or call "
                "with_msd after changing the model"
            )
        if self.calls > 1:
            raise TapError(f"{where} fired {self.calls} times in one forward; tap a module that runs once")
        if torch.is_grad_enabled() and not self.had_grad:
            raise TapError(
                f"{where} ran without gradients, so depth could teach the network nothing: use gradient "
                "checkpointing with use_reentrant=False, and no torch.no_grad() around it"
            )
        if version_of(self.output) != self.version:
            raise TapError(overwritten(self.name))
        return self.output if self.to_frames is None else rearrange(self.output, self.to_frames)


def version_of(tensor: Tensor) -> int | None:
    """How often a tensor was changed in place; None where PyTorch does not count (compiling, inference mode)."""
    return None if torch.compiler.is_compiling() or tensor.is_inference() else tensor._version


def overwritten(name: str) -> str:
    """The message for a tap whose output a later layer changes in place."""
    return f"tap {name!r} is overwritten in place by the layer after it; tap that layer (its activation) instead"
