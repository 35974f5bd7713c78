"""A run may be killed at any moment, and goes on to the same weights; what is written is whole or not there."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from processes import Done, run_alone
from torch import nn

import gesture_zoo
from gesture_zoo.cli import main
from gesture_zoo.data import create_dataset, resolve_data_config, write_video
from gesture_zoo.data.prepare import prepare_dataset
from gesture_zoo.engine import Recipe, TrainResult, for_testing, for_training, make_loader, train
from gesture_zoo.engine.checkpoint import load_checkpoint, save_checkpoint
from gesture_zoo.engine.clips import spread_clips
from gesture_zoo.engine.trainer import Trainer
from gesture_zoo.errors import DataError, WeightsError
from gesture_zoo.locks import sole_writer
from gesture_zoo.model_folder import load_safetensors

T, SIDE = 2, 32
# Everything that has state: momentum, warm-up, dropout, an average of the weights, accumulation, clipping.
RECIPE = Recipe(
    epochs=3, batch_size=4, accumulate=2, opt="adamw", lr=4e-3, sched="cosine", warmup_epochs=1, drop_rate=0.5,
    ema_decay=0.9, clip_grad=1.0, checkpoint_steps=2, workers=0,
)  # fmt: skip
CLIPS = 22  # 6 batches and 3 updates an epoch


def make_model() -> nn.Module:
    torch.manual_seed(0)
    model = gesture_zoo.create_model(
        "action_test_resnet_msd", num_classes=4, num_segments=T, drop_rate=RECIPE.drop_rate
    )
    model.pretrained_cfg.update(input_size=(3, SIDE, SIDE))
    return model


def clips(split: str, *, count: int = CLIPS) -> object:
    """Rendered clips with the training transform, whose draws have to come out the same too."""
    options = {"split": split, "size": 40, "num_clips": count, "classes": ("push", "pull", "open_hand", "close_hand")}
    data = create_dataset("synthetic", num_segments=T, **options)
    config = resolve_data_config(model=make_model())
    return for_training(data, config) if split == "train" else for_testing(data, config)


def run(out: Path, *, recipe: Recipe = RECIPE, resume: str = "never", data: object = None) -> TrainResult:
    return train(make_model(), data or clips("train"), clips("val", count=4), recipe=recipe, out=out, resume=resume)


class Deadly:
    """Clips, of which the n-th that is read kills the process."""

    def __init__(self, data: object, reads: int, number: int) -> None:
        self.data, self.reads, self.number = data, reads, number

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> object:
        self.reads -= 1
        if self.reads == 0:
            os.kill(os.getpid(), self.number)
        return self.data[index]


def go_on(out: Path, reads: int, number: int, workers: int) -> str:
    """Go on with the run in ``out``, until it ends or a signal comes; how it ended."""
    data = Deadly(clips("train"), reads, number)
    result = run(out, recipe=replace(RECIPE, workers=workers), resume="auto", data=data)
    return "interrupted" if result.interrupted else "done"


def child(out: Path, *, reads: int = 0, number: int = signal.SIGKILL, workers: int = 0) -> Done:
    """A process that goes on with the run in ``out``, and dies when it has read so many clips."""
    return run_alone(go_on, out, reads, int(number), workers, folder=out.parent)


def losses(folder: Path) -> list[dict[str, float]]:
    """The history of a run but for what it took."""
    history = json.loads((folder / "history.json").read_text())["history"]
    return [{name: v for name, v in record.items() if name not in ("seconds", "wait_share")} for record in history]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted, in a process of its own like the others."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = child(folder)
    assert done.returncode == 0, done.stderr
    return folder


def assert_same_run(folder: Path, whole: Path) -> None:
    ours, theirs = (load_safetensors(path / "model.safetensors") for path in (folder, whole))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    ours, theirs = (load_checkpoint(path / "checkpoint.safetensors")["trainer"] for path in (folder, whole))
    for part in ("model", "ema"):
        assert all(torch.equal(ours[part][name], theirs[part][name]) for name in theirs[part])
    for index, entries in theirs["optimizer"]["state"].items():
        assert all(torch.equal(ours["optimizer"]["state"][index][name], value) for name, value in entries.items())
    assert losses(folder) == losses(whole)


def test_killed_at_random_steps_a_run_ends_with_the_same_weights(whole: Path, tmp_path: Path) -> None:
    draw = random.Random(0)
    killed = 0
    for _ in range(6):
        # Between its start and the end of the run, wherever the last one died.
        done = child(tmp_path / "run", reads=draw.randint(1, 2 * CLIPS))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        killed += 1
    assert killed >= 2
    done = child(tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path / "run", whole)


def test_the_number_of_readers_changes_nothing(whole: Path, tmp_path: Path) -> None:
    done = child(tmp_path / "run", workers=2)
    assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path / "run", whole)


def test_sigterm_saves_and_ends_well(whole: Path, tmp_path: Path) -> None:
    done = child(tmp_path / "run", reads=CLIPS + 7, number=signal.SIGTERM)
    assert (done.returncode, done.answer) == (0, "interrupted")
    progress = load_checkpoint(tmp_path / "run" / "checkpoint.safetensors")["trainer"]["progress"]
    assert (progress["epoch"], progress["updates"]) == (1, 4)  # the step that it came in is done
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert child(tmp_path / "run").answer == "done"
    assert_same_run(tmp_path / "run", whole)


def test_sigterm_to_all_processes_of_a_command_saves_too(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "gesture_zoo", "train", "--model", "tsm_test_resnet", "--data", "synthetic",
        "--size", "32", "--num-segments", "2", "--epochs", "50", "--workers", "2", "--log-steps", "1",
        "--out", str(tmp_path / "run"),
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "epoch 1 of 50, step 3" in line:
            break
    os.killpg(process.pid, signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "stopped by SIGTERM, everything is saved; go on with" in out
    assert load_checkpoint(tmp_path / "run" / "checkpoint.safetensors")["trainer"]["progress"]["updates"] >= 3


def test_sigterm_while_it_tests_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "train", "--model", "tsm_test_resnet", "--data", "synthetic", "--size", "32", "--num-segments", "2",
        "--epochs", "1", "--workers", "0", "--val-split", "none", "--test-split", "test",
        "--out", str(tmp_path / "run"),
    ]  # fmt: skip
    monkeypatch.setattr("gesture_zoo.data.synthetic._SPLITS", {"train": 2, "val": 1, "test": 1})
    with monkeypatch.context() as patch:
        patch.setattr("gesture_zoo.cli.train.evaluate", lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGTERM))
        assert main(arguments) == 0
    assert "stopped by SIGTERM, the trained model is saved; it is tested by: --out" in capsys.readouterr().out
    assert (tmp_path / "run" / "model.safetensors").exists()
    assert main([*arguments, "--resume", "auto"]) == 0
    assert "results and predictions" in capsys.readouterr().out


def test_a_finished_run_is_finished_again(whole: Path) -> None:
    done = child(whole)
    assert done.answer == "done", done.stderr
    assert len(losses(whole)) == RECIPE.epochs


def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, {"step": 1, "weights": torch.zeros(4)})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        with pytest.raises(OSError, match=r".+"):
            save_checkpoint(path, {"step": 2, "weights": torch.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert load_checkpoint(path)["step"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def test_training_goes_on_where_a_checkpoint_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    def full(path: Path, state: dict) -> None:
        calls.append(path)
        if len(calls) in (2, 3):
            raise OSError(28, "No space left on device")
        save_checkpoint(path, state)

    monkeypatch.setattr("gesture_zoo.engine.run.save_checkpoint", full)
    result = run(tmp_path / "run", recipe=replace(RECIPE, epochs=2))
    assert len(result.history) == 2
    assert sum("No space left on device): what was there stays" in message for message in caplog.messages) == 2


def test_the_best_is_the_best_that_could_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Path] = []
    accuracies = iter([0.2, 0.9, 0.5, 0.4])

    def once_full(model: nn.Module, folder: Path, **options: object) -> None:
        kept.append(folder)
        if len(kept) == 1:
            raise OSError(28, "No space left on device")
        gesture_zoo.save_pretrained(model, folder, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(sys.modules["gesture_zoo.engine.training"], "save_pretrained", once_full)
    monkeypatch.setattr(
        "gesture_zoo.engine.validation.Validation.accuracy", lambda self, model: {"val_top1": next(accuracies)}
    )
    result = run(tmp_path / "run")
    assert [folder.name for folder in kept] == ["best", "best", "run"]
    assert result.best_epoch == 2 and "epoch 2 of 3" in (tmp_path / "run" / "best" / "config.json").read_text()


def test_stopped_on_a_full_disk_a_run_does_not_say_that_it_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, state: dict) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gesture_zoo.engine.run.save_checkpoint", full)
    monkeypatch.setattr("gesture_zoo.engine.interrupt.StopWish.agreed", lambda wish: True)
    result = run(tmp_path / "run")
    assert (result.interrupted, result.saved) == (True, False)


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    # safetensors has names of its own for what it has not finished.
    left = [folder / f".checkpoint.{'0' * 32}.safetensors", folder / ".tmpCjiemC"]
    for path in left:
        path.touch()
    (folder / ".mine").touch()
    run(folder, recipe=replace(RECIPE, epochs=1, warmup_epochs=0))
    assert not any(path.exists() for path in left)
    assert (folder / ".mine").exists()


# Clips, how many so many processes have done, and the steps of one that stands there. The last: at the end of an epoch,
# where a short step counts as a whole one.
RESTARTS = [(22, 8, 2, 2), (22, 12, 3, 3), (21, 24, 3, 5)]


@pytest.mark.parametrize(("count", "clips_done", "processes", "updates"), RESTARTS)
def test_with_other_processes_the_schedule_ends_with_the_run(
    count: int, clips_done: int, processes: int, updates: int
) -> None:
    recipe = replace(RECIPE, warmup_epochs=0, accumulate=1, epochs=2)
    trainer = Trainer(make_model(), make_loader(clips("train", count=count), 4, workers=0, training=True), recipe)
    state = trainer.state()
    state["progress"] |= {"epoch": 1, "updates": 3, "clips_done": clips_done}
    state["random"] = state["random"] * processes
    trainer.restore(state)
    assert trainer.updates == trainer.updates_per_epoch + updates
    lrs: list[float] = []
    trainer.run_epoch(lambda step: lrs.append(step.lr) or True)
    assert trainer.updates == 2 * trainer.updates_per_epoch and trainer.clips_done >= count
    assert all(lrs[:-1]), "no step before the end has a rate of 0"


def test_with_other_processes_the_schedule_stays_where_it_was(tmp_path: Path) -> None:
    recipe = replace(RECIPE, sched="multistep", milestones=(1,), warmup_epochs=0, accumulate=1)
    run(tmp_path / "run", recipe=replace(recipe, epochs=2))
    state = load_checkpoint(tmp_path / "run" / "checkpoint.safetensors")["trainer"]
    loader = make_loader(clips("train"), recipe.batch_size, workers=0, training=True)
    trainer = Trainer(make_model(), loader, replace(recipe, epochs=2))
    # As if two processes had written it, each with twice the clips a step.
    state["progress"] |= {"epoch": 1, "updates": 3, "clips_done": 8}
    state["random"] = state["random"] * 2
    trainer.restore(state)
    assert trainer.updates == 6 + 2
    assert trainer.lr == pytest.approx(recipe.scaled_lr() * 0.1)


def test_torchrun_that_may_restart_has_to_be_told_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "3")
    with pytest.raises(WeightsError, match=r"may restart this run \(--max-restarts\).*add --resume auto"):
        run(tmp_path / "run")


def test_a_run_is_not_overwritten_and_not_mixed_with_another(whole: Path) -> None:
    with pytest.raises(WeightsError, match=r"already holds a run: go on with it \(--resume auto\)"):
        run(whole)
    with pytest.raises(WeightsError, match=r"was started with lr 0\.004, not 0\.1: go on with the same recipe"):
        run(whole, recipe=replace(RECIPE, lr=0.1), resume="auto")
    with pytest.raises(WeightsError, match="was started on 22 training clips, now there are 8"):
        run(whole, resume="auto", data=clips("train", count=8))
    with pytest.raises(WeightsError, match="resume is one of never, auto, not 'always'"):
        run(whole, resume="always")


def test_two_runs_do_not_write_to_one_folder(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refusal = "another process is writing to {}: wait until it has ended, or give another folder"
    with sole_writer(tmp_path / "run"), pytest.raises(WeightsError, match=refusal.format(tmp_path / "run")):
        run(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with sole_writer(whole):
        # Not that it holds a run, which one may go on with or remove.
        assert main(["train", "--model", "tsm_test_resnet", "--data", "synthetic", "--out", str(whole)]) == 2
    assert refusal.format(whole) in capsys.readouterr().err


def test_a_death_that_shows_in_the_middle_of_a_step_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deadly(trainer: Trainer, group: list) -> dict[str, float]:
        os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)
        time.sleep(20)  # torch tells of it as soon as it knows
        return {}

    monkeypatch.setattr(Trainer, "update", deadly)
    with pytest.raises(DataError, match="a process that reads clips died: DataLoader worker"):
        run(tmp_path / "run", recipe=replace(RECIPE, workers=1, early_validation=False))


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    class Mark:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "mark",))

    path = tmp_path / "checkpoint.safetensors"
    torch.save({"step": Mark()}, path)
    with pytest.raises(WeightsError, match="is no checkpoint, or a damaged one"):
        load_checkpoint(path)
    assert not (tmp_path / "mark").exists()
    save_checkpoint(path, {"step": 1, "w": torch.zeros(100)})
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(WeightsError, match="damaged"):
        load_checkpoint(path)
    with pytest.raises(WeightsError, match="a Mark cannot be stored in a checkpoint"):
        save_checkpoint(path, {"step": Mark()})


def test_states_survive_to_the_last_bit(tmp_path: Path) -> None:
    state = {
        "dtype": torch.bfloat16,
        "floats": [0.1, 1e-300, float("inf")], "nested": {0: {"exp_avg": torch.rand(3), "betas": (0.9, 0.999)}},
        "none": None, "words": "ä", "$odd": True, "half": torch.rand(2).half(), "shared": torch.ones(2).expand(3, 2),
    }  # fmt: skip
    save_checkpoint(tmp_path / "state.safetensors", state)
    loaded = load_checkpoint(tmp_path / "state.safetensors")
    assert list(loaded) == list(state)
    assert (loaded["floats"], loaded["dtype"]) == (state["floats"], torch.bfloat16)
    assert loaded["nested"][0]["betas"] == (0.9, 0.999)
    assert torch.equal(loaded["nested"][0]["exp_avg"], state["nested"][0]["exp_avg"])
    assert torch.equal(loaded["half"], state["half"]) and torch.equal(loaded["shared"], state["shared"])


def test_what_an_epoch_leaves_in_the_history(whole: Path) -> None:
    terms = {"loss", "ce", "res1", "layer4", "top1", "val_top1"}
    first = json.loads((whole / "history.json").read_text())["history"][0]
    assert set(first) == terms | {"epoch", "lr", "seconds", "wait_share"}


def test_a_run_on_shards_goes_on_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(0)
    for number in range(12):
        path = tmp_path / "clips" / "train" / ("fist", "wave")[number % 2] / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(rng.integers(0, 255, (5, 48, 48, 3), dtype=np.uint8), path)
    prepare_dataset("folder", tmp_path / "clips", tmp_path / "shards", clips_per_shard=5, splits=["train"])
    recipe = replace(RECIPE, batch_size=3, epochs=2)  # 4 batches and 2 updates an epoch

    def shards() -> object:
        data = create_dataset("shards", tmp_path / "shards", num_segments=T)
        return for_training(data, resolve_data_config(model=make_model()))

    part = shards()
    part._remembered_node = (0, 2)  # one of two processes, which share out what they train on
    assert len(spread_clips(part, 4)) == 4

    whole = train(make_model(), shards(), recipe=recipe, out=tmp_path / "whole")
    trainer = Trainer(make_model(), make_loader(shards(), 3, workers=0, training=True), recipe)
    state = trainer.state()
    state["progress"] |= {"clips_done": 6}
    trainer.restore(state | {"random": state["random"] * 2})
    assert trainer.updates == 1 and "to the end of epoch 1 some clips come twice" in caplog.text
    calls = iter(range(100))
    monkeypatch.setattr("gesture_zoo.engine.interrupt.StopWish.agreed", lambda wish: next(calls) == 2)
    assert train(make_model(), shards(), recipe=recipe, out=tmp_path / "run").interrupted
    monkeypatch.undo()
    result = train(make_model(), shards(), recipe=recipe, out=tmp_path / "run", resume="auto")
    assert not result.interrupted
    assert len(result.history) == len(whole.history) == 2
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_another_model_or_other_labels_are_another_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "clips"
    for number, label in enumerate(("push", "pull", "push", "pull")):
        (root / label).mkdir(parents=True, exist_ok=True)
        write_video(np.full((4, SIDE, SIDE, 3), 40 * number, np.uint8), root / label / f"{number}.mp4")
    start = ["train", "--data", "folder", "--data-dir", str(root), "--val-split", "none", "--num-segments", str(T)]
    start += ["--epochs", "1", "--batch-size", "2", "--workers", "0", "--size", str(SIDE), "--resume", "auto"]
    start += ["--out", str(tmp_path / "run")]
    assert main([*start, "--model", "tsm_test_resnet"]) == main([*start, "--model", "tsm_test_resnet"]) == 0
    kept = (tmp_path / "run/config.json").read_bytes()
    assert main([*start, "--model", "tsm_test_resnet_online"]) == 2
    assert "was started with other values of the model: " in capsys.readouterr().err
    (root / "push/0.mp4").rename(root / "pull/0.mp4")
    assert main([*start, "--model", "tsm_test_resnet"]) == 2
    assert "was started with other values of the training clips and their classes: " in capsys.readouterr().err
    assert (tmp_path / "run/config.json").read_bytes() == kept


class SomeDepth:
    """Four times the same clip, of which every n-th has depth."""

    def __init__(self, every: int) -> None:
        self.every, self.clip = every, clips("train", count=4)[0]

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> object:
        return self.clip if index % self.every == 0 else self.clip._replace(depth=None, valid=None)


def test_errors_of_masks_are_means_of_what_has_depth() -> None:
    recipe = replace(RECIPE, epochs=1, warmup_epochs=0, batch_size=2, accumulate=1, lr=1e-9, norm="frozen")
    errors = []
    for every in (1, 4):
        model = make_model().eval()
        trainer = Trainer(model, make_loader(SomeDepth(every), 2, training=True, workers=0), recipe)
        record = trainer.run_epoch(lambda step: True)
        errors.append({name: value for name, value in record.items() if name in ("res1", "layer4")})
    assert len(errors[0]) == 2 and errors[1] == pytest.approx(errors[0], rel=0.05)
