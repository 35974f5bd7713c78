"""Evaluation: its numbers against independent ones, its protocols, its report, and several processes as one."""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from processes import in_two_processes

import gesture_zoo
from gesture_zoo.cli import main
from gesture_zoo.cli.evaluate import check_is_there, split_to_test
from gesture_zoo.data import ClipBatch, ClipSample, collate, create_dataset, create_transform, resolve_data_config
from gesture_zoo.data import write_video as write
from gesture_zoo.engine import Evaluation, Protocol, Recipe, Report, evaluate, evaluate_depth, make_loader, write_report
from gesture_zoo.engine import make_test_dataset as test_dataset
from gesture_zoo.engine import parse_protocol as parse
from gesture_zoo.engine.depth_error import DepthError, depth_error, depth_sums
from gesture_zoo.engine.evaluation import class_scores
from gesture_zoo.engine.metrics import confusion_matrix, macro_accuracy, per_class_accuracy, wilson_interval
from gesture_zoo.engine.report import read_confusion
from gesture_zoo.engine.testing import default_split
from gesture_zoo.errors import DataError, ModelError

test_dataset.__test__ = False  # a name of ours, not a test

T, SIDE = 4, 32
CLASSES = ("swipe_left", "swipe_right", "push", "pull")


def make_model(name: str = "tsm_test_resnet_msd") -> Any:
    torch.manual_seed(0)
    model = gesture_zoo.create_model(name, num_classes=len(CLASSES), num_segments=T)
    model.pretrained_cfg.update(label_names=CLASSES, input_size=(3, SIDE, SIDE), crop_pct=1.0)
    return model.eval()


def clips(count: int = 11) -> list[ClipSample]:
    config = resolve_data_config(model=make_model())
    data = create_dataset(
        "synthetic",
        num_segments=T,
        size=SIDE,
        num_clips=count,
        classes=CLASSES,
        sensor=False,
        transform=create_transform(config),
    )
    return [data[i] for i in range(count)]


def run(*argv: str) -> int:
    try:
        return main(argv)
    except SystemExit as exit:
        return int(exit.code or 0)


# Numbers


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    # R. G. Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 1998, table I.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval(right: int, count: int, low: float, high: float) -> None:
    assert wilson_interval(right, count) == pytest.approx((low, high), abs=5e-5)


def test_wilson_interval_solves_its_equation() -> None:
    # By definition both ends p are where |share - p| = z * sqrt(p (1 - p) / n).
    for end in wilson_interval(37, 120, z=2.5):
        assert abs(37 / 120 - end) == pytest.approx(2.5 * math.sqrt(end * (1 - end) / 120))
    assert wilson_interval(0, 0) == (0.0, 1.0)
    with pytest.raises(ModelError, match="right must be in 0 to count, got 3 of 2"):
        wilson_interval(3, 2)


def test_class_accuracies_against_a_loop() -> None:
    labels, predictions = torch.randint(0, 4, (50,)), torch.randint(0, 5, (50,))
    confusion = confusion_matrix(labels, predictions, 5)
    pairs = list(zip(labels.tolist(), predictions.tolist(), strict=True))
    assert all(confusion[t, p] == pairs.count((t, p)) for t in range(5) for p in range(5))
    of_class = [[p == t for t, p in pairs if t == label] for label in range(4)]
    assert [(part.right, part.count) for part in per_class_accuracy(confusion)][:4] == [
        (sum(x), len(x)) for x in of_class
    ]
    assert per_class_accuracy(confusion)[4].accuracy is None, "a class without clips"
    assert macro_accuracy(confusion) == pytest.approx(np.mean([np.mean(x) for x in of_class]))
    assert macro_accuracy(torch.zeros(3, 3)) == 0


def test_an_evaluation_of_nothing() -> None:
    nothing = Evaluation([], torch.zeros(0, dtype=torch.long), torch.zeros(0, 0))
    assert (nothing.count, nothing.top1, nothing.top5, nothing.macro, nothing.interval) == (0, 0, 0, 0, (0, 1))


