"""3D ResNeXt-101: bottlenecks of 32 groups with 3-D kernels.

Hara, Kataoka and Satoh, "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?", CVPR 2018, arXiv
1711.09577; for gestures Köpüklü et al., "Real-time Hand Gesture Detection and Classification Using Convolutional Neural
Networks", FG 2019, arXiv 1901.10323. Official implementation: github.com/kenshohara/3D-ResNets-PyTorch (MIT).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ...pretrained import PretrainedCfg
from ...registry import register_model
from ..video_model import VideoModel, init_convolutions

DEPTHS = (3, 4, 23, 3)
GROUPS = 32


def conv_bn(in_chans: int, out_chans: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution that keeps the size but for its stride, and its BatchNorm."""
    conv = nn.Conv3d(in_chans, out_chans, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm3d(out_chans))


class Bottleneck(nn.Module):
    """1 x 1 x 1, grouped 3 x 3 x 3, 1 x 1 x 1 to twice the channels, and the shortcut."""

    def __init__(self, in_chans: int, channels: int, stride: int) -> None:
        super().__init__()
        out_chans = 2 * channels
        self.conv1 = conv_bn(in_chans, channels, 1)
        self.conv2 = conv_bn(channels, channels, 3, stride, GROUPS)
        self.conv3 = conv_bn(channels, out_chans, 1)
        same = stride == 1 and in_chans == out_chans
        self.shortcut = nn.Identity() if same else conv_bn(in_chans, out_chans, 1, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, volume: Tensor) -> Tensor:
        """(N, C, T, H, W) to (N, 2 * channels, T / stride, H / stride, W / stride)."""
        inner = self.conv3(self.relu(self.conv2(self.relu(self.conv1(volume)))))
        answer: Tensor = self.relu(inner + self.shortcut(volume))
        return answer


class ResNeXt3D(VideoModel):
    """Stem, max-pooling and four stages; ``width``, a multiple of 16, is the channels of the stem."""

    stages = ("stem", "layer1", "layer2", "layer3", "layer4")

    def __init__(self, *, width: int = 64, **kwargs: Any) -> None:
        super().__init__(num_features=32 * width, **kwargs)
        self.stem = nn.Sequential(
            nn.Conv3d(self.in_chans, width, 7, (1, 2, 2), 3, bias=False),
            nn.BatchNorm3d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool3d(3, 2, 1),
        )
        before = width
        for number, depth in enumerate(DEPTHS):
            channels, stride = 2 ** (number + 1) * width, 1 if number == 0 else 2
            blocks = [
                Bottleneck(before if n == 0 else 2 * channels, channels, stride if n == 0 else 1) for n in range(depth)
            ]
            self.add_module(f"layer{number + 1}", nn.Sequential(*blocks))
            before = 2 * channels
        init_convolutions(self)


@register_model(default_cfg=PretrainedCfg(num_segments=32, input_size=(3, 112, 112), paper_ids="arXiv:1711.09577"))
def resnext3d_101(
    *, num_classes: int = 1000, num_segments: int = 32, in_chans: int = 3, drop_rate: float = 0.0, width: int = 64
) -> ResNeXt3D:
    """3D ResNeXt-101, 32 frames of 112 x 112 as for gestures (16 in its first paper)."""
    return ResNeXt3D(
        num_classes=num_classes, num_segments=num_segments, in_chans=in_chans, drop_rate=drop_rate, width=width
    )
