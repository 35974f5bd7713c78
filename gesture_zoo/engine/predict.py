"""Prediction on one video file, from RGB alone unless the model sees depth."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from ..errors import ModelError
from ..labels import labels_of
from .clips import video_clip


class Prediction(NamedTuple):
    """A class and its probability.

    >>> label, score = Prediction("wave", 0.93)
    >>> f"{label}: {score:.0%}"
    'wave: 93%'
    """

    label: str
    score: float


@torch.inference_mode()
def predict_video(model: nn.Module, path: str | Path, *, topk: int = 5, mirror: bool = False) -> list[Prediction]:
    """The ``topk`` most probable classes of the gesture in a video file, best first.

    ``path`` may also be a folder of frames. The middle frame of each of T equal segments is read. Class names come
    from the model's ``pretrained_cfg``; without any, indices. ``mirror``: left and right are exchanged first. A file
    that cannot be read is a DataError, another number of names than of classes a ModelError. The model is put in eval
    mode.

    >>> import gesture_zoo, tempfile
    >>> import numpy as np
    >>> path = Path(tempfile.mkdtemp()) / "clip.mp4"
    >>> gesture_zoo.data.write_video(np.zeros((8, 64, 64, 3), np.uint8), path)
    >>> model = gesture_zoo.create_model("tsm_test_resnet", num_classes=2)
    >>> model.pretrained_cfg["label_names"] = ("fist", "wave")
    >>> sorted(prediction.label for prediction in predict_video(model, path))
    ['fist', 'wave']
    """
    if topk < 1:
        raise ModelError(f"topk must be at least 1, got {topk}")
    model.eval()
    like = next(parameter for parameter in model.parameters() if parameter.is_floating_point())
    clip = video_clip(model, path).frames[None].to(like.device, like.dtype)
    scores = model(clip.flip(-1) if mirror else clip).float().softmax(1)[0].cpu()
    names = labels_of(model, len(scores))
    best = scores.topk(min(topk, len(scores)))
    return [Prediction(names[i], score) for score, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)]
