"""TEA: motion excitation (ME) and multiple temporal aggregation (MTA) for Res2Net.

Li et al., "TEA: Temporal Excitation and Aggregation for Action Recognition", CVPR 2020, arXiv 2004.01398.
The official repository carries no licence: this file was written from the paper; key names as published
checkpoints have them.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from timm.models.res2net import Bottle2neck
from torch import Tensor, nn

from ..errors import ModelError
from .base import TemporalModule, channels_into, check_count, shift_weight, to_clips, to_frames
from .pooled import conv_of_means, means_before_and_after
from .recompute import conv_of, is_watched


class MotionExcitation(TemporalModule):
    """Strengthen the channels that move between neighbouring frames: ``x + x * (sigmoid(.) - 0.5)``.

    Section 3.1 of the paper. ``causal``: motion is the difference to the frame before. Frames (N*T, C, H, W) in and
    out.

    >>> MotionExcitation(16, num_segments=2)(torch.zeros(4, 16, 5, 5)).shape
    torch.Size([4, 16, 5, 5])
    """

    def __init__(self, channels: int, num_segments: int = 8, *, reduction: int = 16, causal: bool = False) -> None:
        super().__init__(num_segments)
        self.causal = causal
        reduced = max(1, channels // check_count("reduction", reduction))
        self.conv1 = nn.Conv2d(channels, reduced, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(reduced)
        self.conv2 = nn.Conv2d(reduced, reduced, 3, padding=1, groups=reduced, bias=False)
        self.conv3 = nn.Conv2d(reduced, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)

    def forward(self, frames: Tensor) -> Tensor:
        return frames * self.gain(frames)

    def gain(self, frames: Tensor) -> Tensor:
        """By what frames (N*T, C, H, W) are multiplied, (N*T, C, 1, 1) in (0.5, 1.5)."""
        pooled = self.difference(*means_before_and_after(frames, self.conv1, self.bn1, self.conv2))  # (N*T, C/r, 1, 1)
        return self.bn3(conv_of_means(self.conv3, pooled)).sigmoid() + 0.5


class MotionExcitedConv(TemporalModule):
    """Motion excitation before a convolution, for CNNs without Res2Net's hierarchy: ``net(ME(x))``.

    The paper excites after the first convolution of its block; here it comes before the wrapped one, where the
    other temporal modules are. Frames (N*T, C, H, W) in, ``net``'s output out.

    >>> MotionExcitedConv(nn.Conv2d(16, 4, 1), num_segments=2)(torch.zeros(4, 16, 5, 5)).shape
    torch.Size([4, 4, 5, 5])
    """

    def __init__(self, net: nn.Module, num_segments: int = 8, *, reduction: int = 16, causal: bool = False) -> None:
        super().__init__(num_segments)
        self.causal = causal
        self.net = net
        self.me = MotionExcitation(channels_into(net), num_segments, reduction=reduction, causal=causal)

    def forward(self, frames: Tensor) -> Tensor:
        return self.net(self.me(frames))


class TemporalConv(TemporalModule):
    """Depthwise temporal convolution with kernel 3 on frames (N*T, C, H, W).

    It starts as the identity or, with ``shift=True``, as a shift of half of the channels each way
    (section 3.2 of the paper). ``causal``: it looks back, and starts as the identity or with half of the channels from
    the frame before.

    >>> TemporalConv(4, num_segments=2)(torch.ones(2, 4, 1, 1)).flatten().tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """

    def __init__(self, channels: int, num_segments: int = 8, *, shift: bool = False, causal: bool = False) -> None:
        super().__init__(num_segments)
        self.causal = causal
        self.conv = nn.Conv1d(channels, channels, 3, padding=1, groups=channels, bias=False)
        # A shift_div larger than the channels moves none of them: the identity.
        shift_div = 2 if shift else channels + 1
        start = shift_weight(channels, shift_div, causal=causal)
        with torch.no_grad():
            self.conv.weight.copy_(start)

    def forward(self, frames: Tensor) -> Tensor:
        return to_frames(self.convolve(to_clips(frames, self.num_segments), self.conv)[0])

    def before(self, net: nn.Module, frames: Tensor) -> Tensor:
        """``net`` of the convolved frames, which are not kept for ``net``'s backward pass."""
        if is_watched(self) or not torch.is_grad_enabled():
            return net(self(frames))
        clips, again, *sources = self.convolve(to_clips(frames, self.num_segments), self.conv)
        return conv_of(net, to_frames(clips), lambda *tensors: to_frames(again(*tensors)), *sources)


