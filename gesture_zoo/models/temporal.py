"""with_temporal: turn any supported 2-D CNN into a clip model."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..errors import ModelError
from ..layers import insert_temporal
from .clip_model import ClipModel


def with_temporal(
    cnn: nn.Module,
    temporal: str = "tsm",
    *,
    num_classes: int | None = None,
    num_segments: int = 8,
    **options: Any,
) -> ClipModel:
    """Turn the image classifier ``cnn`` into a classifier of clips (N, T, C, H, W), in place.

    ``temporal`` is "tsm", "tea", "action", or "tsn" for none; ``num_classes`` gives the CNN (a timm model) a
    new classifier; ``options`` go to the temporal module (``shift_div``, ``reduction``). The CNN keeps its
    weights. A CNN without a known residual block is a ModelError.

    >>> import timm, torch
    >>> video = with_temporal(timm.create_model("efficientnet_b0"), "tsm", num_classes=25)
    >>> video(torch.zeros(1, 8, 3, 64, 64)).shape
    torch.Size([1, 25])
    """
    if num_classes is not None and not hasattr(cnn, "reset_classifier"):
        raise ModelError(
            f"num_classes needs a timm model; give the {type(cnn).__name__} its classifier first, for example "
            "torchvision.models.resnet18(num_classes=5)"
        )
    model = ClipModel(insert_temporal(cnn, temporal, num_segments, **options), num_segments)
    if num_classes is not None:
        model.reset_classifier(num_classes)
    return model
