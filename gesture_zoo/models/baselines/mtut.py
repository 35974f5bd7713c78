"""MTUT: two I3D networks, one of RGB and one of depth, that teach each other in training; RGB alone at inference.

Abavisani, Joze and Patel, "Improving the Performance of Unimodal Dynamic Hand-Gesture Recognition with Multimodal
Training", CVPR 2019, arXiv 1812.06145. No official code was at hand; github.com/open-mmlab/mmpose (Apache-2.0) has an
implementation of others. The loss is ``msd/alignment.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...errors import ModelError
from ...msd import AlignmentLoss, StreamsOutput
from ...registry import register_model
from .i3d import CFG, I3D


class MTUT(I3D):
    """The RGB network, and in ``depth_stream`` the one of depth, which runs in training alone.

    ``model.train()(clip, depth, valid)`` is a ``StreamsOutput`` for the loss of ``make_loss``; depth is (N, T, 1, H, W)
    in [0, 1], nearer = larger, or None. ``model.eval()(clip)`` is the RGB network's logits. ``alignment`` is the weight
    of what the networks learn from each other: 0 while each learns by itself, at first.
    """

    takes_depth = True  # the trainer passes depth to the model
    settings = ("alignment",)

    def __init__(self, *, alignment: float = 0.05, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not alignment >= 0:
            raise ModelError(f"alignment is a weight of at least 0, got {alignment!r}")
        self.alignment = alignment
        self.depth_stream = I3D(**{**kwargs, "in_chans": 1})

    def forward(self, clip: Tensor, depth: Tensor | None = None, valid: Tensor | None = None) -> Any:
        if not self.training:
            return super().forward(clip)
        maps = self.forward_features(clip)
        has_depth = torch.full((len(clip),), depth is not None, device=clip.device)
        if depth is None:
            # So that every parameter is in the graph, whatever this batch holds (DistributedDataParallel).
            depth = torch.zeros_like(clip[:, :, :1])
        elif valid is not None:
            has_depth = valid.flatten(1).any(1)
            depth = torch.where(valid, depth, 0.0)
        depth_maps = self.depth_stream.maps(2 * depth.to(clip.dtype) - 1)
        return StreamsOutput(
            self.forward_head(maps), self.depth_stream.forward_head(depth_maps), maps, depth_maps, has_depth
        )

    def make_loss(
        self, *, label_smoothing: float = 0.0, binarize: float | None = None, all_processes: bool = False
    ) -> AlignmentLoss:
        """The loss of a training step.

        ``all_processes`` changes nothing: its terms are means over clips, of which every process has as many.
        """
        if binarize is not None:
            raise ModelError("mtut sees depth, it does not predict it: leave binarize out")
        return AlignmentLoss(weight=self.alignment, label_smoothing=label_smoothing)

    def rgb_stream(self) -> I3D:
        """A copy of the RGB network alone, an ``i3d`` to save and use."""
        arguments: dict[str, Any] = {
            "num_segments": self.num_segments,
            "in_chans": self.in_chans,
            "drop_rate": self.drop_rate,
            "width": self.width,
        }
        model = I3D(num_classes=self.num_classes, **arguments)
        state = {key: value for key, value in self.state_dict().items() if not key.startswith("depth_stream.")}
        model.load_state_dict(state)
        model.pretrained_cfg = {**self.pretrained_cfg, "architecture": "i3d", "model_args": arguments}
        model.default_cfg = model.pretrained_cfg
        return model.to(next(self.parameters())).train(self.training)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        super().reset_classifier(num_classes, global_pool)
        if hasattr(self, "depth_stream"):
            self.depth_stream.reset_classifier(num_classes, global_pool)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        super().set_grad_checkpointing(enable)
        self.depth_stream.set_grad_checkpointing(enable)

    def group_matcher(self, coarse: bool = False) -> Callable[[str], Any]:
        groups: Any = super().group_matcher(coarse)
        return lambda name: groups(name.removeprefix("depth_stream."))


@register_model(default_cfg=replace(CFG, paper_ids="arXiv:1812.06145"))
def mtut(
    *,
    num_classes: int = 1000,
    num_segments: int = 64,
    in_chans: int = 3,
    drop_rate: float = 0.5,
    width: int = 64,
    alignment: float = 0.05,
) -> MTUT:
    """Two I3Ds, 64 frames of 224 x 224."""
    sizes = {"num_segments": num_segments, "in_chans": in_chans, "width": width}
    return MTUT(num_classes=num_classes, drop_rate=drop_rate, alignment=alignment, **sizes)
