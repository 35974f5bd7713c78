"""I3D: the Inception network with its kernels inflated to three dimensions.

Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset", CVPR 2017, arXiv
1705.07750. Official implementation: github.com/google-deepmind/kinetics-i3d (Apache-2.0).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...pretrained import PretrainedCfg
from ...registry import register_model
from ..video_model import VideoModel, init_convolutions

# Channels of the four branches, in 64ths of the width: 1x1; 1x1 and 3x3; 1x1 and 3x3; pooling and 1x1.
BLOCKS = {
    "mixed_3": ((64, (96, 128), (16, 32), 32), (128, (128, 192), (32, 96), 64)),
    "mixed_4": (
        (192, (96, 208), (16, 48), 64),
        (160, (112, 224), (24, 64), 64),
        (128, (128, 256), (24, 64), 64),
        (112, (144, 288), (32, 64), 64),
        (256, (160, 320), (32, 128), 128),
    ),
    "mixed_5": ((256, (160, 320), (32, 128), 128), (384, (192, 384), (48, 128), 128)),
}
CFG = PretrainedCfg(
    num_segments=64, input_size=(3, 224, 224), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), paper_ids="arXiv:1705.07750"
)


def unit(in_chans: int, out_chans: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, BatchNorm and ReLU."""
    # Deviation: strides pad both sides alike, not TensorFlow's way with a pixel more at the end.
    conv = nn.Conv3d(in_chans, out_chans, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm3d(out_chans, eps=1e-3), nn.ReLU(inplace=True))


class Inception(nn.Module):
    """Four branches side by side."""

    def __init__(self, in_chans: int, one: int, two: tuple[int, int], three: tuple[int, int], four: int) -> None:
        super().__init__()
        self.branch1 = unit(in_chans, one, 1)
        self.branch2 = nn.Sequential(unit(in_chans, two[0], 1), unit(two[0], two[1], 3))
        self.branch3 = nn.Sequential(unit(in_chans, three[0], 1), unit(three[0], three[1], 3))
        self.branch4 = nn.Sequential(nn.MaxPool3d(3, 1, 1), unit(in_chans, four, 1))
        self.out_chans = one + two[1] + three[1] + four

    def forward(self, volume: Tensor) -> Tensor:
        """(N, C, T, H, W) to (N, out_chans, T, H, W)."""
        return torch.cat([branch(volume) for branch in (self.branch1, self.branch2, self.branch3, self.branch4)], 1)


class I3D(VideoModel):
    """Clips of 64 frames of 224 x 224 become maps (N, 8, 1024, 7, 7); ``width`` is the channels of the stem."""

    stages = ("stem", "mixed_3", "pool_4", "mixed_4", "pool_5", "mixed_5")

    def __init__(self, *, width: int = 64, **kwargs: Any) -> None:
        def scaled(channels: int) -> int:
            return max(1, channels * width // 64)

        def channels(block: Any) -> Any:
            return tuple(scaled(c) if isinstance(c, int) else (scaled(c[0]), scaled(c[1])) for c in block)

        last = channels(BLOCKS["mixed_5"][-1])
        super().__init__(num_features=last[0] + last[1][1] + last[2][1] + last[3], **kwargs)
        self.width = width
        self.stem = nn.Sequential(
            unit(self.in_chans, width, 7, 2),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            unit(width, width, 1),
            unit(width, scaled(192), 3),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        )
        before = scaled(192)
        for name, blocks in BLOCKS.items():
            layers = []
            for block in blocks:
                layers.append(Inception(before, *channels(block)))
                before = layers[-1].out_chans
            self.add_module(name, nn.Sequential(*layers))
        self.pool_4 = nn.MaxPool3d(3, 2, 1)
        self.pool_5 = nn.MaxPool3d(2, 2, ceil_mode=True)  # shorter clips may have one frame left
        init_convolutions(self)


@register_model(default_cfg=CFG)
def i3d(
    *, num_classes: int = 1000, num_segments: int = 64, in_chans: int = 3, drop_rate: float = 0.5, width: int = 64
) -> I3D:
    """I3D, 64 frames of 224 x 224."""
    return I3D(num_classes=num_classes, num_segments=num_segments, in_chans=in_chans, drop_rate=drop_rate, width=width)
