"""What a model may be given, and what it has to say of itself."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

from .errors import ArgumentError, ModelError
from .registry import Factory, get_entry
from .saved_config import MOST_CLASSES, MOST_SEGMENTS

# The smallest and the largest value of the whole-number arguments; what is larger only asks for memory.
RANGES = {
    "num_classes": (0, MOST_CLASSES),
    "num_segments": (1, MOST_SEGMENTS),
    "in_chans": (1, 1024),
    "shift_div": (1, 1 << 16),
    "reduction": (1, 1 << 16),
    "width": (1, 1024),
}


def check_arguments(architecture: str, kwargs: dict[str, Any], *, also: tuple[str, ...] = ()) -> None:
    """Raise ArgumentError for an argument that is not the model's, or one ``also``; ModelError for one out of range."""
    known = accepted_arguments(get_entry(architecture).factory)
    unknown = sorted(set(kwargs) - {*known, *also}) if known is not None else []
    if unknown:
        raise ArgumentError(f"{architecture} takes no argument {unknown[0]!r}; it takes {', '.join(known or ())}")
    for name, (lowest, highest) in RANGES.items():
        value = kwargs.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < lowest):
            raise ModelError(f"{architecture}: {name} must be an integer of at least {lowest}, got {value!r:.80}")
        if value is not None and value > highest:
            raise ModelError(f"{architecture}: {name} must be at most {highest}, got {value!r:.80}")
    rate = kwargs.get("drop_rate")
    if rate is not None and not (isinstance(rate, (int, float)) and 0 <= rate < 1):
        raise ModelError(f"{architecture}: drop_rate must be in [0, 1), got {rate!r:.80}")


def check_clip_model(model: nn.Module, model_name: str) -> None:
    """Raise ModelError unless a model of a registered factory says what its clips are, as ours do."""
    missing = [name for name in ("num_classes", "num_segments", "in_chans") if not hasattr(model, name)]
    if missing:
        raise ModelError(
            f"{model_name} is a plain {type(model).__name__} without {', '.join(missing)}: derive it from "
            "gesture_zoo.VideoModel, or make it a ClipModel (with_temporal does), so that its clips are known"
        )


def accepted_arguments(factory: Factory) -> tuple[str, ...] | None:
    """Names of the keyword arguments a factory takes; None if it takes any."""
    parameters = inspect.signature(factory).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return tuple(parameter.name for parameter in parameters)
