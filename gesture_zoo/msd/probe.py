"""What a network's modules give: the shape of every feature map, seen in one run without data."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from ..dryrun import dry_run, stem_of
from ..errors import ModelError, TapError
from ..outputs import feature_map


@dataclass(frozen=True)
class Probe:
    """What a dry run saw at a module.

    Its output's shape as frames (B, C, h, w) and the einops pattern to them, None where it is of that shape; whether a
    later layer overwrote it; and how often it ran.
    """

    shape: tuple[int, ...]
    to_frames: str | None
    overwritten: bool
    calls: int

    def fits(self, example: Tensor) -> bool:
        """Whether its sides are those of a map of the frames in ``example``, to a pixel: parts of frames are not."""
        height, width = self.shape[-2:]
        return abs(height * example.shape[-1] / example.shape[-2] - width) <= 1

    @property
    def channels(self) -> int:
        return self.shape[1]

    def stride(self, side: int) -> int:
        """The power of two that is nearest to how many pixels of frames of this height one row stands for."""
        return int(2 ** round(math.log2(max(1.0, side / self.shape[-2]))))


def probe(model: nn.Module, example: Tensor) -> dict[str, Probe]:
    """Run ``model`` once without data and see every feature map by module name, in the order they are finished.

    A feature map is (frames, C, h, w), or with its channels last; of a clip it may also be (N, T, C, h, w) or, in a
    3-D CNN, (N, C, T, h, w).
    """
    frames = math.prod(example.shape[:2]) if example.dim() == 5 else example.shape[0]

    @contextmanager
    def watching(twin: nn.Module, images: Tensor) -> Iterator[tuple[dict[str, tuple[Tensor, int]], Counter[str]]]:
        seen: dict[str, tuple[Tensor, int]] = {}
        calls: Counter[str] = Counter()

        def record(name: str, module: nn.Module, args: Any, output: Any) -> None:
            found = feature_map(output)
            is_map = isinstance(found, Tensor) and found.dim() in (4, 5)
            if is_map and found.shape[0] == (frames if found.dim() == 4 else example.shape[0]):
                seen.pop(name, None)
                seen[name] = (found, found._version)
                calls[name] += 1

        for name, module in twin.named_modules():
            if name:
                module.register_forward_hook(partial(record, name))
        yield seen, calls

    try:
        _, (seen, calls) = dry_run(model, example, watching)
    except ModelError as error:
        raise TapError(str(error)) from error
    modules, of_model = dict(model.named_modules()), isinstance(stem_of(model), nn.Conv3d)

    def is_3d(name: str) -> bool:
        """By its own convolutions: behind a 3-D stem an LSTM may go on with one map after another."""
        stem = stem_of(modules[name])
        return of_model if stem is None else isinstance(stem, nn.Conv3d)

    return {
        name: Probe(*as_frames(tuple(output.shape), example, is_3d(name)), output._version != version, calls[name])
        for name, (output, version) in seen.items()
    }


def as_frames(shape: tuple[int, ...], example: Tensor, is_3d: bool = False) -> tuple[tuple[int, ...], str | None]:
    """A map's shape as frames (B, C, h, w), and the einops pattern that brings it there, None where it is there.

    Where the channels are follows from the sides, whose ratio is that of the frames in ``example``.

    >>> import torch
    >>> as_frames((2, 7, 7, 768), torch.zeros(2, 3, 224, 224))
    ((2, 768, 7, 7), 'b h w c -> b c h w')
    >>> as_frames((1, 512, 2, 7, 7), torch.zeros(1, 3, 16, 112, 112), is_3d=True)
    ((2, 512, 7, 7), 'n c t h w -> (n t) c h w')
    """
    aspect = example.shape[-2] / example.shape[-1]

    def off(height: int, width: int) -> float:
        return abs(math.log(height / width / aspect))

    channels_last = off(*shape[-3:-1]) < off(*shape[-2:])
    if len(shape) == 4:
        return ((shape[0], shape[3], *shape[1:3]), "b h w c -> b c h w") if channels_last else (shape, None)
    if channels_last:
        return (shape[0] * shape[1], shape[4], *shape[2:4]), "n t h w c -> (n t) c h w"
    if is_3d:
        return (shape[0] * shape[2], shape[1], *shape[3:]), "n c t h w -> (n t) c h w"
    return (shape[0] * shape[1], *shape[2:]), "n t c h w -> (n t) c h w"
