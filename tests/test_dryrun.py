"""What the dry run says of operations by itself is what PyTorch says."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gesture_zoo.dryrun import ALIKE, ALIKE_IN_PLACE, Shapes


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
    with Shapes():
        assert looks(operation(*PAIRS[pair])) == looks(expected)


@pytest.mark.parametrize("operation", sorted(map(str, ALIKE | ALIKE_IN_PLACE)))
def test_every_operation(operation: str) -> None:
    name, overload = operation.split(".")[-2:]
    func, maps = getattr(getattr(torch.ops.aten, name), overload), frames(2, 3, 4, 5)
    given = (maps,) if overload == "default" else (maps, maps)
    expected = func(*given)
    with Shapes():
        found = func(*given)
    assert looks(found) == looks(expected)
    assert (found is maps) == name.endswith("_")


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


def test_real_tensors_are_worked_on() -> None:
    with Shapes():
        assert torch.relu(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]
