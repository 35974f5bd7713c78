"""--data-option and --model-option KEY=VALUE: options of a dataset's reader and of a model, from the command line."""

from __future__ import annotations

import inspect
from typing import Any

import yaml

from ..data.factory import get_reader
from ..errors import DataError, ModelError


def reader_options(name: str) -> list[str]:
    """The options that only this dataset has, such as "lists" of NVGesture."""
    if name in ("shards", "synthetic"):
        return []
    reader = get_reader(name)
    own = inspect.signature(reader.__init__).parameters.values()
    # Options of text only: the others (transform, num_segments, ...) are set by other arguments or from Python.
    return [p.name for p in own if p.kind is p.KEYWORD_ONLY and isinstance(p.default, str)]


def parse_options(name: str, pairs: list[str] | None) -> dict[str, Any]:
    """KEY=VALUE pairs as keyword arguments of the reader of dataset ``name``; an unknown key is a DataError."""
    known = reader_options(name)
    options: dict[str, Any] = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or key not in known:
            takes = f"takes {', '.join(f'{k}=...' for k in known)}" if known else "has no options"
            raise DataError(f"--data-option {pair}: {name} {takes}")
        options[key] = value
    return options


# What other arguments of train say.
_SAID_BY = {
    "num_classes": "the classes of the data",
    "num_segments": "--num-segments",
    "in_chans": "--in-chans",
    "drop_rate": "--drop-rate",
    "pretrained": "--pretrained",
    "pretrained_cfg_overlay": "--backbone-weights",
}


def parse_model_options(pairs: list[str] | None) -> dict[str, Any]:
    """KEY=VALUE pairs as keyword arguments of a model: numbers, true, false, and [lists] as in YAML, else text.

    >>> parse_model_options(["stage=recognition", "shift_div=4", "taps=[res1, layer4]"])
    {'stage': 'recognition', 'shift_div': 4, 'taps': ['res1', 'layer4']}
    """
    options: dict[str, Any] = {}
    for pair in pairs or []:
        key, equals, text = pair.partition("=")
        if not equals or not key.isidentifier():
            raise ModelError(f"--model-option {pair}: expected KEY=VALUE, such as stage=recognition")
        if key in _SAID_BY:
            raise ModelError(f"--model-option {pair}: {_SAID_BY[key]} says that")
        try:
            options[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ModelError(f"--model-option {pair}: the value is no number, text or list as in YAML") from error
    return options
