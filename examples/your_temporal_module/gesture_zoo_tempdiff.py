"""A temporal module of one's own as an installable package: its models are gesture_zoo's like any other.

python -m pip install examples/your_temporal_module     # nothing to import: the entry point in pyproject.toml is found
gesture-zoo list "tempdiff_*"
gesture-zoo train --model tempdiff_resnet18_msd --pretrained --data folder --data-dir clips --out runs/mine
"""

import torch
from torch import Tensor, nn

from gesture_zoo import TemporalModule, register_family, register_temporal
from gesture_zoo.layers import to_clips, to_frames


@register_temporal("tempdiff")
class TemporalDifference(TemporalModule):
    """Add to every channel its difference to the frame before, times a factor that is learnt, then apply ``net``.

    ``net`` is the wrapped convolution; what comes after ``num_segments`` are options, by keyword only. With the default
    ``start`` of 0 the network begins as the image network that it was, so ImageNet weights are worth their full value.
    """

    def __init__(self, net: nn.Module, num_segments: int = 8, *, start: float = 0.0) -> None:
        super().__init__(num_segments)
        self.net = net
        self.factor = nn.Parameter(torch.full((net.in_channels, 1, 1), start))

    def forward(self, frames: Tensor) -> Tensor:
        clips = to_clips(frames, self.num_segments)  # (N*T, C, H, W) -> (N, T, C, H, W)
        before = torch.cat((clips[:, :1], clips[:, :-1]), dim=1)  # the first frame has none before it
        return self.net(to_frames(clips + self.factor * (clips - before)))


# tempdiff_resnet18, tempdiff_resnet18_msd, ...; by the same rule tempdiff_<any CNN of timm> can be created.
register_family("tempdiff", ("resnet18", "resnet50", "mobilenetv2_100"))
