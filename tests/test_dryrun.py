"""What the dry run says of operations by itself is what PyTorch says."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from gesture_zoo.dryrun import Shapes

aten = torch.ops.aten


def looks(tensor: Tensor) -> tuple[object, ...]:
    return tensor.shape, tensor.dtype, tensor.stride(), tensor.device.type


def frames(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, device="meta", dtype=dtype)


PAIRS = {
    "alike": (frames(2, 3, 4, 5), frames(2, 3, 4, 5)),
    "a gate": (frames(2, 3, 4, 5), frames(2, 3, 1, 1)),
    "a wider one": (frames(2, 3, 1, 1), frames(2, 3, 4, 5)),
    "another type": (frames(2, 3, dtype=torch.float16), frames(2, 3)),
    "a number": (frames(2, 3), 2.0),
    "channels_last": (frames(2, 3, 4, 5).to(memory_format=torch.channels_last),) * 2,
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("operation", [torch.add, torch.sub, torch.mul, torch.div])
def test_arithmetic(operation, pair: str) -> None:
    expected = operation(*PAIRS[pair])
    for _ in range(2):  # worked out, and remembered
        with Shapes():
            assert looks(operation(*PAIRS[pair])) == looks(expected)


MAPS = frames(2, 3, 4, 5)
OPERATIONS = {
    "relu": (aten.relu.default, (MAPS,), {}),
    "convolution": (aten.convolution.default, (MAPS, frames(6, 3, 3, 3), None, [2], [1], [1], False, [0], 1), {}),
    "mean": (aten.mean.dim, (MAPS, [2, 3], True), {}),
    "stack": (aten.stack.default, ([MAPS, MAPS], 1), {}),
    "cat": (aten.cat.default, ([MAPS, frames(2, 1, 4, 5)], 1), {}),
    "several answers": (aten.max_pool2d_with_indices.default, (MAPS, [2, 2]), {}),
    "a list of answers": (aten.split.Tensor, (MAPS, 2), {}),
    "another type": (aten._to_copy.default, (MAPS,), {"dtype": torch.float16}),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(name: str) -> None:
    func, args, kwargs = OPERATIONS[name]
    expected = func(*args, **kwargs)
    for _ in range(2):
        with Shapes():
            found = func(*args, **kwargs)
        assert type(found) is type(expected)
        assert list(map(looks, tree_leaves(found))) == list(map(looks, tree_leaves(expected)))


def test_what_is_changed_in_place_is_what_comes_back() -> None:
    maps, out = frames(2, 3, 4, 5), frames(2, 3, 4, 5)
    for _ in range(2):
        with Shapes():
            assert maps.relu_() is maps
            assert torch.add(maps, maps, out=out) is out
            version = maps._version
            maps.add_(1)
            assert maps._version > version


def test_views_are_views_and_new_shapes_are_new_shapes() -> None:
    maps = frames(2, 3, 4, 5)
    for _ in range(2):
        with Shapes():
            assert maps.flatten(1)._is_view() and maps.view(6, 20)._base is maps
            squeezed = frames(1, 3).squeeze_()
            assert squeezed.shape == (3,)


def test_a_truth_is_no_number() -> None:
    maps = frames(2, 3)
    with Shapes():
        assert aten.sum.dim_IntList(maps, [0], True).shape == (1, 3)
        assert aten.sum.dim_IntList(maps, [0], False).shape == (3,)
        assert (maps + True).dtype == (maps + 1).dtype == maps.dtype
        counts = frames(2, 3, dtype=torch.bool)
        assert (counts + 1).dtype == torch.int64 and (counts + True).dtype == torch.bool


@pytest.mark.parametrize("grad_mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("norm", [nn.BatchNorm2d(3), nn.BatchNorm2d(3, affine=False, track_running_stats=False)])
def test_batch_norms(norm: nn.Module, grad_mode) -> None:
    with grad_mode(), Shapes():
        found = norm.to("meta").eval()(frames(2, 3, 4, 5))
    assert looks(found) == looks(frames(2, 3, 4, 5))


def test_what_does_not_fit_is_refused_as_ever() -> None:
    with Shapes():
        with pytest.raises(RuntimeError):
            F.batch_norm(frames(2, 3, 4, 5), frames(4), frames(4))
        with pytest.raises(RuntimeError):
            frames(2, 3) + frames(2, 4)


def test_the_default_type_counts() -> None:
    counts, default = frames(3, dtype=torch.int64), torch.get_default_dtype()
    try:
        for dtype in (torch.float32, torch.float64):
            torch.set_default_dtype(dtype)
            with Shapes():
                assert (counts / 2).dtype == dtype
    finally:
        torch.set_default_dtype(default)


@pytest.mark.filterwarnings("ignore:Sparse CSR", "ignore:The PyTorch API of nested")
def test_tensors_without_shapes_or_strides_are_worked_on() -> None:
    sparse = torch.eye(3).to_sparse_csr()
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    with Shapes():
        assert (sparse @ torch.ones(3, 1)).flatten().tolist() == [1.0] * 3
        assert [len(part) for part in (nested * 2).unbind()] == [2, 3]


def test_real_tensors_are_worked_on() -> None:
    with Shapes():
        assert torch.relu(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]
