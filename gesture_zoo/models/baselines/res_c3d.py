"""ResC3D: C3D's convolutions in the residual blocks of an 18-layer ResNet.

Miao et al., "Multimodal Gesture Recognition Based on the ResC3D Network", ICCV Workshops 2017, on the Res3D of
Tran et al., "ConvNet Architecture Search for Spatiotemporal Feature Learning", arXiv 1708.05038.
Implementation and weights: torchvision.models.video.r3d_18 (BSD-3-Clause), the same network up to its heads.
"""

from __future__ import annotations

from torchvision.models.video import R3D_18_Weights, r3d_18

from ...registry import register_model
from .video_resnet import VideoResNet, kinetics_cfg

PAPER = "arXiv:1708.05038"


# Deviation: one RGB network. Miao et al. enhance the frames (Retinex, median filter), choose them by optical flow and
# fuse three modalities.
@register_model(cfgs={"k400_16f": kinetics_cfg(R3D_18_Weights.KINETICS400_V1, PAPER, num_segments=32)})
def res_c3d(
    *, num_classes: int = 1000, num_segments: int = 32, in_chans: int = 3, drop_rate: float = 0.0
) -> VideoResNet:
    """ResC3D, 32 frames of 112 x 112 as for gestures; the weights from Kinetics have seen 16."""
    return VideoResNet(
        r3d_18(), num_classes=num_classes, num_segments=num_segments, in_chans=in_chans, drop_rate=drop_rate
    )
