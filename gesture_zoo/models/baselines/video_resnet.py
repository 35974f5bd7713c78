"""torchvision's 18-layer video ResNets as models of the zoo, under torchvision's own names of weights.

Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018, arXiv 1711.11248.
Implementation: torchvision.models.video (BSD-3-Clause).
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torchvision.models import WeightsEnum
from torchvision.models.video import VideoResNet as TorchvisionResNet

from ...labels import label_names
from ...pretrained import PretrainedCfg
from ..video_model import VideoModel

# Of Kinetics-400.
MEAN, STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)


class VideoResNet(VideoModel):
    """The stem and the four stages of ``net``, which is one of torchvision's."""

    stages = ("stem", "layer1", "layer2", "layer3", "layer4")

    def __init__(
        self, net: TorchvisionResNet, *, num_classes: int, num_segments: int, in_chans: int, drop_rate: float
    ) -> None:
        super().__init__(
            num_features=net.fc.in_features,
            num_classes=num_classes,
            num_segments=num_segments,
            in_chans=in_chans,
            drop_rate=drop_rate,
        )
        for name in self.stages:
            self.add_module(name, net.get_submodule(name))
        first = net.stem[0]
        if in_chans != first.in_channels:
            conv = nn.Conv3d(
                in_chans,
                first.out_channels,
                first.kernel_size,
                first.stride,
                first.padding,
                bias=first.bias is not None,
            )
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
            net.stem[0] = conv


def kinetics_cfg(weights: WeightsEnum, paper: str, *, num_segments: int = 16) -> PretrainedCfg:
    """A tag for torchvision's weights from Kinetics-400, which have seen 16 frames; ``num_segments`` is for ours.

    >>> from torchvision.models.video import R3D_18_Weights
    >>> kinetics_cfg(R3D_18_Weights.KINETICS400_V1, "arXiv:1711.11248").num_classes
    400
    """
    names: Any = label_names("kinetics400")
    accuracy = weights.meta["_metrics"]["Kinetics-400"]["acc@1"]
    return PretrainedCfg(
        url=weights.url,
        num_classes=len(names),
        label_names=names,
        num_segments=num_segments,
        input_size=(3, 112, 112),
        mean=MEAN,
        std=STD,
        crop_pct=112 / 128,
        interpolation="bilinear",
        dataset="Kinetics-400",
        frame_rate=15,
        license="code BSD-3-Clause; Kinetics-400: videos under their owners' terms, for research",
        description=f"published accuracy: top-1 {accuracy:.1f} % with 5 clips of 16 frames",
        origin_url="https://github.com/pytorch/vision",
        paper_ids=paper,
    )
