"""The config.json of a saved model as a PretrainedCfg; it may come from anywhere, and nothing is taken on trust."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .errors import ModelError, WeightsError
from .labels import CONTROLS, check_names
from .pretrained import PretrainedCfg, overlay_cfg

# The most that is believed: larger numbers only ask for memory.
MOST_CLASSES, MOST_SEGMENTS, MOST_SIDE, MOST_RATE = 100_000, 4096, 8192, 10_000
INTERPOLATIONS = ("nearest", "nearest-exact", "bilinear", "bicubic", "box", "hamming", "lanczos")


def cfg_from_config(config: dict[str, Any], architecture: str, *, where: str) -> PretrainedCfg:
    """The cfg that a config.json describes, without any place of weights; what cannot be is a WeightsError.

    >>> cfg_from_config({"num_classes": 2, "label_names": ["a", "b"]}, "tsm_resnet18", where="here").label_names
    ('a', 'b')
    """
    known = {field.name for field in fields(PretrainedCfg)}
    saved = {**mapping(config, "pretrained_cfg", where), **mapping(config, "gesture_zoo", where)}
    values = {key: value for key, value in saved.items() if key in known and (value is not None or key == "input_size")}
    values = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if _is_flat(value)
    }
    values.update(architecture=architecture, num_classes=config.get("num_classes", values.get("num_classes", 1000)))
    labels = config.get("label_names", saved.get("label_names"))
    fault = _fault(values, labels)
    if fault:
        raise WeightsError(f"{where}: config.json must have {fault}")
    values["label_names"] = None if labels is None else tuple(map(str, labels))
    # Where the weights are is where the config was, whatever the config says.
    nowhere = dict.fromkeys(("url", "file", "hf_hub_id", "hf_hub_filename", "state_dict", "sha256"))
    return overlay_cfg(PretrainedCfg(architecture=architecture), values | nowhere)


def checked_overlay(cfg: PretrainedCfg, overlay: Any, *, num_classes: int | None = None) -> PretrainedCfg:
    """``overlay_cfg`` of fields that somebody gives for a model of so many classes; what cannot be is a ModelError.

    >>> checked_overlay(PretrainedCfg(), {"crop_pct": 1.0}).crop_pct
    1.0
    >>> checked_overlay(PretrainedCfg(), {"input_size": 112})
    Traceback (most recent call last):
    gesture_zoo.errors.ModelError: pretrained_cfg_overlay must have an input_size of three positive integers of at ...
    """
    if not isinstance(overlay, Mapping):
        raise ModelError(f"pretrained_cfg_overlay is a {type(overlay).__name__}: expected a dict of fields")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in overlay.items()}
    known = {key: value for key, value in values.items() if value is not None}
    labels = known.pop("label_names", None)
    if labels is not None:
        labels = list(check_names(labels, source="pretrained_cfg_overlay: label_names"))
    known.setdefault("num_classes", cfg.num_classes if num_classes is None else num_classes)
    if fault := _fault(known, labels):
        raise ModelError(f"pretrained_cfg_overlay must have {fault}")
    return overlay_cfg(cfg, values)


def mapping(config: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    """An object of a config.json, empty where there is none; another value is a WeightsError."""
    value = config.get(key) or {}
    if not isinstance(value, dict):
        raise WeightsError(f"{where}: config.json has {key} = {value!r:.80}, expected an object")
    return value


def _fault(values: dict[str, Any], labels: Any) -> str:
    """What has to be otherwise, or nothing."""
    classes = values["num_classes"]
    if not is_whole(classes, 0, MOST_CLASSES):
        return f"num_classes from 0 to {MOST_CLASSES}, not {classes!r:.80}"
    if labels is not None:
        if not isinstance(labels, list) or len(labels) != classes:
            return f"label_names for {classes} classes"
        wrong = next((name for name in labels if re.search(CONTROLS, str(name))), None)
        if wrong is not None:
            return f"label_names of plain text, not {wrong!r:.80}"
    for key in ("input_size", "test_input_size"):
        if key in values and not _is_size(values[key]):
            return f"an {key} of three positive integers of at most {MOST_SIDE}, not {values[key]!r:.80}"
    for key, lowest in (("mean", None), ("std", 1e-6)):
        numbers = values.get(key, ())
        if key in values and not (isinstance(numbers, tuple) and numbers and all(is_real(n, lowest) for n in numbers)):
            return f"a {key} of numbers, not {numbers!r:.80}"
    for key, most in (("crop_pct", 1), ("test_crop_pct", 1), ("frame_rate", MOST_RATE)):
        if key in values and not (is_real(values[key], 1e-6) and values[key] <= most):
            what = " of frames a second" if key == "frame_rate" else ""
            return f"a {key}{what} above 0 and at most {most}, not {values[key]!r:.80}"
    if "num_segments" in values and not is_whole(values["num_segments"], 1, MOST_SEGMENTS):
        return f"num_segments from 1 to {MOST_SEGMENTS}, not {values['num_segments']!r:.80}"
    if values.get("interpolation", "bilinear") not in INTERPOLATIONS:
        return f"an interpolation of {', '.join(INTERPOLATIONS)}, not {values['interpolation']!r:.80}"
    texts = ("crop_mode", "dataset", "license", "origin_url", "description", "tag")
    wrong = next((key for key in texts if key in values and not isinstance(values[key], str)), None)
    return f"text as {wrong}, not {values[wrong]!r:.80}" if wrong else ""


def is_whole(value: Any, lowest: int, highest: int) -> bool:
    """Whether a value of JSON is a whole number in a range."""
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest


def is_real(value: Any, above: float | None = None) -> bool:
    """Whether a value of JSON is a number that arithmetic can do with."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not abs(value) < 1e9:
        return False
    return above is None or value > above


def _is_flat(value: Any) -> bool:
    """Whether a value of JSON is no object and no list of lists, which no field we use is."""
    return not isinstance(value, dict) and not (
        isinstance(value, list) and any(isinstance(v, (dict, list)) for v in value)
    )


def _is_size(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 3 and all(is_whole(side, 1, MOST_SIDE) for side in value)
