"""What ACTION needs of clips that are filtered in time, where a compiler is at work and nobody learns.

The filtered clips are not made. Means over space and over channels commute with the filter, so nine numbers a channel
and three a pixel of the clips as they are give those of the filtered ones; and what is left, the filter and the gain of
the convolution's input, is one pass over memory (see in_passing.py).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .in_passing import filtered, frames_of, pixels_of, rows_of
from .kernels import moved
from .pooled import border_means, in_type


def means_of_filtered(clips: Tensor, weight: Tensor, first: int) -> tuple[Tensor, Tensor]:
    """``channel_mean`` (N, T, 1, H, W) and ``border_means`` (N*T, 9, C) of ``filter_time(clips, weight, first)``.

    >>> from gesture_zoo.layers.time_filter import filter_time
    >>> clips, weight = torch.randn(1, 4, 2, 5, 6), torch.randn(2, 1, 3)
    >>> over_channels, over_space = means_of_filtered(clips, weight, -1)
    >>> filtered = filter_time(clips, weight)
    >>> torch.allclose(over_channels, filtered.mean(2, keepdim=True), atol=1e-5)
    True
    >>> torch.allclose(over_space, border_means(filtered.flatten(0, 1)), atol=1e-5)
    True
    """
    frames, taps = clips.flatten(0, 1), rows_of(weight.squeeze(1)).unbind(0)
    borders = border_means(frames).unflatten(0, clips.shape[:2])[..., None]  # (N, T, 9, C, 1)
    over_channels, over_space = torch.zeros(()), torch.zeros(())
    for step, tap in enumerate(taps, start=first):
        tap = in_type(tap, clips)[:, None, None]
        sums = (frames * tap).sum(1, keepdim=True).unflatten(0, clips.shape[:2])
        over_channels = over_channels + moved(sums, step)
        over_space = over_space + moved(borders, step) * in_type(tap[..., 0], borders)
    return over_channels / clips.shape[2], over_space.flatten(0, 1).squeeze(-1)


def scaled_and_filtered(clips: Tensor, weight: Tensor, first: int, channel: Tensor, place: Tensor) -> Tensor:
    """Frames (N*T, C, H, W) of ``scale_frames(filter_time(clips, weight, first), channel, place)``.

    >>> clips, ones = torch.arange(1.0, 4).view(1, 3, 1, 1, 1), torch.ones(1, 3, 1, 1, 1)
    >>> scaled_and_filtered(clips, torch.tensor([[[1.0, 0, 10]]]), -1, ones, ones).flatten().tolist()
    [40.0, 62.0, 4.0]
    """
    frames = clips.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    pixels, by_channel, by_place = (
        pixels_of(maps, clips.shape[1]) for maps in (frames, channel.flatten(0, 1), place.flatten(0, 1))
    )
    return frames_of(filtered(pixels, weight.squeeze(1), first, (by_channel, by_place)))
