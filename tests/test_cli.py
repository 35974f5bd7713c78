"""The command line: what it prints, and one clear line with exit code 2 for everything a user can get wrong."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gesture_zoo
from gesture_zoo.cli import main
from gesture_zoo.data import write_video


def run(*argv: str) -> int:
    try:
        return main(argv)
    except SystemExit as exit:
        return int(exit.code or 0)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Four clips of two classes, one with depth."""
    rng = np.random.default_rng(0)
    for name in ("wave", "fist"):
        (tmp_path / "clips" / name).mkdir(parents=True)
        for number in range(2):
            frames = rng.integers(0, 255, (6, 32, 32, 3), dtype=np.uint8)
            write_video(frames, tmp_path / "clips" / name / f"{number}.mp4")
    write_video(frames[..., :1].repeat(3, -1), tmp_path / "clips" / "fist" / "0.depth.mkv")
    return tmp_path / "clips"


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "tsm_resnet18*") == 0
    assert capsys.readouterr().out.split() == ["tsm_resnet18", "tsm_resnet18_msd"]
    assert run("list", "tsm_resnet18", "--pretrained") == 0
    assert capsys.readouterr().out.split() == ["tsm_resnet18.in1k"]


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", "action_resnet50_msd", "--num-classes", "83") == 0
    out = capsys.readouterr().out
    assert "27.896 M parameters, 32.79" in out
    assert "tap res1" in out
    assert "weights .egogesture_8f  not published yet" in out


def test_info_of_a_saved_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = gesture_zoo.create_model("tsm_test_resnet", num_classes=2)
    model.pretrained_cfg["label_names"] = ("fist", "wave")
    assert run("info", f"local-dir:{gesture_zoo.save_pretrained(model, tmp_path / 'run')}") == 0
    out = capsys.readouterr().out
    assert "2: fist, wave" in out
    assert "weights ." not in out, "the tags are not this model's"


