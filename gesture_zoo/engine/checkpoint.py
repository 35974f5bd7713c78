"""Checkpoints: everything a run needs to go on, in one safetensors file that runs no code when it is read.

Tensors are stored by their place in the state, everything else as JSON in the file's metadata. Floating point numbers
survive JSON to the last bit.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import WeightsError, one_line
from ..files import replacing

_TENSOR, _TUPLE, _DICT, _DTYPE = "$tensor", "$tuple", "$dict", "$dtype"


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Write a state of dictionaries, lists, tuples, numbers, strings, None and tensors; whole or not at all.

    What cannot be stored is a WeightsError, what the disk refuses an OSError; an older file is kept then.
    """
    tensors: dict[str, Tensor] = {}
    text = json.dumps(_pack(state, "", tensors))
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata={"state": text})
        except SafetensorError as error:  # how it reports a full disk
            raise OSError(None, f"cannot write {path}: {error}") from error


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """The state that ``save_checkpoint`` wrote; a file that is damaged or of another kind is a WeightsError.

    >>> import tempfile
    >>> path = f"{tempfile.mkdtemp()}/state.safetensors"
    >>> save_checkpoint(path, {"step": 3, "momentum": {0: torch.ones(2)}, "betas": (0.9, 0.999)})
    >>> load_checkpoint(path)
    {'step': 3, 'momentum': {0: tensor([1., 1.])}, 'betas': (0.9, 0.999)}
    """
    try:
        with safe_open(path, framework="pt") as file:
            packed = json.loads((file.metadata() or {})["state"])
            state = _unpack(packed, file)
    except FileNotFoundError:
        raise WeightsError(f"there is no file {path}") from None
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise WeightsError(f"{path} is no checkpoint, or a damaged one: {one_line(error)}") from error
    if not isinstance(state, dict):
        raise WeightsError(f"{path} is no checkpoint: it holds a {type(state).__name__}")
    return state


def _pack(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    """``value`` as JSON, with a reference for every tensor, which goes into ``tensors``."""
    if isinstance(value, Tensor):
        name = place or "."
        # A clone, because two entries of the state may share memory, which the format does not allow.
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {_TENSOR: name}
    if isinstance(value, tuple):
        return {_TUPLE: [_pack(item, f"{place}.{i}", tensors) for i, item in enumerate(value)]}
    if isinstance(value, list):
        return [_pack(item, f"{place}.{i}", tensors) for i, item in enumerate(value)]
    if isinstance(value, dict):
        items = [(key, _pack(item, f"{place}.{key}", tensors)) for key, item in value.items()]
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return dict(items)
        return {_DICT: [list(item) for item in items]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.dtype):
        return {_DTYPE: str(value).removeprefix("torch.")}
    raise WeightsError(f"a {type(value).__name__} cannot be stored in a checkpoint (at {place})")


def _unpack(value: Any, file: Any) -> Any:
    if isinstance(value, list):
        return [_unpack(item, file) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {_TENSOR}:
        return file.get_tensor(value[_TENSOR])
    if set(value) == {_TUPLE}:
        return tuple(_unpack(item, file) for item in value[_TUPLE])
    if set(value) == {_DICT}:
        return {key: _unpack(item, file) for key, item in value[_DICT]}
    if set(value) == {_DTYPE}:
        found = vars(torch).get(str(value[_DTYPE]))  # not getattr, for which torch imports modules of its own
        if not isinstance(found, torch.dtype):
            raise ValueError(f"there is no type {value[_DTYPE]!r}")
        return found
    return {key: _unpack(item, file) for key, item in value.items()}


def random_state() -> dict[str, Any]:
    """The states of the generators of torch (CPU and this process's GPU), numpy and Python."""
    kind, keys, *rest = np.random.get_state()
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys, np.int64)), *rest),
        "python": random.getstate(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Put the generators where ``random_state`` found them."""
    torch.set_rng_state(state["torch"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    random.setstate(state["python"])
    if torch.cuda.is_available() and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])
