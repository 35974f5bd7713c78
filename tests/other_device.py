"""A device that is not the CPU, for machines without one: its tensors are computed on the CPU.

As on a GPU, an operation on tensors of both devices is an error, and what asks for ``tensor.device.type`` takes the
other way. It calls itself "meta", the one other device that every build of PyTorch knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")
MIXING = {"index", "index_put_", "_index_put_impl_"}  # take indices from the CPU too


class Other(torch.Tensor):
    """A tensor on the other device; ``data_of`` has its numbers."""

    data_of: torch.Tensor

    @staticmethod
    def __new__(cls, data: torch.Tensor) -> Other:
        made: Any = torch.Tensor._make_wrapper_subclass(
            cls, data.size(), strides=data.stride(), storage_offset=data.storage_offset(), dtype=data.dtype,
            layout=data.layout, device=DEVICE, requires_grad=data.requires_grad,
        )  # fmt: skip
        made.data_of = data
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, given: Any = (), options: Any = None) -> Any:
        return computed(operation, given, options or {})

    def __deepcopy__(self, memo: Any) -> Any:
        copy = Other(self.data_of.clone())
        return torch.nn.Parameter(copy, self.requires_grad) if isinstance(self, torch.nn.Parameter) else copy

    def tolist(self) -> Any:
        return self.data_of.tolist()

    def new_tensor(self, values: Any, **options: Any) -> Other:
        return Other(self.data_of.new_tensor(values, **options))


def is_other(device: Any) -> bool:
    return device is not None and torch.device(device).type == DEVICE.type


def plain(value: Any) -> Any:
    return value.data_of if isinstance(value, Other) else value


def computed(operation: Any, given: Any, options: dict[str, Any]) -> Any:
    """What an operation gives: on the other device, if it takes or asks for one of its tensors."""
    name = operation._schema.name.removeprefix("aten::")
    tensors = [leaf for leaf in tree_leaves((given, options)) if isinstance(leaf, torch.Tensor)]
    others = [tensor for tensor in tensors if isinstance(tensor, Other)]
    device = options.get("device")
    if not others and not is_other(device):
        return operation(*given, **options)
    on_cpu = {key: torch.device("cpu") if key == "device" and value else plain(value) for key, value in options.items()}
    if name == "copy_":
        plain(given[0]).copy_(plain(given[1]))
        return given[0]
    if name == "_to_copy" and device is not None and not is_other(device):
        return operation(*tree_map(plain, given), **on_cpu)
    strangers = [tensor for tensor in tensors if not isinstance(tensor, Other) and tensor.dim()]
    if others and strangers and (name not in MIXING or not isinstance(given[0], Other)):
        raise RuntimeError(f"{name} takes tensors of two devices: {[(type(t).__name__, *t.shape) for t in tensors]}")
    found = operation(*tree_map(plain, given), **on_cpu)
    if operation._schema.is_mutable and given and isinstance(given[0], Other) and found is given[0].data_of:
        return given[0]
    return tree_map(lambda value: Other(value) if isinstance(value, torch.Tensor) else value, found)


class _Watch(TorchDispatchMode):
    """Sees what asks for tensors on the other device."""

    def __torch_dispatch__(self, operation: Any, types: Any, given: Any = (), options: Any = None) -> Any:
        return computed(operation, given, options or {})


class _Generator(torch.Generator):
    device = DEVICE


@contextmanager
def other_device() -> Iterator[torch.device]:
    """Within it the device can be used; autocast does nothing there."""
    tensor, as_tensor, generator, autocast = torch.tensor, torch.as_tensor, torch.Generator, torch.autocast

    def cast(device: str, *given: Any, **options: Any) -> Any:
        return nullcontext() if is_other(device) else autocast(device, *given, **options)

    def made(values: Any, *, device: Any = None, **options: Any) -> torch.Tensor:
        return Other(tensor(values, **options)) if is_other(device) else tensor(values, device=device, **options)

    def taken(values: Any, *, device: Any = None, **options: Any) -> torch.Tensor:
        if isinstance(values, torch.Tensor) or not is_other(device):
            return as_tensor(values, device=device, **options)
        return made(values, device=device, **options)

    class Kinds(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, generator)

    class Generators(metaclass=Kinds):
        def __new__(cls, device: Any = "cpu") -> Any:
            return _Generator() if is_other(device) else generator(device)

    with pytest.MonkeyPatch.context() as patch, _Watch():
        for name, value in (("tensor", made), ("as_tensor", taken), ("Generator", Generators), ("autocast", cast)):
            patch.setattr(torch, name, value)
        yield DEVICE
