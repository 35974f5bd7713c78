"""What a run is of, told in a few words, so that another is not gone on with in its folder."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import Any

from torch.utils.data import Subset

from ..data.base import ClipDataset
from ..data.shards import ShardedClips
from ..errors import WeightsError
from ..saving import model_config


def subject_of(model: Any, data: Any) -> dict[str, str]:
    """What a run is of: the model as its name and arguments build it, the classes, and the clips with their classes.

    A model that is not built by a name, and clips that are not listed, are not told from others.
    """
    found = {}
    with suppress(WeightsError):
        config = model_config(model)
        found["the model"] = json.dumps([config["architecture"], config["model_args"]], sort_keys=True, default=str)
    kept: list[int] | None = None
    while isinstance(data, Subset):  # the rest is held out for validation
        kept = [data.indices[index] for index in kept] if kept is not None else list(data.indices)
        data = data.dataset
    if names := getattr(data, "class_names", None):
        found["the classes"] = json.dumps(list(names))
    if isinstance(data, (ClipDataset, ShardedClips)):
        clips = data.records if isinstance(data, ClipDataset) else data.index.clips
        every = [[clip.id, clip.label] for clip in clips]
        listed = json.dumps(every if kept is None else [every[index] for index in kept])
        found["the training clips and their classes"] = f"SHA-256 {hashlib.sha256(listed.encode()).hexdigest()[:16]}"
    return found
