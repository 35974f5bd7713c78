"""ACTION: spatio-temporal, channel and motion excitation.

Wang, She and Smolic, "ACTION-Net: Multipath Excitation for Action Recognition", CVPR 2021, arXiv 2103.07372.
Official implementation: github.com/V-Sense/ACTION-Net (MIT); key names as there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import TemporalModule, channels_into, check_count, shift_weight, to_clips, to_frames
from .filtered import means_of_filtered, scaled_and_filtered
from .kernels import moved
from .operators import takes_operators
from .pooled import (
    border_means,
    channel_mean,
    conv_of_means,
    in_type,
    means_from_borders,
    means_of_maps,
    needs_maps,
    spatial_mean,
)
from .recompute import OnceForTwo, conv_of, conv_of_scaled, is_watched
from .summaries import filter_and_summarise, is_summarised
from .time_filter import filter_time


class SingleChannelConv3d(nn.Conv3d):
    """A Conv3d from one channel to one that survives ``model.to(memory_format=torch.channels_last)``.

    PyTorch refuses that format for a five-dimensional weight; with one channel the layout is the same anyway.
    """

    def __init__(self) -> None:
        super().__init__(1, 1, 3, padding=1, bias=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SingleChannelConv3d:
        return super()._apply(lambda tensor: fn(tensor.squeeze(0)).unsqueeze(0), recurse)


class Action(TemporalModule):
    """Shift frames in time by a learned kernel, excite them along three paths, then apply ``net``.

    The three residual excitations of the paper add up to one gain,
    ``x*s1 + x + x*s2 + x + x*s3 + x = x * (3 + s1 + s2 + s3)``, with s1 (N, T, 1, H, W) from the channel
    mean, s2 (N, T, C, 1, 1) from the channels' own course in time and s3 (N, T, C, 1, 1) from the difference
    of neighbouring frames; the three sums are never stored. ``causal``: every temporal kernel looks back (the shift
    starts as the online TSM's), and motion is the difference to the frame before. Frames (N*T, C, H, W) in, ``net``'s
    output out.

    >>> Action(nn.Conv2d(16, 4, 1), num_segments=2)(torch.zeros(4, 16, 5, 5)).shape
    torch.Size([4, 4, 5, 5])
    """

    def __init__(
        self,
        net: nn.Module,
        num_segments: int = 8,
        *,
        shift_div: int = 8,
        reduction: int = 16,
        causal: bool = False,
    ) -> None:
        super().__init__(num_segments)
        self.causal = causal
        channels = channels_into(net)
        reduced = max(1, channels // check_count("reduction", reduction))
        check_count("shift_div", shift_div)
        self.net = net
        self.action_shift = nn.Conv1d(channels, channels, 3, padding=1, groups=channels, bias=False)
        with torch.no_grad():
            self.action_shift.weight.copy_(shift_weight(channels, shift_div, causal=causal))

        self.action_p1_conv1 = SingleChannelConv3d()

        self.action_p2_squeeze = nn.Conv2d(channels, reduced, 1, bias=False)
        self.action_p2_conv1 = nn.Conv1d(reduced, reduced, 3, padding=1, bias=False)
        self.action_p2_expand = nn.Conv2d(reduced, channels, 1, bias=False)

        self.action_p3_squeeze = nn.Conv2d(channels, reduced, 1, bias=False)
        self.action_p3_bn1 = nn.BatchNorm2d(reduced)
        self.action_p3_conv1 = nn.Conv2d(reduced, reduced, 3, padding=1, groups=reduced, bias=False)
        self.action_p3_expand = nn.Conv2d(reduced, channels, 1, bias=False)

    def forward(self, frames: Tensor) -> Tensor:
        clips = to_clips(frames, self.num_segments)
        squeeze, norm, conv = self.action_p3_squeeze, self.action_p3_bn1, self.action_p3_conv1
        is_mapped = needs_maps(squeeze, norm, conv)
        how = self.how_it_filters()
        if how is not None and not is_mapped and takes_operators(clips) and not torch.is_grad_enabled():
            mean, means = means_of_filtered(clips, *how)
            before, after = means_from_borders(frames, means, squeeze, norm, conv)
            channel = 3 + self.channel(self.pooled(means, clips)) + self.motion(before, after)
            return self.net(scaled_and_filtered(clips, *how, channel, self.space_time(mean)))
        if how is not None and is_mapped and is_summarised(squeeze, clips, how[0]):
            weight, first = how
            once = OnceForTwo(partial(filter_time, first=first))
            make, sources = once.first, [clips, weight]
            clips, squeezed, mean, pooled = filter_and_summarise(squeeze, clips, weight, first, once.second)
            before, after = means_of_maps(norm(squeezed), conv)
        else:
            clips, make, *sources = self.convolve(clips, self.action_shift)
            mean = channel_mean(clips)
            if is_mapped:
                pooled = in_type(spatial_mean(clips), clips)
                squeezed = conv_of(squeeze, to_frames(clips), lambda *of: to_frames(make(*of)), *sources)
                before, after = means_of_maps(norm(squeezed), conv)
            else:
                means = border_means(to_frames(clips))
                pooled = self.pooled(means, clips)
                before, after = means_from_borders(to_frames(clips), means, squeeze, norm, conv)
        channel = 3 + self.channel(pooled) + self.motion(before, after)
        return conv_of_scaled(self.net, clips, channel, self.space_time(mean), make, *sources)

    def how_it_filters(self) -> tuple[Tensor, int] | None:
        """Weight and first step of ``filter_time`` that does what the shift does, or None where this must be called."""
        if type(self.action_shift) is not nn.Conv1d or is_watched(self.action_shift) or self.memory is not None:
            return None
        return self.action_shift.weight, -2 if self.causal else -1

    def pooled(self, means: Tensor, clips: Tensor) -> Tensor:
        """The means over space (N, T, C, 1, 1) among ``border_means`` (N*T, 9, C) of clips, in the type of these."""
        return to_clips(in_type(means[:, 0], clips)[..., None, None], clips.shape[1])

    def space_time(self, mean: Tensor) -> Tensor:
        """Path 1: where and when, (N, T, 1, H, W) in (0, 1), from the mean over channels of the same shape."""
        frames = mean.shape[1]
        if self.causal:
            mean = self.with_past("mean", mean, 2)
        if type(self.action_p1_conv1) is not SingleChannelConv3d or is_watched(self.action_p1_conv1):
            seen = self.action_p1_conv1(mean.transpose(1, 2)).transpose(1, 2)
            return (seen[:, 1:-1] if self.causal else seen).sigmoid()
        # A 3-D convolution of one channel, as its three 2-D ones: every runtime has those.
        weight = self.action_p1_conv1.weight.view(3, 1, 3, 3)
        taps = to_clips(F.conv2d(to_frames(mean), weight, padding=1), mean.shape[1]).split(1, dim=2)
        if self.causal:
            older, past, present = (tap[:, start : start + frames] for start, tap in enumerate(taps))
            return (older + past + present).sigmoid()
        past, present, future = taps
        return (moved(past, -1) + present + moved(future, 1)).sigmoid()

    def channel(self, pooled: Tensor) -> Tensor:
        """Path 2: which channels, in the course of time, (N, T, C, 1, 1) in (0, 1), from the same shape's means."""
        squeezed = to_clips(
            conv_of_means(self.action_p2_squeeze, to_frames(pooled)), self.num_segments
        )  # (N, T, C/r, 1, 1)
        lines = squeezed.flatten(2)
        if self.causal:
            lines = self.with_past("pooled", lines, 2)
        course = self.action_p2_conv1(lines.transpose(1, 2)).relu()  # (N, C/r, T)
        if self.causal:
            course = course[:, :, 1:-1]  # what looks at frames t-1 to t+1 of a clip that is two frames ahead
        excited = conv_of_means(self.action_p2_expand, to_frames(course.transpose(1, 2)[..., None, None]))
        return to_clips(excited, self.num_segments).sigmoid()

    def motion(self, before: Tensor, after: Tensor) -> Tensor:
        """Path 3: what moves from this frame to the next, (N, T, C, 1, 1) in (0, 1), from means (N*T, C/r, 1, 1)."""
        excited = conv_of_means(self.action_p3_expand, self.difference(before, after))
        return to_clips(excited, self.num_segments).sigmoid()
