"""Pictures: what is on them, and the command that draws them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib import font_manager
from torchvision.io import write_png

import gesture_zoo
from gesture_zoo.cli import main
from gesture_zoo.data import (
    ClipSample,
    count_frames,
    create_dataset,
    create_transform,
    read_frames,
    resolve_data_config,
    write_video,
)
from gesture_zoo.engine import Evaluation, Report, write_report
from gesture_zoo.engine.clips import clip_ids, find_clips, has_depth, spread_clips, video_clip
from gesture_zoo.errors import DataError, ModelError
from gesture_zoo.visualize import (
    confusion_figure,
    curves_figure,
    denormalize,
    figure5,
    save_confusion,
    save_curves,
    save_figure5,
    save_masks_video,
)
from gesture_zoo.visualize.fonts import FALLBACKS, naming_missing_letters

T, SIDE = 4, 32
CLASSES = ("swipe_left", "swipe_right", "push", "pull")
HISTORY = [{"epoch": n, "loss": 2 / n, "ce": 1 / n, "res1": 0.1, "top1": 0.2 * n, "lr": 0.1**n} for n in (1, 2, 3)]


def make_model(name: str = "tsm_test_resnet_msd") -> Any:
    model = gesture_zoo.create_model(name, num_classes=len(CLASSES), num_segments=T)
    model.pretrained_cfg.update(label_names=CLASSES, input_size=(3, SIDE, SIDE), crop_pct=1.0)
    return model.eval()


def dataset(count: int = 6) -> Any:
    transform = create_transform(resolve_data_config(model=make_model()))
    return create_dataset(
        "synthetic",
        num_segments=T,
        size=SIDE,
        num_clips=count,
        classes=CLASSES,
        sensor=False,
        transform=transform,
    )


def run(*argv: str) -> int:
    try:
        return main(argv)
    except SystemExit as exit:
        return int(exit.code or 0)


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def titles(figure: Any) -> list[str]:
    return [axis.get_title() for axis in figure.axes if axis.get_title()]


# Figures


def test_figure5_shows_frame_depth_and_masks() -> None:
    model, clip = make_model(), dataset()[1]
    valid = clip.valid.clone()
    valid[2, 0, :8] = False
    clip = clip._replace(valid=valid)
    figure = figure5(model, [clip, clip._replace(depth=None, valid=None)], class_names=CLASSES, frame=2)
    assert titles(figure) == ["RGB", "depth", "mask of res1 (32 x 32)", "mask of layer4 (8 x 8)"]
    rgb, depth, mask = (axis.images[0].get_array() for axis in figure.axes[:3])
    expected = denormalize(clip.frames[2], model.pretrained_cfg).permute(1, 2, 0)
    np.testing.assert_allclose(rgb, expected.numpy())
    np.testing.assert_allclose(depth[8:], clip.depth[2, 0, 8:].numpy())
    assert depth.mask[:8].all(), "depth that is not valid is left out"
    with torch.inference_mode():
        np.testing.assert_allclose(mask, model.predict_masks(clip.frames[None])["res1"][0, 2, 0].numpy(), atol=1e-5)
    assert figure.axes[0].get_ylabel() == "swipe_right"
    assert not figure.axes[5].images, "the second clip has no depth"


def test_figure5_without_depth_or_label() -> None:
    clip = dataset()[0]._replace(depth=None, valid=None, label=-1, id="folder/wave.mp4")
    figure = figure5(make_model(), [clip])
    assert titles(figure) == ["RGB", "mask of res1 (32 x 32)", "mask of layer4 (8 x 8)"]
    assert figure.axes[0].get_ylabel() == "wave.mp4"


def test_what_figure5_cannot_draw() -> None:
    clip = dataset()[0]
    with pytest.raises(ModelError, match="needs at least one clip"):
        figure5(make_model(), [])
    with pytest.raises(ModelError, match="there is no frame 4 in a clip: they are 0 to 3"):
        figure5(make_model(), [clip], frame=4)
    with pytest.raises(ModelError, match="needs a model with decoders"):
        figure5(make_model("tsm_test_resnet"), [clip])


def test_masks_video(tmp_path: Path) -> None:
    clip = dataset()[0]
    path = save_masks_video(make_model(), clip, tmp_path / "new" / "masks.mp4", loops=2)
    assert count_frames(path) == 2 * T
    first, second, again = read_frames(path, [0, 1, T]).float()
    assert (first - second).abs().mean() > (first - again).abs().mean(), "the clip moves, and comes back"
    save_masks_video(make_model(), [clip, clip], tmp_path / "two.mkv", class_names=CLASSES)
    assert read_frames(tmp_path / "two.mkv", [0]).shape[-2] > 1.5 * first.shape[-2] * 2.3 / 2.9
    with pytest.raises(ModelError, match=r"videos are .avi, .mkv, .mov, .mp4 files, got the name .*masks.gif"):
        save_masks_video(make_model(), clip, tmp_path / "masks.gif")


def test_figure5_says_what_grey_is_where_there_is_some() -> None:
    clip = dataset()[0]
    labels = []
    for measured in (True, False):
        valid = torch.full(clip.depth.shape, measured)
        labels.append(figure5(make_model(), [clip._replace(valid=valid)]).axes[-1].get_ylabel())
    assert labels == ["depth, far to near", "depth, far to near (grey: not measured)"]


def test_curves_draw_what_is_there() -> None:
    records = [*HISTORY[:2], {**HISTORY[2], "val_top1": 0.5, "val_top5": 0.9, "depth": None, "note": "x", "seconds": 3}]
    figure = curves_figure(records)
    panels = {axis.get_ylabel(): [line.get_label() for line in axis.lines] for axis in figure.axes}
    assert panels == {
        "loss": ["loss", "ce", "res1"],
        "accuracy": ["top1", "val_top1", "val_top5"],
        "learning rate": ["lr"],
    }
    assert figure.axes[0].get_yscale() == "log"
    assert figure.axes[1].lines[1].get_xydata().tolist() == [[3, 0.5]]
    assert curves_figure([{**HISTORY[0], "res1": 0.0}]).axes[0].get_yscale() == "linear"
    for nothing in ([], [{"epoch": 1}], [{"epoch": 1, "loss": float("nan")}]):
        with pytest.raises(ModelError, match="there are no curves to draw"):
            curves_figure(nothing)


@pytest.mark.parametrize("classes", [2, 31, 61, 131])
def test_confusion_of_few_and_many_classes(classes: int) -> None:
    figure = confusion_figure(torch.eye(classes, dtype=torch.long) * 3, [f"gesture {n}" for n in range(classes)])
    shares = figure.axes[0].images[0].get_array()
    assert shares.sum() == classes
    assert len(figure.axes[0].texts) == (classes if classes <= 30 else 0)
    for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis):
        named = dict(zip(axis.get_ticklocs(), (text.get_text() for text in axis.get_ticklabels()), strict=True))
        assert named == {place: f"gesture {place}" for place in range(0, classes, 1 if classes <= 130 else 5)}


def test_a_picture_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_confusion(torch.eye(2), ["a", "b"], tmp_path / "confusion.png")
    before = path.read_bytes()

    def fail(*args: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="no space left"):
        save_curves(HISTORY, path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before]
    for draw in (save_curves, lambda history, path: save_confusion(torch.eye(1), ["a"], path)):
        with pytest.raises(ModelError, match="pictures are PNG files, got the name"):
            draw(HISTORY, tmp_path / "x.pdf")


# Clips


def test_clips_spread_over_a_dataset() -> None:
    ids = clip_ids(dataset())
    assert len(ids) == 6
    assert [clip.label for clip in spread_clips(dataset(), 2)] == [1, 3], "of two classes"
    no_labels = [dataset()[index] for index in range(6)]
    assert [clip.id for clip in spread_clips(no_labels, 2)] == [ids[1], ids[4]]
    assert [clip.id for clip in spread_clips(dataset(), 99)] == ids
    with pytest.raises(DataError, match="the number of clips must be at least 1, got 0"):
        spread_clips(dataset(), 0)


def test_clips_by_id() -> None:
    found = find_clips(dataset(), ["synthetic/train/000002/push", "000000/swipe_left", "000002/push"])
    assert [clip.id[-12:] for clip in found] == ["/000002/push", "0/swipe_left", "/000002/push"]
    with pytest.raises(DataError, match="no clip has the id 7; there are 6, such as synthetic/train/000000/swipe_left"):
        find_clips(dataset(), ["7"])
    with pytest.raises(DataError, match="2 clips have an id that ends in left: write more of one, such as"):
        find_clips(dataset(), ["left"])


def test_an_exact_id_is_not_the_end_of_another() -> None:
    data = [ClipSample(torch.zeros(1), None, None, 0, name) for name in ("a/b", "b")]
    assert find_clips(data, ["b"])[0].id == "b"
    assert not has_depth(data)


def test_clips_of_a_stream(places: dict[str, Path]) -> None:
    from gesture_zoo.data.prepare import prepare_dataset

    prepare_dataset("folder", places["tmp"] / "clips", places["tmp"] / "shards", splits=["train"])
    data = create_dataset("shards", places["tmp"] / "shards", split="train", num_segments=T)
    assert has_depth(data)
    assert [clip.id for clip in find_clips(data, ["push/0.mp4", "pull/0.mp4"])] == [
        "train/push/0.mp4",
        "train/pull/0.mp4",
    ]
    assert [clip.id for clip in spread_clips(data, 2)] == [clip_ids(data)[1], clip_ids(data)[3]]


def test_a_clip_of_a_video_file(tmp_path: Path) -> None:
    write_video(np.full((9, 48, 64, 3), 128, np.uint8), tmp_path / "grey.mp4")
    clip = video_clip(make_model(), tmp_path / "grey.mp4")
    assert clip.frames.shape == (T, 3, SIDE, SIDE)
    assert (clip.label, clip.depth) == (-1, None)


# The command


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """A checkpoint, one without decoders, a run, results and a video."""
    gesture_zoo.save_pretrained(make_model(), tmp_path / "msd")
    gesture_zoo.save_pretrained(make_model("tsm_test_resnet"), tmp_path / "bare")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "history.json").write_text(json.dumps({"history": HISTORY}))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "history.json").write_text("[]")
    result = Evaluation(["a", "b"], torch.tensor([0, 1]), torch.eye(2))
    write_report(Report(result, ["x", "y"], data="d", split="s", checkpoint="c"), tmp_path / "results")
    write_video(np.zeros((9, 48, 64, 3), np.uint8), tmp_path / "clip.mp4")
    (tmp_path / "frames").mkdir()
    write_png(torch.zeros(3, 48, 64, dtype=torch.uint8), str(tmp_path / "frames" / "1.png"))
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (tmp_path / "clips" / "train" / name).mkdir(parents=True)
        frames = rng.integers(0, 255, (6, 32, 32, 3), dtype=np.uint8)
        write_video(frames, tmp_path / "clips" / "train" / name / "0.mp4")
        write_video(frames[..., :1].repeat(3, -1), tmp_path / "clips" / "train" / name / "0.depth.mkv")
    return {"tmp": tmp_path}


DATA = "--data folder --data-dir {tmp}/clips"


@pytest.mark.parametrize(
    ("argv", "out"),
    [
        ("{tmp}/clip.mp4 --checkpoint {tmp}/msd --frame 0", "figure5.png"),
        ("{tmp}/clip.mp4 --checkpoint {tmp}/msd", "masks.mp4"),
        (f"--checkpoint {{tmp}}/msd {DATA} --split train --num-clips 2", "figure5.png"),
        (f"--checkpoint {{tmp}}/msd {DATA} --split train --clip push/0.mp4 --clip pull/0.mp4", "new/masks.mp4"),
        ("--curves {tmp}/run", "curves.png"),
        ("--confusion {tmp}/results", "confusion.png"),
    ],
)
def test_visualize(argv: str, out: str, places: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = places["tmp"] / "out" / out
    assert run("visualize", *argv.format(**places).split(), "--out", str(path)) == 0
    assert capsys.readouterr().out == f"{path}\n"
    assert path.stat().st_size > 1000


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("", "the following arguments are required: --out"),
        ("--out x.png", "what is to be drawn? --checkpoint with SOURCE or --data, --curves, or --confusion"),
        ("--out x.png {tmp}/clip.mp4", "what is to be drawn?"),
        ("--out x.png --checkpoint {tmp}/msd", "--checkpoint needs clips: a video SOURCE, or a dataset (--data)"),
        (f"--out x.png --checkpoint {{tmp}}/msd {{tmp}}/clip.mp4 {DATA}", "--checkpoint needs clips"),
        ("--out x.png --checkpoint {tmp}/msd {tmp}/clip.mp4 --split val --clip 1", "--split, --clip: for the clips of"),
        (f"--out x.png --checkpoint {{tmp}}/msd {DATA} --clip 1 --num-clips 2", "leave out --num-clips"),
        (f"--out x.png --checkpoint {{tmp}}/msd {DATA}", "choose one with --split: train"),
        (f"--out x.png --checkpoint {{tmp}}/msd {DATA} --split train --clip nobody", "no clip has the id nobody"),
        (f"--out x.png --checkpoint {{tmp}}/msd {DATA} --split train --num-clips 0", "must be at least 1, got 0"),
        ("--out x.mp4 --checkpoint {tmp}/msd {tmp}/clip.mp4 --frame 1", "x.mp4 shows all frames: leave out --frame"),
        ("--out x.png --checkpoint {tmp}/msd {tmp}/clip.mp4 --frame 9", "there is no frame 9 in a clip"),
        ("--out x.png --checkpoint {tmp}/bare {tmp}/clip.mp4", "has no decoders to draw masks with"),
        ("--out x.png --checkpoint {tmp}/msd {tmp}/none.mp4", "there is no file {tmp}/none.mp4"),
        ("--out clip.mp4 --checkpoint {tmp}/msd {tmp}/clip.mp4", "--out clip.mp4: it is the clip that is read; name"),
        ("--out frames/1.png --checkpoint {tmp}/msd {tmp}/frames", "--out frames/1.png: it is a file of the clip"),
        ("--out x.gif --checkpoint {tmp}/msd {tmp}/clip.mp4", "files, got the name x.gif"),
        ("--out x.mp4 --curves {tmp}/run", "pictures are PNG files, got the name x.mp4"),
        ("--out x.png --curves {tmp}/run --confusion {tmp}/results", "leave out --confusion"),
        ("--out x.png --curves {tmp}/run --num-clips 3", "--curves takes nothing but --out: leave out --num-clips"),
        ("--out x.png --curves {tmp}/msd", "'gesture-zoo train' writes it"),
        ("--out x.png --curves {tmp}/broken", "is no history of a training"),
        ("--out x.png --confusion {tmp}/run", "'gesture-zoo eval --out FOLDER' writes it"),
    ],
)
def test_bad_input_is_one_line(
    argv: str,
    message: str,
    places: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(places["tmp"])
    before = files(places["tmp"])
    assert run("visualize", *argv.format(**places).split()) == 2
    printed = capsys.readouterr()
    assert message.format(**places) in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not printed.out
    assert files(places["tmp"]) == before, "bad input leaves nothing behind, and all as it was"


def test_an_empty_source_is_not_the_current_folder(
    places: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(places["tmp"] / "frames")
    assert run("visualize", "", "--checkpoint", str(places["tmp"] / "msd"), "--out", "x.png") == 2
    assert "error: SOURCE is empty: name a video, or a folder of frames" in capsys.readouterr().err


def test_save_figure5_writes_a_png(tmp_path: Path) -> None:
    path = save_figure5(make_model(), [dataset()[0]], tmp_path / "a" / "figure5.png", class_names=CLASSES)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_letters_of_any_script_are_drawn_or_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    names = ["握拳", "\U0010fffd"]  # the second is of no script
    path = save_confusion(torch.eye(2), names, tmp_path / "confusion.png")
    assert path.is_file() and not [one for one in recwarn if "Glyph" in str(one.message)]
    (line,) = [record.getMessage() for record in caplog.records if "no font of this machine has" in record.message]
    assert names[1] in line and line.count("boxes") == 1
    there = set(font_manager.get_font_names())
    assert ("握" in line) != bool(there & set(FALLBACKS[:8]))


def test_other_warnings_of_drawing_are_not_lost() -> None:
    with pytest.warns(DeprecationWarning, match="old"), naming_missing_letters():
        warnings.warn("old", DeprecationWarning, stacklevel=1)
