"""Does an exported file answer as the model does? On random clips and on real ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ..data import create_dataset, create_transform, resolve_data_config
from ..data.names import MODALITIES
from ..errors import ModelError
from ..models import ClipModel, VideoModel
from ..runtime import Runner


class Compared(NamedTuple):
    """How far two answers to the same clip are apart.

    ``error`` is the largest difference of a logit, ``relative`` that over the largest logit of the model itself;
    ``same_class`` whether the best class is the same in every answer.

    >>> row = Compared("rendered", error=2e-6, relative=4e-7, same_class=True)
    >>> f"{row.clip}: differs by {row.relative:.0e} of the largest logit"
    'rendered: differs by 4e-07 of the largest logit'
    """

    clip: str
    error: float
    relative: float
    same_class: bool


def random_clip(model: ClipModel | VideoModel, num_segments: int, *, seed: int = 0, batch: int = 2) -> np.ndarray:
    """Normally distributed clips (N, T, C, H, W), as normalised frames are in mean and spread."""
    size = resolve_data_config(model=model)["input_size"][-2:]
    shape = (batch, num_segments, model.in_chans, *size)
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def rendered_clip(model: ClipModel | VideoModel, num_segments: int) -> np.ndarray:
    """A rendered gesture as the model takes it, (1, T, C, H, W)."""
    config = resolve_data_config(model=model)
    transform = create_transform(config)
    side = max(32, min(config["input_size"][-2:]))
    data = create_dataset("synthetic", split="test", num_segments=num_segments, size=side, transform=transform)
    return data[0].frames[None].numpy()


def clips_for(
    model: ClipModel | VideoModel, num_segments: int, paths: Iterable[str | Path]
) -> Iterator[tuple[str, np.ndarray]]:
    """What a file is checked on: random clips, a rendered one, and the clips in ``paths``, (N, T, C, H, W) each."""
    from ..engine.clips import video_clip  # late: the engine brings all that training needs

    yield "random", random_clip(model, num_segments)
    if model.in_chans in MODALITIES:  # other channels are in no clip that we could render
        yield "rendered", rendered_clip(model, num_segments)
    for path in paths:
        yield str(path), video_clip(model, path).frames[None].numpy()


def answers(runner: Runner, clip: np.ndarray, *, stream: bool) -> np.ndarray:
    """Logits of clips (N, T, C, H, W): (N, K), or of every frame one after another, (T, N, K)."""
    if not stream:
        return runner.classify(clip)
    runner.reset()
    logits = np.stack([runner.step(np.ascontiguousarray(clip[:, t])) for t in range(clip.shape[1])])
    runner.reset()
    return logits


def compare(name: str, model: Runner, exported: Runner, clip: np.ndarray) -> Compared:
    """Compare the answers of a model and of a file of it."""
    stream = exported.info.kind == "stream"
    with torch.inference_mode():
        expected = answers(model, clip, stream=stream).astype(np.float64)
    if not np.isfinite(expected).all():
        raise ModelError(f"the model itself answers the clip {name!r} with what is no number: look at its weights")
    got = answers(exported, clip, stream=stream).astype(np.float64)
    finite = np.isfinite(got).all()  # a logit that is no number must not pass as a small difference
    error = float(np.abs(expected - got).max()) if finite else float("inf")
    scale = max(float(np.abs(expected).max()), np.finfo(np.float32).tiny) if finite else 1.0
    return Compared(name, error, error / scale, bool((expected.argmax(-1) == got.argmax(-1)).all()))
