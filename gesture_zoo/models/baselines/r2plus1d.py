"""R(2+1)D-18: every 3-D convolution split into one over space and one over time.

Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018, arXiv 1711.11248.
Implementation and weights: torchvision.models.video.r2plus1d_18 (BSD-3-Clause).
"""

from __future__ import annotations

from torchvision.models.video import R2Plus1D_18_Weights, r2plus1d_18

from ...registry import register_model
from .video_resnet import VideoResNet, kinetics_cfg

PAPER = "arXiv:1711.11248"


@register_model(cfgs={"k400_16f": kinetics_cfg(R2Plus1D_18_Weights.KINETICS400_V1, PAPER)})
def r2plus1d(
    *, num_classes: int = 1000, num_segments: int = 16, in_chans: int = 3, drop_rate: float = 0.0
) -> VideoResNet:
    """R(2+1)D with 18 layers, 16 frames of 112 x 112."""
    return VideoResNet(
        r2plus1d_18(), num_classes=num_classes, num_segments=num_segments, in_chans=in_chans, drop_rate=drop_rate
    )
