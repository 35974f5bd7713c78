"""The weights that come with the package, as tags: learned from rendered gestures alone, so anyone may use them.

A row is added in the commit that adds its file to ``rendered_weights/``; ``python benchmarks/pack_weights.py`` writes
the file and says the row. Which of them the commands use where no model is named is ``DEFAULT_MODEL`` of
``packaged.py``.
"""

from __future__ import annotations

from typing import Any

from ..labels import label_names
from ..packaged import PREFIX
from ..pretrained import PretrainedCfg


def rendered_cfg(file: str, *, side: int, num_segments: int, frame_rate: float, **values: Any) -> PretrainedCfg:
    """A tag for one packaged file: frames of ``side`` x ``side`` pixels, T of them, so many a second.

    >>> rendered_cfg("a.safetensors", side=112, num_segments=8, frame_rate=10).num_classes
    16
    """
    names: Any = label_names("rendered")
    return PretrainedCfg(
        file=PREFIX + file,
        num_classes=len(names),
        label_names=names,
        input_size=(3, side, side),
        num_segments=num_segments,
        frame_rate=frame_rate,
        dataset="rendered gestures",
        license="apache-2.0",
        **{"interpolation": "bilinear", **values},
    )


# By backbone ("_online": looking into the past only), the tags of TSM's packaged weights.
RENDERED_CFGS: dict[str, dict[str, PretrainedCfg]] = {}
