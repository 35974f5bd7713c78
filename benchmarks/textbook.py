"""The temporal modules as the papers' equations say them, one operation after another: what ours are measured against.

They take the same frames (N*T, C, H, W) and have the same parameters by the same names, so that a state dict of ours
loads and the answers can be compared.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TextbookShift(nn.Module):
    """TSM, arXiv 1811.08383, section 4: copy into zeros, an eighth of the channels from t+1, an eighth from t-1."""

    def __init__(self, channels: int, num_segments: int) -> None:
        super().__init__()
        self.fold, self.num_segments = channels // 8, num_segments

    def forward(self, x: Tensor) -> Tensor:
        clips = x.view(-1, self.num_segments, *x.shape[1:])
        out, fold = torch.zeros_like(clips), self.fold
        out[:, :-1, :fold] = clips[:, 1:, :fold]
        out[:, 1:, fold : 2 * fold] = clips[:, :-1, fold : 2 * fold]
        out[:, :, 2 * fold :] = clips[:, :, 2 * fold :]
        return out.view_as(x)


def along_time(x: Tensor, num_segments: int) -> Tensor:
    """Frames (N*T, C, H, W) as lines (N*H*W, C, T)."""
    n, (c, h, w) = x.shape[0] // num_segments, x.shape[1:]
    return x.view(n, num_segments, c, h, w).permute(0, 3, 4, 2, 1).reshape(n * h * w, c, num_segments)


def back_to_frames(lines: Tensor, like: Tensor, num_segments: int) -> Tensor:
    """Lines (N*H*W, C, T) as frames (N*T, C, H, W)."""
    n, (c, h, w) = like.shape[0] // num_segments, like.shape[1:]
    return lines.view(n, h, w, c, num_segments).permute(0, 4, 3, 1, 2).reshape(n * num_segments, c, h, w)


def next_minus_this(squeezed: Tensor, transformed: Tensor, num_segments: int) -> Tensor:
    """Transformed frame t+1 less squeezed frame t, zero for the last: (N*T, C, H, W)."""
    here = squeezed.view(-1, num_segments, *squeezed.shape[1:])
    there = transformed.view_as(here)
    difference = torch.cat((there[:, 1:] - here[:, :-1], torch.zeros_like(here[:, :1])), dim=1)
    return difference.view_as(squeezed)


class TextbookAction(nn.Module):
    """ACTION-Net, arXiv 2103.07372, equations 1 to 12: the three excitations one after another, then their sum."""

    def __init__(self, channels: int, num_segments: int, reduction: int = 16) -> None:
        super().__init__()
        self.num_segments, reduced = num_segments, channels // reduction
        self.action_shift = nn.Conv1d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.action_p1_conv1 = nn.Conv3d(1, 1, 3, padding=1, bias=False)
        self.action_p2_squeeze = nn.Conv2d(channels, reduced, 1, bias=False)
        self.action_p2_conv1 = nn.Conv1d(reduced, reduced, 3, padding=1, bias=False)
        self.action_p2_expand = nn.Conv2d(reduced, channels, 1, bias=False)
        self.action_p3_squeeze = nn.Conv2d(channels, reduced, 1, bias=False)
        self.action_p3_bn1 = nn.BatchNorm2d(reduced)
        self.action_p3_conv1 = nn.Conv2d(reduced, reduced, 3, padding=1, groups=reduced, bias=False)
        self.action_p3_expand = nn.Conv2d(reduced, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        t, (c, h, w) = self.num_segments, x.shape[1:]
        n = len(x) // t
        x = back_to_frames(self.action_shift(along_time(x, t)), x, t)
        mean = x.view(n, t, c, h, w).transpose(1, 2).mean(1, keepdim=True)
        where = self.action_p1_conv1(mean).transpose(1, 2).reshape(n * t, 1, h, w).sigmoid()
        first = x * where + x
        pooled = F.adaptive_avg_pool2d(x, 1)
        squeezed = self.action_p2_squeeze(pooled).view(n, t, -1).transpose(1, 2)
        course = self.action_p2_conv1(squeezed).relu().transpose(1, 2).reshape(n * t, -1, 1, 1)
        second = x * self.action_p2_expand(course).sigmoid() + x
        squeezed = self.action_p3_bn1(self.action_p3_squeeze(x))
        moving = next_minus_this(squeezed, self.action_p3_conv1(squeezed), t)
        third = x * self.action_p3_expand(F.adaptive_avg_pool2d(moving, 1)).sigmoid() + x
        return first + second + third


class TextbookMotionExcitation(nn.Module):
    """TEA's ME, arXiv 2004.01398, equations 1 to 6."""

    def __init__(self, channels: int, num_segments: int, reduction: int = 16) -> None:
        super().__init__()
        self.num_segments, reduced = num_segments, channels // reduction
        self.conv1 = nn.Conv2d(channels, reduced, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(reduced)
        self.conv2 = nn.Conv2d(reduced, reduced, 3, padding=1, groups=reduced, bias=False)
        self.conv3 = nn.Conv2d(reduced, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.bn1(self.conv1(x))
        moving = next_minus_this(squeezed, self.conv2(squeezed), self.num_segments)
        gain = self.bn3(self.conv3(F.adaptive_avg_pool2d(moving, 1))).sigmoid() - 0.5
        return x + x * gain


class TextbookTemporalConv(nn.Module):
    """The temporal convolution of TEA's MTA, arXiv 2004.01398, section 3.2."""

    def __init__(self, channels: int, num_segments: int) -> None:
        super().__init__()
        self.num_segments = num_segments
        self.conv = nn.Conv1d(channels, channels, 3, padding=1, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return back_to_frames(self.conv(along_time(x, self.num_segments)), x, self.num_segments)
