"""Networks that see depth, alone or beside RGB, from the data through training to a prediction; heads that fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from layouts import color, depth, save_video

import gesture_zoo
from gesture_zoo.cli import main
from gesture_zoo.data import ClipSample, create_transform, resolve_data_config
from gesture_zoo.engine import load_recipe, predict_video, train, train_val_datasets
from gesture_zoo.errors import DataError

T = 2


def write_clips(root: Path, *, with_depth: bool) -> Path:
    """Two classes of two clips."""
    for name in ("fist", "wave"):
        for number in range(2):
            save_video(color(4, 60 + 40 * number), root / "train" / name / f"{number}.mkv")
            if with_depth:
                save_video(depth(4), root / "train" / name / f"{number}.depth.mkv")
    return root


def sample(with_depth: bool = True) -> ClipSample:
    frames = torch.randint(256, (T, 3, 40, 60), dtype=torch.uint8)
    depth = torch.rand(T, 1, 40, 60) if with_depth else None
    return ClipSample(frames, depth, None if depth is None else depth > 0.2, 0, "a")


def transform(channels: int):
    statistics = {"mean": (0.2, 0.4, 0.6), "std": (0.1, 0.2, 0.3)}
    return create_transform({"input_size": (channels, 32, 32), **statistics})


def test_the_network_sees_the_depth_of_its_crop() -> None:
    clip = sample()
    seen = {channels: transform(channels)(clip) for channels in (1, 3, 4)}
    measured = seen[3].depth * seen[3].valid
    assert torch.equal(seen[4].frames[:, :3], seen[3].frames)
    torch.testing.assert_close(seen[1].frames * 0.2 + 0.4, measured)
    assert torch.equal(seen[4].frames[:, 3:], seen[1].frames)
    assert all(torch.equal(seen[channels].depth, seen[3].depth) for channels in seen)


def test_what_a_network_cannot_see_is_said() -> None:
    with pytest.raises(DataError, match=r"a network 3 \(RGB\), 1 \(depth\), 4 \(RGB and depth\) channels, not 2"):
        transform(2)
    with pytest.raises(DataError, match="clip a has no depth: a network of 4 channels takes RGB and depth"):
        transform(4)(sample(with_depth=False))


@pytest.mark.parametrize("in_chans", [1, 4])
def test_train_save_and_predict_with_depth(in_chans: int, tmp_path: Path) -> None:
    root = write_clips(tmp_path / "clips", with_depth=True)
    model = gesture_zoo.create_model("tsm_test_resnet_msd", num_classes=2, num_segments=T, in_chans=in_chans)
    model.pretrained_cfg.update(input_size=(in_chans, 32, 32), label_names=("fist", "wave"))
    data = train_val_datasets("folder", str(root), resolve_data_config(model=model), val_split="none")
    recipe = load_recipe("finetune").override({"epochs": 1, "batch_size": 2})
    train(model, data.train, None, recipe=recipe, out=tmp_path / "run")
    saved = gesture_zoo.create_model(f"local-dir:{tmp_path / 'run'}")
    assert saved.in_chans == in_chans
    clip = next(path for path in sorted((root / "train" / "wave").iterdir()) if ".depth" not in path.name)
    assert {prediction.label for prediction in predict_video(saved, clip)} == {"fist", "wave"}
    beside = clip.with_name(f"{clip.stem}.depth.mkv")
    aside = beside.rename(tmp_path / beside.name)
    save_video(depth(4)[:, ::2, ::2], beside)
    with pytest.raises(DataError, match=r"the depth is \d+ x \d+, the frames are"):
        predict_video(saved, clip)
    aside.replace(beside)
    alone = clip.rename(tmp_path / clip.name)
    with pytest.raises(DataError, match=rf"the model sees depth: expected {clip.stem}.depth beside"):
        predict_video(saved, alone)


def test_data_without_depth_is_refused_before_training(tmp_path: Path) -> None:
    root = write_clips(tmp_path, with_depth=False)
    model = gesture_zoo.create_model("tsm_test_resnet", num_classes=2, in_chans=4)
    with pytest.raises(DataError, match="4 of 4 clips have no depth, such as train/fist/0.mkv: a network"):
        train_val_datasets("folder", str(root), resolve_data_config(model=model))


@pytest.mark.parametrize("in_chans", [1, 2, 4])
def test_the_stem_is_made_of_the_weights_of_rgb(in_chans: int, tmp_path: Path) -> None:
    rgb = gesture_zoo.create_model("tsm_test_resnet", num_classes=3)
    path = gesture_zoo.save_pretrained(rgb, tmp_path / "rgb")
    model = gesture_zoo.create_model(f"local-dir:{path}", in_chans=in_chans)
    ours, theirs = (m.base_model.conv1[0].weight for m in (model, rgb))
    # One channel: the sum, for grey frames. More: RGB again and again, scaled so that equal channels give the same.
    expected = theirs.sum(1, keepdim=True) if in_chans == 1 else theirs.repeat(1, 2, 1, 1)[:, :in_chans] * 3 / in_chans
    torch.testing.assert_close(ours, expected)
    assert torch.equal(model.get_classifier().weight, rgb.get_classifier().weight)


def test_another_number_of_classes_keeps_the_backbone_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = gesture_zoo.create_model("tsm_test_resnet_msd", num_classes=3)
    path = gesture_zoo.save_pretrained(old, tmp_path / "old")
    new = gesture_zoo.create_model(f"local-dir:{path}", num_classes=7)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "is for other classes than these 7: the classifier starts anew, all else is kept" in caplog.text
    assert new.get_classifier().out_features == 7
    assert torch.equal(new.model.base_model.conv1[0].weight, old.model.base_model.conv1[0].weight)
    assert torch.equal(new.decoders["res1"].layers[0].weight, old.decoders["res1"].layers[0].weight)


def test_a_checkpoint_loads_with_and_without_its_decoders(tmp_path: Path) -> None:
    taught = gesture_zoo.create_model("tsm_test_resnet_msd", num_classes=3)
    bare = gesture_zoo.strip_msd(taught)
    for model, name in ((taught, "taught"), (bare, "bare")):
        gesture_zoo.save_pretrained(model, tmp_path / name)
        file = tmp_path / name / "model.safetensors"
        for architecture in ("tsm_test_resnet_msd", "tsm_test_resnet"):
            loaded = gesture_zoo.create_model(architecture, num_classes=3, checkpoint_path=file)
            inside = loaded.model if architecture.endswith("_msd") else loaded
            expected = bare.state_dict()
            assert all(torch.equal(value, expected[key]) for key, value in inside.state_dict().items())
            if name == "taught" and architecture.endswith("_msd"):
                assert torch.equal(loaded.decoders["res1"].layers[0].weight, taught.decoders["res1"].layers[0].weight)


def test_stems_of_several_branches_are_adapted_too(tmp_path: Path) -> None:
    rgb = gesture_zoo.create_model("tsm_repvgg_a0", num_classes=3)
    path = gesture_zoo.save_pretrained(rgb, tmp_path / "rgb")
    model = gesture_zoo.create_model(f"local-dir:{path}", in_chans=1)
    ours, theirs = (m.base_model.stem.conv_1x1.conv.weight for m in (model, rgb))
    torch.testing.assert_close(ours, theirs.sum(1, keepdim=True))


def test_decoders_are_loaded_tap_by_tap(tmp_path: Path) -> None:
    taught = gesture_zoo.create_model("tsm_test_resnet_msd", num_classes=3)
    file = gesture_zoo.save_pretrained(taught, tmp_path / "taught") / "model.safetensors"
    fewer = gesture_zoo.create_model("tsm_test_resnet_msd", num_classes=3, taps=["res1", "res3"], checkpoint_path=file)
    assert torch.equal(fewer.decoders["res1"].layers[0].weight, taught.decoders["res1"].layers[0].weight)


@pytest.mark.parametrize(("in_chans", "seen"), [(1, "from depth alone"), (4, "from RGB and depth")])
def test_the_command_line_trains_what_sees_depth(
    in_chans: int, seen: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    root = write_clips(tmp_path / "clips", with_depth=True)
    options = (
        "--model tsm_test_resnet_msd --data folder --epochs 1 --size 32 --batch-size 2 --num-segments 2 --holdout 0.5"
    )
    out = ["--data-dir", str(root), "--out", str(tmp_path / "run"), "--workers", "0"]
    assert main(["train", *options.split(), *out, "--in-chans", str(in_chans)]) == 0
    assert seen in capsys.readouterr().out
    trained = str(tmp_path / "run")
    assert main(["eval", "--checkpoint", trained, *"--data folder --split train --data-dir".split(), str(root)]) == 0
    assert seen in capsys.readouterr().out
    assert main(["info", f"local-dir:{trained}"]) == 0
    assert f"(N, 2, {in_chans}, 32, 32), {seen.removeprefix('from ')}" in capsys.readouterr().out
