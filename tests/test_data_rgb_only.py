"""Depth is read where a model, or what it learns by, has a use for it; where it is not there, RGB alone will do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from layouts import WRITERS
from torch import nn

import gesture_zoo
from gesture_zoo.cli import main
from gesture_zoo.data import create_dataset, resolve_data_config
from gesture_zoo.data.check import check_dataset
from gesture_zoo.data.config import needs_depth
from gesture_zoo.data.prepare import prepare_dataset
from gesture_zoo.engine import make_loader, make_test_dataset, train_val_datasets
from gesture_zoo.engine.clips import clip_ids, has_depth, without_depth
from gesture_zoo.errors import DataError
from gesture_zoo.media_names import is_depth_name

T = 2


def make_model(name: str = "tsm_test_resnet", **options: Any) -> nn.Module:
    model = gesture_zoo.create_model(name, num_segments=T, **options)
    model.pretrained_cfg["input_size"] = (model.in_chans, 32, 32)
    return model


def remove_depth(name: str, root: Path) -> None:
    """Take away some of a dataset's depth, whose colour stays."""
    found = {
        "isogd": [*root.rglob("K_*.avi")],
        "nvgesture": [*root.rglob("sk_depth.avi")],
        # A single frame, of the first clips alone: the folder is there.
        "egogesture": [root / "Subject03" / "Scene1" / "Depth" / "depth1" / "000002.jpg"],
    }[name]
    assert found
    for path in found:
        path.unlink()


def test_who_needs_depth() -> None:
    class Own(nn.Module):
        def make_loss(self) -> None: ...

    class Taking(nn.Module):
        takes_depth = True

    assert not needs_depth(make_model())
    assert needs_depth(make_model("tsm_test_resnet_msd"))
    assert needs_depth(Own()) and needs_depth(Taking()) and not needs_depth(nn.Identity())
    for channels, wanted in ((1, True), (3, False), (4, True)):
        config = resolve_data_config(model=make_model(in_chans=channels))
        assert config["with_depth"] is wanted
    model = make_model()
    assert resolve_data_config({"with_depth": True}, model=model)["with_depth"]
    assert resolve_data_config(pretrained_cfg=model.pretrained_cfg)["with_depth"], "what is not known has no say"


@pytest.mark.parametrize("name", ["egogesture", "isogd", "nvgesture"])
def test_training_clips_whose_depth_is_not_there(name: str, tmp_path: Path) -> None:
    root = WRITERS[name](tmp_path)
    whole = create_dataset(name, root, num_segments=T)
    wanted = [whole[index].frames for index in range(len(whole))]
    remove_depth(name, root)
    config = resolve_data_config(model=make_model())
    data = train_val_datasets(name, str(root), config, val_split="none").train
    assert [data[index].depth for index in range(len(data))] == [None] * len(whole)
    assert next(iter(make_loader(data, 2, workers=0, training=True, seed=0))).depth is None
    plain = create_dataset(name, root, num_segments=T, with_depth=False)
    # A clip is no longer cut to the length of its depth: but for those the frames are the same.
    same = [plain.length(index) == whole.length(index) for index in range(len(whole))]
    assert any(same)
    assert all(torch.equal(plain[index].frames, wanted[index]) for index in range(len(whole)) if same[index])


@pytest.mark.parametrize("name", ["egogesture", "isogd", "nvgesture"])
@pytest.mark.parametrize("model", ["tsm_test_resnet_msd", "in_chans=4"])
def test_a_model_that_needs_depth_does_not_do_without(name: str, model: str, tmp_path: Path) -> None:
    root = WRITERS[name](tmp_path)
    remove_depth(name, root)
    made = make_model(in_chans=4) if model == "in_chans=4" else make_model(model)
    data = train_val_datasets(name, str(root), resolve_data_config(model=made), val_split="none").train
    with pytest.raises(DataError, match="there is no file .*(000002.jpg|sk_depth.avi|K_00001.avi)"):
        [data[index] for index in range(len(data))]


def test_training_and_evaluation_of_isogd_without_its_depth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = WRITERS["isogd"](tmp_path / "isogd")
    remove_depth("isogd", root)
    data, run = ["--data", "isogd", "--data-dir", str(root), "--workers", "0"], tmp_path / "run"
    settings = ["--recipe", "finetune", "--epochs", "1", "--batch-size", "2", "--size", "32", "--num-segments", "2"]
    assert not main(["train", "--model", "tsm_test_resnet", *data, *settings, "--val-split", "none", "--out", str(run)])
    assert "could not be read" not in capsys.readouterr().out
    assert not main(["eval", "--checkpoint", str(run), *data, "--split", "train", "--protocol", "3x2"])
    assert "of 2 clips" in capsys.readouterr().out


