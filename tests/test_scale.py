"""Several processes: the same loss curve as one with all their clips, restarts, and what a step in training does."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from processes import in_two_processes
from torch import nn

import gesture_zoo
from gesture_zoo.data import ClipBatch, ClipSample, create_dataset, resolve_data_config
from gesture_zoo.engine import Recipe, evaluate, evaluate_depth, for_testing, make_loader, train
from gesture_zoo.engine.batches import EpochBatches
from gesture_zoo.engine.checkpoint import load_checkpoint
from gesture_zoo.engine.trainer import Trainer
from gesture_zoo.errors import DataError, ModelError

pytestmark = pytest.mark.usefixtures("_one_thread")

T, SIDE = 2, 32
CLASSES = ("push", "pull", "open_hand", "close_hand")
RECIPE = Recipe(epochs=2, batch_size=4, lr=0.05, milestones=(1,), norm="frozen", workers=0, log_steps=1)


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """As in the processes that are started: on more threads, sums come out another way in the last bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_model(name: str = "tsm_test_resnet_msd") -> nn.Module:
    torch.manual_seed(0)
    model = gesture_zoo.create_model(name, num_classes=len(CLASSES), num_segments=T)
    model.pretrained_cfg.update(input_size=(3, SIDE, SIDE))
    return model


class Clips:
    """Rendered clips without random draws, some of them without depth: the processes' valid pixels differ."""

    def __init__(self, count: int) -> None:
        data = create_dataset("synthetic", num_segments=T, size=SIDE, num_clips=count, classes=CLASSES)
        self.clips = list(for_testing(data, resolve_data_config(model=make_model())))
        self.clips[::3] = [clip._replace(depth=None, valid=None) for clip in self.clips[::3]]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> ClipSample:
        return self.clips[index]


def train_here(folder: Path, recipe: Recipe) -> dict:
    steps: list[dict] = []
    trainer_update = Trainer.update

    def update(self: Trainer, group: list) -> dict:
        steps.append(trainer_update(self, group))
        return steps[-1]

    Trainer.update = update  # type: ignore[method-assign]
    try:
        model = make_model()
        result = train(model, Clips(16), Clips(6), recipe=recipe, out=folder / "run")
    finally:
        Trainer.update = trainer_update  # type: ignore[method-assign]
    return {"steps": steps, "weights": model.state_dict(), "history": result.history}


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_learn_as_one_with_twice_the_batch(tmp_path: Path, accumulate: int) -> None:
    recipe = replace(RECIPE, accumulate=accumulate)
    first, second = in_two_processes(train_here, tmp_path, recipe)
    alone = train_here(tmp_path / "alone", replace(recipe, batch_size=8))
    assert len(alone["steps"]) == len(first["steps"]) == 4 // accumulate
    for ours, theirs, expected in zip(first["steps"], second["steps"], alone["steps"], strict=True):
        assert ours == theirs
        assert set(ours) == {"loss", "ce", "res1", "layer4", "top1"}
        # Batches whose valid pixels differ have the same sum, but only within a batch.
        assert accumulate == 2 or ours == pytest.approx(expected, abs=1e-4)
        assert ours["ce"] == pytest.approx(expected["ce"], abs=1e-4)
    assert first["history"][-1]["val_top1"] == alone["history"][-1]["val_top1"]
    assert all(torch.equal(value, second["weights"][name]) for name, value in first["weights"].items())
    if accumulate == 1:
        torch.testing.assert_close(first["weights"], alone["weights"], rtol=1e-3, atol=1e-5)


def finish_here(folder: Path) -> None:
    train(make_model(), Clips(13), recipe=replace(RECIPE, epochs=1), out=folder / "run")


def test_one_process_has_nothing_to_add_to_what_two_have_finished(tmp_path: Path) -> None:
    in_two_processes(finish_here, tmp_path)  # which leave five clips out, of which one would make a batch
    written = (tmp_path / "run" / "model.safetensors").read_bytes()
    again = train(make_model(), Clips(13), recipe=replace(RECIPE, epochs=1), out=tmp_path / "run", resume="auto")
    assert len(again.history) == 1
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == written


def stop_here(folder: Path) -> tuple[bool, bool]:
    """SIGTERM while the first process writes the curves of an epoch, and the second has begun another."""
    module = sys.modules["gesture_zoo.engine.training"]
    if dist.get_rank() == 0:
        module.save_curves = lambda *args: (time.sleep(0.5), os.kill(os.getpid(), signal.SIGTERM))  # type: ignore[attr-defined]
    else:
        forward = Trainer.forward

        def stopped(self: Trainer, batch: ClipBatch) -> Any:
            if self.epoch == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return forward(self, batch)

        Trainer.forward = stopped  # type: ignore[method-assign]
    result = train(make_model(), Clips(16), recipe=replace(RECIPE, epochs=3), out=folder / "run")
    return result.interrupted, result.saved or dist.get_rank() > 0


