"""What is looked for in whatever a network or a module of one returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from .errors import ModelError


def logits_of(output: Any) -> Tensor:
    """The logits in what a CNN returns: the tensor itself, an entry "logits" or "out", or the first tensor there is.

    >>> import torch
    >>> logits_of((torch.zeros(2, 5), torch.ones(2, 64))).shape
    torch.Size([2, 5])
    """
    if isinstance(output, Tensor):
        return output
    for name in ("logits", "out"):
        named = output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)
        if isinstance(named, Tensor):
            return named
    first = next((leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)), None)
    if first is None:
        what = type(output).__name__
        raise ModelError(f"a CNN answers with logits (N, classes), or a tuple or dictionary with them, not a {what}")
    return first


def feature_map(output: Any) -> Any:
    """The feature map in what a module returns: the first tensor of 4 or 5 dimensions, else the output as it is.

    >>> import torch
    >>> feature_map((torch.zeros(2, 5), torch.ones(2, 8, 7, 7))).shape
    torch.Size([2, 8, 7, 7])
    """
    for leaf in tree_leaves(output):
        if isinstance(leaf, Tensor) and leaf.dim() in (4, 5):
            return leaf
    return output
