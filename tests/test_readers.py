"""The readers, on small files in the official layouts: what all of them promise, then every format's quirks."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from layouts import FAR, NEAR, WRITERS, color, depth, nvgesture_line, save_frames, save_video

from gesture_zoo.data import create_dataset, create_transform, egogesture
from gesture_zoo.data.check import check_dataset
from gesture_zoo.data.depth import DepthEncoding
from gesture_zoo.data.factory import READERS, available_splits
from gesture_zoo.data.names import READER_NAMES
from gesture_zoo.errors import DataError

REAL = Path(os.environ.get("GESTURE_ZOO_TEST_DATA", "nowhere"))
real = pytest.mark.skipif(not REAL.is_dir(), reason="GESTURE_ZOO_TEST_DATA names no folder of real samples")


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every layout, written once."""
    return {name: write(tmp_path_factory.mktemp(name)) for name, write in WRITERS.items()}


# What every reader promises.


def test_every_reader_has_a_layout() -> None:
    assert set(WRITERS) == set(READERS)
    assert tuple(READERS) == READER_NAMES


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_every_split(name: str, layouts: dict[str, Path]) -> None:
    root = layouts[name]
    splits = available_splits(name, root)
    assert splits
    assert set(splits) <= set(READERS[name].splits)
    for split in splits:
        data = create_dataset(name, root, split=split, num_segments=4)
        assert len(data) == len(data.labels) > 0
        assert all(-1 <= label < len(data.class_names) for label in data.labels)
        assert len(set(data.class_names)) == len(data.class_names)
        assert len({record.id for record in data.records}) == len(data)
        flips = data.flip_labels
        assert all(flips[flips[label]] == label for label in flips), "mirrored twice is as it was"
        for index in range(len(data)):
            sample = data[index]
            assert sample.frames.shape == (4, 3, 48, 64)
            assert sample.frames.dtype == torch.uint8
            assert sample.label == data.labels[index]
            if sample.depth is not None:
                assert sample.depth.shape == sample.valid.shape == (4, 1, 48, 64)
                assert sample.valid.dtype == torch.bool
                # One convention: float in [0, 1], nearer = larger.
                upper, lower = sample.depth[:, :, 4:20, 20:44], sample.depth[:, :, 28:44, 20:44]
                torch.testing.assert_close(upper, torch.full_like(upper, FAR), atol=0.02, rtol=0)
                torch.testing.assert_close(lower, torch.full_like(lower, NEAR), atol=0.02, rtol=0)


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_split_or_folder_that_is_not_there(name: str, layouts: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{name} has the splits .*, not 'dev'"):
        create_dataset(name, layouts[name], split="dev")
    with pytest.raises(DataError, match="there is no folder"):
        create_dataset(name, tmp_path / "none")
    with pytest.raises(DataError) as caught:
        create_dataset(name, tmp_path)
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(TypeError):
        create_dataset(name, layouts[name], colour="blue")


# EgoGesture.


def test_egogesture_in_the_wild(layouts: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    data = create_dataset("egogesture", layouts["egogesture"], num_segments=3)
    assert [record.id for record in data.records] == [
        "subject03/scene1/group1/000001-000003",
        "subject03/scene1/group1/000004-000012",
        "subject03/scene2/group1/000002-000009",
    ]
    assert [data.class_names[label] for label in data.labels] == [
        "Cross_index_fingers",
        "Move_fingers_forward",
        "Scroll_hand_towards_right",
    ]
    assert not any(problem.fatal for problem in data.problems)
    kinds = [problem.kind for problem in data.problems]
    assert kinds.count("no numbers") == 3
    assert sum("no labels of subject" in problem.message for problem in data.problems) == 29
    messages = " ".join(f"{problem.where}: {problem.message}" for problem in data.problems)
    assert re.search(r"Group9\.csv: no frames in \S+Subject03/Scene1/Color/rgb9: its clips are left out", messages)
    assert re.search(r"Scene6/Group1\.csv: no frames in \S+Subject03/Scene6/Color/rgb1", messages)
    assert "egogesture train: 34 notes, the first: " in caplog.text
    # Frames are counted from 1 and the end belongs to the gesture: levels 100, 101, 102.
    assert data[0].frames.float().mean((1, 2, 3)).round().tolist() == [100, 101, 102]
    assert data.length(1) == 9


def test_egogesture_splits_by_subject(layouts: dict[str, Path]) -> None:
    root = layouts["egogesture"]
    assert [len(create_dataset("egogesture", root, split=split)) for split in ("train", "val", "test", "trainval")] == [
        3, 1, 1, 4,
    ]  # fmt: skip
    parts = [egogesture.SUBJECTS[split] for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [30, 10, 10]
    assert sorted(sum(parts, ())) == list(range(1, 51))
    assert set(egogesture.SUBJECTS["trainval"]) == {*parts[0], *parts[1]}
    assert len(create_dataset("egogesture", root).class_names) == len(set(egogesture.CLASS_NAMES)) == 83


def test_egogesture_never_flips_what_has_no_mirror_image(layouts: dict[str, Path]) -> None:
    data = create_dataset("egogesture", layouts["egogesture"])
    flips = {data.class_names[a]: data.class_names[b] for a, b in data.flip_labels.items()}
    assert flips["Thumb_toward_right"] == "Thumb_toward_left"
    assert flips["OK"] == "OK"
    assert set(data.class_names) - set(flips) == egogesture.ONE_WAY
    assert all(flips[name] != name for name in data.class_names if re.search("right|left|clockwise", name))


def test_egogesture_frames_in_a_folder_of_their_own(tmp_path: Path) -> None:
    root = WRITERS["egogesture"](tmp_path)
    (root / "images_320-240").mkdir()
    for subject in root.glob("Subject*"):
        shutil.move(subject, root / "images_320-240")
    assert len(create_dataset("egogesture", root)) == 3
    shutil.move(root / "images_320-240", root / "elsewhere")
    with pytest.raises(DataError, match="no folders Subject01, Subject02, ... with frames in"):
        create_dataset("egogesture", root)
    shutil.move(root / "labels-final-revised1", root / "Labels-of-mine")
    shutil.move(root / "elsewhere", root / "images")
    assert len(create_dataset("egogesture", root)) == 3
    shutil.move(root / "Labels-of-mine", root / "elsewhere")
    with pytest.raises(DataError, match="no folder labels-final-revised1 in .*beside Subject01"):
        create_dataset("egogesture", root)


def test_egogesture_without_depth(tmp_path: Path) -> None:
    root = WRITERS["egogesture"](tmp_path)
    shutil.rmtree(root / "Subject03" / "Scene1" / "Depth")
    data = create_dataset("egogesture", root, num_segments=2)
    assert [data[index].depth is None for index in range(3)] == [True, True, False], "colour alone is worth having"
    problem = next(problem for problem in data.problems if problem.kind == "no depth")
    assert "Scene1/Depth/depth1: its clips have no depth" in problem.message


def test_egogesture_files_that_differ_in_case_only(tmp_path: Path) -> None:
    root = WRITERS["egogesture"](tmp_path)
    again = root / "labels-final-revised1" / "SUBJECT03" / "scene1"
    again.mkdir(parents=True)
    if (root / "labels-final-revised1" / "subject03" / "scene1").exists():
        pytest.skip("this file system does not tell cases apart")
    (again / "GROUP1.csv").write_text("1,1,2\n")
    data = create_dataset("egogesture", root)
    assert len(data) in (2, 3), "one of the two files, the other is named"
    assert [problem.kind for problem in data.problems].count("twice") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("84,1,3\n", "line 1: class 84 is not in 1 to 83"),
        ("1,1,3\n1,9,3\n", "line 2: frames 9 to 3: expected 1 <= start <= end"),
        ("1,0,3\n", "line 1: frames 0 to 3"),
        ("1;2;3\n", "line 1: expected 'class,start,end'"),
        ("1,2\n", "line 1: expected 'class,start,end'"),
    ],
)
def test_egogesture_rows_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    root = WRITERS["egogesture"](tmp_path)
    (root / "labels-final-revised1" / "subject03" / "Scene1" / "Group1.csv").write_text(text)
    with pytest.raises(DataError, match=rf"Group1\.csv, {message}"):
        create_dataset("egogesture", root)
    assert len(create_dataset("egogesture", root, strict=False)) >= 1, "the good rows are there on request"


# NVGesture.


def test_nvgesture_reads_the_label_and_the_window(layouts: dict[str, Path]) -> None:
    root = layouts["nvgesture"]
    data = create_dataset("nvgesture", root, num_segments=8)
    assert [data.class_names[label] for label in data.labels] == ["move_hand_left", "okay"], "never the folder's label"
    assert create_dataset("nvgesture", root, lists="v1").labels == [0, 1]
    # The window 2:10 of a video whose frames have the levels 100, 101, ...
    assert torch.allclose(data[0].frames.float().mean((1, 2, 3)), torch.arange(102.0, 110.0), atol=1.5)
    assert data[1].depth.shape == (8, 1, 48, 64), "a window of its own, in a video that is a frame shorter"
    second = data.records[1]
    assert [(part.start, part.stop) for part in (second.rgb, second.depth)] == [(2, 10), (3, 11)]
    assert data.depth.aligned is False
    wrapped = create_dataset("nvgesture", root, color="sk_wrapped")
    assert wrapped.depth.aligned is True
    assert wrapped[0].frames.float().mean() < 60


def test_nvgesture_mistakes(tmp_path: Path, layouts: dict[str, Path]) -> None:
    with pytest.raises(DataError, match="the lists of NVGesture are v1 or v2, not 'v3'"):
        create_dataset("nvgesture", layouts["nvgesture"], lists="v3")
    with pytest.raises(DataError, match="the colour of NVGesture is sk_color or sk_wrapped, not 'duo_left'"):
        create_dataset("nvgesture", layouts["nvgesture"], color="duo_left")
    (tmp_path / "nvgesture_train_correct_cvpr2016.lst").write_text(nvgesture_line("class_01/subject3_r0", 1))
    with pytest.raises(DataError, match="there is the list of v1: --data-option lists=v1"):
        create_dataset("nvgesture", tmp_path)
    path = tmp_path / "nvgesture_train_correct_cvpr2016_v2.lst"
    for line, message in (
        (nvgesture_line("class_01/subject3_r0", 26), "line 2: label 26 is not in 1 to 25"),
        (nvgesture_line("../../etc", 1), "line 2: expected 'path:FOLDER"),
        (nvgesture_line("class_01/subject3_r0", 1, color="9:2"), "line 2: expected 'path:FOLDER"),
        ("path:./x label:1\n", "line 2: expected 'path:FOLDER"),
    ):
        path.write_text("\n" + line)
        with pytest.raises(DataError, match=message):
            create_dataset("nvgesture", tmp_path)


# IsoGD.


def test_isogd_depth_is_far_brighter_with_shadow_and_border(layouts: dict[str, Path]) -> None:
    data = create_dataset("isogd", layouts["isogd"], num_segments=4)
    assert data.labels == [25, 248]
    sample = data[0]
    assert sample.valid[..., 20:44].all()
    assert not sample.valid[..., :12].any()
    assert not sample.valid[..., 52:].any()
    assert not sample.depth[~sample.valid].any()
    assert data.flip_labels == {}
    assert data.length(1) == 2, "the shorter of the pair"


def test_isogd_lists_without_labels(layouts: dict[str, Path]) -> None:
    data = create_dataset("isogd", layouts["isogd"], split="val")
    assert data.labels == [-1]
    assert data[0].label == -1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b 26\na b 250\n", "line 2: label 250 is not in 1 to 249"),
        ("a b x\n", "line 1: expected 'M_video K_video label'"),
        ("a b 0\n", "line 1: label 0"),
        ("a ../b 1\n", "line 1: expected"),
        ("a/M_1.avi a/K_1.avi 1\na/K_2.avi a/M_2.avi 1\n", "line 2: a/K_2.avi is depth .K_. and a/M_2.avi colour .M_."),
        ("", "lists no clips"),
    ],
)
def test_isogd_lists_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "train_list.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        create_dataset("isogd", tmp_path)


