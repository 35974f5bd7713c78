"""with_temporal: turn any 2-D CNN into a clip model."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from ..dryrun import dry_run
from ..errors import ModelError
from ..layers import Temporal, insert_temporal
from ..msd import MSDModel
from ..outputs import logits_of
from .clip_model import ClipModel


def with_temporal(
    cnn: nn.Module,
    temporal: str | Temporal = "tsm",
    *,
    num_classes: int | None = None,
    num_segments: int = 8,
    insert_at: str | Iterable[str] | None = None,
    classifier: str | None = None,
    example_input: Tensor | None = None,
    **options: Any,
) -> ClipModel:
    """Turn the image classifier ``cnn`` into a classifier of clips (N, T, C, H, W), in place.

    ``temporal`` is "tsm", "me", "action", "tea" (Res2Net only), "tsn" for none, or a temporal module's class;
    ``options`` go to it (``shift_div``, ``reduction``, ``causal``). It wraps the first convolution that mixes channels
    of every residual branch, found in one dry run; ``insert_at`` names other modules, by dotted name or pattern
    (``"stages.*.conv1"``). ``num_classes`` gives the CNN a new classifier, which is found too or named by
    ``classifier``. ``example_input``: frames (B, C, H, W) for a CNN that does not take 224 x 224 and has no
    ``pretrained_cfg`` that says so. The CNN keeps its weights. What cannot be done is a ModelError that says what
    to pass, and leaves the CNN as it was.

    >>> import timm, torch, torchvision
    >>> video = with_temporal(timm.create_model("efficientnet_b0"), "tsm", num_classes=25)
    >>> video(torch.zeros(1, 8, 3, 64, 64)).shape
    torch.Size([1, 25])
    >>> video = with_temporal(torchvision.models.vgg11(), "tsm", insert_at="features.1[168]", num_classes=5)
    >>> video.num_classes
    5
    """
    if isinstance(cnn, ClipModel) or any(isinstance(part, MSDModel) for part in cnn.modules()):
        raise ModelError(
            f"with_temporal takes an image network, not a {type(cnn).__name__}: with_temporal first, with_msd after it"
        )
    if not isinstance(cnn, nn.Module) or isinstance(cnn, torch.jit.ScriptModule):
        raise ModelError(f"with_temporal takes an image network before it is scripted, not a {type(cnn).__name__}")
    if num_classes is not None:
        if isinstance(num_classes, bool) or not isinstance(num_classes, Integral) or num_classes < 0:
            raise ModelError(f"num_classes must be an integer of at least 0, got {num_classes!r}")
        num_classes = int(num_classes)  # numpy's, too
    if example_input is not None and not (isinstance(example_input, Tensor) and example_input.dim() == 4):
        shape = tuple(getattr(example_input, "shape", ())) or repr(example_input)
        raise ModelError(f"example_input is frames (B, C, H, W), got {shape}")
    model = ClipModel(cnn, num_segments, classifier=classifier, example_input=example_input)
    frames = None
    if example_input is not None:
        frames = example_input.new_empty((num_segments, *example_input.shape[1:]), device="meta")
    before = None
    if num_classes is not None and not model.is_timm:
        before = model.get_classifier()
        model.reset_classifier(num_classes)
    try:
        if before is not None and classifier is None:
            check_answer(model, num_classes)
        insert_temporal(cnn, temporal, num_segments, insert_at=insert_at, example_input=frames, **options)
    except Exception:
        if before is not None:
            cnn.set_submodule(model.classifier.name, before)
        raise
    if num_classes is not None and model.is_timm:
        model.reset_classifier(num_classes)
    return model


def check_answer(model: ClipModel, num_classes: int | None) -> None:
    """Raise ModelError unless the CNN answers with ``num_classes`` values: else another layer gives the logits."""
    output, _ = dry_run(model.base_model, model.example_frames(), lambda twin, images: nullcontext())
    answered = logits_of(output).shape[-1]
    if num_classes and answered != num_classes:
        raise ModelError(
            f"with {model.classifier.name!r} for {num_classes} classes {type(model.base_model).__name__} answers with "
            f"{answered} values: name the layer that gives the logits with classifier='...'"
        )