def test_train_eval_predict(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, data = str(tmp_path / "run"), ("--data", "folder", "--data-dir", str(clips), "--workers", "0")
    arguments = ("--model", "tsm_test_resnet_msd", "--size", "32", "--num-segments", "2", "--epochs", "1")
    assert run("train", *arguments, *data, "--holdout", "0.5", "--out", out) == 0
    printed = capsys.readouterr()
    assert "trained 1 epochs" in printed.out
    assert "depth error of the mask at res1" in printed.out
    assert "held out of the training split" in printed.err

    assert run("eval", "--checkpoint", out, *data, "--holdout", "0.5", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["count"] == 2
    assert record["split"] == "holdout 0.5 of train"

    for asked in ((), ("--split", "val")):
        assert run("eval", "--checkpoint", out, *data, *asked) == 2
        said = "has no split val: --holdout 0.5 evaluates on the clips that the run held out of train, --split train"
        assert said in capsys.readouterr().err
    assert run("eval", "--checkpoint", out, *data, "--split", "train", "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["count"] == 4
    assert "was trained on the split 'train': if these are its clips, 'train' does not say" in printed.err

    assert run("predict", str(clips / "wave" / "0.mp4"), "--checkpoint", out, "--json") == 0
    predictions = json.loads(capsys.readouterr().out)["predictions"]
    assert {p["label"] for p in predictions} == {"fist", "wave"}

    assert run("train", *arguments, *data, "--out", out) == 2
    assert "already holds a run: go on with it (--resume auto)" in capsys.readouterr().err
    # It goes on with its own recipe, whatever the defaults are; here there is nothing left to do.
    again = ("--model", "tsm_test_resnet_msd", "--out", out, "--resume", "auto")
    assert run("train", *again, *data) == 0
    assert "trained 1 epochs" in capsys.readouterr().out


def test_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from gesture_zoo.demo import run_demo

    summary = run_demo(tmp_path / "demo", train_clips=16, test_clips=8, epochs=1, workers=0, progress=False)
    assert summary["stripped_logits_identical"]
    assert summary["stripped"]["params"] < summary["training"]["params"]
    assert summary["stripped"]["multiply_adds"] < summary["training"]["multiply_adds"]
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {
        "model",
        "deploy",
        "figure5.png",
        "confusion.png",
        "swipe_left.mp4",
        "summary.json",
        "summary.md",
    }
    assert isinstance(gesture_zoo.create_model(f"local-dir:{tmp_path / 'demo' / 'model'}"), gesture_zoo.MSDModel)
    assert run("predict", str(tmp_path / "demo" / "swipe_left.mp4"), "--checkpoint", str(tmp_path / "demo/deploy")) == 0
    assert "%" in capsys.readouterr().out
    assert run("demo", "--out", str(tmp_path / "demo")) == 2
    assert "already holds a model" in capsys.readouterr().err


@pytest.mark.parametrize(
    "part", ["demo.render", "engine.trainer.Trainer.update", "demo.evaluate", "demo.save_confusion"]
)
def test_a_demo_that_is_stopped_leaves_nothing(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*args: Any, **kwargs: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    from gesture_zoo import demo

    few = partial(demo.run_demo, train_clips=8, test_clips=4, epochs=1, workers=0, progress=False)
    monkeypatch.setattr("gesture_zoo.cli.commands.run_demo", lambda out, seed: few(out, seed=seed))
    monkeypatch.setattr(f"gesture_zoo.{part}", stopped)
    assert run("demo", "--out", str(tmp_path / "made" / "demo")) == 128 + signal.SIGTERM
    assert "stopped by SIGTERM, nothing is kept" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_demo_that_is_stopped_when_it_is_done_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gesture_zoo import demo

    replace = os.replace

    def stop_and_replace(source: Path, target: Path) -> None:
        if ".filling-" in str(source) and ".filling-" not in str(target):
            os.kill(os.getpid(), signal.SIGTERM)
        replace(source, target)

    monkeypatch.setattr("os.replace", stop_and_replace)
    out = tmp_path / "demo"
    demo.run_demo(out, train_clips=8, test_clips=4, epochs=1, workers=0, progress=False)
    assert {"model", "deploy", "summary.md"} <= {path.name for path in out.iterdir()}
    assert not list(out.glob(".filling-*"))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    model = gesture_zoo.create_model("tsm_test_resnet", num_classes=3)
    return gesture_zoo.save_pretrained(model, tmp_path / "checkpoint")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("", "the following arguments are required: COMMAND"),
        ("trian", "invalid choice: 'trian'"),
        ("list nothing*", "no model matches 'nothing*'"),
        ("info tsm_resnet5", "unknown model 'tsm_resnet5'; did you mean tsm_resnet50"),
        ("info tsm_resnet18.x", "no weights tagged 'x'"),
        ("train --model tsm_resnet18 --data imagenet", "unknown dataset 'imagenet'"),
        ("train --model tsm_resnet18 --data folder", "needs the folder it is in (--data-dir)"),
        ("train --model tsm_resnet18 --data folder --data-dir {tmp}/none", "there is no folder"),
        ("train --model tsm_resnet18 --data folder --data-dir {tmp}/empty.mp4", "empty.mp4 is a file and no folder"),
        ("train --model tsm_resnet18 --data folder --data-dir {tmp}/one", "{tmp}/one has one class only, 'wave'"),
        (
            "train --model tsm_resnet18 --data synthetic --batchsize 3",
            "gesture-zoo train: error: unrecognized arguments: --batchsize 3; did you mean --batch-size?",
        ),
        ("train --model tsm_resnet18 --data synthetic --hflip 2", "hflip must be in [0, 1], got 2"),
        ("train --model tsm_resnet18 --data isogd --data-dir {tmp}", "no IsoGD list at"),
        (
            "train --model tsm_resnet18 --data synthetic --data-option a=1",
            "--data-option a=1: synthetic has no options",
        ),
        (
            "train --model tsm_resnet18 --data nvgesture --data-dir {tmp} --data-option list=v1",
            "--data-option list=v1: nvgesture takes",
        ),
        ("train --model tsm_resnet1 --data synthetic", "unknown model 'tsm_resnet1'"),
        ("train --model tsm_resnet18 --data synthetic --epochs 0", "epochs must be at least 1"),
        ("train --model tsm_resnet18 --data synthetic --lr x", "invalid float value: 'x'"),
        ("train --model tsm_resnet18 --data synthetic --backbone-weights {tmp}/no.safetensors", "no.safetensors"),
        ("train --model tsm_resnet18 --data synthetic --opt nothing", "nothing"),
        ("train --model tsm_resnet18 --data synthetic --num-segments 0", "num_segments must be at least 1"),
        ("train --model tsm_resnet18 --data synthetic --size 0", "size must be"),
        ("train --model tsm_resnet18 --data synthetic --drop-rate 2", "drop_rate must be in [0, 1]"),
        ("train --model tsm_resnet18 --data synthetic --weight-decay -1", "weight_decay must be at least 0"),
        ("train --model tsm_resnet18 --data synthetic --seed -1", "seed must be at least 0"),
        ("eval --checkpoint {checkpoint} --data synthetic --batch-size 0", "knows 3 classes"),
        ("eval --checkpoint {tmp}/none --data synthetic", "there is no such directory"),
        ("eval --checkpoint {checkpoint}/config.json --data synthetic", "it is a file, give the folder {checkpoint}"),
        ("eval --checkpoint {checkpoint} --data synthetic", "knows 3 classes, synthetic has 12 classes (swipe_left"),
        ("predict {tmp}/empty.mp4 --checkpoint {checkpoint}", "cannot read video {tmp}/empty.mp4"),
        ("predict {tmp}/none.mp4 --checkpoint {checkpoint}", "there is no file {tmp}/none.mp4"),
        ("predict {tmp}/empty.mp4 --checkpoint {checkpoint} --topk 0", "topk must be at least 1"),
        ("predict {tmp}/empty.mp4 --model tsm_resnet50.egogesture_8f", "not published yet"),
        (
            "predict {tmp}/empty.mp4 --model tsm_resnet50",
            "no weights that know gestures: name tsm_resnet50.k400_8f",
        ),
        ("export --model action_resnet18 --out {tmp}/a.onnx", "no weights that know gestures: train it, then name"),
        ("predict {tmp}/empty.mp4 --checkpoint {tmp}/one", "{tmp}/one holds no model, it has no config.json"),
        ("web {checkpoint}", "{checkpoint} is a folder: expected a file that 'gesture-zoo export' made"),
        ("visualize --checkpoint {checkpoint} --data synthetic --out {tmp}/a.gif", "pictures are PNG files, videos"),
        (
            "export --checkpoint {checkpoint} --out {tmp}/a.onnx --calibration minmax",
            "--calibration is for --int8: add it, or leave this out",
        ),
        ("train --model tsm_resnet18 --data folder --data-dir {tmp}/two --hflip 0.5", "write flips.csv, with lines"),
    ],
)
def test_bad_input_is_one_line(
    argv: str,
    message: str,
    tmp_path: Path,
    checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "one" / "wave").mkdir(parents=True)
    (tmp_path / "one" / "wave" / "a.mp4").write_bytes(b"")
    for name in ("wave/a.mp4", "wave/b.mp4", "fist/a.mp4", "fist/b.mp4"):
        (tmp_path / "two" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "two" / name).write_bytes(b"")
    places = {"tmp": tmp_path, "checkpoint": checkpoint}
    assert run(*argv.format(**places).split()) == 2
    printed = capsys.readouterr()
    assert message.format(**places) in printed.err
    lines = [line for line in printed.err.splitlines() if "error:" in line]
    assert len(lines) == 1
    assert "Traceback" not in printed.err
    assert not printed.out
    assert not (tmp_path / "runs").exists(), "bad input leaves nothing behind"


def test_a_tag_that_is_not_loaded_is_said(clips: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    where = f"--data folder --data-dir {clips} --out {tmp_path / 'run'} --size 32 --epochs 1 --workers 0 --batch-size 2"
    assert run(*f"train --model tsm_resnet28_nano.rendered {where}".split()) == 0
    assert "without --pretrained the network starts at random" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("shift_div", "--model-option shift_div: expected KEY=VALUE, such as stage=recognition"),
        ("num_segments=4", "--model-option num_segments=4: --num-segments says that"),
        ("taps=[res1", "--model-option taps=[res1: the value is no number, text or list as in YAML"),
        ("shift=4", "tsm_test_resnet takes no argument 'shift'"),
        ("shift_div=none", "shift_div must be an integer of at least 1"),
    ],
)
def test_bad_model_options(
    option: str, message: str, clips: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    where = f"--data folder --data-dir {clips} --out {tmp_path / 'run'}"
    assert run(*f"train --model tsm_test_resnet {where} --model-option {option}".split()) == 2
    printed = capsys.readouterr()
    assert message in printed.err and len(printed.err.splitlines()) == 1


def test_traceback_on_request() -> None:
    with pytest.raises(gesture_zoo.GestureZooError):
        main(["info", "tsm_resnet5", "--traceback"])


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_corrupt_clip_is_replaced_in_training_and_named(
    clips: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, workers: str
) -> None:
    (clips / "wave" / "0.mp4").write_bytes(b"broken")
    where = f"--data folder --data-dir {clips} --workers {workers}"
    out = tmp_path / "run"
    # All clips train and none is held out, so that the broken one is among them.
    argv = f"train --model tsm_test_resnet --size 32 --epochs 1 --batch-size 2 --holdout 0.01 --out {out} {where}"
    (clips / "wave" / "1.mp4").write_bytes(b"broken too")
    (clips / "wave" / "2.mp4").write_bytes(b"and this")
    code = run(*argv.split())
    printed = capsys.readouterr()
    assert code == 2, "the held-out clip is one of them: it is never left out in silence"
    assert "clip wave/" in printed.err.splitlines()[-1]
    assert "Traceback" not in printed.err


def test_bad_clips_of_an_evaluation(clips: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    where = f"--data folder --data-dir {clips} --workers 0"
    assert run(*f"train --model tsm_test_resnet --size 32 --epochs 1 --out {out} {where}".split()) == 0
    (clips / "wave" / "0.mp4").write_bytes(b"broken")
    capsys.readouterr()
    evaluate = f"eval --checkpoint {out} --split train {where}".split()
    assert run(*evaluate) == 2
    assert f"cannot read video {clips}/wave/0.mp4" in capsys.readouterr().err
    assert run(*evaluate, "--skip-bad") == 0
    printed = capsys.readouterr().out
    assert "1 clips could not be read and are not counted, the first: clip wave/0.mp4 of folder train" in printed
    assert run(*evaluate, "--skip-bad", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert len(record["skipped"]) == 1
    for file in clips.glob("*/*.mp4"):
        file.write_bytes(b"broken")
    assert run(*evaluate, "--skip-bad") == 2
    assert "clips could be read, the first: clip" in capsys.readouterr().err


def test_an_unexpected_fault_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gesture_zoo.cli import commands

    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(commands, "list_models", fail)
    assert run("list") == 3
    assert capsys.readouterr().err == (
        "gesture-zoo: unexpected error: RuntimeError: two lines (run again with --traceback to see where)\n"
    )


@pytest.mark.parametrize("command", ["info my_net", "train --model my_net --data synthetic --out {out}"])
def test_a_model_that_does_not_say_what_its_clips_are(
    own_registry: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    @gesture_zoo.register_model
    def my_net(**options: object) -> torch.nn.Module:
        return torch.nn.Linear(4, 10)

    assert run(*command.format(out=tmp_path / "run").split()) == 2
    assert "my_net is a plain Linear without num_classes, num_segments, in_chans: derive it" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
