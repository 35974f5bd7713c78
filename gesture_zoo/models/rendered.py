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

# How the packaged networks see a frame: the largest square in it, with levels from -1 to 1.
FRAMES: dict[str, Any] = {
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "interpolation": "bilinear",
    "crop_pct": 1.0,
}


def rendered_cfg(file: str, *, side: int, num_segments: int, frame_rate: float, **values: Any) -> PretrainedCfg:
    """A tag for one packaged file: frames of ``side`` x ``side`` pixels, T of them, so many a second.

    ``values`` are other fields of the cfg, or other values than those of ``FRAMES``.

    >>> cfg = rendered_cfg("a.safetensors", side=112, num_segments=8, frame_rate=10)
    >>> cfg.num_classes, cfg.crop_pct
    (16, 1.0)
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
        **{**FRAMES, **values},
    )


# By backbone ("_online": looking into the past only), the tags of TSM's packaged weights.
RENDERED_CFGS: dict[str, dict[str, PretrainedCfg]] = {
    "resnet28_nano": {
        "rendered": rendered_cfg(
            "tsm_resnet28_nano.rendered.safetensors",
            side=128,
            num_segments=8,
            frame_rate=4.4,
            sha256="9e3d1e11f43f3985fd009511e43a097ba794166b1c59f552a751b3ab5590b182",
        )
    },
    "resnet28_nano_online": {
        "rendered": rendered_cfg(
            "tsm_resnet28_nano_online.rendered.safetensors",
            side=128,
            num_segments=16,
            frame_rate=8.9,
            sha256="b924fc9fa3b2921b6aff41e232d15d87c9f12f388d43b1af5c338b5847b704bb",
        )
    },
}