# Jester.


def test_jester_orders(layouts: dict[str, Path]) -> None:
    root = layouts["jester"]
    data = create_dataset("jester", root, split="val")
    assert (data.labels, data.class_names[0]) == ([0], "Swiping Left")
    other = create_dataset("jester", root, split="val", label_order="alphabetical")
    assert (other.labels, other.class_names[0]) == ([16], "Doing other things")
    assert data[0].depth is None
    assert create_dataset("jester", root, split="test").labels == [-1]
    mirrored = data.class_names[data.flip_labels[data.class_names.index("Turning Hand Clockwise")]]
    assert mirrored == "Turning Hand Counterclockwise"
    with pytest.raises(DataError, match="the label orders of Jester are official and alphabetical, not 'mine'"):
        create_dataset("jester", root, label_order="mine")


def test_jester_lists_that_are_wrong(tmp_path: Path) -> None:
    path = tmp_path / "jester-v1-train.csv"
    for text, message in (
        (
            "1;Swiping Left\n2; swiping left\n",
            "line 2: Jester has no class 'swiping left'; did you mean 'Swiping Left'?",
        ),
        ("1;Swiping Lefft\n", "line 1: Jester has no class 'Swiping Lefft'; did you mean 'Swiping Left'?"),
        ("x;Swiping Left\n", "line 1: expected 'number;class name'"),
        ("1\n", "line 1: expected 'number;class name'"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=message.replace("?", r"\?")):
            create_dataset("jester", tmp_path)


def test_frames_from_0_are_said(tmp_path: Path) -> None:
    root = WRITERS["jester"](tmp_path / "jester")
    clip = root / "20bn-jester-v1" / "34870"
    for number in range(1, 13):
        (clip / f"{number:05d}.jpg").rename(clip / f"{number - 1:05d}.jpg")
    said = r"frames of \S+34870 are numbered from 0 \(00000.jpg\), and have to be from 1"
    with pytest.raises(DataError, match=rf"there is no file \S+34870/00012.jpg; the {said}"):
        _ = create_dataset("jester", root, num_segments=12)[0]
    assert [p.kind for p in check_dataset("jester", root, splits=["train"]).problems] == ["incomplete", "numbers"]
    # EgoGesture's windows begin anywhere: there all are a frame late, also those whose last frame is there.
    ego = WRITERS["egogesture"](tmp_path / "ego")
    for folder in ("Color/rgb1", "Depth/depth1"):
        place = ego / "Subject03" / "Scene1" / folder
        for number in range(1, 13):
            (place / f"{number:06d}.jpg").rename(place / f"{number - 1:06d}.jpg")
    with pytest.raises(DataError, match=r"there is no file \S+000012.jpg; .* numbered from 0 \(000000.jpg\)"):
        _ = create_dataset("egogesture", ego, num_segments=12)[1]
    found = check_dataset("egogesture", ego, splits=["train"]).problems
    assert {p.where for p in found if p.kind == "numbers"} == {
        "train clip subject03/scene1/group1/000001-000003",
        "train clip subject03/scene1/group1/000004-000012",
    }
    (ego / "Subject03" / "Scene2" / "Color" / "rgb1" / "000004.jpg").unlink()
    with pytest.raises(DataError, match=r"there is no file \S+000004.jpg$"):
        _ = create_dataset("egogesture", ego, num_segments=12)[2]


def test_a_jester_clip_without_frames_is_named(tmp_path: Path) -> None:
    root = WRITERS["jester"](tmp_path)
    for path in (root / "20bn-jester-v1" / "34870").iterdir():
        path.unlink()
    said = r"the folder \S+/20bn-jester-v1/34870 holds no frames \(00001.jpg, ...\)"
    with pytest.raises(DataError, match=f"clip 34870 of jester train: {said}"):
        _ = create_dataset("jester", root)[0]
    found = check_dataset("jester", root, splits=["train"]).problems
    assert any(re.search(said, problem.message) for problem in found)


def test_jester_lists_without_looking_at_frames(tmp_path: Path) -> None:
    (tmp_path / "jester-v1-train.csv").write_text("".join(f"{clip};No gesture\n" for clip in range(20_000)))
    data = create_dataset("jester", tmp_path)
    assert len(data) == 20_000
    with pytest.raises(DataError, match="clip 5 of jester train: cannot read the folder of frames .*20bn-jester-v1/5:"):
        data[5]
    (tmp_path / "jester-v1-test.csv").write_text("1\n2;\n")
    assert create_dataset("jester", tmp_path, split="test").labels == [-1, -1]


# Your own clips.


def test_folder_with_every_kind_of_depth(layouts: dict[str, Path]) -> None:
    data = create_dataset("folder", layouts["folder"], split="val", num_segments=3)
    assert data.class_names == ["fist", "wave"]
    assert [record.id for record in data.records] == ["val/fist/a.mp4", "val/wave/a.mp4", "val/wave/b"]
    bare, video, images = (data[index] for index in range(3))
    assert bare.depth is None
    assert video.valid.all()
    assert not images.valid[..., :16].any(), "0 millimetres is not measured"
    assert images.valid[..., 16:].all()


def test_folder_encodings_and_flips_can_be_said(layouts: dict[str, Path]) -> None:
    root = layouts["folder"]
    data = create_dataset("folder", root, depth8=DepthEncoding(near=0, far=255), flips={"wave": "wave"})
    assert abs(data[1].depth[:, :, :20].mean() - (1 - FAR)) < 0.02
    assert data.flip_labels == {1: 1}
    with pytest.raises(DataError, match="flips names the class 'wink'; the classes are fist, wave"):
        create_dataset("folder", root, flips={"wink": "wave"})


def test_folder_flips_in_a_file(tmp_path: Path) -> None:
    root = WRITERS["folder"](tmp_path)
    (root / "flips.csv").write_text("wave,fist\n")
    assert create_dataset("folder", root).flip_labels == {0: 1, 1: 0}
    for text, message in (("wave\n", "line 1: expected 'class,mirrored class'"), ("a,b\n", "names the class 'a'")):
        (root / "flips.csv").write_text(text)
        with pytest.raises(DataError, match=f"flips.csv.*{message}"):
            create_dataset("folder", root)


def test_folder_without_splits(layouts: dict[str, Path]) -> None:
    root = layouts["folder"] / "val"
    assert create_dataset("folder", root).class_names == ["fist", "wave"]
    assert available_splits("folder", root) == ["train"]
    with pytest.raises(DataError, match="it is one split, 'train'"):
        create_dataset("folder", root, split="test")


def test_folder_flips_that_contradict_each_other(layouts: dict[str, Path]) -> None:
    with pytest.raises(DataError, match="'fist' becomes 'wave' when mirrored, but 'wave' becomes 'wave'"):
        create_dataset("folder", layouts["folder"], flips={"fist": "wave", "wave": "wave"})


def test_folder_one_level_off(tmp_path: Path) -> None:
    root = WRITERS["folder"](tmp_path / "clips")
    for given, split in ((tmp_path, "train"), (root / "train", "val"), (root / "train" / "wave", "train")):
        with pytest.raises(DataError, match=rf"; did you mean {root}\?$"):
            create_dataset("folder", given, split=split)


def test_folder_without_a_training_split(tmp_path: Path) -> None:
    root = WRITERS["folder"](tmp_path)
    shutil.rmtree(root / "train")
    assert available_splits("folder", root) == ["val"]
    with pytest.raises(DataError, match="needs the folder train or the file classes.txt"):
        create_dataset("folder", root, split="val")
    with pytest.raises(DataError, match="has no split folder 'train', only val"):
        create_dataset("folder", root)
    (root / "classes.txt").write_text("wave\nfist\n")
    assert create_dataset("folder", root, split="val").labels == [1, 0, 0]


def test_folder_with_a_class_that_is_called_test(tmp_path: Path) -> None:
    for name in ("test", "wave"):
        save_video(color(3), tmp_path / name / "a.mp4")
    assert available_splits("folder", tmp_path) == ["train"]
    assert create_dataset("folder", tmp_path).class_names == ["test", "wave"]


def test_folder_with_depth_of_no_clip(tmp_path: Path) -> None:
    root = WRITERS["folder"](tmp_path)
    save_video(depth(3), root / "train" / "fist" / "b.depth.mkv")
    data = create_dataset("folder", root)
    assert [problem.message for problem in data.problems] == [
        "depth without a clip: expected b.mp4 or a folder b beside it"
    ]
    assert len(data) == 3


def test_folder_mistakes(tmp_path: Path) -> None:
    root = WRITERS["folder"](tmp_path / "clips")
    with pytest.raises(DataError, match="no split folder 'test'"):
        create_dataset("folder", root, split="test")
    (root / "val" / "other").mkdir()
    with pytest.raises(DataError, match="the class 'other' is not in"):
        create_dataset("folder", root, split="val")
    (tmp_path / "void").mkdir()
    with pytest.raises(DataError, match=r"no clips: expected .*<class>/<clip>.mp4"):
        create_dataset("folder", tmp_path / "void")
    save_video(depth(9)[:, :32, :32], root / "train" / "fist" / "a.depth.mkv")
    with pytest.raises(
        DataError, match=r"clip train/fist/a.mp4 of folder train: the depth is 32 x 32, the frames are 48 x 64"
    ):
        create_dataset("folder", root)[0]


def test_a_fixed_order_of_classes(tmp_path: Path) -> None:
    root = WRITERS["folder"](tmp_path)
    (root / "classes.txt").write_text("wave\nfist\nnothing\n")
    data = create_dataset("folder", root)
    assert data.class_names == ["wave", "fist", "nothing"]
    assert data.labels == [1, 0, 0]
    for text, message in (
        ("wave\nfist\nwave\n", "line 3: the class 'wave' is there twice"),
        ("\n", "names no classes"),
        ("wave\n", "the class 'fist' is not in .*classes.txt"),
    ):
        (root / "classes.txt").write_text(text)
        with pytest.raises(DataError, match=message):
            create_dataset("folder", root)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Clips that a table names, with a frame range and a depth folder."""
    save_video(color(12), tmp_path / "videos" / "day, one.mp4")
    save_frames(color(12), tmp_path / "frames" / "a")
    save_frames(depth(12), tmp_path / "frames" / "a_depth", "{:06d}.png")
    (tmp_path / "train.csv").write_text(
        "label,path,start,end,depth_path\n"
        'wave,"videos/day, one.mp4",2,6,\n'
        "fist,frames/a,,,frames/a_depth\n"
        "wave,frames/a,4,,frames/a_depth\n"
    )
    (tmp_path / "val.csv").write_text("path,label\nframes/a,wave\n")
    return tmp_path


def test_a_table_of_clips(table: Path) -> None:
    data = create_dataset("folder", table, num_segments=4)
    assert data.class_names == ["fist", "wave"]
    assert [record.id for record in data.records] == ["videos/day, one.mp4[2:6]", "frames/a", "frames/a[4:]"]
    assert torch.allclose(data[0].frames.float().mean((1, 2, 3)), torch.arange(102.0, 106.0), atol=1.5)
    assert data.length(2) == 8
    assert (data.records[2].depth.start, data.records[2].depth.stop) == (4, None), "the same stretch of both"
    assert abs(data[2].depth[:, :, :20].mean() - FAR) < 0.02
    assert create_dataset("folder", table, split="val").labels == [1]
    assert available_splits("folder", table) == ["train", "val"]


def test_a_table_with_paths_in_other_spellings(table: Path) -> None:
    (table / "train.csv").write_text("path,label\n./frames/a,wave\nframes\\a_depth,wave\n")
    data = create_dataset("folder", table)
    assert [record.rgb.path for record in data.records] == [table / "frames" / "a", table / "frames" / "a_depth"]
    assert [record.id for record in data.records] == ["frames/a", "frames/a_depth"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "train.csv: an empty table"),
        ("file,label\na,b\n", r"line 1: the header has to be 'path,label"),
        ("path,label\na,b,c\n", "line 2: 3 values for the 2 columns path,label"),
        ("path,label\n../a,b\n", "line 2: path '../a' has to be a path inside"),
        ("path,label,start\na,b,x\n", "line 2: start 'x' and end '' are frame numbers from 0"),
        ("path,label,start,end\na,b,5,5\n", "line 2: start 5 and end 5: the end is the frame after the last"),
        ("path,label\na,\n", "line 2: no class name"),
        ("path,label,extra\na,b,c\n", "line 1: the header has to be"),
        ("path,label,path\na,b,c\n", "line 1: the header has to be"),
        ('path,label\na,b\n"c,d\n', "line 3: quotes enclose whole values"),
        ("path,label,depth_path\na,b,/c\n", "line 2: depth_path '/c' has to be a path inside"),
    ],
)
def test_tables_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        create_dataset("folder", tmp_path)


def test_a_table_with_a_class_that_training_lacks(table: Path) -> None:
    (table / "val.csv").write_text("path,label\nframes/a,wink\n")
    with pytest.raises(DataError, match=r"val\.csv, line 2: the class 'wink' is not in .*train\.csv"):
        create_dataset("folder", table, split="val")
    (table / "classes.txt").write_text("wave\nwink\nfist\n")
    assert create_dataset("folder", table, split="val").labels == [1]
    (table / "train.csv").unlink()
    assert create_dataset("folder", table, split="val").labels == [1]
    (table / "classes.txt").unlink()
    with pytest.raises(DataError, match="needs train.csv or classes.txt"):
        create_dataset("folder", table, split="val")
    with pytest.raises(DataError, match="has no train.csv, only val.csv"):
        create_dataset("folder", table)


def test_a_table_whose_training_rows_are_wrong(table: Path) -> None:
    (table / "train.csv").write_text("path,label\nframes/a,\n")
    with pytest.raises(DataError, match=r"train\.csv, line 2: no class name"):
        create_dataset("folder", table, split="val")


# Real samples.


@real
@pytest.mark.parametrize(("lists", "other"), [("v1", {"train": 0, "test": 0}), ("v2", {"train": 15, "test": 8})])
def test_real_nvgesture_lists(lists: str, other: dict[str, int]) -> None:
    for split, count in READERS["nvgesture"].splits.items():
        data = create_dataset("nvgesture", REAL / "annotations" / "nvgesture", split=split, lists=lists)
        assert len(data) == count
        assert all(data.length(i) == 80 for i in range(len(data)))
        folders = [int(record.id.partition("class_")[2][:2]) - 1 for record in data.records]
        assert sum(a != b for a, b in zip(folders, data.labels, strict=True)) == other[split]
        windows = [record.rgb.start != record.depth.start for record in data.records]
        assert sum(windows) == (4 if split == "train" else 0)


@real
def test_real_lists_of_isogd_and_jester() -> None:
    for split, count in READERS["isogd"].splits.items():
        assert len(create_dataset("isogd", REAL / "annotations" / "isogd", split=split)) == count
    data = create_dataset("jester", REAL / "annotations" / "jester", split="val")
    assert len(data) == READERS["jester"].splits["val"]
    assert set(data.labels) == set(range(27))
    official = (REAL / "annotations" / "jester" / "jester-v1-labels.csv").read_text().splitlines()
    assert data.class_names == official
    names = (REAL / "annotations" / "egogesture" / "classIndAllbutNone.txt").read_text().split()[1::2]
    assert names == egogesture.CLASS_NAMES
    order = (REAL / "annotations" / "jester" / "alphabetical_classInd.txt").read_text().split()[1::2]
    other = create_dataset("jester", REAL / "annotations" / "jester", split="val", label_order="alphabetical")
    assert [name.replace(" ", "_") for name in other.class_names] == order


@real
def test_real_clips() -> None:
    config = {"input_size": (3, 112, 112), "mean": (0.5,) * 3, "std": (0.5,) * 3}
    transform = create_transform(config, is_training=True)
    wrapped = create_dataset("nvgesture", REAL / "nvgesture", color="sk_wrapped", transform=transform)
    isogd = create_dataset("isogd", REAL / "isogd", transform=transform)
    for data, indices in ((wrapped, range(len(wrapped))), (isogd, range(0, len(isogd), 12))):
        for index in indices:
            sample = data[index]
            assert sample.frames.shape == (8, 3, 112, 112)
            assert sample.valid.float().mean() > 0.2
            assert sample.depth.std() > 0.01
