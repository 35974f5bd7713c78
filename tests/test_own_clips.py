"""Your own clips as they come: odd names, tables of other programs, depth of 16 bits, and honest splits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

import gesture_zoo
from gesture_zoo.cli import main
from gesture_zoo.data import create_dataset, write_video
from gesture_zoo.data.video import read_frames
from gesture_zoo.engine import Protocol, Recipe, load_recipe, train_val_datasets
from gesture_zoo.engine.testing import protocol_config
from gesture_zoo.errors import DataError, ModelError
from gesture_zoo.visualize import save_confusion

CONFIG = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3, "num_segments": 2}


def write_clip(path: Path, level: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(np.full((4, 32, 32, 3), level, np.uint8), path)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        for number in range(5):
            write_clip(tmp_path / "clips" / name / f"{number}.mp4")
    return tmp_path / "clips"


def train(clips: Path, out: Path, *options: str, model: str = "tsm_test_resnet") -> int:
    return main(
        [
            *("train", "--model", model, "--data", "folder", "--data-dir", str(clips), "--out", str(out)),
            *("--size", "32", "--num-segments", "2", "--workers", "0", "--batch-size", "4", "--epochs", "1", *options),
        ]
    )


def write_depth(path: Path, levels: np.ndarray, *, codec: str = "ffv1", pix_fmt: str = "gray16le") -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = *levels.shape[1:3], pix_fmt
        for level in levels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(level, format="gray16le")))
        container.mux(stream.encode())


# Depth.


def test_depth_videos_of_16_bits_are_millimetres(clips: Path) -> None:
    levels = np.full((4, 32, 32), 2000, np.uint16)
    levels[:, 8:24, 8:24] = 600
    write_depth(clips / "a" / "0.depth.mkv", levels)
    assert np.array_equal(read_frames(clips / "a" / "0.depth.mkv", [1], gray=True)[0, 0].numpy(), levels[1])
    depth = create_dataset("folder", clips, num_segments=2)[0].depth
    assert depth[0, 0, 16, 16] == pytest.approx((3000 - 600) / 2700)
    assert depth[0, 0, 0, 0] == pytest.approx((3000 - 2000) / 2700)


def test_depth_videos_of_other_levels_are_refused(clips: Path) -> None:
    write_depth(clips / "a" / "0.depth.mkv", np.zeros((4, 32, 32), np.uint16), pix_fmt="gray10le")
    with pytest.raises(DataError, match=r"0.depth.mkv has the pixel format gray10le, of 10 bits: depth is of 8 bits"):
        create_dataset("folder", clips, num_segments=2)[0]


def test_depth_is_called_so_in_capitals_too(clips: Path) -> None:
    write_clip(clips / "a" / "0.Depth.MKV")
    records = create_dataset("folder", clips).records
    assert len(records) == 10
    assert [record.depth is not None for record in records][:2] == [True, False]


# Names.


def test_files_that_are_no_clips_are_said(clips: Path, caplog: pytest.LogCaptureFixture) -> None:
    (clips / "a" / "4.mp4").rename(clips / "a" / "4.gif")
    assert len(create_dataset("folder", clips)) == 9
    said = f"folder train: a note: {clips / 'a'}: '4.gif' is no clip, and left out: a clip is a video (.avi, .m4v, "
    assert said in caplog.text
    caplog.clear()
    (clips / "a" / "notes.txt").touch()
    create_dataset("folder", clips)
    assert "a: 2 files or folders that are no clips are left out, such as '4.gif': a clip is" in caplog.text


def test_classes_without_clips_are_said(clips: Path, caplog: pytest.LogCaptureFixture) -> None:
    (clips / "runs").mkdir()
    train_val_datasets("folder", str(clips), CONFIG)
    assert "1 of 3 classes have no training clip: runs" in caplog.text


def test_a_class_whose_files_are_no_clips_is_a_fault(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = clips.parent / "split"
    for number, name in enumerate(("train/a", "train/b", "val/a")):
        for clip in range(5):
            write_clip(root / name / f"{clip}.mp4", level=50 * number + 10 * clip)
    (root / "val" / "b").mkdir()
    (root / "val" / "b" / "notes.txt").touch()
    (root / "train" / "c").mkdir()
    assert main(["check-data", "folder", str(root)]) == 0, "an empty folder may be filled, and val lacks a class"
    out = capsys.readouterr().out
    assert "val/b: the class 'b' has no clip: 'notes.txt' is no clip, and left out: a clip is a video" in out
    (root / "train" / "b" / "alice").mkdir()
    for number in range(5):
        (root / "train" / "b" / f"{number}.mp4").rename(root / "train" / "b" / "alice" / f"{number}.mp4")
    said = "train/b: the class 'b' has no clip: clips lie one level too deep: b/alice/0.mp4; they belong right into b"
    assert main(["check-data", "folder", str(root)]) == 1
    assert said in capsys.readouterr().out
    with pytest.raises(DataError, match=said):
        create_dataset("folder", root)
    write_clip(root / "train" / "b" / "9.mp4", level=240)  # what is too deep then costs these clips alone
    assert main(["check-data", "folder", str(root)]) == 0
    assert "train/b: clips lie one level too deep: b/alice/0.mp4" in capsys.readouterr().out


def test_what_systems_leave_behind_is_not_told_of(clips: Path, caplog: pytest.LogCaptureFixture) -> None:
    (clips / "__MACOSX").mkdir()
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._0.mp4"):
        (clips / "a" / name).write_bytes(b"x")
    (clips / "a" / "4.mp4").rename(clips / "a" / "4.m4v")
    data = create_dataset("folder", clips)
    assert (data.class_names, len(data), data.problems) == (["a", "b"], 10, [])
    assert not caplog.text


def test_the_folder_that_was_meant_is_named_first(clips: Path) -> None:
    clips.rename(clips.parent / "train")
    (clips / "x").mkdir(parents=True)
    (clips.parent / "train").rename(clips / "x" / "train")
    with pytest.raises(DataError, match="no clips: expected .*; did you mean .*clips/x"):
        create_dataset("folder", clips)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Path,Label\na/0.mp4,a\n", "not 'Path,Label': the names of columns are in small letters"),
        ("path;label\na/0.mp4;a\n", "not 'path;label': values are separated by commas, not semicolons"),
        ("path\tlabel\na/0.mp4\ta\n", "values are separated by commas, not tabs"),
        ("Path,label,who\na/0.mp4,a,me\n", "a column 'who' is not known"),
    ],
)
def test_headers_that_are_nearly_right(text: str, said: str, clips: Path) -> None:
    (clips / "train.csv").write_text(text)
    with pytest.raises(DataError, match="train.csv, line 1: the header has to be 'path,label") as caught:
        create_dataset("folder", clips)
    assert said in str(caught.value)


def test_a_row_of_commas_is_empty(clips: Path) -> None:
    (clips / "train.csv").write_text('path,label,start,end\na/0.mp4,a,,\n,,,\n , ,,\nb/0.mp4,b,,\n,,\n"",\n')
    data = create_dataset("folder", clips)
    assert (len(data), data.problems) == (2, [])


@pytest.mark.parametrize("what", ["class", "clip"])
def test_names_that_are_not_utf8(what: str, clips: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    try:
        (clips / "b").rename(clips / name) if what == "class" else (clips / "a" / "0.mp4").rename(
            clips / "a" / f"{name}.mp4"
        )
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(DataError, match=rf"caf\\udce9.*: the name of this {what} is not UTF-8: rename it"):
        create_dataset("folder", clips)
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    command = [sys.executable, "-m", "gesture_zoo", "check-data", "folder", str(clips)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1, done.stderr
    assert r"caf\udce9" in done.stdout


def test_tables_of_other_programs(clips: Path) -> None:
    table = "path,label\na/0.mp4,caf\xe9\na/1.mp4,caf\xe8\n"
    (clips / "train.csv").write_bytes(table.encode("latin1"))
    with pytest.raises(DataError, match=r"train.csv, line 2: .* is not UTF-8: save the file as UTF-8 \(Excel: CSV UTF"):
        create_dataset("folder", clips)
    (clips / "train.csv").write_bytes(table.encode("utf-8-sig"))
    assert create_dataset("folder", clips).class_names == ["caf\xe8", "caf\xe9"]


def test_classes_with_commas_have_a_mirror_image(clips: Path) -> None:
    (clips / "a").rename(clips / "left, slow")
    (clips / "flips.csv").write_text('"left, slow",b\n')
    assert create_dataset("folder", clips).flip_labels == {0: 1, 1: 0}
    (clips / "flips.csv").write_text("left, slow,b\n")
    with pytest.raises(DataError, match="line 1: expected 'class,mirrored class'.* quotes around a name with a comma"):
        create_dataset("folder", clips)


def test_classes_with_dollars_are_drawn(tmp_path: Path) -> None:
    import torch

    assert save_confusion(torch.eye(2), ["$5_$", "$^_$"], tmp_path / "confusion.png").exists()


# Runs.


def test_a_run_with_clips_held_out_knows_its_classes(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert train(clips, tmp_path / "run") == 0
    (clips / "a" / "0.mp4").rename(clips / "b" / "5.mp4")
    assert train(clips, tmp_path / "run", "--resume", "auto") == 2
    assert "other values of the training clips and their classes" in capsys.readouterr().err
    (clips / "b" / "5.mp4").rename(clips / "a" / "0.mp4")
    (clips / "a").rename(clips / "z")
    assert train(clips, tmp_path / "run", "--resume", "auto") == 2
    assert "other values of the classes" in capsys.readouterr().err


def test_eval_holds_out_what_the_run_held_out(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run, data = tmp_path / "run", ["--data", "folder", "--data-dir", str(clips), "--workers", "0"]
    assert train(clips, run, "--seed", "3", "--holdout", "0.4") == 0
    assert (
        main(["eval", "--checkpoint", str(run / "best"), *data, "--holdout", "0.4", "--out", str(tmp_path / "o")]) == 0
    )
    rows = (tmp_path / "o" / "predictions.jsonl").read_text()
    held = {record.id for record in held_out(clips)}
    assert len(held) == 4 and all(name in rows for name in held)
    assert main(["eval", "--checkpoint", str(run), *data, "--holdout", "0.2"]) == 2
    assert "was trained with --holdout 0.4: --holdout 0.2 would be clips that it learned" in capsys.readouterr().err


def held_out(clips: Path) -> list:
    data = train_val_datasets("folder", str(clips), CONFIG, holdout=0.4, seed=3)
    return [data.val.dataset.records[index] for index in data.val.indices]


def test_eval_of_a_run_without_clips_held_out(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert train(clips, tmp_path / "run", "--val-split", "none") == 0
    data = ["--data", "folder", "--data-dir", str(clips)]
    assert main(["eval", "--checkpoint", str(tmp_path / "run"), *data, "--holdout", "0.2"]) == 2
    assert "was trained without clips held out" in capsys.readouterr().err


@pytest.mark.parametrize("use", ["val_split", "test_split"])
def test_nothing_is_chosen_or_tested_by_clips_that_are_trained_on(use: str, clips: Path) -> None:
    if use == "test_split":
        with pytest.raises(ModelError, match="test_split 'trainval' is also the split to train on"):
            Recipe(val_split="none", test_split="trainval")
    else:
        with pytest.raises(DataError, match="'trainval' cannot be trained and validated on"):
            train_val_datasets("folder", str(clips), CONFIG, val_split="trainval")


def test_a_test_without_depth_is_refused_before_training(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for split in ("train", "test"):
        for name in ("a", "b"):
            for number in range(3):
                write_clip(tmp_path / "clips" / split / name / f"{number}.mp4")
                if split == "train":
                    write_clip(tmp_path / "clips" / split / name / f"{number}.depth.mkv")
    assert train(tmp_path / "clips", tmp_path / "run", "--in-chans", "4", "--test-split", "test") == 2
    assert "6 of 6 clips have no depth" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("in_chans", [1, 4])
def test_models_that_see_depth_have_a_test_size(in_chans: int) -> None:
    model = gesture_zoo.create_model("tsm_resnet18", num_classes=2, in_chans=in_chans)
    assert protocol_config(model, Protocol(3, 1))["input_size"] == (in_chans, 256, 256)


def test_two_ways_to_start_are_refused(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert train(clips, tmp_path / "run", "--pretrained", "--backbone-weights", "cnn.safetensors") == 2
    assert "--pretrained and --backbone-weights are two ways to start" in capsys.readouterr().err


def test_none_is_a_word_of_recipe_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("test_split: none\ndrop_rate: none\nval_split: null\n")
    recipe = load_recipe(path)
    assert (recipe.test_split, recipe.drop_rate, recipe.val_split) == (None, None, "none")


def test_rendered_clips_are_in_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["check-data", "synthetic", str(tmp_path)]) == 2
    assert "these clips are rendered and in no folder" in capsys.readouterr().err
