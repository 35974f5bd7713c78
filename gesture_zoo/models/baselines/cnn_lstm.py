"""CNN + ConvLSTM: a short 3-D ResNet, two convolutional LSTMs, and a 2-D network on every state.

Zhang et al., "Learning Spatiotemporal Features using 3DCNN and Convolutional LSTM for Gesture Recognition", ICCV
Workshops 2017, and "Attention in Convolutional LSTM for Gesture Recognition", NeurIPS 2018 (the paper's attentionLSTM).
Official implementation: github.com/GuangmingZhu/AttentionConvLSTM; ours is written from the papers and its shapes.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ...layers import to_clips, to_frames
from ...pretrained import PretrainedCfg
from ...registry import register_model
from ..video_model import VideoModel, init_convolutions
from .conv_lstm import ConvLSTM

# Of the network on every state: channels in multiples of the width, and stride, as in MobileNet.
SEPARABLE = ((4, 1), (4, 2), (8, 1), (8, 1), (8, 1), (8, 1), (8, 1), (16, 2), (16, 2))


class Residual(nn.Module):
    """Two 3 x 3 x 3 convolutions and a shortcut, 1 x 1 x 1 where ``projected``."""

    def __init__(self, in_chans: int, channels: int, stride: int, *, projected: bool) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv3d(in_chans, channels, 3, stride, 1, bias=False),
            nn.BatchNorm3d(channels),
            nn.ReLU(inplace=True),
            nn.Conv3d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm3d(channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if projected:
            self.shortcut = nn.Sequential(
                nn.Conv3d(in_chans, channels, 1, stride, bias=False), nn.BatchNorm3d(channels)
            )

    def forward(self, volume: Tensor) -> Tensor:
        """(N, C, T, H, W), T, H and W over the stride."""
        return (self.inner(volume) + self.shortcut(volume)).relu()


def residual_stage(in_chans: int, channels: int, stride: int) -> nn.Sequential:
    """Two blocks, the first with a projection and the stride."""
    return nn.Sequential(
        Residual(in_chans, channels, stride, projected=True), Residual(channels, channels, 1, projected=False)
    )


class FrameNet(nn.Sequential):
    """2-D layers on every state: clips in and out, so that a tap can tell how many frames they have."""

    def forward(self, states: Tensor) -> Tensor:
        """(N, t, C, h, w)."""
        return to_clips(super().forward(to_frames(states)), states.shape[1])


def separable_net(in_chans: int, width: int) -> FrameNet:
    """Depthwise and pointwise convolutions, BatchNorm and ReLU6."""
    layers: list[nn.Module] = []
    for multiple, stride in SEPARABLE:
        out_chans = multiple * width
        layers += [
            nn.Conv2d(in_chans, in_chans, 3, stride, 1, groups=in_chans, bias=False),
            nn.Conv2d(in_chans, out_chans, 1, bias=False),
            nn.BatchNorm2d(out_chans),
            nn.ReLU6(inplace=True),
        ]
        in_chans = out_chans
    return FrameNet(*layers)


class CNNLSTM(VideoModel):
    """32 frames become 16 maps of a quarter of the side; ``gates`` are those of ``ConvLSTM``."""

    stages = ("stem", "layer1", "layer2", "layer3", "lstm", "frame_net")

    def __init__(self, *, width: int = 64, gates: str = "pooled", **kwargs: Any) -> None:
        super().__init__(num_features=16 * width, **kwargs)
        self.stem = nn.Sequential(
            nn.Conv3d(self.in_chans, width, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False),
            nn.BatchNorm3d(width),
            nn.ReLU(inplace=True),
        )
        self.layer1 = residual_stage(width, width, 1)
        self.layer2 = residual_stage(width, 2 * width, 2)
        self.layer3 = residual_stage(2 * width, 4 * width, 1)
        self.frame_net = separable_net(4 * width, width)
        init_convolutions(self)
        # After that: an LSTM does not start as a ReLU network does.
        self.lstm = nn.Sequential(
            ConvLSTM(4 * width, 4 * width, gates=gates), ConvLSTM(4 * width, 4 * width, gates=gates)
        )

    def maps(self, clip: Tensor) -> Tensor:
        volume = clip.transpose(1, 2)
        for name in self.stages[:4]:
            volume = self.run(self.get_submodule(name), volume)
        return self.run(self.frame_net, self.run(self.lstm, volume.transpose(1, 2)))


@register_model(default_cfg=PretrainedCfg(num_segments=32, input_size=(3, 112, 112)))
def cnn_lstm(
    *,
    num_classes: int = 1000,
    num_segments: int = 32,
    in_chans: int = 3,
    drop_rate: float = 0.0,
    width: int = 64,
    gates: str = "pooled",
) -> CNNLSTM:
    """3-D ResNet, two ConvLSTMs and a MobileNet, 32 frames of 112 x 112."""
    return CNNLSTM(
        num_classes=num_classes,
        num_segments=num_segments,
        in_chans=in_chans,
        drop_rate=drop_rate,
        width=width,
        gates=gates,
    )
