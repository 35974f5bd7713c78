"""C3D: eight 3 x 3 x 3 convolutions and two wide linear layers.

Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks", ICCV 2015, arXiv 1412.0767.
Official implementation: github.com/facebookarchive/C3D.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ...pretrained import PretrainedCfg
from ...registry import register_model
from ..video_model import VideoModel, init_convolutions

# Multiples of the width: the convolutions of each stage.
STAGES = {"conv1": (1,), "conv2": (2,), "conv3": (4, 4), "conv4": (8, 8), "conv5": (8, 8)}
GRID = (1, 4, 4)  # what 16 frames of 112 x 112 leave for the linear layers


def stage(in_chans: int, channels: tuple[int, ...], *, pool_time: bool) -> nn.Sequential:
    """Convolutions with ReLUs, and a pooling that rounds up, as Caffe's does."""
    layers: list[nn.Module] = []
    for out_chans in channels:
        layers += [nn.Conv3d(in_chans, out_chans, 3, padding=1), nn.ReLU(inplace=True)]
        in_chans = out_chans
    return nn.Sequential(*layers, nn.MaxPool3d((2 if pool_time else 1, 2, 2), ceil_mode=True))


def averaged(volume: Tensor) -> Tensor:
    """Maps (N, C, t, h, w) as averages over time and ``GRID``'s fields: (N, C, 1, 4, 4).

    As PyTorch's adaptive pooling, which has no form in ONNX, by two products.

    >>> import torch
    >>> maps = torch.rand(1, 2, 3, 7, 5)
    >>> torch.allclose(averaged(maps), F.adaptive_avg_pool3d(maps, GRID))
    True
    """

    def fields(size: int, count: int) -> Tensor:
        bounds = [(n * size // count, -(-(n + 1) * size // count)) for n in range(count)]
        return volume.new_tensor([[(a <= i < b) / (b - a) for i in range(size)] for a, b in bounds])

    rows, columns = fields(volume.shape[3], GRID[1]), fields(volume.shape[4], GRID[2])
    return rows @ volume.mean(2, keepdim=True) @ columns.T


class C3D(VideoModel):
    """The network of the paper for 16 frames of 112 x 112; clips of another size are averaged to the grid it has there.

    ``width`` is the number of channels of the first convolution; all others and the linear layers are multiples of it.
    """

    stages = tuple(STAGES)

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        num_segments: int = 16,
        in_chans: int = 3,
        drop_rate: float = 0.5,
        width: int = 64,
    ) -> None:
        hidden = 64 * width
        super().__init__(
            num_features=hidden,
            num_classes=num_classes,
            num_segments=num_segments,
            in_chans=in_chans,
            drop_rate=drop_rate,
        )
        for name, multiples in STAGES.items():
            channels = tuple(width * multiple for multiple in multiples)
            self.add_module(name, stage(in_chans, channels, pool_time=name != "conv1"))
            in_chans = channels[-1]
        self.fc6 = nn.Linear(in_chans * GRID[0] * GRID[1] * GRID[2], hidden)
        self.fc7 = nn.Linear(hidden, hidden)
        init_convolutions(self)
        for layer in (self.fc6, self.fc7):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def pool(self, features: Tensor) -> Tensor:
        volume = features.transpose(1, 2)
        if tuple(volume.shape[2:]) != GRID:
            volume = averaged(volume)
        return F.relu(self.fc7(self.head_drop(F.relu(self.fc6(volume.flatten(1))))))


@register_model(default_cfg=PretrainedCfg(num_segments=16, input_size=(3, 112, 112), paper_ids="arXiv:1412.0767"))
def c3d(
    *, num_classes: int = 1000, num_segments: int = 16, in_chans: int = 3, drop_rate: float = 0.5, width: int = 64
) -> C3D:
    """C3D, 16 frames of 112 x 112."""
    return C3D(num_classes=num_classes, num_segments=num_segments, in_chans=in_chans, drop_rate=drop_rate, width=width)