def test_depth_error_against_numpy() -> None:
    rng = np.random.default_rng(0)
    depth = rng.random((6, T, 1, 5, 7)).astype(np.float32)
    mask = (0.7 * depth + 0.3 * rng.random(depth.shape)).astype(np.float32)
    valid = rng.random(depth.shape) > 0.3
    parts = [
        depth_sums(*(torch.from_numpy(x[i : i + 2]) for x in (mask, depth, valid))) for i in (4, 0, 2)
    ]  # in any order
    error = depth_error([part.moments for part in parts], sum(part.pixels for part in parts))
    d, m = depth[valid].astype(float), mask[valid].astype(float)
    pixel = np.nanmean(np.where(valid, depth.astype(float), np.nan), axis=(0, 1, 2), keepdims=True)
    assert error.rmse == pytest.approx(np.sqrt(np.mean((m - d) ** 2)), rel=1e-9)
    assert error.baseline == pytest.approx(d.std(), rel=1e-9)
    assert error.pixel_baseline == pytest.approx(np.sqrt(np.mean((depth - pixel)[valid] ** 2)), rel=1e-6)
    assert error.correlation == pytest.approx(np.corrcoef(d, m)[0, 1], rel=1e-9)


def test_depth_error_of_flat_and_missing_depth() -> None:
    depth = torch.rand(1, T, 1, 4, 4)
    flat = depth_sums(torch.full_like(depth, 0.3), depth, None)
    assert depth_error([flat.moments], flat.pixels).correlation is None
    nothing = depth_sums(depth, depth, torch.zeros_like(depth, dtype=torch.bool))
    assert depth_error([nothing.moments], nothing.pixels) is None
    assert DepthError(0.1, 0.2).correlation is None


# One view, several views, several processes


def test_evaluate_agrees_with_the_model_itself() -> None:
    model, data = make_model(), clips()
    result = evaluate(model, make_loader(data, 4, workers=0))
    with torch.inference_mode():
        expected = torch.cat([model(sample.frames[None]).softmax(1) for sample in data])
    torch.testing.assert_close(result.scores, expected, rtol=1e-4, atol=1e-5)
    assert result.ids == [sample.id for sample in data]
    assert result.labels.tolist() == [sample.label for sample in data]
    assert torch.equal(result.predictions, result.scores.argmax(1))
    assert result.top1 == (result.predictions == result.labels).float().mean()
    assert result.confusion.sum() == result.count == 11
    assert result.interval == wilson_interval(round(11 * result.top1), 11)


def test_scores_of_views_are_the_mean_of_theirs() -> None:
    model = make_model()
    frames = torch.rand(3, 7, T, 3, SIDE, SIDE)
    with torch.inference_mode():
        expected = torch.stack([class_scores(model, view) for view in frames.unbind(1)]).mean(0)
        torch.testing.assert_close(class_scores(model, frames), expected, rtol=1e-4, atol=1e-5)


def test_depth_of_views_is_that_of_the_first() -> None:
    model, data = make_model(), clips(3)
    views = [
        sample._replace(
            frames=torch.stack([sample.frames, sample.frames.flip(-1)]),
            depth=torch.stack([sample.depth, torch.zeros_like(sample.depth)]),
            valid=torch.stack([sample.valid, sample.valid]),
        )
        for sample in data
    ]
    assert evaluate_depth(model, make_loader(views, 2, workers=0)) == evaluate_depth(
        model, make_loader(data, 2, workers=0)
    )


def test_half_precision() -> None:
    model, data = make_model(), clips(4)
    full, half = (evaluate(model, make_loader(data, 4, workers=0), amp=amp) for amp in ("none", "bf16"))
    assert half.scores.dtype == torch.float32
    assert not torch.equal(full.scores, half.scores)
    torch.testing.assert_close(full.scores, half.scores, rtol=0.1, atol=0.05)
    for function in (evaluate, evaluate_depth):
        with pytest.raises(ModelError, match="amp is one of none, bf16, fp16, not 'fp8'"):
            function(model, make_loader(data, 4, workers=0), amp="fp8")


def test_a_label_the_model_does_not_know() -> None:
    data = [clips(1)[0]._replace(label=4, id="a")]
    with pytest.raises(DataError, match="clip a has label 4, the model knows 4 classes"):
        evaluate(make_model(), make_loader(data, 1, workers=0))


class Batches(list):
    """A loader by hand."""

    bad: dict[str, None]
    number = 0

    def __iter__(self) -> Iterator[ClipBatch]:
        for number in range(len(self)):
            self.number = number
            yield self[number]


def batches_of(rank: int, world: int) -> Any:
    """The loader of one process by hand: the batches rank, rank + world, ... of one process."""
    data = clips()
    batches: list[ClipBatch] = [collate(data[first : first + 2]) for first in range(0, len(data), 2)]

    loader = Batches(batches[rank::world])
    loader.bad = {f"clip of {rank} is broken": None, "clip of all is broken": None}
    return loader


