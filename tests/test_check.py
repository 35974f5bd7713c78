"""check_dataset: a sound dataset passes, and everything that can be wrong with one is named."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from layouts import WRITERS, save_frames, save_video
from PIL import Image

from gesture_zoo.cli import build_parser
from gesture_zoo.contact_sheet import save_contact_sheet
from gesture_zoo.data import clip_check, create_dataset
from gesture_zoo.data.check import DatasetReport, check_dataset
from gesture_zoo.data.clip_check import Damage, decode_video
from gesture_zoo.data.depth import DepthEncoding
from gesture_zoo.data.isogd import IsoGD
from gesture_zoo.data.nvgesture import NVGesture
from gesture_zoo.data.polarity import depth_polarity, nearer_share
from gesture_zoo.errors import DataError

REAL = Path(os.environ.get("GESTURE_ZOO_TEST_DATA", "nowhere"))
real = pytest.mark.skipif(not REAL.is_dir(), reason="GESTURE_ZOO_TEST_DATA names no folder of real samples")

FRAMES, HEIGHT, WIDTH = 9, 32, 48
CLASSES = ("fist", "swipe", "wave")


def moving(seed: int, frames: int = FRAMES, *, near: int = 200, far: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Colour of noise, and grey depth in which a near square passes before a far wall."""
    colour = np.random.default_rng(seed).integers(0, 255, (frames, HEIGHT, WIDTH, 3), dtype=np.uint8)
    depth = np.full((frames, HEIGHT, WIDTH), far, np.uint8)
    for t in range(frames):
        depth[t, 8:24, 4 * t : 4 * t + 8] = near
    return colour, depth