def test_check_data_of_the_colour_alone(tmp_path: Path) -> None:
    root = WRITERS["isogd"](tmp_path)
    remove_depth("isogd", root)
    assert "missing" in {problem.kind for problem in check_dataset("isogd", root).problems}
    report = check_dataset("isogd", root, with_depth=False)
    assert not {problem.kind for problem in report.problems} & {"missing", "unreadable", "empty"}
    assert (report.decoded, report.polarity) == (3, None)


def test_commands_that_leave_depth_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = WRITERS["isogd"](tmp_path / "clips"), tmp_path / "shards"
    remove_depth("isogd", root)
    for options, is_said in (((), True), (("--no-depth",), False)):
        main(["check-data", "isogd", str(root), *options])
        assert ("K_00001.avi" in capsys.readouterr().out) is is_said
    assert not main(["prepare", "isogd", str(root), str(out), "--split", "train", "--no-depth"])
    assert not has_depth(create_dataset("shards", out, num_segments=T))


def test_the_test_clips_of_a_model_have_the_depth_it_needs(tmp_path: Path) -> None:
    root = WRITERS["isogd"](tmp_path)
    for name, wanted in (("tsm_test_resnet", False), ("tsm_test_resnet_msd", True)):
        data = make_test_dataset("isogd", root, make_model(name), split="train")
        assert (data[0].depth is not None) is wanted
        assert has_depth(data) is wanted
        # Whoever wants the other says so.
        asked = make_test_dataset("isogd", root, make_model(name), split="train", with_depth=not wanted)
        assert (asked[0].depth is not None) is not wanted
        assert torch.equal(asked[0].frames, data[0].frames)


def test_synthetic_clips_without_depth() -> None:
    whole = create_dataset("synthetic", num_segments=T, size=32, num_clips=2)
    plain = create_dataset("synthetic", num_segments=T, size=32, num_clips=2, with_depth=False)
    assert whole[1].depth is not None
    assert plain[1].depth is plain[1].valid is None
    assert torch.equal(plain[1].frames, whole[1].frames)
    assert [batch.depth for batch in make_loader(plain, 2, workers=0)] == [None]


def test_shards_without_depth(tmp_path: Path) -> None:
    root = WRITERS["folder"](tmp_path / "clips")
    prepare_dataset("folder", root, tmp_path / "shards")
    whole = create_dataset("shards", tmp_path / "shards", num_segments=T)
    plain = create_dataset("shards", tmp_path / "shards", num_segments=T, with_depth=False)
    pairs = list(zip(whole, plain, strict=True))
    assert sum(one.depth is not None for one, _ in pairs) == 2
    assert all(torch.equal(one.frames, other.frames) and other.depth is None for one, other in pairs)
    assert (has_depth(whole), has_depth(plain)) == (True, False)
    assert without_depth(plain) == clip_ids(plain) == clip_ids(whole)
    data = make_test_dataset("shards", tmp_path / "shards", make_model(), split="train", num_views=3)
    assert all(sample.depth is None for sample in data)
    # They can be made without it in the first place.
    prepare_dataset("folder", root, tmp_path / "rgb", splits=["train"], with_depth=False)
    assert not has_depth(create_dataset("shards", tmp_path / "rgb", num_segments=T))


def test_the_frames_of_a_pair_count_alone_where_depth_does_not(tmp_path: Path) -> None:
    root = WRITERS["folder"](tmp_path)
    (clip,) = (path for path in root.glob("train/wave/*.depth") if is_depth_name(path.name))
    (clip / "3.png").unlink()
    whole = create_dataset("folder", root, num_segments=T)
    plain = create_dataset("folder", root, num_segments=T, with_depth=False)
    place = clip_ids(whole).index("train/wave/b")
    assert (whole.length(place), plain.length(place)) == (8, 9)


def test_decoders_without_any_depth_are_said_to_learn_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root, said = WRITERS["jester"](tmp_path), "no training clip has depth"
    for name, is_said in (("tsm_test_resnet", False), ("tsm_test_resnet_msd", True)):
        train_val_datasets("jester", str(root), resolve_data_config(model=make_model(name)), val_split="none")
        assert (said in caplog.text) is is_said
