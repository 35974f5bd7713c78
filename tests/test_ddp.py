"""Two processes on gloo: gradients are averaged, whoever has depth."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from processes import in_two_processes
from torch.nn.parallel import DistributedDataParallel

import gesture_zoo

T, SIDE, STEPS = 2, 32, 3


def data(rank: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(rank)
    return (
        torch.rand(2, T, 3, SIDE, SIDE, generator=generator),
        torch.tensor([0, 1 + rank]),
        torch.rand(2, T, 1, SIDE, SIDE, generator=generator),
    )


def frozen_norm_model() -> torch.nn.Module:
    """BatchNorm in eval, so that two processes of two clips compute what one of four does."""
    torch.manual_seed(0)
    model = gesture_zoo.create_model("tsm_resnet18_msd", num_classes=5, num_segments=T).train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    return model


def train(folder: Path, has_depth: tuple[bool, bool]) -> dict[str, torch.Tensor]:
    rank = dist.get_rank()
    clip, target, depth = data(rank)
    model = DistributedDataParallel(frozen_norm_model())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(STEPS):
        optimizer.zero_grad()
        gesture_zoo.MSDLoss()(model(clip), target, depth if has_depth[rank] else None).backward()
        optimizer.step()
    return model.module.state_dict()


# Who has depth, of the first and the second process.
@pytest.mark.parametrize("has_depth", [(True, True), (False, True), (False, False)])
def test_two_processes(tmp_path: Path, has_depth: tuple[bool, bool]) -> None:
    first, second = in_two_processes(train, tmp_path, has_depth)
    assert all(torch.equal(first[key], second[key]) for key in first)

    # The mean of the two processes' losses, in one process.
    model = frozen_norm_model()
    start = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(STEPS):
        optimizer.zero_grad()
        for rank in (0, 1):
            clip, target, depth = data(rank)
            (gesture_zoo.MSDLoss()(model(clip), target, depth if has_depth[rank] else None) / 2).backward()
        optimizer.step()
    for key, value in model.state_dict().items():
        torch.testing.assert_close(first[key], value, rtol=1e-3, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}")
    decoder = "decoders.res1.layers.0.weight"
    assert torch.equal(start[decoder], first[decoder]) != any(has_depth)
