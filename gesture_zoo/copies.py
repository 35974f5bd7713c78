"""Copies of networks, also of those that deepcopy refuses."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from .errors import ModelError, one_line


def copy_of(model: Any, shared: Iterable[Tensor] = ()) -> Any:
    """A deep copy of ``model`` that shares the tensors in ``shared``.

    Tensors that a module keeps of its last run are part of an autograd graph, which PyTorch does not copy: the copy
    gets their values. What cannot be copied at all, as a lock, is a ModelError.

    >>> import torch
    >>> layer = torch.nn.Linear(2, 2)
    >>> layer.last = layer(torch.ones(1, 2))
    >>> torch.equal(copy_of(layer).last, layer.last)
    True
    """
    memo: dict[int, Any] = {id(tensor): tensor for tensor in shared}
    for module in model.modules():
        for value in vars(module).values():
            # What nn.Module itself keeps there are dictionaries of parameters, modules and hooks.
            leaves = (
                [value] if isinstance(value, Tensor) else tree_leaves(value) if type(value) in (list, tuple) else []
            )
            for leaf in leaves:
                if isinstance(leaf, Tensor) and not leaf.is_leaf and id(leaf) not in memo:
                    memo[id(leaf)] = leaf.detach().clone()
    try:
        return copy.deepcopy(model, memo)
    except Exception as error:  # locks, files, and whatever else a module may hold
        name, what = type(model).__name__, f"{type(error).__name__}: {one_line(error)}"
        raise ModelError(f"cannot copy this {name} ({what}): it holds something that is no part of a model") from error
