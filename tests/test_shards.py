"""Shards: the samples of the dataset they were made of, whatever stops the writer, and whoever delivers them."""

from __future__ import annotations

import argparse
import hashlib
import http.server
import io
import json
import multiprocessing
import os
import pickle
import signal
import socket
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from processes import run_alone
from torch.utils.data import DataLoader

from gesture_zoo.cli.arguments.prepare import add_prepare_parser
from gesture_zoo.cli.parser import late
from gesture_zoo.data import ClipSample, factory, holdout_indices, shard_files, shard_stream, write_video
from gesture_zoo.data.base import ClipDataset
from gesture_zoo.data.depth import MILLIMETRES, DepthEncoding, encoding_of
from gesture_zoo.data.listing import UNLABELLED, ClipRecord, Listing
from gesture_zoo.data.media import FrameFolder, NumberedFrames, VideoFile
from gesture_zoo.data.prepare import PrepareResult, prepare_dataset
from gesture_zoo.data.shard_index import parse_index
from gesture_zoo.data.shards import ShardedClips, _next
from gesture_zoo.engine import make_loader
from gesture_zoo.engine.interrupt import Terminated
from gesture_zoo.errors import DataError
from gesture_zoo.locks import sole_writer

wds = pytest.importorskip("webdataset")
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

CLIPS = 11
PER_SHARD = 3
REAL = Path(__file__).parents[2] / "shared/data/isogd"


