"""How large a model is: parameters, and multiply-adds of one clip."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

__all__ = ["Complexity", "complexity"]


class Complexity(NamedTuple):
    """Parameters, and multiply-adds of the convolutions and matrix products for one input.

    >>> print(Complexity(params=11_700_000, multiply_adds=14_500_000_000))
    11.700 M parameters, 14.500 G multiply-adds
    """

    params: int
    multiply_adds: int

    def __str__(self) -> str:
        return f"{self.params / 1e6:.3f} M parameters, {self.multiply_adds / 1e9:.3f} G multiply-adds"


class _Counter(TorchDispatchMode):
    """Adds up the operations of whatever runs, by PyTorch's own formulas.

    FlopCounterMode hooks every module beside that, and temporal modules do more for who watches them.
    """

    flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if formula := flop_registry.get(func._overloadpacket):
            self.flops += formula(*args, **(kwargs or {}), out_val=out)
        return out


def complexity(model: nn.Module, input_shape: tuple[int, ...], *, training: bool = False) -> Complexity:
    """Count a model's parameters and multiply-adds for one input of ``input_shape``, without running it.

    ``training`` counts what runs in training: with MSD, the decoders too.

    >>> import gesture_zoo
    >>> count = complexity(gesture_zoo.create_model("tsm_resnet50", num_classes=83), (1, 8, 3, 224, 224))
    >>> f"{count.params / 1e6:.3f} {count.multiply_adds / 1e9:.2f}"
    '23.678 32.70'
    """
    twin = copy.deepcopy(model).to("meta").train(training)
    for module in twin.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()  # one clip alone has no batch statistics in a 1 x 1 layer
    counter = _Counter()
    with counter, torch.no_grad():
        twin(torch.empty(input_shape, device="meta"))
    return Complexity(sum(parameter.numel() for parameter in model.parameters()), counter.flops // 2)
