"""Copies of networks, also of those that deepcopy refuses."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves


def copy_of(model: Any, shared: Iterable[Tensor] = ()) -> Any:
    """A deep copy of ``model`` that shares the tensors in ``shared``.

    Tensors that a module keeps of its last run are part of an autograd graph, which PyTorch does not copy: the copy
    gets their values.

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
    return copy.deepcopy(model, memo)
