"""The clips that a model is tested on, as a protocol has them seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from ..data import create_dataset, create_transform, resolve_data_config
from ..data.factory import available_splits
from ..errors import DataError
from .protocol import Protocol

# A test size goes with this one: a model trained on another size has none of its own.
TRAINING_SIDE = 224


def protocol_config(model: nn.Module, protocol: Protocol) -> dict[str, Any]:
    """The model's data configuration, with its test size where the protocol takes 3 crops.

    That is 256 for a model made for 224; a model trained on another size is tested on that.
    """
    config = resolve_data_config(model=model)
    if protocol.num_crops == 3 and tuple(config["input_size"][-2:]) == (TRAINING_SIDE, TRAINING_SIDE):
        return resolve_data_config(model=model, use_test_size=True)
    return config


def make_test_dataset(
    name: str,
    root: str | Path | None,
    model: nn.Module,
    *,
    split: str,
    protocol: Protocol | None = None,
    seed: int = 0,
    **options: Any,
) -> Any:
    """The clips of a split as ``model`` is tested on them: T frames at its size, and the views of ``protocol``.

    ``protocol``: 1x1 by default. ``seed`` draws the frames of several clips. ``options`` are the reader's; samples have
    depth where the model needs it (``with_depth`` says otherwise). With several views a sample's frames are
    (V, T, 3, H, W). Several clips of a rendered one are a DataError.

    >>> import gesture_zoo
    >>> model = gesture_zoo.create_model("tsm_test_resnet", num_segments=2)
    >>> data = make_test_dataset("synthetic", None, model, split="val", protocol=Protocol(3, 1), size=64)
    >>> data[0].frames.shape
    torch.Size([3, 2, 3, 160, 160])
    """
    protocol = protocol or Protocol()
    config = protocol_config(model, protocol)
    if name == "synthetic":
        if protocol.num_clips > 1:
            raise DataError(
                f"synthetic clips have exactly T frames, so there are no {protocol.num_clips} clips to take of one: "
                f"the protocol is {protocol._replace(num_clips=1)}, not {protocol}"
            )
        options.setdefault("size", max(config["input_size"][-2:]))
    else:
        options.update(num_views=protocol.num_clips, seed=seed)
    options.setdefault("with_depth", config["with_depth"])
    return create_dataset(
        name,
        root,
        split=split,
        num_segments=config["num_segments"],
        transform=create_transform(config, num_crops=protocol.num_crops),
        **options,
    )


def default_split(name: str, root: str | Path | None) -> str:
    """The split to evaluate on: "val" where the dataset has it, else "test"; neither is a DataError."""
    there = available_splits(name, root)
    chosen = next((split for split in ("val", "test") if split in there), None)
    if chosen is None:
        choice = f"choose one with --split: {', '.join(there)}" if there else "it has no split at all"
        raise DataError(f"{name} in {root} has no split val or test; {choice}")
    return chosen
