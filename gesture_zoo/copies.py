"""Copies of networks, also of those that deepcopy refuses."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

# What nn.Module keeps by name in dictionaries; its others are of hooks, and mostly empty.
_NAMED = ("_parameters", "_buffers", "_modules")
# What a class has of its own if its objects are copied otherwise than part by part.
_OWN_WAYS = (
    "__deepcopy__", "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__",
    "__getnewargs_ex__", "__slots__",
)  # fmt: skip


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
    _copy_modules(model, memo)
    return copy.deepcopy(model, memo)


def _copy_modules(model: nn.Module, memo: dict[int, Any]) -> None:
    """Put copies of the modules where deepcopy looks first, made as it would make them.

    It goes through the dozen dictionaries of every module, most of them empty, and takes three times as long.
    """
    plain = [module for module in model.modules() if _is_plain(type(module))]
    # All of them first: what one refers to may come later.
    memo.update({id(module): module.__new__(type(module)) for module in plain})
    for module in plain:
        state = module.__getstate__()
        memo[id(module)].__dict__.update({name: _value(name, value, memo) for name, value in state.items()})


def _is_plain(kind: type) -> bool:
    """Whether objects of a class are copied part by part."""
    own = [base for base in kind.__mro__ if base not in (nn.Module, object)]
    return not any(name in vars(base) for base in own for name in _OWN_WAYS)


def _value(name: str, value: Any, memo: dict[int, Any]) -> Any:
    if type(value) is dict and name in _NAMED:
        return {key: None if part is None else copy.deepcopy(part, memo) for key, part in value.items()}
    if isinstance(value, (dict, set)) and not value and name.startswith("_"):
        return type(value)()
    return copy.deepcopy(value, memo)