class Frames(ClipDataset):
    """Folders of JPEG frames; every third clip has 8-bit depth, every third 16-bit depth, the others none."""

    name = "frames"
    splits: ClassVar[dict[str, int | None]] = {"train": None, "val": None}
    depth = depth8 = DepthEncoding(near=10, far=240, valid=(1, 250))
    depth16 = MILLIMETRES
    flips: ClassVar[dict[str, str]] = {"left": "right", "right": "left", "stop": "stop"}

    def __init__(self, root: str | Path, split: str = "train", *, taste: str = "plain", **options: Any) -> None:
        super().__init__(root, split, **options)
        self.taste = taste

    def list_clips(self, root: Path, split: str) -> Listing:
        listing = Listing(["left", "right", "stop"])
        for number in range(CLIPS if split == "train" else 2):
            folder = root / f"{number:02d}"
            depth = {
                0: None,
                1: NumberedFrames(folder / "depth", "{:03d}.jpg", first=5, count=8 + number),
                2: FrameFolder(folder / "depth", 2),
            }[number % 3]
            label = number % 3 if split == "train" else UNLABELLED
            rgb = NumberedFrames(folder, "{:06d}.jpg", first=3, count=9 + number)
            listing.records.append(ClipRecord(rgb, depth, label, f"clips/{number:02d}.x"))
        return listing

    def decode_depth(self, raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return encoding_of(raw, self.depth8, self.depth16).decode(raw)

    @classmethod
    def available_splits(cls, root: Path) -> list[str]:
        return ["train"]


@pytest.fixture(scope="session")
def frames_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, rng = tmp_path_factory.mktemp("frames"), np.random.default_rng(0)
    for number in range(CLIPS):
        folder = root / f"{number:02d}"
        (folder / "depth").mkdir(parents=True)
        for index in range(3, 13 + number):
            pixels = rng.integers(0, 256, (24, 32, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{index:06d}.jpg", quality=80)
            if number % 3 == 1:
                Image.fromarray(pixels[..., 0]).save(folder / "depth" / f"{index + 2:03d}.jpg")
            elif number % 3 == 2:
                levels = rng.integers(0, 4000, (24, 32)).astype(np.uint16)
                Image.fromarray(levels).save(folder / "depth" / f"d{index}.png")
    return root


@pytest.fixture(autouse=True)
def reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(factory.READERS, "frames", Frames)
    monkeypatch.setattr(shard_stream, "BACKOFF", 0.01)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def prepare(root: Path, out: Path, **options: Any) -> PrepareResult:
    return prepare_dataset("frames", root, out, **{"clips_per_shard": PER_SHARD, **options})


@pytest.fixture(scope="session")
def shards(frames_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(factory.READERS, "frames", Frames)
        prepare(frames_root, out, splits=["train", "val"])
    return out


@pytest.fixture
def copied(shards: Path, tmp_path: Path) -> Path:
    """Shards that a test may damage."""
    (tmp_path / "copy/train").mkdir(parents=True)
    for path in (shards / "train").iterdir():
        (tmp_path / "copy/train" / path.name).write_bytes(path.read_bytes())
    return tmp_path / "copy"


def same(a: ClipSample, b: ClipSample) -> bool:
    tensors = all((x is None and y is None) or x.equal(y) for x, y in zip(a[:3], b[:3], strict=True))
    return tensors and a[3:] == b[3:]


def tree(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def ids(data: Any) -> list[str]:
    return [sample.id for sample in data]


# What comes out is what went in.


@pytest.mark.parametrize("options", [{"num_segments": 4}, {"num_segments": 30}, {"num_segments": 3, "num_views": 5}])
def test_samples_are_those_of_the_dataset(frames_root: Path, shards: Path, options: dict[str, int]) -> None:
    direct, data = Frames(frames_root, **options), ShardedClips(shards, **options)
    samples = list(data)
    assert len(samples) == len(data) == CLIPS
    assert all(same(a, direct[index]) for index, a in enumerate(samples))
    assert data.labels == direct.labels and data.class_names == direct.class_names
    assert data.flip_labels == direct.flip_labels == {0: 1, 1: 0, 2: 2}
    assert (data.name, data.split, ShardedClips.available_splits(shards)) == ("shards", "train", ["train", "val"])


def test_jpeg_is_copied_and_depth_is_raw(frames_root: Path, shards: Path) -> None:
    with tarfile.open(shards / "train/shard-000000.tar") as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
        assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in tar} == {(0, 0, 0, "", 0o644)}
    assert members["00000001.0000.jpg"] == (frames_root / "01/000003.jpg").read_bytes()
    assert len([name for name in members if name.startswith("00000001.d")]) == 9, "the common length"
    assert json.loads(members["00000002.json"]) == {
        "id": "clips/02.x",
        "label": 2,
        "class_name": "stop",
        "num_frames": 10,
    }
    png = members["00000002.d0003.png"]
    assert png[24] == 16, "bits of a level"
    levels = np.asarray(Image.open(io.BytesIO(png)))
    assert (levels == np.asarray(Image.open(frames_root / "02/depth/d8.png"))).all()


def test_the_index_says_what_there_is(shards: Path) -> None:
    index = json.loads((shards / "train/index.json").read_text())
    assert index["labels"] == [number % 3 for number in range(CLIPS)] and index["ids"][10] == "clips/10.x"
    assert [shard["clips"] for shard in index["shards"]] == [3, 3, 3, 2]
    for shard in index["shards"]:
        data = (shards / "train" / shard["name"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (shard["size"], shard["sha256"])
    assert index["depth"]["8"] == {"near": 10, "far": 240, "valid": [1, 250], "aligned": True}
    assert (index["dataset"], index["quality"], index["skipped"]) == ("frames", 95, [])
    assert set(ShardedClips(shards, "val").labels) == {UNLABELLED}
    assert "16" not in json.loads((shards / "val/index.json").read_text())["depth"]


def test_plain_webdataset_reads_them(shards: Path) -> None:
    files = sorted(str(path) for path in (shards / "train").glob("*.tar"))
    samples = list(wds.WebDataset(files, shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == [f"{number:08d}" for number in range(CLIPS)]
    assert json.loads(samples[4]["json"])["id"] == "clips/04.x"
    assert samples[4]["0002.jpg"].startswith(b"\xff\xd8")


def test_video_is_encoded_and_its_depth_is_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Videos(Frames):
        name = "videos"

        def list_clips(self, root: Path, split: str) -> Listing:
            media = [VideoFile(root / f"{part}.mp4", 2, 20) for part in ("rgb", "depth")]
            return Listing(["left", "right"], [ClipRecord(media[0], media[1], 1, "one")])

    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    video = np.stack([np.broadcast_to(np.roll(ramp, shift), (64, 64)) for shift in range(24)])[..., None].repeat(3, -1)
    for part in ("rgb", "depth"):
        write_video(video, tmp_path / f"{part}.mp4")
    monkeypatch.setitem(factory.READERS, "videos", Videos)
    # More pieces than one.
    monkeypatch.setattr("gesture_zoo.data.shard_clip._MEMORY", 5 * 64 * 64 * 3)
    prepare_dataset("videos", tmp_path, tmp_path / "out", splits=["train"])
    a, b = next(iter(ShardedClips(tmp_path / "out"))), Videos(tmp_path)[0]
    assert a.depth is not None and b.depth is not None and a.valid is not None and b.valid is not None
    assert a.depth.equal(b.depth) and a.valid.equal(b.valid)
    assert (a.frames.float() - b.frames.float()).abs().mean() < 2


@pytest.mark.skipif(not REAL.is_dir(), reason="no IsoGD clips on this machine")
def test_real_clips(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/train").symlink_to(REAL / "train")
    lines = (REAL / "train_list.txt").read_text().splitlines()[:3]
    (tmp_path / "root/train_list.txt").write_text("\n".join(lines))
    prepare_dataset("isogd", tmp_path / "root", tmp_path / "out")
    direct = factory.create_dataset("isogd", tmp_path / "root")
    for index, sample in enumerate(ShardedClips(tmp_path / "out")):
        other = direct[index]
        assert sample.depth.equal(other.depth) and sample.valid.equal(other.valid) and sample[3:] == other[3:]
        assert (sample.frames.float() - other.frames.float()).abs().mean() < 3


# Whatever stops it, it goes on.


def killed_at(moment: int, root: Path, out: Path) -> None:
    """Prepare, and die at the ``moment``-th time that something reaches the disk; of writes, every twelfth counts."""
    count = 0.0

    def dying(function: Callable[..., Any], weight: float = 1) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            nonlocal count
            count = int(count) + 1 if weight == 1 else count + weight
            if count >= moment:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args)

        return run

    os.fsync, os.replace = dying(os.fsync), dying(os.replace)  # type: ignore[assignment]
    write = dying(shard_files.HashingFile.write, 1 / 12)
    shard_files.HashingFile.write = lambda self, data: write(self, data)  # type: ignore[method-assign]
    prepare(root, out)


def kill_and_resume(root: Path, whole_of: Path, out: Path) -> None:
    """Kill a run at one moment after the other and let it go on; it always ends with the files of ``whole_of``."""
    factory.READERS["frames"] = Frames
    whole = {name: data for name, data in tree(whole_of).items() if not name.startswith("val")}
    context, moments, left = multiprocessing.get_context("fork"), 0, set()
    for moment in range(1, 200):
        place = out / str(moment)
        process = context.Process(target=killed_at, args=(moment, root, place))
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        moments += 1
        found = tree(place)
        left.add(len(found))
        assert all(found[name] == whole[name] for name in found if name.endswith(".tar"))
        if "train/index.json" not in found:
            with pytest.raises(DataError, match="no shards of the split 'train'"):
                ShardedClips(place)
        written = prepare(root, place).splits[0].written
        assert written >= 4 - len([name for name in found if name.endswith(".tar")])
        assert tree(place) == whole, moment
    assert moments > 20 and len(left) > 4
    assert tree(place) == whole


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_run_goes_on(frames_root: Path, shards: Path, tmp_path: Path) -> None:
    # In a process of its own: one that has run torch on several threads must not be forked.
    done = run_alone(kill_and_resume, frames_root, shards, tmp_path, folder=tmp_path)
    assert done.returncode == 0, done.stderr


def test_what_is_finished_stays(frames_root: Path, copied: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (copied / "train").iterdir()}
    assert prepare(frames_root, copied).splits[0][:4] == ("train", CLIPS, 4, 0)
    assert before == {path: path.stat().st_mtime_ns for path in (copied / "train").iterdir()}
    whole = tree(copied)
    (copied / "train/shard-000001.tar").unlink()
    (copied / "train/shard-000003.tar").write_bytes(b"short")
    assert prepare(frames_root, copied).splits[0].written == 2
    assert tree(copied) == whole


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quality": 80}, "was prepared with quality 95, not 80: give another folder"),
        ({"clips_per_shard": 4}, "clips_per_shard 3, not 4"),
        ({"taste": "sweet"}, "another options"),
    ],
)
def test_other_settings_need_another_folder(
    frames_root: Path, copied: Path, options: dict[str, Any], message: str
) -> None:
    before = tree(copied)
    with pytest.raises(DataError, match=message):
        prepare(frames_root, copied, **options)
    assert {name: tree(copied)[name] for name in before} == before


def test_another_dataset_needs_another_folder(frames_root: Path, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = Frames.list_clips

    def swapped(self: Frames, root: Path, split: str) -> Listing:
        listing = listed(self, root, split)
        listing.records.reverse()
        return listing

    monkeypatch.setattr(Frames, "list_clips", swapped)
    with pytest.raises(DataError, match="another listing_sha256"):
        prepare(frames_root, copied)


def without_depth(monkeypatch: pytest.MonkeyPatch, places: range) -> None:
    """Take the depth away from some clips of the reader."""
    listed = Frames.list_clips

    def bare(self: Frames, root: Path, split: str) -> Listing:
        listing = listed(self, root, split)
        for place in places:
            listing.records[place] = listing.records[place]._replace(depth=None)
        return listing

    monkeypatch.setattr(Frames, "list_clips", bare)


@pytest.mark.parametrize("bare", [range(CLIPS), range(2)])
def test_depth_that_was_added_needs_another_folder(
    frames_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare: range
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        without_depth(patch, bare)
        prepare(frames_root, out)
    before, count = tree(out), 7 if len(bare) == CLIPS else 1
    with pytest.raises(
        DataError, match=rf"train holds {count} clips without the depth .* now, the first: clips/01\.x;"
    ):
        prepare(frames_root, out)
    assert tree(out) == before
    # Shards that have still to be written are no reason to refuse.
    for number in range(4):
        (out / f"train/shard-{number:06d}.tar").unlink()
    assert prepare(frames_root, out).splits[0].written == 4
    assert [clip.depth_bits for clip in ShardedClips(out).index.clips[:3]] == [0, 8, 16]


@pytest.mark.parametrize("bare", [range(CLIPS), range(2)])
def test_depth_that_was_taken_away_needs_another_folder(
    frames_root: Path, copied: Path, monkeypatch: pytest.MonkeyPatch, bare: range
) -> None:
    without_depth(monkeypatch, bare)
    with pytest.raises(DataError, match=r"clips with depth that they do not have now, the first: clips/01\.x; give"):
        prepare(frames_root, copied)


def test_an_index_of_an_earlier_version_is_gone_on_with(frames_root: Path, copied: Path) -> None:
    path = copied / "train/index.json"
    index = json.loads(path.read_text())
    del index["clip_rate"]
    path.write_text(json.dumps(index))
    assert prepare(frames_root, copied).splits[0].written == 0 and "clip_rate" not in json.loads(path.read_text())
    (copied / "train/shard-000001.tar").unlink()
    assert prepare(frames_root, copied).splits[0].written == 1 and len(list(ShardedClips(copied))) == CLIPS


@pytest.mark.parametrize("place", ["clips", "link", "clips/shards"])
def test_shards_do_not_go_where_the_clips_are(tmp_path: Path, place: str) -> None:
    (tmp_path / "clips/wave").mkdir(parents=True)
    write_video(np.zeros((4, 32, 32, 3), np.uint8), tmp_path / "clips/wave/1.mp4")
    (tmp_path / "link").symlink_to(tmp_path / "clips")
    before = tree(tmp_path)
    with pytest.raises(DataError, match=f"{place} is .*, where shards may be taken for a part of the dataset: give"):
        prepare_dataset("folder", tmp_path / "clips", tmp_path / place)
    assert tree(tmp_path) == before
    for written in (1, 0):  # a second run finds what is the first one's
        assert prepare_dataset("folder", tmp_path / "link", tmp_path / "shards").splits[0].written == written


def test_only_one_writes(frames_root: Path, tmp_path: Path) -> None:
    with (
        sole_writer(tmp_path / "out"),
        pytest.raises(DataError, match=r"another process is writing to .*out: wait until .*, or give another folder"),
    ):
        prepare(frames_root, tmp_path / "out")
    assert prepare(frames_root, tmp_path / "out").splits[0].written == 4


# Clips and settings that are no good.


@pytest.fixture
def bad_root(frames_root: Path, tmp_path: Path) -> Path:
    """The fifth clip ends in the middle of a frame."""
    root = tmp_path / "bad"
    root.mkdir()
    for folder in frames_root.iterdir():
        (root / folder.name).symlink_to(folder)
    (root / "04").unlink()
    (root / "04/depth").mkdir(parents=True)
    for path in (frames_root / "04").rglob("*.jpg"):
        (root / "04" / path.relative_to(frames_root / "04")).write_bytes(path.read_bytes())
    frame = root / "04/000009.jpg"
    frame.write_bytes(frame.read_bytes()[:-200])
    return root


def test_a_bad_clip_is_named(bad_root: Path, frames_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"clip clips/04\.x of frames train: cannot read image .*04/000009\.jpg"):
        prepare(bad_root, out)
    assert sorted(name for name in tree(out) if name.startswith("train")) == [
        "train/progress.jsonl",
        "train/shard-000000.tar",
    ]
    split = prepare(bad_root, out, skip_bad=True).splits[0]
    assert (split.clips, split.shards, split.written) == (CLIPS - 1, 4, 3)
    assert [(bad.ordinal, bad.id) for bad in split.skipped] == [(4, "clips/04.x")]
    whole = tree(out)
    assert prepare(bad_root, out, skip_bad=True).splits[0] == split._replace(written=0)
    with pytest.raises(DataError, match="1 clips are left out of .* still cannot be read, the first: .*pass skip_bad"):
        prepare(bad_root, out)
    assert tree(out) == whole
    data = ShardedClips(out)
    assert ids(data) == [f"clips/{number:02d}.x" for number in range(CLIPS) if number != 4]
    assert same(list(data)[4], Frames(frames_root)[5])


@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_clip_that_was_left_out_is_tried_again(
    bad_root: Path, frames_root: Path, shards: Path, tmp_path: Path, skip_bad: bool
) -> None:
    out, frame = tmp_path / "out", bad_root / "04/000009.jpg"
    prepare(bad_root, out, skip_bad=True)
    frame.unlink()
    split = prepare(bad_root, out, skip_bad=True).splits[0]
    assert split.written == 0 and "there is no file" in split.skipped[0].error, "what is wrong with it now"
    assert parse_index((out / "train/index.json").read_bytes(), "").skipped == split.skipped
    frame.write_bytes((frames_root / "04/000009.jpg").read_bytes())
    split = prepare(bad_root, out, skip_bad=skip_bad).splits[0]
    assert (split.clips, split.written, split.skipped) == (CLIPS, 1, ())
    assert tree(out / "train") == tree(shards / "train")


def test_one_of_two_left_out_clips_is_mended(bad_root: Path, frames_root: Path, tmp_path: Path) -> None:
    for number in ("03", "10"):
        (bad_root / number).unlink()
    prepare(bad_root, tmp_path / "out", skip_bad=True)
    (bad_root / "03").symlink_to(frames_root / "03")
    split = prepare(bad_root, tmp_path / "out", skip_bad=True).splits[0]
    assert (split.clips, split.written, [bad.ordinal for bad in split.skipped]) == (CLIPS - 2, 1, [4, 10])


def test_clips_whose_parts_do_not_fit(bad_root: Path, tmp_path: Path) -> None:
    Image.new("L", (30, 24)).save(bad_root / "04/depth/005.jpg")
    Image.new("RGB", (32, 24)).save(bad_root / "04/000009.jpg")
    with pytest.raises(DataError, match="the depth is 24 x 30, the frames are 24 x 32"):
        prepare(bad_root, tmp_path / "out")
    Image.new("RGB", (32, 20)).save(bad_root / "04/000009.jpg")
    with pytest.raises(DataError, match="frame 6 of .* is 20 x 32, frame 0 is 24 x 32"):
        prepare(bad_root, tmp_path / "out")
    (bad_root / "04/000009.jpg").unlink()
    with pytest.raises(DataError, match="there is no file .*000009.jpg"):
        prepare(bad_root, tmp_path / "out")


def test_nothing_but_bad_clips(tmp_path: Path, frames_root: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="none of the 11 clips can be read, the first: clip clips/00.x"):
        prepare(tmp_path / "empty", tmp_path / "out", skip_bad=True)


def test_a_png_by_the_name_of_jpg_is_encoded(bad_root: Path, tmp_path: Path) -> None:
    Image.new("RGB", (32, 24), (9, 99, 199)).save(bad_root / "04/000009.jpg", "PNG")
    prepare(bad_root, tmp_path / "out")
    with tarfile.open(tmp_path / "out/train/shard-000001.tar") as tar:
        assert tar.extractfile("00000004.0006.jpg").read(3) == b"\xff\xd8\xff"  # type: ignore[union-attr]


def test_settings_that_make_no_sense(frames_root: Path, tmp_path: Path) -> None:
    for options in ({"quality": 0}, {"quality": 101}, {"clips_per_shard": 0}, {"workers": 0}):
        with pytest.raises(
            DataError, match="quality has to be in 1 to 100, got|clips_per_shard and workers have to be"
        ):
            prepare(frames_root, tmp_path / "out", **options)
    with pytest.raises(DataError, match="synthetic clips are rendered"):
        prepare_dataset("synthetic", tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="unknown dataset 'imagenet'"):
        prepare_dataset("imagenet", tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="frames has the splits train, val, not 'all'"):
        prepare(frames_root, tmp_path / "out", splits=["all"])
    assert not (tmp_path / "out").exists()
    (tmp_path / "out/train").mkdir(parents=True)
    (tmp_path / "out/train/mine.txt").write_text("mine")
    with pytest.raises(DataError, match="holds files that 'gesture-zoo prepare' did not write"):
        prepare(frames_root, tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write .*file"):
        prepare(frames_root, tmp_path / "file")


def test_depth_that_no_encoding_says(frames_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Frames, "decode_depth", lambda self, raw: (raw.float() ** 2, raw == 1))
    with pytest.raises(DataError, match="frames decodes 8-bit depth in a way of its own"):
        prepare(frames_root, tmp_path / "out")


def test_without_webdataset(shards: Path, frames_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "webdataset", None)
    for use in (lambda: ShardedClips(shards), lambda: prepare(frames_root, tmp_path / "out")):
        with pytest.raises(DataError, match=r'pip install "gesture-zoo\[shards\]"'):
            use()


# The stream.


def deliver(item: ClipSample) -> ClipSample:
    return item


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("workers", [1, 2, 6])
def test_workers_deliver_every_clip_once(shards: Path, training: bool, workers: int) -> None:
    data = ShardedClips(shards, num_segments=2, random_segments=training)
    found = ids(DataLoader(data, batch_size=None, num_workers=workers))
    assert sorted(found) == sorted(ids(data))
    assert training or found == ids(data), "in the order of the files, however many workers"


def test_an_environment_of_several_nodes_takes_no_clip_from_a_process_alone(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "WORKER": "0", "NUM_WORKERS": "2"}.items():
        monkeypatch.setenv(name, value)
    assert len(ids(ShardedClips(shards, num_segments=2))) == CLIPS


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("nodes", "workers"), [(3, 0), (2, 2), (6, 2)])
def test_nodes_share_the_clips(
    shards: Path, monkeypatch: pytest.MonkeyPatch, nodes: int, workers: int, training: bool
) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda group=None: nodes)
    found = []
    for rank in range(nodes):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda group=None, rank=rank: rank)
        data = ShardedClips(shards, num_segments=2, random_segments=training)
        found += ids(DataLoader(data, batch_size=None, num_workers=workers))
    assert len(found) == len(set(found)) == CLIPS


def test_a_spawned_worker_is_told_its_node(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = ShardedClips(shards, num_segments=1)
    with monkeypatch.context() as patch:
        patch.setattr(torch.distributed, "is_initialized", lambda: True)
        patch.setattr(torch.distributed, "get_world_size", lambda group=None: 2)
        patch.setattr(torch.distributed, "get_rank", lambda group=None: 1)
        sent = pickle.dumps(data)
    assert len(ids(data)) == CLIPS
    assert 0 < len(ids(pickle.loads(sent))) < CLIPS


def test_a_shard_that_changed_on_the_disk_is_written_again(frames_root: Path, copied: Path) -> None:
    path = copied / "train/shard-000001.tar"
    whole = path.read_bytes()
    path.write_bytes(whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:])
    assert prepare(frames_root, copied).splits[0].written == 1
    assert path.read_bytes() == whole


def test_training_shuffles_by_seed_and_epoch(shards: Path) -> None:
    def order(seed: int, epoch: int) -> list[str]:
        data = ShardedClips(shards, num_segments=2, random_segments=True, seed=seed)
        data.set_epoch(epoch)
        return ids(data)

    orders = [order(0, 0), order(0, 1), order(1, 0), ids(ShardedClips(shards, num_segments=2))]
    assert len({tuple(found) for found in orders}) == 4
    assert {tuple(sorted(found)) for found in orders} == {tuple(sorted(orders[0]))}
    assert order(0, 1) == orders[1]


def test_training_draws_frames_anew(shards: Path) -> None:
    data = ShardedClips(shards, num_segments=2, random_segments=True).subset([10])
    assert len({next(iter(data)).frames.sum().item() for _ in range(8)}) > 3


def test_subsets(shards: Path) -> None:
    data = ShardedClips(shards, num_segments=2)
    kept, held = holdout_indices(data.labels, 0.3)
    parts = [data.subset(kept), data.subset(held)]
    assert [len(part) for part in parts] == [len(kept), len(held)]
    assert parts[1].labels == [data.labels[index] for index in held]
    for part, places in zip(parts, (kept, held), strict=True):
        assert ids(part) == ids(DataLoader(part, batch_size=None, num_workers=2)) == [ids(data)[i] for i in places]
    assert ids(parts[0].subset([1])) == [ids(data)[kept[1]]]
    for indices in ([0, 0], [11], [-1]):
        with pytest.raises(DataError, match="a subset takes different indices in 0 to 10"):
            data.subset(indices)


def test_loaders_of_the_engine(shards: Path) -> None:
    for workers in (0, 2):
        loader = make_loader(ShardedClips(shards, num_segments=2).subset([0, 3, 6, 9]), 3, workers=workers)
        assert [batch.ids for batch in loader] == [["clips/00.x", "clips/03.x", "clips/06.x"], ["clips/09.x"]]
    data = ShardedClips(shards, num_segments=2, transform=deliver)
    assert ids(pickle.loads(pickle.dumps(data))) == ids(data)


# Shards that are no good.


def test_a_damaged_clip(copied: Path) -> None:
    path = copied / "train/shard-000001.tar"
    with tarfile.open(path) as tar:
        member = tar.getmember("00000004.0006.jpg")
    data = bytearray(path.read_bytes())
    data[member.offset_data : member.offset_data + 100] = bytes(100)
    path.write_bytes(data)
    with pytest.raises(
        DataError, match=r"clip clips/04.x of shards train: cannot read image 00000004.0006.jpg of train"
    ):
        list(ShardedClips(copied, num_segments=30))
    items: list[Any] = list(ShardedClips(copied, num_segments=30, errors="yield"))
    assert len(items) == CLIPS and isinstance(items[4], DataError)
    assert sum(isinstance(item, ClipSample) for item in items) == CLIPS - 1
    loader = make_loader(
        ShardedClips(copied, num_segments=30, errors="yield").subset([3, 4]), 2, workers=0, on_error="skip"
    )
    assert [batch.ids for batch in loader] == [["clips/03.x"]] and len(loader.bad) == 1
    with pytest.raises(DataError, match="errors is 'raise' or 'yield', not 'ignore'"):
        ShardedClips(copied, errors="ignore")


@pytest.mark.parametrize("errors", ["raise", "yield"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: None, "there is no file .*shard-000002.tar"),
        (lambda data: data[: len(data) // 2], "shard-000002.tar has .* bytes, not"),
        (lambda data: data[:5120].ljust(len(data), b"\0"), "shard-000002.tar is damaged"),
        (lambda data: data[:5120].ljust(len(data), b"x"), "shard-000002.tar is damaged"),
        (lambda data: b"\x1f\x8b\x08".ljust(len(data), b"x"), "shard-000002.tar is damaged"),
        (lambda data: bytes(len(data)), "shard-000002.tar is damaged: it ends before clip 00000006"),
        (lambda data: data.replace(b"clips/07.x", b"clips/70.x"), "is not the shard that its index describes"),
        (lambda data: data.replace(b"00000007.", b"00000006."), "shard-000002.tar is damaged"),
    ],
)
def test_a_damaged_shard_is_never_a_shorter_epoch(
    copied: Path, damage: Callable[[bytes], bytes | None], message: str, errors: str
) -> None:
    path = copied / "train/shard-000002.tar"
    changed = damage(path.read_bytes())
    path.unlink()
    if changed is not None:
        path.write_bytes(changed)
    found: list[Any] = []
    with pytest.raises(DataError, match=message) as caught:
        found.extend(ShardedClips(copied, num_segments=30, errors=errors))
    assert 6 <= len(found) <= 8 and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", "mine", "is no index that this version"),
        ("class_names", "left", "class_names has to be"),
        ("flips", {"left": 1}, "flips has to"),
        ("depth", {}, "bits whose encoding is not given"),
        ("depth", {"8": {"near": 1, "far": 1, "valid": [0, 1], "aligned": True}}, "depth has to map"),
        ("shards", [], "its shards hold 0 clips, and 11 are listed"),
        ("shards", [{"name": "a.tar"}], "shards has to be a list of name, clips, size, sha256"),
        ("labels", [7] * CLIPS, "a label is not in 0 to 2"),
        ("labels", [True] * CLIPS, "have to be lists of text and of whole numbers"),
        ("frames", [0] * CLIPS, "a clip has no frames"),
        ("keys", ["../a"] * CLIPS, "keys have to be different numbers"),
        ("ids", None, "have to be lists"),
        ("skipped", [1], "skipped has to be"),
        ("clip_rate", "fast", "clip_rate has to be null, or clips a second in 0.001 to 100"),
        ("clip_rate", 0, "clip_rate has to be null"),
        ("clip_rate", float("nan"), "clip_rate has to be null"),
    ],
)
def test_an_index_that_does_not_add_up(copied: Path, key: str, value: Any, message: str) -> None:
    path = copied / "train/index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(DataError, match=message) as caught:
        ShardedClips(copied)
    assert "train/index.json" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[]", b"{", b"[" * 100_000, b"null", b'{"format": [1]}'])
def test_garbage_is_no_index(data: bytes) -> None:
    with pytest.raises(DataError, match="index.json is no"):
        parse_index(data, "index.json")


@pytest.mark.parametrize(
    "name", ["../train/shard-000000.tar", "/etc/passwd", "pipe:touch ran", "http://host/a.tar", ""]
)
def test_an_index_names_only_its_own_files(
    copied: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = copied / "train/index.json"
    index = json.loads(path.read_text())
    index["shards"][0]["name"] = name
    path.write_text(json.dumps(index))
    with pytest.raises(DataError, match="is no file inside the folder"):
        ShardedClips(copied)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("root", ["pipe:touch ran", "file:///etc", "s3://bucket/shards", "nowhere"])
def test_a_root_is_a_folder_or_a_web_address(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="there is no folder .*or behind an http"):
        ShardedClips(root)
    assert not list(tmp_path.iterdir())


def test_a_split_that_is_not_there(shards: Path) -> None:
    with pytest.raises(DataError, match="no shards of the split 'test' .*it has the splits train, val"):
        ShardedClips(shards, "test")


# From a web server.


class Server(http.server.SimpleHTTPRequestHandler):
    """Files of a folder; ``cut`` names files whose first delivery ends half way."""

    ranges: ClassVar[bool] = False
    cut: ClassVar[set[str]] = set()
    asked: ClassVar[list[str]] = []
    answer: ClassVar[int] = 0
    stall: ClassVar[float] = 0

    def do_GET(self) -> None:
        name = self.path.split("?")[0]
        self.asked.append(self.path)
        path = Path(self.translate_path(name))
        if self.answer or not path.is_file():
            if self.answer == 302:
                self.send_response(302)
                self.send_header("Location", "file:///etc/passwd")
                self.end_headers()
            else:
                self.send_error(self.answer or 404)
            return
        data, start = path.read_bytes(), 0
        if self.ranges and "Range" in self.headers:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if path.name in self.cut:
            self.cut.remove(path.name)
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            time.sleep(self.stall)
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.wfile.write(data[start:])

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[str, type[Server]]]]:
    running = []

    def start(folder: Path, **settings: Any) -> tuple[str, type[Server]]:
        handler = type("Handler", (Server,), {"cut": set(), "asked": [], **settings})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: handler(*args, directory=str(folder)))
        server.daemon_threads = True
        running.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}", handler

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


Serve = Callable[..., tuple[str, type[Server]]]


def test_a_url_gives_the_same_samples(shards: Path, serve: Serve) -> None:
    url, handler = serve(shards.parent)
    root = f"{url}/{shards.name}/?key=secret"
    assert ShardedClips.available_splits(root) == ["train", "val"]
    local, data = ShardedClips(shards, num_segments=4), ShardedClips(root, num_segments=4)
    assert data.labels == local.labels
    assert all(same(a, b) for a, b in zip(data, local, strict=True))
    assert all(path.endswith("?key=secret") for path in handler.asked)
    for workers in (2, 5):
        handler.asked.clear()
        assert sorted(ids(DataLoader(data, batch_size=None, num_workers=workers))) == sorted(ids(local))
        assert (len(handler.asked) == 4) == (workers == 2), "each shard once, if there are enough for all workers"


@pytest.mark.parametrize("ranges", [False, True])
def test_a_cut_connection_goes_on(shards: Path, serve: Serve, ranges: bool) -> None:
    url, handler = serve(shards, ranges=ranges, cut={"index.json", "shard-000001.tar", "shard-000003.tar"})
    data = ShardedClips(url, num_segments=30)
    assert all(same(a, b) for a, b in zip(data, ShardedClips(shards, num_segments=30), strict=True))
    assert not handler.cut and len(handler.asked) == 8


def test_a_server_that_falls_silent(shards: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_stream, "TIMEOUT", 0.2)
    url, handler = serve(shards, ranges=True, cut={"shard-000001.tar"}, stall=0.5)
    assert ids(ShardedClips(url, num_segments=2)) == ids(ShardedClips(shards, num_segments=2))
    assert len(handler.asked) == 6


def test_a_server_that_refuses(copied: Path, serve: Serve) -> None:
    url, handler = serve(copied)
    with pytest.raises(DataError, match=r"cannot read http://127.0.0.1:\d+/test/index.json: the server answers 404"):
        ShardedClips(f"{url}?key=secret", "test")
    data = ShardedClips(url)
    (copied / "train/shard-000001.tar").write_bytes(b"other")
    with pytest.raises(DataError, match=r"train/shard-000001.tar has 5 bytes, not \d+ as its index says"):
        list(data)
    (copied / "train/shard-000001.tar").unlink()
    with pytest.raises(DataError, match=r"cannot read http://127.0.0.1:\d+/train/shard-000001.tar: .* 404"):
        list(data)
    handler.answer = 403
    assert ShardedClips.available_splits(url) == []
    handler.answer = 503
    handler.asked.clear()
    with pytest.raises(DataError, match=r"train/index.json: the server answers 503 .*attempts\)"):
        ShardedClips(url)
    assert len(handler.asked) == 1 + shard_stream.RETRIES
    handler.answer = 302
    with pytest.raises(DataError, match=r"train/index.json: the server answers 302"):
        ShardedClips(url)


@pytest.mark.parametrize("root", ["http://", "http://[", "http://host:port/a", "https:///a"])
def test_addresses_that_are_none(root: str) -> None:
    with pytest.raises(DataError, match="is no URL"):
        ShardedClips(root)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(DataError, match=rf"cannot read http://127.0.0.1:{port}/train/index.json: .*refused"):
        ShardedClips(f"http://127.0.0.1:{port}")


# The command.


def test_the_command(bad_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()

    def command(name: str, function: str, *examples: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name)
        sub.set_defaults(run=late(function))
        return sub

    add_prepare_parser(command)
    line = ["prepare", "frames", str(bad_root), str(tmp_path / "out"), "--clips-per-shard", "4", "--skip-bad"]
    args = parser.parse_args([*line, "--quality", "90", "--split", "train", "--data-option", "taste=sweet"])
    args.run(args)
    shown = capsys.readouterr().out
    assert "train: 10 clips in 3 shards, 3 of them written now" in shown
    assert "1 clips could not be read and are left out" in shown and "clip clips/04.x of frames train" in shown
    index = json.loads((tmp_path / "out/train/index.json").read_text())
    assert (index["quality"], index["options"]) == (90, {"taste": "sweet"})


def test_a_wish_to_stop_is_no_damaged_shard() -> None:
    def stopped() -> Iterator[dict[str, Any]]:
        raise Terminated
        yield {}

    with pytest.raises(Terminated):
        _next(stopped(), "shard-000000.tar")