def test_sigterm_while_one_process_writes_stops_all_of_them_together(tmp_path: Path) -> None:
    assert in_two_processes(stop_here, tmp_path) == [(True, True)] * 2
    progress = load_checkpoint(tmp_path / "run" / "checkpoint.safetensors")["trainer"]["progress"]
    assert (progress["epoch"], progress["updates"]) == (1, 3)


def evaluate_here(folder: Path) -> dict:
    model = make_model()
    loader = make_loader(Clips(11), 2, workers=0)
    found = evaluate(model, loader)
    depth = evaluate_depth(model, loader)
    return {
        "scores": found.scores,
        "ids": found.ids,
        "top1": found.top1,
        "depth": {n: e.rmse for n, e in depth.items()},
    }


def test_a_shared_evaluation_is_exactly_that_of_one_process(tmp_path: Path) -> None:
    first, second = in_two_processes(evaluate_here, tmp_path)
    alone = evaluate_here(tmp_path)
    for found in (first, second):
        assert found["ids"] == alone["ids"]
        assert torch.equal(found["scores"], alone["scores"])
        assert (found["top1"], found["depth"]) == (alone["top1"], alone["depth"])


def skip_here(folder: Path) -> list[str]:
    data = Clips(11)
    bad = {2, 3}  # a whole batch

    class Bad(Clips):
        def __init__(self) -> None:
            self.clips = data.clips

        def __getitem__(self, index: int) -> ClipSample:
            if index in bad:
                raise DataError(f"clip {index} is damaged")
            return self.clips[index]

    return evaluate(make_model(), make_loader(Bad(), 2, workers=0, on_error="skip")).ids


def test_clips_that_are_skipped_do_not_change_the_order(tmp_path: Path) -> None:
    first, second = in_two_processes(skip_here, tmp_path)
    assert first == second == skip_here(tmp_path)
    assert len(first) == 9


def poison_here(folder: Path) -> dict:
    data = Clips(16)
    if dist.get_rank() == 1:
        data.clips[5] = data.clips[5]._replace(frames=torch.full_like(data.clips[5].frames, torch.nan))
        data.clips[5] = data.clips[5]._replace(id="the bad one")
    model, told = make_model(), logging.StreamHandler(text := io.StringIO())
    logging.getLogger("gesture_zoo").addHandler(told)
    result = train(model, data, recipe=replace(RECIPE, norm="train", batch_size=2))
    return {"skipped": result.skipped_steps, "weights": model.state_dict(), "told": text.getvalue()}


