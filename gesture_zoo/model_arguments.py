"""What a model may be given, and what it has to say of itself."""

from __future__ import annotations

import inspect
import operator
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
# What timm's scripts pass to every network: by name, the value that asks for nothing, and the way to another.
ON_A_CNN = "with_temporal(timm.create_model(..., {name}=...)) makes a model of a CNN that has it"
OF_TIMM: dict[str, tuple[Any, str]] = {
    "drop_path_rate": (0, ON_A_CNN),
    "drop_block_rate": (0, ON_A_CNN),
    "features_only": (False, "forward_features(clip) of the model gives its maps"),
}


def check_arguments(architecture: str, kwargs: dict[str, Any], *, also: tuple[str, ...] = ()) -> dict[str, Any]:
    """The arguments as the model's factory takes them: whole numbers as int, none of timm's that ask for nothing.

    ArgumentError for one that is not the model's, or one ``also``; ModelError for one out of range.

    >>> import numpy
    >>> check_arguments("tsm_resnet18", {"num_classes": numpy.int64(3), "drop_path_rate": 0.0})
    {'num_classes': 3}
    """
    known = accepted_arguments(get_entry(architecture).factory)
    if known is not None:
        taken = {*known, *also}
        kwargs = {name: value for name, value in kwargs.items() if name in taken or not _asks_nothing(name, value)}
        unknown = sorted(set(kwargs) - taken)
        if unknown:
            hint = f"; {OF_TIMM[unknown[0]][1]}".format(name=unknown[0]) if unknown[0] in OF_TIMM else ""
            raise ArgumentError(f"{architecture} takes no argument {unknown[0]!r}; it takes {', '.join(known)}{hint}")
    numbers = {name: _whole(kwargs[name]) for name in RANGES if kwargs.get(name) is not None}
    for name, number in numbers.items():
        lowest, highest = RANGES[name]
        if number is None or number < lowest:
            raise ModelError(
                f"{architecture}: {name} must be an integer of at least {lowest}, got {kwargs[name]!r:.80}"
            )
        if number > highest:
            raise ModelError(f"{architecture}: {name} must be at most {highest}, got {number!r:.80}")
    rate = kwargs.get("drop_rate")
    if rate is not None and not (isinstance(rate, (int, float)) and 0 <= rate < 1):
        raise ModelError(f"{architecture}: drop_rate must be in [0, 1), got {rate!r:.80}")
    return {**kwargs, **numbers}


def _asks_nothing(name: str, value: Any) -> bool:
    return name in OF_TIMM and isinstance(value, (int, float)) and value == OF_TIMM[name][0]


def _whole(value: Any) -> int | None:
    """A whole number of Python, numpy or PyTorch as an int; None of anything else, truths among them."""
    if "bool" in str(getattr(value, "dtype", type(value).__name__)):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def check_built(model: Any, architecture: str) -> nn.Module:
    """What a registered factory built; a ModelError where that is no model.

    >>> type(check_built(nn.Linear(2, 3), "mine")).__name__
    'Linear'
    """
    if not isinstance(model, nn.Module):
        what = "nothing" if model is None else f"{model!r:.80}"
        raise ModelError(f"the function registered as {architecture!r} returns {what}: a model is an nn.Module")
    return model


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