def share(folder: Path) -> tuple[dict[str, Any], ...]:
    rank, model = dist.get_rank(), make_model()
    by_hand = evaluate(model, batches_of(rank, 2))
    real = evaluate(model, make_loader(clips(), 2, workers=0))
    depth = evaluate_depth(model, batches_of(rank, 2))
    return by_hand.__dict__, real.__dict__, {name: error.__dict__ for name, error in depth.items()}


def test_two_processes_find_what_one_does(tmp_path: Path) -> None:
    both = in_two_processes(share, tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = evaluate(make_model(), batches_of(0, 1))
        depth = {name: error.__dict__ for name, error in evaluate_depth(make_model(), batches_of(0, 1)).items()}
    finally:
        torch.set_num_threads(threads)
    assert alone.count == 11, "six batches and the last smaller, so that the processes have different numbers"
    for by_hand, real, depth_there in both:
        for found in (by_hand, real):
            assert torch.equal(found["scores"], alone.scores)
            assert torch.equal(found["labels"], alone.labels)
            assert found["ids"] == alone.ids
        assert by_hand["skipped"] == ("clip of 0 is broken", "clip of 1 is broken", "clip of all is broken")
        assert depth_there == depth


# Protocols


def test_protocol_names() -> None:
    assert parse("1x1") == Protocol() == (1, 1)
    assert parse("3x10").views == 30
    for text in ("", "2x1", "3x0", "3", "x", "3x-1", "3 x 10", "1x1x1", "3X10", "3x1e1"):
        with pytest.raises(ModelError, match="a protocol is crops x clips with 1 or 3 crops and at least 1 clip"):
            parse(text)


def test_protocols_of_synthetic_clips() -> None:
    model = make_model()
    data = test_dataset("synthetic", None, model, split="val", protocol=Protocol(3, 1), num_clips=2)
    assert data[0].frames.shape == (3, T, 3, SIDE, SIDE), "a model of another size has no test size"
    with pytest.raises(DataError, match="there are no 10 clips to take of one: the protocol is 3x1, not 3x10"):
        test_dataset("synthetic", None, model, split="val", protocol=Protocol(3, 10))
    model.pretrained_cfg.update(input_size=(3, 224, 224))
    sides = [
        test_dataset("synthetic", None, model, split="val", protocol=p, size=SIDE).transform.size[0]
        for p in (Protocol(), Protocol(3, 1))
    ]
    assert sides == [224, 256]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six clips of four classes in a split "test", the first with depth."""
    rng = np.random.default_rng(0)
    root = tmp_path / "clips"
    root.mkdir()
    (root / "classes.txt").write_text("\n".join(CLASSES))
    for number, name in enumerate((*CLASSES, "push", "pull")):
        (root / "test" / name).mkdir(parents=True, exist_ok=True)
        frames = rng.integers(0, 255, (9, 32, 48, 3), dtype=np.uint8)
        write(frames, root / "test" / name / f"{number}.mp4")
    write(frames[..., :1].repeat(3, -1), root / "test" / "push" / "2.depth.mkv")
    return root


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = gesture_zoo.save_pretrained(make_model(), tmp_path / "model")
    config = json.loads((path / "config.json").read_text())
    config["gesture_zoo"]["checkpoint"] = "last, epoch 2 of 2"
    (path / "config.json").write_text(json.dumps(config))
    return path


def test_clips_and_crops_of_videos_and_of_shards(folder: Path, tmp_path: Path) -> None:
    from gesture_zoo.data.prepare import prepare_dataset

    protocol = Protocol(3, 2)
    data = test_dataset("folder", folder, make_model(), split="test", protocol=protocol, seed=3)
    assert data[0].frames.shape == (6, T, 3, SIDE, SIDE)
    assert not torch.equal(data[0].frames[0], data[0].frames[1]), "clips differ in their frames"
    assert torch.equal(data[0].frames, data[0].frames), "and are the same every time"
    prepare_dataset("folder", folder, tmp_path / "shards", splits=["test"], quality=100)
    shards = test_dataset("shards", tmp_path / "shards", make_model(), split="test", protocol=protocol, seed=3)
    for sample, streamed in zip((data[i] for i in range(6)), shards, strict=True):
        assert sample.id == streamed.id
        assert (sample.frames - streamed.frames).abs().mean() < 0.1  # JPEG
    results = [evaluate(make_model(), make_loader(part, 2, workers=0)) for part in (data, shards)]
    assert [result.count for result in results] == [6, 6]


def test_default_split(folder: Path) -> None:
    assert default_split("synthetic", None) == "val"
    assert default_split("folder", folder) == "test"
    (folder / "test").rename(folder / "train")
    with pytest.raises(DataError, match="has no split val or test; choose one with --split: train"):
        default_split("folder", folder)


# The report and the command


@pytest.mark.parametrize(
    ("recipe", "there", "split"),
    [
        ({}, ("train", "val", "test"), "val"),
        ({}, ("train", "test"), "test"),
        ({"train_split": "trainval", "val_split": "none"}, ("train", "val", "trainval", "test"), "test"),
        ({"train_split": "trainval", "val_split": "none", "test_split": "extra"}, ("train", "val", "extra"), "extra"),
        ({"train_split": "trainval", "val_split": "none"}, ("train", "val", "trainval"), "val"),  # there is no other
    ],
)
def test_what_a_run_learned_from_is_no_default(
    recipe: dict[str, Any], there: tuple[str, ...], split: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gesture_zoo.cli.evaluate.available_splits", lambda *where: list(there))
    monkeypatch.setattr("gesture_zoo.engine.datasets.available_splits", lambda *where: list(there))
    monkeypatch.setattr("gesture_zoo.engine.testing.available_splits", lambda *where: list(there))
    args = argparse.Namespace(data="folder", data_dir="clips")
    assert split_to_test(args, Recipe(**recipe)) == split


def test_splits_that_cannot_be_listed_are_not_said_to_lack_one(monkeypatch: pytest.MonkeyPatch) -> None:
    args, there = argparse.Namespace(data="shards", data_dir="https://example.org/shards"), ["train"]
    monkeypatch.setattr("gesture_zoo.cli.evaluate.available_splits", lambda *where: there)
    monkeypatch.setattr("gesture_zoo.engine.datasets.available_splits", lambda *where: there)
    with pytest.raises(DataError, match="has no split test: --holdout 0.2 evaluates on the clips"):
        check_is_there(args, Recipe(), "test")
    there.clear()
    check_is_there(args, Recipe(), "test")


def test_clips_of_a_few_of_the_classes(folder: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "classes.txt").write_text("push\npull")
    for name in ("swipe_left", "swipe_right"):
        shutil.rmtree(folder / "test" / name)
    command = f"eval --checkpoint {checkpoint} --data folder --data-dir {folder} --workers 0"
    assert run(*command.split()) == 2
    assert f"name all of the model's in {folder}/classes.txt, one a line, in its order" in capsys.readouterr().err
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    assert run(*command.split()) == 0


def make_report(**changes: Any) -> Report:
    result = Evaluation(
        ["a", "b", "c"], torch.tensor([0, 1, 1]), torch.tensor([[0.5, 0.25, 0.25], [1 / 3, 2 / 3, 0], [1, 0, 0]])
    )
    values = {"class_names": ["fist", 'with "quotes", comma', "wave"], "data": "folder", "split": "val"}
    return Report(**{"evaluation": result, "checkpoint": "runs/mine", **values, **changes})


def test_report(tmp_path: Path) -> None:
    out = write_report(
        make_report(depth={"res1": DepthError(0.1, 0.2)}, protocol=Protocol(3, 10)), tmp_path / "a" / "b"
    )
    assert {path.name for path in out.iterdir()} == {
        "results.json",
        "predictions.jsonl",
        "confusion.csv",
        "per_class.csv",
        "confusion.png",
    }
    results = json.loads((out / "results.json").read_text())
    assert results["protocol"] == "3x10"
    assert results["top1"] == pytest.approx(2 / 3)
    assert results["macro"] == 0.75
    assert results["depth"]["res1"]["rmse"] == 0.1
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert lines[1] == {
        "id": "b",
        "label": 1,
        "label_name": 'with "quotes", comma',
        "predicted": 1,
        "predicted_name": 'with "quotes", comma',
        "scores": [0.333333, 0.666667, 0.0],
    }
    with open(out / "confusion.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["", "fist", 'with "quotes", comma', "wave"]
    assert rows[2][1:] == ["1", "1", "0"]
    with open(out / "per_class.csv", newline="") as file:
        classes = list(csv.DictReader(file))
    assert [(row["count"], row["right"], row["accuracy"]) for row in classes] == [
        ("1", "1", "1.000000"),
        ("2", "1", "0.500000"),
        ("0", "0", ""),
    ]
    found = read_confusion(out)
    assert found.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert found.class_names == ["fist", 'with "quotes", comma', "wave"]
    (out / "results.json").unlink()
    assert read_confusion(out).class_names == ["fist", 'with "quotes", comma', "2"]


def test_a_report_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gesture_zoo.engine import report

    write_report(make_report(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("no space left")

    for place, name in ((report, "png"), (os, "replace")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, fail)
            with pytest.raises(OSError, match="no space"):
                write_report(make_report(split="test"), tmp_path)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(ModelError, match="scores of 3 classes do not go with 2 class names"):
        write_report(make_report(class_names=["a", "b"]), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_damaged_predictions(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="predictions.jsonl .*'gesture-zoo eval --out FOLDER' writes it"):
        read_confusion(tmp_path)
    path = tmp_path / "predictions.jsonl"
    for text, message in (
        ("", "has no predictions"),
        ("{}\n", "line 1: expected what"),
        ("[]\n", "line 1: expected what"),
        (
            '{"label": -1, "predicted": 0, "scores": [1], "label_name": "a", "predicted_name": "a"}\n',
            "not both in 0 to 0",
        ),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            read_confusion(tmp_path)


def test_eval_command(folder: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = f"eval --checkpoint {checkpoint} --data folder --data-dir {folder} --workers 0".split()
    out = tmp_path / "results"
    assert run(*command, "--protocol", "3x2", "--out", str(out), "--confusion", str(tmp_path / "c.png")) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"checkpoint {checkpoint}: last, epoch 2 of 2"
    assert "95 % interval" in printed[1] and "top-5" not in printed[1], "it says nothing of five classes or fewer"
    assert "of 6 clips (test, 3x2), from RGB alone" in printed[1]
    assert printed[2].startswith("depth error of the mask at res1: ")
    assert len((out / "predictions.jsonl").read_text().splitlines()) == 6
    assert (tmp_path / "c.png").exists()
    assert run(*command, "--no-depth", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert {"split", "count", "top1", "top5", "skipped"} <= record.keys()
    assert record["split"] == "test"
    assert record["depth"] == {}


@pytest.mark.parametrize(
    ("names", "code", "message"),
    [
        ((*CLASSES[1:], CLASSES[0]), 2, "the same classes in another order"),
        (
            (*CLASSES[:3], "beckon"),
            0,
            "class 3 is 'beckon' for {checkpoint} and 'pull' in {folder}: 1 of 4 names differ",
        ),
    ],
)
def test_classes_of_other_names_are_not_compared_in_silence(
    names: tuple[str, ...], code: int, message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_model("tsm_test_resnet")
    model.pretrained_cfg["label_names"] = names
    checkpoint = gesture_zoo.save_pretrained(model, tmp_path / "other")
    command = f"eval --checkpoint {checkpoint} --data folder --data-dir {folder} --workers 0"
    assert run(*command.split()) == code
    assert message.format(checkpoint=checkpoint, folder=folder) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--protocol 2x1", "a protocol is crops x clips"),
        ("--split val", "val"),
        ("--holdout 0.5 --split test", "--holdout is a part of the training split: leave out --split test"),
        ("--confusion c.jpg", "pictures are PNG files, got the name c.jpg"),
        ("--out {checkpoint}/config.json", "config.json is a file, not a folder for the results"),
        ("--amp fp8", "invalid choice: 'fp8'"),
        ("--batch-size 0", "batch_size must be at least 1"),
    ],
)
def test_bad_input_is_one_line(
    argv: str, message: str, folder: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"eval --checkpoint {checkpoint} --data folder --data-dir {folder} --workers 0 {argv}"
    assert run(*command.format(checkpoint=checkpoint).split()) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not printed.out


def test_depth_on_request(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = gesture_zoo.save_pretrained(make_model("tsm_test_resnet"), tmp_path / "bare")
    command = f"eval --data folder --data-dir {folder} --workers 0 --depth --checkpoint"
    assert run(*command.split(), str(bare)) == 2
    assert f"--depth needs a model with decoders (a name ending in _msd); {bare} has none" in capsys.readouterr().err
    (folder / "test" / "push" / "2.depth.mkv").unlink()
    model = gesture_zoo.save_pretrained(make_model(), tmp_path / "msd")
    assert run(*command.split(), str(model)) == 2
    assert "--depth needs clips with depth; folder has none here" in capsys.readouterr().err


def test_only_the_first_process_talks(
    folder: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gesture_zoo.cli import evaluate as command

    monkeypatch.setattr(command, "is_first", lambda: False)
    argv = f"eval --checkpoint {checkpoint} --data folder --data-dir {folder} --workers 0 --out {tmp_path}/results"
    assert run(*argv.split()) == 0
    assert not capsys.readouterr().out
    assert not (tmp_path / "results").exists()


def test_clips_are_not_read_for_depth_where_there_is_none() -> None:
    model, batch = make_model(), SimpleNamespace(depth=None)
    assert evaluate_depth(model, [batch]) == {}  # type: ignore[arg-type]