class TEABlock(nn.Module):
    """A timm Res2Net block (``Bottle2neck``) with ME after its first ReLU and MTA in its hierarchy.

    It takes over the block's own layers, so the block's state-dict keys stay and ``me`` and ``shifts`` are
    added. Frames (N*T, C, H, W) in and out.

    >>> block = Bottle2neck(256, 64, act_layer=nn.ReLU, norm_layer=nn.BatchNorm2d)
    >>> TEABlock(block, num_segments=2)(torch.zeros(4, 256, 5, 5)).shape
    torch.Size([4, 256, 5, 5])
    """

    places = "the Res2Net blocks of timm; 'me' is its motion excitation for other CNNs"
    # The block's layers, taken over by name.
    conv1: nn.Conv2d
    bn1: nn.Module
    relu: nn.Module
    convs: nn.ModuleList
    bns: nn.ModuleList
    pool: nn.Module
    drop_block: nn.Module
    conv3: nn.Conv2d
    bn3: nn.Module
    downsample: nn.Module

    @staticmethod
    def insertion_points(cnn: nn.Module) -> list[str]:
        """Names of the blocks it replaces."""
        return [name for name, module in cnn.named_modules() if isinstance(module, Bottle2neck)]

    def __init__(self, block: Any, num_segments: int = 8, *, reduction: int = 16, causal: bool = False) -> None:
        super().__init__()
        if not isinstance(block, Bottle2neck):
            raise ModelError(f"'tea' does not go around a {type(block).__name__}: it goes into {self.places}")
        width, scale = block.width, block.scale
        self.width, self.is_first = width, block.is_first
        for name, child in block.named_children():
            self.add_module(name, child)
        if not hasattr(block, "drop_block"):  # older versions of timm have none in these blocks
            self.drop_block = nn.Identity()
        self.optional = tuple(name for name in ("se", "drop_path") if getattr(block, name, None) is not None)
        self.me = MotionExcitation(width * scale, num_segments, reduction=reduction, causal=causal)
        self.shifts = nn.ModuleList(
            TemporalConv(width, num_segments, shift=split == scale - 1, causal=causal) for split in range(scale)
        )

    def forward(self, frames: Tensor) -> Tensor:
        splits = self.excited(self.relu(self.bn1(self.conv1(frames))))
        outputs: list[Tensor] = []
        for split, shift, conv, bn in zip(splits, self.shifts, self.convs, self.bns, strict=False):
            if outputs and not self.is_first:
                split = split + outputs[-1]
            outputs.append(self.relu(bn(cast(TemporalConv, shift).before(conv, split))))
        last = self.shifts[-1](splits[-1])
        outputs.append(self.pool(last) if self.is_first else last)
        out = self.bn3(self.conv3(self.drop_block(torch.cat(outputs, dim=1))))
        for name in self.optional:
            out = getattr(self, name)(out)
        shortcut = self.downsample(frames) if self.is_first else frames
        seen = any(is_watched(getattr(self, name)) for name in ("bn3", *self.optional))
        return self.relu(out + shortcut if seen else out.add_(shortcut))

    def excited(self, frames: Tensor) -> list[Tensor]:
        """The splits of the excited frames, each in memory of its own, which the temporal convolutions need."""
        if is_watched(self.me):
            return list(self.me(frames).split(self.width, dim=1))
        both = frames.split(self.width, dim=1), self.me.gain(frames).split(self.width, dim=1)
        return [split * gain for split, gain in zip(*both, strict=True)]
