"""ClipModel: a 2-D CNN, with or without temporal modules inside, as a classifier of clips.

The frames of a clip go through the CNN as one batch and the frame predictions are averaged: the segment
consensus of Wang et al., "Temporal Segment Networks", arXiv 1608.00859. It keeps timm's model contract, so
that timm's tools for optimisers, layer decay, EMA and fine-tuning work on clips as they do on images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from einops import reduce
from torch import Tensor, nn

from ..dryrun import example_frames, input_channels
from ..errors import ModelError
from ..grouping import prefix_matcher
from ..layers import TemporalModule, to_clips, to_frames
from ..outputs import logits_of
from .classifier import Classifier
from .clip_shape import check_clip, checked_segments


class ClipModel(nn.Module):
    """Classify clips (N, T, C, H, W) with the 2-D CNN ``base_model``: logits (N, num_classes).

    ``num_segments`` is T, the number of frames in a clip; setting it later reaches every temporal module, and
    no weight depends on it. ``base_model`` may be any image classifier; its answer is the logits, or a tuple or
    dictionary with them. ``classifier`` names the layer that gives them in a model that is not timm's, where a dry
    run would not find it; ``example_input`` (frames or a clip) is of a size it takes where 224 x 224 is none.
    ``forward_features``, ``forward_head`` and gradient checkpointing need a timm model inside.

    >>> import timm, torch
    >>> model = ClipModel(timm.create_model("resnet18", num_classes=5), num_segments=4)
    >>> model(torch.zeros(2, 4, 3, 64, 64)).shape
    torch.Size([2, 5])
    """

    base_model: Any  # an nn.Module; timm's contract is not a type

    def __init__(
        self,
        base_model: nn.Module,
        num_segments: int = 8,
        *,
        classifier: str | None = None,
        example_input: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.base_model = base_model
        self.training = base_model.training
        # The number of channels of what it is known to take, or else that of its first convolution.
        size = None if example_input is None else tuple(example_input.shape[-2:])
        self.in_chans = input_channels(base_model, size) if example_input is None else int(example_input.shape[-3])
        self.is_timm = hasattr(base_model, "get_classifier") and hasattr(base_model, "reset_classifier")
        self.frame_size = size
        if classifier is not None and self.is_timm:
            raise ModelError("a timm model says itself which layer is its classifier: leave classifier out")
        self._classifier = None if classifier is None else Classifier.named(base_model, classifier)
        self._built_pooling = self.pooling
        self.num_segments = num_segments
        self.pretrained_cfg: dict[str, Any] = dict(getattr(base_model, "pretrained_cfg", None) or {})
        self.default_cfg = self.pretrained_cfg

    @property
    def num_segments(self) -> int:
        """T, the number of frames in a clip."""
        return self._num_segments

    @num_segments.setter
    def num_segments(self, value: int) -> None:
        self._num_segments = checked_segments(value)
        for module in self.base_model.modules():
            if isinstance(module, TemporalModule):
                module.num_segments = value

    def check_clip(self, clip: Tensor) -> None:
        """Raise ModelError unless ``clip`` is (N, T, C, H, W) with this model's T and C."""
        check_clip(clip, self.num_segments, self.in_chans)

    def forward_features(self, clip: Tensor) -> Tensor:
        """Feature maps of every frame before pooling, (N, T, num_features, h, w)."""
        self.check_clip(clip)
        return to_clips(self._timm().forward_features(to_frames(clip)), self.num_segments)

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Pool and classify ``forward_features`` output: logits (N, num_classes).

        With ``pre_logits`` the pooled features (N, head_hidden_size), averaged over the frames.
        """
        return self.consensus(self._timm().forward_head(to_frames(features), pre_logits=pre_logits))

    def forward(self, clip: Tensor) -> Tensor:
        self.check_clip(clip)
        return self.consensus(logits_of(self.base_model(to_frames(clip))))

    def consensus(self, frame_logits: Tensor) -> Tensor:
        """Average frame predictions (N*T, K), or maps (N*T, C, h, w) of a CNN without a head, over each clip."""
        return reduce(frame_logits, "(n t) ... -> n ...", "mean", t=self.num_segments)

    # timm's model contract: the CNN's own answer, seen from here.

    def _timm(self) -> Any:
        if not self.is_timm:
            raise ModelError(
                f"a {type(self.base_model).__name__} is no timm model: it has no forward_features, forward_head and "
                "gradient checkpointing that a ClipModel could use"
            )
        return self.base_model

    @property
    def classifier(self) -> Classifier:
        """Where the classifier of a CNN that is not timm's is; a ModelError where it has none."""
        if self._classifier is None:
            frames = self.example_frames()
            self._classifier = Classifier.found(self.base_model, frames)
        return self._classifier

    def example_frames(self) -> Tensor:
        """Empty frames (T, C, H, W) of a clip that this model takes, on the meta device."""
        return example_frames(self.base_model, self.num_segments, self.frame_size, self.in_chans)

    @property
    def num_classes(self) -> int:
        return self.base_model.num_classes if self.is_timm else self.classifier.num_classes(self.base_model)

    @property
    def num_features(self) -> int:
        return self.base_model.num_features if self.is_timm else self.classifier.features

    @property
    def head_hidden_size(self) -> int:
        return self.base_model.head_hidden_size if self.is_timm else self.classifier.features

    @property
    def drop_rate(self) -> float:
        return getattr(self.base_model, "drop_rate", 0.0)

    @property
    def feature_info(self) -> Any:
        """timm's description of the stages, empty for other CNNs; module names are relative to ``base_model``."""
        return getattr(self.base_model, "feature_info", ())

    def get_classifier(self) -> nn.Module:
        """The layer that turns pooled features into logits."""
        return self.base_model.get_classifier() if self.is_timm else self.classifier.get(self.base_model)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the classifier by a new one; ``num_classes=0`` leaves pooled features."""
        if self.is_timm:
            # Before timm 1.0.31 None was no pooling that most of its models knew; their default was the mean.
            self.base_model.reset_classifier(num_classes, *([] if global_pool is None else [global_pool]))
            return
        if global_pool is not None:
            raise ModelError(f"a {type(self.base_model).__name__} is no timm model: its pooling cannot be changed")
        self.classifier.reset(self.base_model, num_classes)

    @property
    def pooling(self) -> str | None:
        """What timm calls the pooling before the classifier, where it says so."""
        pool = getattr(self.base_model, "global_pool", None)
        name = getattr(pool, "pool_type", pool)
        return name if isinstance(name, str) else None

    @property
    def repooled(self) -> bool:
        """Whether ``reset_classifier`` has changed the pooling since the model was built."""
        return self.pooling != self._built_pooling

    def init_classifier(self) -> None:
        """Start a linear classifier from N(0, 0.001^2), as the official networks do on pretrained features.

        For training from scratch it is too small a start: PyTorch's own is better there.
        """
        classifier = self.get_classifier()
        if isinstance(classifier, nn.Linear):
            nn.init.normal_(classifier.weight, std=0.001)
            nn.init.zeros_(classifier.bias)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trade time for memory in training: recompute activations in the backward pass."""
        self._timm().set_grad_checkpointing(enable)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any] | Callable[[str], Any]:
        """timm's parameter groups (stem, blocks, head), for layer-wise learning-rate decay."""
        if not hasattr(self.base_model, "group_matcher"):
            parts = [name for name, _ in self.base_model.named_children()]  # in order: from the stem to the head
            place = {part: number for number, part in enumerate(parts)}
            # What is in none of them, such as decoders around the model, goes with the head.
            return lambda name: place.get(name.removeprefix("base_model.").split(".")[0], len(parts) - 1)
        return prefix_matcher(self.base_model.group_matcher(coarse=coarse), "base_model.")

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that take no weight decay."""
        names: set[str] = getattr(self.base_model, "no_weight_decay", set)()
        return {f"base_model.{name}" for name in names}
