"""What every model of clips checks of T and of the clips it is given."""

from __future__ import annotations

from torch import Tensor

from ..errors import ModelError


def checked_segments(value: int) -> int:
    """``value`` as a number of frames; a ModelError where it is none.

    >>> checked_segments(16)
    16
    """
    if type(value) is not int or value < 1:
        raise ModelError(f"num_segments must be a positive integer, got {value!r}")
    return value


def check_clip(clip: Tensor, num_segments: int, in_chans: int) -> None:
    """Raise ModelError unless ``clip`` is (N, T, C, H, W) with this T and C."""
    expected = f"(N, T, C, H, W) = (N, {num_segments}, {in_chans}, H, W)"
    shape = tuple(clip.shape)
    if len(shape) != 5:
        raise ModelError(f"expected a clip {expected}, got a tensor of {len(shape)} dimensions {shape}")
    if shape[1:3] == (num_segments, in_chans):
        return
    if shape[1:3] == (in_chans, num_segments):
        hint = "channels come before time there: pass clip.transpose(1, 2)"
    elif shape[2] != in_chans:
        hint = f"it has {shape[2]} channels"
    else:
        hint = f"it has {shape[1]} frames: sample {num_segments}, or set model.num_segments = {shape[1]}"
    raise ModelError(f"expected a clip {expected}, got {shape}; {hint}")
