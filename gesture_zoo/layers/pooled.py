"""Spatial means of convolutions, from sums of their input: what motion excitation needs, without the maps.

A mean over space commutes with a 1x1 convolution and with BatchNorm in evaluation. It nearly commutes with a 3x3 one:
each of its nine taps sees the whole map but for a row, a column, or both, at the border. So sums over the map, its
border rows and columns and its corners are enough, and the projection runs on nine numbers a channel instead of on
every pixel.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .kernels import channels_lie_together, has_quick_products
from .pointwise import is_pointwise, matrices
from .recompute import is_plain, is_watched, settings_of

# Which sums a tap of a 3x3 convolution lacks, by its row and by its column, and which corner it then lacks twice:
# 0 the map, 1 its first row, 2 its last, 3 its first column, 4 its last, 5 to 8 its corners (first first, ...).
_ROWS, _COLUMNS, _CORNERS = (2, None, 1), (4, None, 3), ((8, None, 7), (None, None, None), (6, None, 5))
_MOST_PIXELS = 1024  # of a map whose sums are a product


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
    return means_from_borders(x, border_sums(x), squeeze, norm, conv)


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
    if kind == x.dtype or not x.numel():
        return x.mean((-2, -1), keepdim=True)  # no dtype: the oldest ONNX exporter that we take knows none here
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return x.mean((-2, -1), keepdim=True, dtype=kind)
    # PyTorch converts all that it is to sum up: frame by frame, so that the copy stays in the cache.
    means = [frame.mean((-2, -1), keepdim=True, dtype=kind) for frame in x.flatten(0, -4)]
    return torch.stack(means).view(*x.shape[:-2], 1, 1)


def channel_mean(clips: Tensor) -> Tensor:
    """Mean of clips (N, T, C, H, W) over channels, (N, T, 1, H, W).

    >>> channel_mean(torch.tensor([1.0, 3.0]).view(1, 1, 2, 1, 1)).item()
    2.0
    """
    if torch.compiler.is_compiling() or clips.dtype != torch.bfloat16 or not channels_lie_together(clips):
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
    if torch.compiler.is_exporting() or not is_plain(net) or not is_pointwise(net.weight, settings_of(net)):
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
    x: Tensor, sums: Tensor, squeeze: nn.Conv2d, norm: Any, conv: nn.Conv2d
) -> tuple[Tensor, Tensor]:
    """What ``means_before_and_after`` gives in evaluation, of x (M, C, H, W) and its ``border_sums``."""
    kind = x.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        # Half precision cannot hold such sums, nor what they differ by.
        with torch.autocast(kind, enabled=False):
            return means_from_borders(x, sums, squeeze, norm, conv)
    height, width = x.shape[2:]
    scale = torch.rsqrt(norm.running_var.to(sums.dtype) + norm.eps)
    scale = scale if norm.weight is None else scale * norm.weight
    shift = -norm.running_mean * scale
    shift = shift if norm.bias is None else shift + norm.bias
    shift = shift if squeeze.bias is None else shift + squeeze.bias * scale
    projected = F.linear(sums, squeeze.weight.flatten(1).to(sums.dtype)) * scale
    projected = projected + border_counts(height, width, sums) * shift  # (M, 9, R)
    kernel = conv.weight.flatten(2).squeeze(1).to(sums.dtype)  # (R, 9)
    after = torch.einsum("mkr,rk->mr", _seen_by_taps(projected), kernel)
    before = projected[:, 0]
    return tuple((total / (height * width)).to(x.dtype)[..., None, None] for total in (before, after))  # type: ignore[return-value]


def border_sums(x: Tensor) -> Tensor:
    """Sums of maps (M, C, H, W) over all, border rows and columns, and corners: (M, 9, C), in float32 or better.

    >>> border_sums(torch.arange(1.0, 7).view(1, 1, 2, 3)).flatten().tolist()
    [21.0, 6.0, 15.0, 5.0, 9.0, 1.0, 3.0, 4.0, 6.0]
    """
    height, width = x.shape[2:]
    if _is_quick_to_multiply(x):
        together = channels_lie_together(x[None])
        pixels = matrices(x, together)
        return _places(height, width, x) @ (pixels if together else pixels.transpose(1, 2))
    mean = spatial_mean(x)
    kind, whole = mean.dtype, mean.flatten(1) * (height * width)
    rows, columns = ([x.select(axis, place).sum(2, dtype=kind) for place in (0, -1)] for axis in (2, 3))
    corners = [x[:, :, row, column].to(kind) for row in (0, -1) for column in (0, -1)]
    return torch.stack((whole, *rows, *columns, *corners), dim=1)


def _is_quick_to_multiply(x: Tensor) -> bool:
    """Whether sums are rather a product with zeros and ones: one pass over small maps, where strides cost more."""
    if torch.compiler.is_compiling() or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return False
    return has_quick_products(x.dtype) and x.dtype != torch.bfloat16 and x.shape[2] * x.shape[3] <= _MOST_PIXELS


def _places(height: int, width: int, like: Tensor) -> Tensor:
    """Which pixels each of ``border_sums`` is of, (9, H*W)."""
    places = like.new_zeros(9, height, width)
    rows = slice(None), 0, -1, slice(None), slice(None), 0, 0, -1, -1
    columns = slice(None), slice(None), slice(None), 0, -1, 0, -1, 0, -1
    for place, row, column in zip(places, rows, columns, strict=True):
        place[row, column] = 1
    return places.flatten(1)


def border_counts(height: int, width: int, like: Tensor) -> Tensor:
    """How many pixels each of ``border_sums`` is of, (9, 1), of the type and device of ``like``."""
    if like.device.type == "cpu":
        return like.new_tensor([height * width, width, width, height, height, 1, 1, 1, 1]).view(9, 1)
    # Written on the device: a copy from the host would make each call wait, and cannot be captured in a CUDA graph.
    parts = (1, height * width), (2, width), (2, height), (4, 1)
    return torch.cat([like.new_full((count, 1), float(pixels)) for count, pixels in parts])


def _seen_by_taps(sums: Tensor) -> Tensor:
    """What each tap of a 3x3 convolution with padding sums up over the map, (M, 9, R), of sums (M, 9, R)."""
    seen = []
    for row in range(3):
        for column in range(3):
            total = sums[:, 0]
            for place in (_ROWS[row], _COLUMNS[column]):
                total = total if place is None else total - sums[:, place]
            corner = _CORNERS[row][column]
            seen.append(total if corner is None else total + sums[:, corner])
    return torch.stack(seen, dim=1)
