"""Spatial means of convolutions, from means of their input: what motion excitation needs, without the maps.

A mean over space commutes with a 1x1 convolution and with BatchNorm in evaluation. It nearly commutes with a 3x3 one:
each of its nine taps sees the whole map but for a row, a column, or both, at the border. So means of the map, its
border rows and columns and its corners are enough, and the projection runs on nine numbers a channel instead of on
every pixel.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .kernels import channels_lie_together
from .operators import is_exporting, is_traced, takes_operators
from .pointwise import is_pointwise, matrices
from .processor import has_quick_products
from .recompute import is_plain, is_watched, settings_of

_MOST_PIXELS = 1024  # of a map whose means are a product


def means_before_and_after(x: Tensor, squeeze: nn.Conv2d, norm: Any, conv: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Spatial means of s = norm(squeeze(x)) and of conv(s), (M, R, 1, 1) each, of maps x (M, C, H, W).

    ``squeeze`` is 1x1, ``norm`` a BatchNorm, ``conv`` a depthwise 3x3 one with padding 1, without bias. In training,
    where BatchNorm needs the maps, s is computed.

    >>> x, squeeze, norm = torch.randn(2, 8, 5, 6), nn.Conv2d(8, 3, 1, bias=False), nn.BatchNorm2d(3).eval()
    >>> conv = nn.Conv2d(3, 3, 3, padding=1, groups=3, bias=False)
    >>> before, after = means_before_and_after(x, squeeze, norm, conv)
    >>> torch.allclose(after, conv(norm(squeeze(x))).mean((2, 3), keepdim=True), atol=1e-5)
    True
    """
    if needs_maps(squeeze, norm, conv):
        return means_of_maps(norm(squeeze(x)), conv)
    return means_from_borders(x, border_means(x), squeeze, norm, conv)


def needs_maps(squeeze: nn.Module, norm: Any, conv: nn.Module) -> bool:
    """Whether there is no way around the maps: a BatchNorm needs their statistics, or somebody may see them.

    That is so with a hook, or where a module is not what it was: a convolution that learns an addition to its weight,
    another normalisation.
    """
    if type(norm) not in (nn.BatchNorm2d, nn.SyncBatchNorm) or norm.training or norm.running_mean is None:
        return True
    return is_watched(norm) or not is_plain(squeeze) or not is_plain(conv)


def spatial_mean(x: Tensor) -> Tensor:
    """Mean of maps (..., H, W) over space, (..., 1, 1), in float32 or better."""
    kind = torch.promote_types(x.dtype, torch.float32)
    if takes_operators(x):
        # A row is in the cache when Inductor has it summed up a few channels at a time; a whole map is not.
        return x.mean(-1, dtype=kind).mean(-1)[..., None, None]
    if kind == x.dtype or not x.numel():
        return x.mean((-2, -1), keepdim=True)  # no dtype: the oldest ONNX exporter that we take knows none here
    if x.device.type != "cpu" or is_traced():
        return x.mean((-2, -1), keepdim=True, dtype=kind)
    # PyTorch converts all that it is to sum up: frame by frame, so that the copy stays in the cache.
    means = [frame.mean((-2, -1), keepdim=True, dtype=kind) for frame in x.flatten(0, -4)]
    return torch.stack(means).view(*x.shape[:-2], 1, 1)


def channel_mean(clips: Tensor) -> Tensor:
    """Mean of clips (N, T, C, H, W) over channels, (N, T, 1, H, W).

    >>> channel_mean(torch.tensor([1.0, 3.0]).view(1, 1, 2, 1, 1)).item()
    2.0
    """
    if is_traced() or clips.dtype != torch.bfloat16 or not channels_lie_together(clips):
        return clips.mean(2, keepdim=True)
    # PyTorch would convert all that it is to sum up; a product with ones has float32 inside.
    pixels = clips.permute(0, 1, 3, 4, 2)
    return (pixels @ clips.new_ones(clips.shape[2], 1)).permute(0, 1, 4, 2, 3) / clips.shape[2]


def conv_of_means(net: nn.Module, means: Tensor) -> Tensor:
    """``net``, mostly a 1x1 convolution, of spatial means (M, C, 1, 1).

    PyTorch has no quick convolution of single pixels on CPUs: a product of all is several times as fast.

    >>> net, means = nn.Conv2d(4, 2, 1), torch.randn(3, 4, 1, 1)
    >>> torch.allclose(conv_of_means(net, means), net(means), atol=1e-6)
    True
    """
    if is_exporting() or not is_plain(net) or not is_pointwise(net.weight, settings_of(net)):
        return net(means)
    return F.linear(means.flatten(1), net.weight.flatten(1), net.bias)[..., None, None]


