"""The mean of trained models' weights."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from rendered_mean import main

import gesture_zoo
from gesture_zoo.errors import WeightsError


def saved(folder: Path, seed: int, name: str = "tsm_test_resnet"):
    torch.manual_seed(seed)
    model = gesture_zoo.create_model(name, num_classes=3, num_segments=2)
    gesture_zoo.save_pretrained(model, folder)
    return model.state_dict()


def test_weights_and_statistics_are_averaged(tmp_path: Path) -> None:
    one, other = saved(tmp_path / "one", 1), saved(tmp_path / "other", 2)
    main([str(tmp_path / "one"), str(tmp_path / "other"), "--out", str(tmp_path / "mean")])
    found = gesture_zoo.create_model(f"local-dir:{tmp_path / 'mean'}", pretrained=True).state_dict()
    assert found.keys() == one.keys()
    for key, value in found.items():
        torch.testing.assert_close(value, (one[key] + other[key]) / 2 if value.is_floating_point() else one[key])
    assert any(not torch.equal(one[key], other[key]) for key in one)


def test_models_of_two_architectures_have_no_mean(tmp_path: Path) -> None:
    saved(tmp_path / "one", 1)
    saved(tmp_path / "other", 1, "action_test_resnet")
    with pytest.raises(WeightsError, match=r"only models of one architecture have a mean"):
        main([str(tmp_path / "one"), str(tmp_path / "other"), "--out", str(tmp_path / "mean")])
    assert not (tmp_path / "mean").exists()
