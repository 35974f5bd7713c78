"""VideoModel: the base of networks that see a clip as a whole, such as 3-D CNNs and recurrent ones.

The same contract as ClipModel's, for networks that are no 2-D CNN seen frame by frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..errors import ModelError
from .clip_shape import check_clip, checked_segments


class VideoModel(nn.Module):
    """Classify clips (N, T, C, H, W): logits (N, num_classes).

    A network names its parts in the order they run in ``stages``; the default ``forward_features`` runs them on the
    volume (N, C, T, H, W), and ``pool`` averages their last map to ``num_features`` values for the classifier ``fc``.
    ``num_segments`` is T; setting it later is all that another T takes, for no weight depends on it. Attributes named
    in ``settings`` are arguments of the factory that may be set later too: ``save_pretrained`` writes them as they are.

    >>> class Tiny(VideoModel):
    ...     stages = ("conv",)
    ...
    ...     def __init__(self, **kwargs):
    ...         super().__init__(num_features=4, **kwargs)
    ...         self.conv = nn.Conv3d(self.in_chans, 4, 3)
    >>> Tiny(num_classes=5)(torch.zeros(2, 16, 3, 8, 8)).shape
    torch.Size([2, 5])
    """

    stages: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    feature_info: tuple[dict[str, Any], ...] = ()  # taps are found by stride

    def __init__(
        self,
        *,
        num_features: int,
        num_classes: int = 1000,
        num_segments: int = 16,
        in_chans: int = 3,
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_features = self.head_hidden_size = num_features
        self.num_segments, self.in_chans, self.drop_rate = num_segments, in_chans, drop_rate
        self.grad_checkpointing = False
        self.pretrained_cfg: dict[str, Any] = {}
        self.default_cfg = self.pretrained_cfg
        self.head_drop = nn.Dropout(drop_rate)
        self.reset_classifier(num_classes)

    @property
    def num_segments(self) -> int:
        """T, the number of frames in a clip."""
        return self._num_segments

    @num_segments.setter
    def num_segments(self, value: int) -> None:
        self._num_segments = checked_segments(value)

    def check_clip(self, clip: Tensor) -> None:
        """Raise ModelError unless ``clip`` is (N, T, C, H, W) with this model's T and C."""
        check_clip(clip, self.num_segments, self.in_chans)

    def run(self, stage: Any, maps: Tensor) -> Tensor:
        """A stage's answer; with gradient checkpointing its activations are computed again in the backward pass."""
        if self.grad_checkpointing and self.training and torch.is_grad_enabled():
            answer: Tensor = checkpoint(stage, maps, use_reentrant=False)
            return answer
        return stage(maps)

    def forward_features(self, clip: Tensor) -> Tensor:
        """Feature maps before pooling, (N, t, channels, h, w), with t <= T."""
        self.check_clip(clip)
        return self.maps(clip)

    def maps(self, clip: Tensor) -> Tensor:
        """What the stages make of a clip, whatever its T."""
        volume = clip.transpose(1, 2)
        for name in self.stages:
            volume = self.run(self.get_submodule(name), volume)
        return volume.transpose(1, 2)

    def pool(self, features: Tensor) -> Tensor:
        """``forward_features`` output as one vector per clip, (N, num_features)."""
        return features.mean((1, 3, 4))

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Pool and classify ``forward_features`` output: (N, num_classes), or (N, num_features)."""
        pooled: Tensor = self.head_drop(self.pool(features))
        return pooled if pre_logits else self.fc(pooled)

    def forward(self, clip: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(clip))

    # timm's model contract.

    def get_classifier(self) -> nn.Module:
        """The layer that turns pooled features into logits."""
        return self.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the classifier by a new one; ``num_classes=0`` leaves pooled features."""
        if global_pool is not None:
            raise ModelError(f"the pooling of a {type(self).__name__} cannot be changed")
        like = next((parameter for parameter in self.parameters() if parameter.is_floating_point()), torch.empty(0))
        where: dict[str, Any] = {} if like.numel() == 0 else {"device": like.device, "dtype": like.dtype}
        self.num_classes = num_classes
        self.fc: nn.Module = nn.Linear(self.num_features, num_classes, **where) if num_classes else nn.Identity()

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trade time for memory in training: recompute the activations of every stage in the backward pass."""
        self.grad_checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> dict[str, Any] | Callable[[str], Any]:
        """timm's parameter groups, a group per stage, for layer-wise learning-rate decay."""
        others = [name for name, _ in self.named_children() if name not in (*self.stages, "fc")]
        order = [*self.stages, *others, "fc"]
        place = {part: number for number, part in enumerate(order)}
        return lambda name: place.get(name.split(".")[0], len(order) - 1)  # decoders go with the head

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that take no weight decay beyond those that never do."""
        return set()


def init_convolutions(model: nn.Module) -> None:
    """Start convolutions so that ReLUs keep the size of what passes (He et al. 2015), for training from scratch."""
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d)):
            fan_out = module.weight[0, 0].numel() * module.out_channels / module.groups  # PyTorch's forgets the groups
            nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
