"""What a run says: one line per log interval where there is no terminal, and TensorBoard where it is installed."""

from __future__ import annotations

import builtins
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import gesture_zoo
from gesture_zoo.data import create_dataset, resolve_data_config
from gesture_zoo.engine import Recipe, TrainResult, for_testing, train
from gesture_zoo.model_folder import read_config

RECIPE = Recipe(epochs=2, batch_size=2, workers=0, log_steps=2, checkpoint_steps=3)


def run(out: Path, recipe: Recipe = RECIPE) -> TrainResult:
    torch.manual_seed(0)
    model = gesture_zoo.create_model("tsm_test_resnet_msd", num_classes=2, num_segments=2)
    model.pretrained_cfg.update(input_size=(3, 32, 32), label_names=("push", "pull"))
    data = create_dataset("synthetic", num_segments=2, size=32, num_clips=10, classes=("push", "pull"))
    data = for_testing(data, resolve_data_config(model=model))
    return train(model, data, data, recipe=recipe, out=out, progress=True)


def scalars(out: Path) -> EventAccumulator:
    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    return events


def test_a_line_per_log_interval(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="gesture_zoo"):
        run(tmp_path / "run")
    lines = [message for message in caplog.messages if ", step " in message]
    assert [line.partition(":")[0] for line in lines] == [
        f"epoch {epoch} of 2, step {step} of 5" for epoch in (1, 2) for step in (2, 4, 5)
    ]
    for word in ("loss ", "ce ", "res1 ", "layer4 ", "top1 ", "lr 0.000313", "clips/s", "% waiting for clips", " left"):
        assert word in lines[0]
    ends = [message for message in caplog.messages if message.startswith(("epoch 0 of 2:", "epoch 2 of 2:"))]
    assert "val_top1" in ends[0] and ends[0].endswith("before the first step")
    assert "val_top1" in ends[1] and "val_top5" not in ends[1], "top-5 says nothing of five classes or fewer"


def test_tensorboard_holds_the_curves_and_the_masks(tmp_path: Path) -> None:
    result = run(tmp_path / "run")
    events = scalars(tmp_path / "run")
    tags = events.Tags()
    terms = {f"train/{name}" for name in ("loss", "ce", "res1", "layer4", "top1")}
    assert terms | {"val/top1", "lr", "speed/clips_per_second", "speed/wait_share"} == set(tags["scalars"])
    assert tags["images"] == ["masks"]
    assert [event.step for event in events.Images("masks")] == [5, 10]
    assert [event.step for event in events.Scalars("train/loss")] == [2, 4, 5, 7, 9, 10]
    assert events.Scalars("val/top1")[-1].value == pytest.approx(result.history[-1]["val_top1"])


def test_without_tensorboard_training_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    imported = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "torch.utils.tensorboard":
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with caplog.at_level(logging.INFO, logger="gesture_zoo"):
        run(tmp_path / "run", replace(RECIPE, epochs=1))
    assert 'pip install "gesture-zoo[tracking]"' in caplog.text
    assert not (tmp_path / "run" / "tensorboard").exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_curves_that_cannot_be_written_do_not_end_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(writer: object, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tensorboard.summary.writer.record_writer.RecordWriter.write", full)
    run(tmp_path / "run")
    assert (tmp_path / "run" / "model.safetensors").exists()
    messages = [message for message in caplog.messages if "TensorBoard" in message]
    assert messages == ["TensorBoard's curves end here (No space left on device): training goes on"]


def test_what_a_run_leaves(tmp_path: Path) -> None:
    run(tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "README.md", "best", "checkpoint.safetensors", "config.json", "curves.png", "history.json", "model.safetensors",
        "recipe.yaml", "tensorboard",
    }  # fmt: skip
    last, best = (read_config(tmp_path / "run" / name / "config.json") for name in ("", "best"))
    assert last["gesture_zoo"]["checkpoint"] == "last, epoch 2 of 2"
    assert "the best by top-1 on the validation clips, epoch" in best["gesture_zoo"]["checkpoint"]
