"""A copy of a network has everything of its own but what is shared, whatever refers to what."""

from __future__ import annotations

import copy
from typing import Any

import timm
import torch
from torch import nn
from torch.nn.utils import parametrizations

from gesture_zoo.copies import copy_of


class Tangled(nn.Module):
    """Modules with two names, and references to them where PyTorch does not look."""

    def __init__(self) -> None:
        super().__init__()
        self.first = self.again = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)
        self.untied = nn.Linear(2, 2)
        self.untied.weight = self.first.weight
        self.plain = {"last": [self.first], "me": self}
        self.lstm = nn.LSTM(2, 2)
        self.heavy = parametrizations.weight_norm(nn.Linear(2, 2))
        self.register_buffer("passing", torch.ones(2), persistent=False)
        self.register_forward_hook(self.note)
        self.noted: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.heavy(self.lstm(self.untied(self.norm(self.first(x))))[0]) + self.passing

    def note(self, module: nn.Module, args: Any, output: Any) -> None:
        self.noted.append(len(output))


class Counted(nn.Module):
    """One that says itself how it is copied."""

    def __init__(self, copies: int = 0) -> None:
        super().__init__()
        self.copies = copies

    def __deepcopy__(self, memo: dict[int, Any]) -> Counted:
        return Counted(self.copies + 1)


def test_everything_refers_to_the_copy() -> None:
    model = Tangled().eval()
    twin = copy_of(model)
    assert twin.first is twin.again is twin.plain["last"][0] is not model.first
    assert twin.plain["me"] is twin and twin.untied.weight is twin.first.weight is not model.first.weight
    x = torch.rand(3, 2)
    assert torch.equal(twin(x), model(x))
    assert twin.noted == model.noted == [3]
    assert list(twin.state_dict()) == list(model.state_dict()) and not twin.training
    with torch.no_grad():
        twin.first.weight.zero_()
        twin.norm.running_mean.add_(1)
    assert model.first.weight.any() and not model.norm.running_mean.any()


def test_what_is_shared_is_shared() -> None:
    model = Tangled()
    twin = copy_of(model, [model.first.weight, model.passing])
    assert twin.first.weight is twin.untied.weight is model.first.weight and twin.passing is model.passing
    assert twin.first.bias is not model.first.bias


def test_own_ways_are_kept() -> None:
    twin = copy_of(nn.Sequential(Counted(), nn.Sequential(Counted(3))))
    assert (twin[0].copies, twin[1][0].copies) == (1, 4)


def test_it_is_what_deepcopy_makes() -> None:
    model = timm.create_model("test_resnet")
    for ours, theirs in zip(copy_of(model).modules(), copy.deepcopy(model).modules(), strict=True):
        assert type(ours) is type(theirs) and list(vars(ours)) == list(vars(theirs))
        assert all(type(value) is type(vars(theirs)[name]) for name, value in vars(ours).items())