def save_pair(colour: np.ndarray, depth: np.ndarray, path: Path) -> None:
    save_video(colour, path)
    save_video(depth, path.with_suffix(".depth.mkv"))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine clips of three classes in two splits, with depth."""
    root = tmp_path_factory.mktemp("sound")
    for number in range(9):
        split = "val" if number < 3 else "train"
        save_pair(*moving(number), root / split / CLASSES[number % 3] / f"{number}.mp4")
    return root


@pytest.fixture
def clips(sound: Path, tmp_path: Path) -> Path:
    """A copy of the sound clips, to be spoilt."""
    return Path(shutil.copytree(sound, tmp_path / "clips"))


def kinds(report: DatasetReport) -> tuple[set[str], set[str]]:
    return {problem.kind for problem in report.problems}, {note.kind for note in report.notes}


def check(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    args = build_parser(["check-data"]).parse_args(["check-data", *argv])
    code = args.run(args)
    return code, capsys.readouterr().out


def test_sound_clips_pass(sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = check_dataset("folder", sound)
    assert report.ok
    assert kinds(report) == (set(), set())
    assert report.splits["train"].classes == dict.fromkeys(CLASSES, 2)
    assert report.splits["val"].clips == 3
    assert report.decoded == report.sampled == 9
    assert report.polarity is not None
    assert report.polarity.verdict == "agrees"
    assert report.polarity.agree == 9

    sheet = tmp_path / "pictures" / "sheet.png"
    code, out = check(capsys, "folder", str(sound), "--contact-sheet", str(sheet))
    assert code == 0
    assert "No problems." in out
    assert "nearer is brighter, the pixels agree (9 clips for it, 0 against, 0 unclear)" in out
    assert sheet.is_file()
    assert str(sheet) in out


def test_sample_and_split(sound: Path) -> None:
    report = check_dataset("folder", sound, splits=["train"], sample=4)
    assert list(report.splits) == ["train"]
    assert report.decoded == 4
    assert check_dataset("folder", sound, sample=0).decoded == 0
    assert check_dataset("folder", sound, sample=None).decoded == 9


# What can be wrong with clips of one's own: how to bring it about, the kind, a word of what is said.


def remove(root: Path) -> None:
    (root / "train" / "fist" / "3.mp4").rename(root / "train" / "fist" / "3.txt")
    (root / "train.csv").write_text("path,label\ntrain/fist/3.mp4,fist\ntrain/wave/5.mp4,wave\n")


def dangle(root: Path) -> None:
    path = root / "train" / "fist" / "3.mp4"
    path.unlink()
    path.symlink_to("nowhere.mp4")


def truncate(root: Path) -> None:
    video = root / "train" / "fist" / "3.mp4"
    video.write_bytes(video.read_bytes()[:400])


def table(text: str) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        (root / "train.csv").write_text("path,label,start,end\n" + text)
        (root / "val.csv").write_text("path,label,start,end\nval/fist/0.mp4,fist,0,6\nval/wave/2.mp4,wave,,\n")

    return write


def replace(colour: np.ndarray | None = None, depth: np.ndarray | None = None) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        path = root / "train" / "fist" / "3.mp4"
        if colour is not None:
            save_video(colour, path)
        if depth is not None:
            save_video(depth, path.with_suffix(".depth.mkv"))

    return write


def copy(target: str) -> Callable[[Path], None]:
    return lambda root: shutil.copy(root / "train" / "fist" / "3.mp4", root / target) and None


def invert(root: Path) -> None:
    for path in root.rglob("*.depth.mkv"):
        save_video(moving(0, near=60, far=200)[1], path)


def still(root: Path) -> None:
    for path in root.rglob("*.depth.mkv"):
        save_video(moving(0)[1][:1].repeat(FRAMES, 0), path)


BLACK = np.zeros((FRAMES, HEIGHT, WIDTH, 3), np.uint8)
NOISE, DEPTH = moving(99)
PROBLEMS: dict[str, tuple[Callable[[Path], Any], str, str]] = {
    "missing file": (remove, "missing", "no such file (train clip train/fist/3.mp4)"),
    "empty file": (lambda root: (root / "train/fist/3.mp4").write_bytes(b""), "missing", "empty file"),
    "link to nowhere": (dangle, "missing", "a file that cannot be read: No such file"),
    "no video": (lambda root: (root / "train/fist/3.mp4").write_text("text"), "unreadable", "cannot read video"),
    "damaged video": (truncate, "unreadable", "3.mp4"),
    "shorter depth": (replace(depth=DEPTH[:6]), "lengths", "9 frames of colour and 6 of depth"),
    "smaller depth": (replace(depth=DEPTH[:, :16]), "sizes", "the depth is 16 x 48, the frames are 32 x 48"),
    "window": (table("train/fist/3.mp4,fist,2,20\n"), "window", "frames 2 to 19 (from 0) of"),
    "label": (lambda root: (root / "val" / "wave").rename(root / "val" / "nod"), "label", "'nod' is not in"),
    "bad row": (table("train/fist/3.mp4,fist,9,2\n"), "malformed", "end"),
    "no rows": (table(""), "empty", "it lists no clips"),
    "copy in val": (copy("val/wave/copy.mp4"), "duplicate", "the same file, byte for byte, as train clip"),
    "clip in val": (table("val/fist/0.mp4,fist,,\nval/wave/2.mp4,wave,,\n"), "duplicate", "the same frames of"),
    "overlap": (table("val/fist/0.mp4,fist,5,9\nval/wave/2.mp4,wave,,\n"), "duplicate", "some of the same frames of"),
    "inverted depth": (invert, "polarity", "it is inverted (0 clips for it, 9 against, 0 unclear)"),
}
NOTES: dict[str, tuple[Callable[[Path], Any], str, str]] = {
    "a frame less": (replace(depth=DEPTH[:8]), "lengths", "9 frames of colour and 8 of depth"),
    "copy in split": (copy("train/fist/copy.mp4"), "duplicate", "the same file, byte for byte"),
    "black": (replace(BLACK), "no picture", "black"),
    "one colour": (replace(BLACK + 90), "no picture", "of one colour"),
    "frozen": (replace(NOISE[:1].repeat(FRAMES, 0)), "no picture", "all the same"),
    "flat depth": (replace(depth=np.full_like(DEPTH, 77)), "no depth", "everywhere the same"),
    "still depth": (still, "polarity", "neither confirm nor deny (0 clips for it, 0 against, 9 unclear)"),
    "class without clips": (lambda root: shutil.rmtree(root / "val" / "wave"), "empty classes", "1 of 3 classes"),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_problem(case: str, clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, kind, said = PROBLEMS[case]
    spoil(clips)
    code, out = check(capsys, "folder", str(clips), "--full")
    report = check_dataset("folder", clips, sample=None)
    assert kind in kinds(report)[0], report.problems
    assert any(said in problem.message for problem in report.problems if problem.kind == kind), report.problems
    assert code == 1
    assert said in out
    assert all("\n" not in problem.message for problem in report.problems)


@pytest.mark.parametrize("splits", [("train", "test"), ("test",)])
def test_list_that_is_not_there(splits: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = WRITERS["isogd"](tmp_path)
    code, out = check(capsys, "isogd", str(root), "--json", *(f"--split={split}" for split in splits))
    record = json.loads(out)
    problems = {problem["where"]: problem["message"] for problem in record["problems"] if problem["kind"] == "no list"}
    assert code == 1
    assert list(record["splits"]) == list(splits[:-1])
    assert list(problems) == ["test"]
    assert "no IsoGD list" in problems["test"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("egogesture", "no folder labels-final-revised1"),
        ("isogd", "no IsoGD list"),
        ("jester", "no Jester list"),
        ("nvgesture", "no NVGesture list"),
    ],
)
def test_no_list_at_all(name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = tmp_path / "sheet.png"
    sheet.write_bytes(b"an older one")
    code, out = check(capsys, name, str(tmp_path), "--contact-sheet", str(sheet))
    assert code == 1
    assert said in out
    assert "there are no clips to draw" in out
    assert "Contact sheet:" not in out


def test_sheet_that_cannot_be_written(sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    code, out = check(capsys, "folder", str(sound), "--contact-sheet", str(tmp_path / "file" / "sheet.png"))
    assert code == 1
    assert "contact sheet (1)" in out


@pytest.mark.parametrize("case", NOTES)
def test_note(case: str, clips: Path) -> None:
    spoil, kind, said = NOTES[case]
    spoil(clips)
    report = check_dataset("folder", clips, sample=None)
    assert report.ok, report.problems
    assert any(note.kind == kind and said in note.message for note in report.notes), report.notes


def test_windows_of_one_recording_are_no_duplicates(clips: Path) -> None:
    table("val/fist/0.mp4,fist,6,9\nval/wave/2.mp4,wave,,\n")(clips)
    (clips / "val.csv").write_text("path,label,start,end\nval/fist/0.mp4,fist,0,6\n")
    report = check_dataset("folder", clips)
    assert "duplicate" not in kinds(report)[0] | kinds(report)[1]


def test_duplicates_by_depth_size(clips: Path) -> None:
    copy("val/wave/copy.mp4")(clips)
    assert check_dataset("folder", clips).ok, "a copy whose depth is another, or none, takes --full"
    shutil.copy(clips / "train/fist/3.depth.mkv", clips / "val/wave/copy.depth.mkv")
    assert "duplicate" in kinds(check_dataset("folder", clips))[0]


def test_not_all_contents_are_compared(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gesture_zoo.data.duplicates.MAX_FILES", 2)
    for name in ("a", "b", "c"):
        copy(f"train/fist/{name}.mp4")(clips)
    report = check_dataset("folder", clips)
    assert [note.kind for note in report.notes].count("duplicate") <= 1
    full = check_dataset("folder", clips, sample=None)
    assert [note.kind for note in full.notes].count("duplicate") == 3
    assert any("the contents of 2 were compared" in note.message for note in report.notes)


# The official layouts.


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_official_layouts(name: str, tmp_path: Path) -> None:
    report = check_dataset(name, WRITERS[name](tmp_path))
    assert report.decoded > 0
    # A few clips are not the whole dataset, and the pictures of all are alike; else nothing is wrong that is not noted.
    known = {"egogesture": {"duplicate"}, "folder": {"duplicate"}, "isogd": {"duplicate", "lengths"}}
    known["nvgesture"] = {"duplicate"}
    assert kinds(report)[0] <= {"incomplete"} | known.get(name, set()), report.problems
    assert "trainval" not in report.splits


def test_official_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = WRITERS["isogd"](tmp_path)
    messages = {(p.kind, p.where): p.message for p in check_dataset("isogd", root).problems}
    assert messages["incomplete", "train"] == "2 of 35,878 clips are there (0.0 %)"
    monkeypatch.setattr(IsoGD, "splits", {"train": 2, "val": 0, "test": 9})
    report = check_dataset("isogd", root)
    assert [(p.where, p.message) for p in report.problems if p.kind == "too many"] == [
        ("val", "1 clips, but officially there are 0")
    ]
    assert not any(p.kind == "incomplete" for p in report.problems)
    assert [note.where for note in report.notes if note.kind == "absent"] == ["test"]
    shutil.rmtree(root / "train")
    report = check_dataset("isogd", root)
    assert len([p for p in report.problems if p.kind == "missing"]) == 4
    assert report.splits["train"].listed == 2
    assert report.splits["train"].clips == 0
    assert "empty" in kinds(report)[0]


def test_list_of_isogd(tmp_path: Path) -> None:
    root = WRITERS["isogd"](tmp_path)
    with (root / "train_list.txt").open("a") as file:
        file.write(
            "train/001/M_00001.avi train/001/K_00001.avi 250\nwhat\ntrain/001/M_00001.avi train/001/M_00001.avi 3\n"
        )
    problems = {problem.kind: problem for problem in check_dataset("isogd", root).problems}
    assert problems["label"].where.endswith("train_list.txt, line 3")
    assert problems["malformed"].where.endswith("train_list.txt, line 4")
    assert "both" in problems["pairs"].message


def test_frames_that_are_not_there(tmp_path: Path) -> None:
    root = WRITERS["jester"](tmp_path / "jester")
    (root / "20bn-jester-v1" / "34870" / "00012.jpg").unlink()
    (root / "20bn-jester-v1" / "34870" / "00005.jpg").unlink()
    messages = [p.message for p in check_dataset("jester", root).problems if p.kind == "missing"]
    assert len(messages) == 1
    assert messages[0].startswith("1 of 10 frames are not in")
    assert messages[0].endswith("the first: 00005.jpg")

    root = WRITERS["egogesture"](tmp_path / "egogesture")
    for number in (11, 12):
        (root / "Subject01" / "Scene1" / "Color" / "rgb1" / f"{number:06d}.jpg").unlink()
    found = {p.kind: p.message for p in check_dataset("egogesture", root).problems}
    assert "2 of 12 frames" in found["missing"]
    assert "10 frames of colour and 12 of depth" in found["lengths"]


def test_same_frames_in_two_folders(tmp_path: Path) -> None:
    root = WRITERS["jester"](tmp_path)
    for clip in (34870, 9223, 7):
        noise = np.random.default_rng(clip % 2).integers(0, 255, (3, HEIGHT, WIDTH, 3), dtype=np.uint8)
        shutil.rmtree(root / "20bn-jester-v1" / str(clip))
        save_frames(noise, root / "20bn-jester-v1" / str(clip), "{:05d}.jpg")
    assert "duplicate" not in kinds(check_dataset("jester", root))[0], "contents of folders take --full"
    problems = [p for p in check_dataset("jester", root, sample=None).problems if p.kind == "duplicate"]
    assert [(p.where, "of val clip 9223" in p.message or "as val clip 9223" in p.message) for p in problems] == [
        ("test clip 7", True)
    ]


@pytest.mark.parametrize("name", ["folder", "jester"])
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda frame: frame.write_text("no picture"), "cannot read image {frame}: it is no JPEG, PNG or WebP picture"),
        (
            lambda frame: Image.new("RGB", (8, 6)).save(frame),
            "frame {frame} is 6x8 uint8, but 00001.jpg is 32x48 uint8",
        ),
    ],
)
def test_full_reads_all_frames_of_a_folder(damage: Callable[[Path], Any], said: str, name: str, tmp_path: Path) -> None:
    if name == "folder":
        root, clip = tmp_path, tmp_path / "train" / "wave" / "0"
    else:
        root = WRITERS["jester"](tmp_path)
        clip = root / "20bn-jester-v1" / "34870"
        shutil.rmtree(clip)
    save_frames(moving(0, 24)[0], clip, "{:05d}.jpg")
    # Of segments of three frames, the sample reads the middle ones.
    frame = clip / "00007.jpg"
    damage(frame)
    assert "unreadable" not in kinds(check_dataset(name, root))[0]
    report = check_dataset(name, root, sample=None)
    (problem,) = [problem for problem in report.problems if problem.kind == "unreadable"]
    assert problem.message.startswith(said.format(frame=frame))
    assert report.decoded == report.sampled - 1, "it is none of those that could be read"


def test_full_decodes_videos_once_from_start_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "recording.mp4"
    save_video(moving(0, 40)[0], path)
    rows = "\n".join(f"recording.mp4,wave,{start},{start + 10}" for start in (0, 10, 20, 30))
    (tmp_path / "train.csv").write_text(f"path,label,start,end\n{rows}\n")
    opened = []

    def decode(path: Path) -> Damage:
        found = decode_video(path)
        opened.append(found)
        return Damage([15, 16], 39, "it is truncated or damaged")

    monkeypatch.setattr(clip_check, "decode_video", decode)
    found = [p.message for p in check_dataset("folder", tmp_path, sample=None).problems]
    assert sorted(found) == [
        f"video {path} cannot be decoded from frame 39 on: it is truncated or damaged",
        f"video {path} is damaged at frame 15, and at 1 more",
    ]
    assert opened == [Damage([], 40, "it is truncated or damaged")]


def test_full_finds_damage_between_the_frames_of_the_sample(tmp_path: Path) -> None:
    path = tmp_path / "train" / "wave" / "0.avi"
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10, options={"g": "1"})  # key frames only
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in moving(0, 24)[0]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        packet = list(container.demux(video=0))[12]
    data = bytearray(path.read_bytes())
    middle = packet.pos + packet.size // 2
    data[middle : middle + 40] = bytes(range(40))
    path.write_bytes(data)
    assert not kinds(check_dataset("folder", tmp_path))[0]
    (problem,) = check_dataset("folder", tmp_path, sample=None).problems
    assert problem.message == f"video {path} is damaged at frame 12"


def test_trainval_is_train_and_val(tmp_path: Path) -> None:
    root = WRITERS["egogesture"](tmp_path)
    both = check_dataset("egogesture", root, splits=["train", "trainval"], sample=0)
    assert list(both.splits) == ["train", "trainval"]
    assert "duplicate" not in kinds(both)[0]


# Polarity.


def test_polarity_is_symmetric() -> None:
    generator = torch.Generator().manual_seed(0)
    depth = torch.rand(8, 1, 40, 40, generator=generator) * 0.02 + 0.3
    for t in range(8):
        depth[t, 0, 10:30, 4 * t : 4 * t + 8] += 0.4
    valid = torch.rand(8, 1, 40, 40, generator=generator) > 0.05
    share = nearer_share(depth, valid)
    assert share is not None
    assert share > 0.95
    opposite = nearer_share(1 - depth, valid)
    assert opposite is not None
    assert share + opposite == pytest.approx(1)
    assert nearer_share(depth, valid & (depth > 0.6)) is None, "nothing to pass before"
    assert nearer_share(depth[:2], valid[:2]) is None


def test_divided_votes_tell_nothing() -> None:
    assert depth_polarity([0.9] * 60 + [0.1] * 40).verdict == "cannot tell"
    assert depth_polarity([0.1] * 6).verdict == "disagrees"
    assert depth_polarity([0.9] * 5).verdict == "cannot tell"
    assert depth_polarity([]).verdict == "cannot tell"
    assert depth_polarity([0.9] * 24000).verdict == "agrees"


def test_inverse_of_what_is_declared(clips: Path) -> None:
    report = check_dataset("folder", clips, depth8=DepthEncoding(near=0, far=255))
    assert report.declared == "farther is brighter"
    assert [problem.kind for problem in report.problems] == ["polarity"]
    assert check_dataset("folder", clips, sample=5, depth8=DepthEncoding(near=0, far=255)).ok, "five are too few"


def test_depth_of_16_bits(tmp_path: Path) -> None:
    for number in range(7):
        colour, depth = moving(number)
        folder = tmp_path / "train" / "wave" / str(number)
        save_frames(colour, folder, "{:d}.png")
        save_frames((3000 - 10 * depth.astype(np.uint16)), folder.with_name(f"{number}.depth"), "{:d}.png")
    report = check_dataset("folder", tmp_path)
    assert report.declared == "farther is brighter"
    assert report.polarity is not None
    assert report.polarity.verdict == "agrees"
    assert "duplicate" not in kinds(report)[0]


# The command.


def test_json(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truncate(clips)
    code, out = check(capsys, "folder", str(clips), "--json", "--sample", "9")
    record = json.loads(out)
    assert code == 1
    assert out.count("\n") == 1
    assert record["ok"] is False
    assert record["problems"][0]["kind"] == "unreadable"
    assert record["splits"]["train"]["classes"] == dict.fromkeys(CLASSES, 2)
    assert record["polarity"]["verdict"] == "agrees"
    assert record["decoded"] == 8


def test_long_lists_are_cut(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in clips.rglob("?.mp4"):
        path.write_text("")
    code, out = check(capsys, "folder", str(clips), "--contact-sheet", str(clips / "sheet.png"))
    assert code == 1
    assert "missing (9)" in out
    assert "... and 4 more; --json lists all" in out
    assert "contact sheet (1)" in out
    assert not (clips / "sheet.png").exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("isogd",), "needs DIR"),
        (("nope", "."), "unknown dataset 'nope'"),
        (("isogd", "nowhere-at-all"), "there is no folder nowhere-at-all"),
        (("folder", ".", "--split", "x"), "has the splits"),
        (("folder", ".", "--sample", "-1"), "at least 0"),
        (("folder", ".", "--contact-sheet", "a.jpg"), "PNG"),
        (("isogd", ".", "--data-option", "a=b"), "--data-option a=b"),
    ],
)
def test_bad_input(argv: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match=said):
        check(capsys, *argv)


def test_synthetic(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = tmp_path / "sheet.png"
    code, out = check(capsys, "synthetic", "--sample", "12", "--contact-sheet", str(sheet))
    assert code == 0
    assert "12 of 12 sampled clips could be read" in out
    assert "the pixels agree" in out
    with Image.open(sheet) as picture:
        assert picture.width > 3 * 160
        assert picture.height > 2 * 2 * 120


# The contact sheet.


def test_contact_sheet_of_many_classes(tmp_path: Path) -> None:
    class Many:
        class_names = tuple(f"class_{number}_with_a_long_$name$" for number in range(83))
        labels = tuple(range(83))

        def __len__(self) -> int:
            return 83

        def __getitem__(self, index: int) -> Any:
            return sample

    sample = create_dataset("synthetic", num_segments=1, size=32)[0]
    with Image.open(save_contact_sheet(Many(), tmp_path / "many.png")) as picture:
        assert picture.format == "PNG"
        assert 1200 < picture.width < 4000
        assert 1200 < picture.height < 4000
    with Image.open(save_contact_sheet(Many(), tmp_path / "few.png", max_classes=4)) as picture:
        assert picture.width < 1000


def test_contact_sheet_takes_the_next_clip(clips: Path, tmp_path: Path) -> None:
    data = create_dataset("folder", clips, num_segments=1)
    whole = save_contact_sheet(data, tmp_path / "whole.png").read_bytes()
    (clips / "train" / "fist" / "3.mp4").write_text("text")
    mended = save_contact_sheet(create_dataset("folder", clips, num_segments=1), tmp_path / "mended.png")
    assert mended.read_bytes() != whole
    for bad in ({"per_class": 0}, {"max_classes": 0}):
        with pytest.raises(DataError, match="at least 1"):
            save_contact_sheet(data, tmp_path / "bad.png", **bad)


# Real samples.


@real
def test_real_isogd(monkeypatch: pytest.MonkeyPatch) -> None:
    report = check_dataset("isogd", REAL / "isogd")
    assert kinds(report)[0] == {"incomplete"}
    assert report.polarity is not None
    assert report.polarity.verdict == "agrees"
    monkeypatch.setattr(IsoGD, "depth", DepthEncoding(near=255, far=0, valid=(9, 250)))
    assert "polarity" in kinds(check_dataset("isogd", REAL / "isogd", sample=30))[0]


@real
def test_real_nvgesture(monkeypatch: pytest.MonkeyPatch) -> None:
    report = check_dataset("nvgesture", REAL / "nvgesture", color="sk_wrapped")
    assert kinds(report)[0] == {"incomplete"}
    assert len([note for note in report.notes if note.kind == "lengths"]) == 3
    assert report.polarity is not None
    assert report.polarity.verdict == "agrees"
    monkeypatch.setattr(NVGesture, "decode_depth", lambda self, raw: DepthEncoding(near=0, far=255).decode(raw))
    assert "polarity" in kinds(check_dataset("nvgesture", REAL / "nvgesture", color="sk_wrapped"))[0]