def test_one_process_with_a_loss_that_is_not_finite_skips_the_step_of_all(tmp_path: Path) -> None:
    for found in (both := in_two_processes(poison_here, tmp_path)):
        assert found["skipped"] in (1, 2)  # in two epochs; the clip can be the other process's
        assert all(value.isfinite().all() for value in found["weights"].values())
        assert found["told"].count("step skipped") == found["told"].count("the bad one") == found["skipped"]
    assert both[0]["skipped"] == both[1]["skipped"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def torchrun(*arguments: str, restarts: int = 0) -> subprocess.Popen:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", str(restarts),
        "--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{free_port()}", "--local-addr", "127.0.0.1",
        "-m", "gesture_zoo", *arguments,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def test_torchrun_restarts_from_the_last_checkpoint(tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = torchrun(
        "train", "--model", "tsm_test_resnet_msd", "--data", "synthetic", "--size", "32", "--num-segments", "2",
        "--epochs", "2", "--batch-size", "50", "--workers", "0", "--log-steps", "1", "--checkpoint-steps", "1",
        "--val-split", "none", "--out", str(out), "--resume", "auto", restarts=1,
    )  # fmt: skip
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "epoch 1 of 2, step 3 of" in line and not any("going on after" in earlier for earlier in lines):
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            os.kill(int(children[-1]), signal.SIGKILL)
    assert process.wait(60) == 0, "".join(lines[-30:])
    assert any("going on after" in line for line in lines)
    assert sum(line.startswith("trained 2 epochs") for line in lines) == 1
    assert load_checkpoint(out / "checkpoint.safetensors")["trainer"]["progress"]["updates"] == 24

    process = torchrun("eval", "--checkpoint", str(out), "--data", "synthetic", "--json", "--workers", "0")
    printed = process.communicate(timeout=120)[0]
    record = json.loads(next(line for line in printed.splitlines() if line.startswith("{")))
    assert record["count"] == 240
    assert record["checkpoint"].endswith("last, epoch 2 of 2")


def test_batches_of_an_epoch() -> None:
    batches = EpochBatches(11, 4, seed=1)
    first = [[key.clip for key in batch] for batch in batches]
    assert sorted(index for batch in first for index in batch) == list(range(11))
    batches.start = 4
    assert [[key.clip for key in batch] for batch in batches] == first[1:]
    batches.epoch, batches.start = 1, 0
    assert [[key.clip for key in batch] for batch in batches] != first
    parts = []
    for rank in (0, 1):
        batches = EpochBatches(11, 2, seed=1)
        batches.rank, batches.world_size = rank, 2
        parts.append([[key.clip for key in batch] for batch in batches])
    # Both together see what one with twice the batch sees; of three clips left each would get one, which is none.
    assert [a + b for a, b in zip(*parts, strict=True)] == first[:2]


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_mixed_precision_learns(amp: str) -> None:
    result = train(make_model(), Clips(12), recipe=replace(RECIPE, amp=amp, norm="train", lr=0.01, epochs=4))
    assert result.history[-1]["loss"] < result.history[0]["loss"]


def test_in_half_precision_gradients_that_stay_infinite_end_training() -> None:
    class Infinite(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, grad: torch.Tensor) -> torch.Tensor:
            return grad * torch.inf

    model = make_model()
    model.get_classifier().register_forward_hook(lambda module, inputs, output: Infinite.apply(output))
    with pytest.raises(ModelError, match="gradient is inf"):
        train(model, Clips(4), recipe=replace(RECIPE, amp="fp16", epochs=30, max_bad_steps=0))


def test_accumulated_gradients_are_those_of_the_whole_batch() -> None:
    weights = []
    for batch_size, accumulate in ((8, 1), (4, 2)):
        data = Clips(8)
        data.clips = [clip._replace(depth=None, valid=None) for clip in data.clips]
        model = make_model("tsm_test_resnet")
        train(model, data, recipe=replace(RECIPE, batch_size=batch_size, accumulate=accumulate))
        weights.append(model.state_dict())
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-4, atol=1e-6)


def test_a_frozen_norm_stays_as_it_is() -> None:
    model = make_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train(model, Clips(8), recipe=replace(RECIPE, norm="partial"))
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    norms = {f"{n}." for n, m in model.model.named_modules(prefix="model") if isinstance(m, nn.BatchNorm2d)}
    moved = {norm for norm in norms if any(name.startswith(norm) for name in changed)}
    assert len(moved) == 1 < len(norms)
    assert any(name.startswith("decoders.") and "running_mean" in name for name in changed)


def test_an_average_of_the_weights_is_what_is_kept(tmp_path: Path) -> None:
    model = make_model()
    train(model, Clips(8), recipe=replace(RECIPE, ema_decay=0.9), out=tmp_path / "run")
    state = load_checkpoint(tmp_path / "run" / "checkpoint.safetensors")["trainer"]
    kept = gesture_zoo.create_model(f"local-dir:{tmp_path / 'run'}").state_dict()
    assert all(torch.equal(kept[name], value) for name, value in state["ema"].items())
    assert all(torch.equal(model.state_dict()[name].cpu(), value) for name, value in kept.items())
    assert any(not torch.equal(state["model"][name], value) for name, value in kept.items())


def test_gradient_checkpointing_changes_nothing() -> None:
    weights = []
    for checkpointing in (False, True):
        model = make_model()
        train(model, Clips(8), recipe=replace(RECIPE, grad_checkpointing=checkpointing))
        weights.append(model.state_dict())
    torch.testing.assert_close(weights[0], weights[1])


def test_a_step_that_is_not_finite_is_skipped_named_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    data = Clips(12)
    data.clips[7] = data.clips[7]._replace(frames=torch.full_like(data.clips[7].frames, torch.nan))
    model = make_model()
    result = train(model, data, recipe=replace(RECIPE, norm="train"))
    assert result.skipped_steps == 2  # one of every epoch
    assert [record["skipped_steps"] for record in result.history] == [1, 1]
    assert all(value.isfinite().all() for value in model.state_dict().values()), "running statistics are undone too"
    messages = [message for message in caplog.messages if message.endswith("step skipped")]
    assert len(messages) == 2
    assert "loss is nan, ce is nan" in messages[0] and "synthetic/train/" in messages[0]
    with pytest.raises(ModelError, match=r"at most 0 may be \(max_bad_steps\): lower the learning rate"):
        train(make_model(), data, recipe=replace(RECIPE, max_bad_steps=0))


def test_clipping_bounds_the_step() -> None:
    model = make_model()
    before = torch.cat([p.detach().flatten().clone() for p in model.parameters()])
    recipe = replace(RECIPE, epochs=1, lr=4.0, momentum=0.0, weight_decay=0.0, clip_grad=0.01)
    train(model, Clips(4), recipe=recipe)  # one step
    after = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert 0 < (after - before).norm() <= recipe.scaled_lr() * 0.01 * 1.001


def test_sync_bn_needs_gpus() -> None:
    if torch.cuda.is_available():
        return
    from gesture_zoo.engine.optim import sync_norms

    with pytest.raises(ModelError, match="sync_bn needs GPUs"):
        sync_norms(make_model())


def test_more_processes_than_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gesture_zoo.engine.loader.world_size", lambda: 4)
    with pytest.raises(DataError, match="3 clips are too few for 4 processes"):
        make_loader(Clips(3), 2, workers=0, training=True)


@pytest.mark.slow
def test_compiled_training_is_training() -> None:
    compiled = train(make_model(), Clips(8), recipe=replace(RECIPE, compile=True))
    eager = train(make_model(), Clips(8), recipe=RECIPE)
    assert compiled.history[-1]["loss"] == pytest.approx(eager.history[-1]["loss"], rel=1e-3)
