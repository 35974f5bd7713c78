"""The errors gesture_zoo raises on purpose.

Every one of them says what was wrong, where, and what would be right, and fits on one line, so that the
command line can show it as it is. They derive from ValueError: code that catches ValueError keeps working.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ArgumentError", "DataError", "GestureZooError", "HubError", "ModelError", "TapError", "WeightsError"]


class GestureZooError(ValueError):
    """Base of every error that gesture_zoo raises on purpose.

    >>> import gesture_zoo
    >>> try:
    ...     gesture_zoo.create_dataset("isogd", "no_such_folder")
    ... except gesture_zoo.GestureZooError as error:
    ...     print(type(error).__name__, "-", error)
    DataError - there is no folder no_such_folder: expected the one that dataset 'isogd' is in
    """


class ModelError(GestureZooError):
    """A model name, argument or input clip that does not fit.

    >>> import gesture_zoo
    >>> gesture_zoo.create_model("tsm_resnet5")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    gesture_zoo.errors.ModelError: unknown model 'tsm_resnet5'; did you mean tsm_resnet50, ...
    """


class ArgumentError(ModelError, TypeError):
    """An argument that a model does not take; a TypeError, as Python's own would be.

    >>> import gesture_zoo
    >>> gesture_zoo.create_model("tsm_resnet18", classes=5)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    gesture_zoo.errors.ArgumentError: tsm_resnet18 takes no argument 'classes'; it takes num_classes, ...
    """


class TapError(ModelError):
    """A Multi-Scale-Decoder tap that does not exist, did not fire, or was overwritten.

    >>> import gesture_zoo
    >>> gesture_zoo.with_msd(gesture_zoo.create_model("tsm_test_resnet"), taps=["layer9"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    gesture_zoo.errors.TapError: no tap 'layer9' in ...
    """


class WeightsError(GestureZooError):
    """Weights that are missing, damaged or made for another architecture.

    >>> from gesture_zoo.labels import label_names
    >>> label_names("charades")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    gesture_zoo.errors.WeightsError: there are no labels 'charades'; there are egogesture, ...
    """


class HubError(WeightsError):
    """A Hugging Face Hub (or local directory) request that could not be served.

    >>> from gesture_zoo.hub import push
    >>> push("no_such_folder", "you/model")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    gesture_zoo.errors.HubError: no_such_folder has no model.safetensors and no config.json: ...
    """


class DataError(GestureZooError):
    """A dataset folder, annotation, video, frame or depth map that cannot be used.

    >>> import gesture_zoo
    >>> gesture_zoo.create_dataset("imagenet")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    gesture_zoo.errors.DataError: unknown dataset 'imagenet'; choose one of egogesture, ...
    """


def one_line(text: Any) -> str:
    """A text, or what an error says, with every run of white space as one blank.

    >>> one_line(ValueError("two\\n  lines"))
    'two lines'
    """
    return " ".join(str(text).split())