def means_of_maps(maps: Tensor, conv: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Spatial means of maps (M, R, H, W) and of ``conv`` of them, which is depthwise, 3x3, padding 1, without bias.

    The latter is the mean of the maps times how much each place counts in all of the convolution: one map a channel.
    """
    before = maps.mean((2, 3), keepdim=True)
    if not is_plain(conv):
        return before, conv(maps).mean((2, 3), keepdim=True)
    ones = maps.new_ones(1, *maps.shape[1:])
    counts = F.conv_transpose2d(ones, conv.weight.to(maps.dtype), padding=1, groups=conv.groups)
    return before, (maps * counts).mean((2, 3), keepdim=True)


def means_from_borders(
    x: Tensor, means: Tensor, squeeze: nn.Conv2d, norm: Any, conv: nn.Conv2d
) -> tuple[Tensor, Tensor]:
    """What ``means_before_and_after`` gives in evaluation, of x (M, C, H, W) and its ``border_means``."""
    device = x.device.type
    is_known = device in ("cpu", "cuda") or torch.amp.is_autocast_available(device)  # older compilers cannot ask
    if is_known and torch.is_autocast_enabled(device):
        # Half precision cannot hold what such means differ by.
        with torch.autocast(device, enabled=False):
            return means_from_borders(x, means, squeeze, norm, conv)
    values = squeeze.bias, norm.running_mean, norm.running_var, norm.weight, norm.bias
    bias, mean, variance, scale, shift = (value if value is None else in_type(value, means) for value in values)
    parts = F.linear(means, in_type(squeeze.weight.flatten(1), means), bias).transpose(1, 2)
    parts = F.batch_norm(parts, mean, variance, scale, shift, eps=norm.eps)  # (M, R, 9)
    kernel = kernel_of_means(in_type(conv.weight.squeeze(1), means), (x.shape[2], x.shape[3]))
    before, after = parts[..., 0], (parts * kernel).sum(2)
    return in_type(before, x)[..., None, None], in_type(after, x)[..., None, None]


def in_type(tensor: Tensor, like: Tensor) -> Tensor:
    """``tensor`` in the type of ``like``: itself, without a trace in an exported graph, where it has that."""
    return tensor if tensor.dtype == like.dtype else tensor.to(like.dtype)


def border_means(x: Tensor) -> Tensor:
    """Means of maps (M, C, H, W) over (all, first, last) rows x (all, first, last) columns, (M, 9, C).

    In float32 or better.

    >>> border_means(torch.arange(1.0, 7).view(1, 1, 2, 3)).flatten().tolist()
    [3.5, 2.5, 4.5, 2.0, 1.0, 3.0, 5.0, 4.0, 6.0]
    """
    if _is_quick_to_multiply(x):
        together = channels_lie_together(x[None])
        pixels = matrices(x, together)
        return _shares(x.shape[2], x.shape[3], x) @ (pixels if together else pixels.transpose(1, 2))
    whole = spatial_mean(x).flatten(1)
    means = [whole, *(in_type(x[..., column], whole).mean(2) for column in (0, -1))]
    for place in (0, -1):
        row = in_type(x[:, :, place], whole)
        means += [row.mean(2), row[..., 0], row[..., -1]]
    return torch.stack(means, dim=1)


def _is_quick_to_multiply(x: Tensor) -> bool:
    """Whether means are rather a product with a few numbers: one pass over small maps, where strides cost more."""
    if is_traced() or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return False
    is_small = x.dtype in (torch.float32, torch.float64) and x.shape[2] * x.shape[3] <= _MOST_PIXELS
    return is_small and has_quick_products(x.dtype)


def _shares(height: int, width: int, like: Tensor) -> Tensor:
    """What each pixel counts in each of ``border_means``, (9, H*W)."""
    rows, columns = (like.new_zeros(3, side) for side in (height, width))
    for side in (rows, columns):
        side[0] = 1 / side.shape[1]
        side[1, 0] = side[2, -1] = 1
    return (rows[:, None, :, None] * columns[None, :, None, :]).view(9, -1)


def kernel_of_means(kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """What each of ``border_means`` counts in the mean of a 3x3 convolution with padding 1: (R, 9), of (R, 3, 3).

    Over a map of ``size`` (H, W), the tap that looks a row back sees all rows but the last one, and that which looks
    ahead all but the first; columns likewise.

    >>> kernel_of_means(torch.ones(1, 3, 3), (1, 2)).tolist()
    [[9.0, -1.5, -1.5, -3.0, 0.5, 0.5, -3.0, 0.5, 0.5]]
    """
    for axis, side in zip((1, 2), size, strict=True):
        back, ahead = kernel.select(axis, 0), kernel.select(axis, 2)
        kernel = torch.stack((kernel.sum(axis), ahead / -side, back / -side), axis)
    return kernel.flatten(1)
