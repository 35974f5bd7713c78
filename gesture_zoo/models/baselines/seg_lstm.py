"""Segmentation + LSTM: an encoder that learns to segment from depth, and an LSTM over its answers to the frames.

Chalasani and Smolic, "Simultaneous Segmentation and Recognition: Towards more accurate Ego Gesture Recognition", ICCV
Workshops 2019, arXiv 1909.08606. No official code is used; the decoder is the zoo's own (``with_msd``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import timm
from torch import Tensor, nn

from ...errors import ModelError
from ...grouping import prefix_matcher
from ...layers import to_clips, to_frames
from ...msd import MSDModel, Tap, with_msd
from ...pretrained import imagenet_cfg
from ...registry import register_model
from ..video_model import VideoModel

ENCODER = "resnet18"
STAGES = ("segmentation", "recognition", "joint")
TAPS = (Tap("layer4", scale=1 / 4, weight=1.0),)  # one decoder, whose error counts as much as the classes


# Deviation: the encoder is a ResNet-18 that can start from ImageNet and the LSTM has one layer of 512; theirs are
# networks of their own.
class EncoderLSTM(VideoModel):
    """A 2-D CNN on every frame, averaged to an embedding; an LSTM over the embeddings, whose last state is classified.

    ``stage`` is the part of the training: "segmentation" (the encoder learns from the masks alone; LSTM and classifier
    wait), "recognition" (these learn on an encoder that stays as it is) or "joint". Set it before an optimiser is made.
    """

    base_model: Any  # an nn.Module; timm's contract is not a type
    stages = ("base_model",)
    settings = ("stage",)

    def __init__(self, *, encoder: str = ENCODER, hidden: int = 512, stage: str = "joint", **kwargs: Any) -> None:
        super().__init__(num_features=hidden, **kwargs)
        self.base_model = timm.create_model(encoder, num_classes=0, in_chans=self.in_chans)
        self.feature_info = self.base_model.feature_info
        self.lstm = nn.LSTM(self.base_model.num_features, hidden, batch_first=True)
        self.stage = stage

    @property
    def stage(self) -> str:
        """Which parts learn: one of ``STAGES``."""
        return self._stage

    @stage.setter
    def stage(self, value: str) -> None:
        if value not in STAGES:
            raise ModelError(f"stage is one of {', '.join(STAGES)}, not {value!r}")
        self._stage = value
        self.base_model.requires_grad_(value != "recognition")
        self.lstm.requires_grad_(value != "segmentation")
        self.fc.requires_grad_(value != "segmentation")
        self.train(self.training)

    def train(self, mode: bool = True) -> EncoderLSTM:
        """As of any module, but an encoder that stays as it is keeps its BatchNorm statistics too."""
        super().train(mode)
        if getattr(self, "_stage", None) == "recognition":
            self.base_model.eval()
        return self

    def maps(self, clip: Tensor) -> Tensor:
        return to_clips(self.base_model.forward_features(to_frames(clip)), clip.shape[1])

    def pool(self, features: Tensor) -> Tensor:
        embeddings = features.mean((3, 4))
        if self.stage == "segmentation":
            embeddings = embeddings.detach()
        states: Tensor = self.lstm(embeddings)[0]
        return states[:, -1]

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        super().reset_classifier(num_classes, global_pool)
        self.fc.requires_grad_(getattr(self, "_stage", "joint") != "segmentation")

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        self.base_model.set_grad_checkpointing(enable)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any] | Callable[[str], Any]:
        groups: dict[str, Any] = prefix_matcher(self.base_model.group_matcher(coarse=coarse), "base_model.")
        return groups  # LSTM and classifier are in none: they are the last


CFGS = {"in1k": replace(start, num_segments=24)} if (start := imagenet_cfg(ENCODER)) else {}


@register_model(cfgs=CFGS)
def seg_lstm(
    *,
    num_classes: int = 1000,
    num_segments: int = 24,
    in_chans: int = 3,
    drop_rate: float = 0.0,
    stage: str = "joint",
) -> EncoderLSTM:
    """Encoder and LSTM without the decoder: what remains for inference. 24 frames; any number will do."""
    return EncoderLSTM(
        num_classes=num_classes, num_segments=num_segments, in_chans=in_chans, drop_rate=drop_rate, stage=stage
    )


@register_model(cfgs=CFGS)
def seg_lstm_msd(
    *,
    num_classes: int = 1000,
    num_segments: int = 24,
    in_chans: int = 3,
    drop_rate: float = 0.0,
    stage: str = "joint",
    taps: Iterable[str | Tap | dict[str, Any]] = TAPS,
) -> MSDModel:
    """Encoder, decoder and LSTM, to train with depth.

    >>> import gesture_zoo
    >>> model = gesture_zoo.create_model("seg_lstm_msd", num_classes=5, stage="segmentation")
    >>> for stage in ("segmentation", "recognition", "joint"):
    ...     model.model.stage = stage  # and then gesture_zoo.engine.train(model, ...)
    """
    bare = seg_lstm(
        num_classes=num_classes, num_segments=num_segments, in_chans=in_chans, drop_rate=drop_rate, stage=stage
    )
    return with_msd(bare, taps=taps)
