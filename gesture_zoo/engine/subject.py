"""What a run is of, told in a few words, so that another is not gone on with in its folder."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import Any

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
    if names := getattr(data, "class_names", None):
        found["the classes"] = json.dumps(list(names))
    if isinstance(data, (ClipDataset, ShardedClips)):
        clips = data.records if isinstance(data, ClipDataset) else data.index.clips
        listed = json.dumps([[clip.id, clip.label] for clip in clips])
        found["the training clips and their classes"] = f"SHA-256 {hashlib.sha256(listed.encode()).hexdigest()[:16]}"
    return found
