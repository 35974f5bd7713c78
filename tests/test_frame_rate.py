"""A model knows how many frames a second its clips had, from the training to the exported file."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from layouts import WRITERS
from torch.utils.data import Subset

import gesture_zoo
from gesture_zoo.data import create_dataset, write_video
from gesture_zoo.data.factory import READERS
from gesture_zoo.data.frame_rate import clip_frame_rate
from gesture_zoo.data.prepare import prepare_dataset
from gesture_zoo.errors import WeightsError
from gesture_zoo.runtime.torch_runner import TorchRunner


def test_videos_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "train" / "wave").mkdir(parents=True)
    for number, (frames, fps) in enumerate(((30, 15), (60, 20), (24, 24))):  # 2, 3 and 1 seconds
        video = np.zeros((frames, 32, 32, 3), np.uint8)
        write_video(video, tmp_path / "train" / "wave" / f"{number}.mp4", fps=fps)
    data = create_dataset("folder", tmp_path, split="train", num_segments=8)
    assert clip_frame_rate(data) == pytest.approx(4)
    assert clip_frame_rate(Subset(data, [1])) == pytest.approx(8 / 3, abs=1e-3)
    (tmp_path / "train" / "wave" / "1.mp4").write_bytes(b"damaged")
    assert clip_frame_rate(create_dataset("folder", tmp_path, split="train")) == pytest.approx(6)


@pytest.mark.parametrize("name", sorted(set(WRITERS) & set(READERS) - {"folder", "shards"}))
def test_datasets_declare_their_cameras_rate(name: str, tmp_path: Path) -> None:
    root = WRITERS[name](tmp_path)
    data = create_dataset(name, root, split="train", num_segments=4)
    lengths = sorted(data.length(index) for index in range(len(data)))
    assert 4 * data.frame_rate / lengths[-1] <= clip_frame_rate(data) <= 4 * data.frame_rate / lengths[0]


def film(path: Path, times: list[int], *, seekable: bool = True) -> None:
    """A video of frames that are shown at these milliseconds; a live recording cannot be sought in."""
    with open(path, "wb") as file:
        target = file if seekable else type("Pipe", (), {"write": staticmethod(file.write)})()
        with av.open(target, "w", format="matroska") as container:
            stream = container.add_stream("mpeg4", rate=30 if seekable else 1000)
            stream.width = stream.height = 32
            stream.pix_fmt = "yuv420p"
            stream.codec_context.time_base = Fraction(1, 1000)
            for time in times:
                frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
                frame.pts, frame.time_base = time, Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())


@pytest.mark.parametrize("seekable", [True, False])
def test_times_come_before_the_header(tmp_path: Path, seekable: bool) -> None:
    (tmp_path / "train" / "wave").mkdir(parents=True)
    # Half a second at 20 frames a second, then two seconds at 5; it begins late.
    times = [400 + 50 * number for number in range(10)] + [900 + 200 * number for number in range(10)]
    film(tmp_path / "train" / "wave" / "1.mkv", times, seekable=seekable)
    with av.open(str(tmp_path / "train" / "wave" / "1.mkv")) as container:
        assert container.streams.video[0].average_rate > 20, "this header says something else"
    data = create_dataset("folder", tmp_path, split="train", num_segments=8)
    assert clip_frame_rate(data) == pytest.approx(8 / 2.5, rel=0.05)
    for start, end, seconds in ((0, 10, 0.5), (10, 15, 1), (5, 15, 1.25)):
        (tmp_path / "train.csv").write_text(f"path,label,start,end\ntrain/wave/1.mkv,wave,{start},{end}\n")
        assert clip_frame_rate(create_dataset("folder", tmp_path, split="train")) == pytest.approx(8 / seconds)
    (tmp_path / "train.csv").write_text("path,label,start,end\ntrain/wave/1.mkv,wave,10,25\n")
    assert clip_frame_rate(create_dataset("folder", tmp_path, split="train")) is None, "the file ends before"


@pytest.mark.parametrize("name", sorted(set(WRITERS) & set(READERS)))
def test_shards_have_the_rate_of_what_they_were_made_of(name: str, tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    (tmp_path / "files").mkdir()
    root, out = WRITERS[name](tmp_path / "files"), tmp_path / "shards"
    prepare_dataset(name, root, out, splits=["train"], skip_bad=True)
    files, shards = (create_dataset(*place, num_segments=4) for place in ((name, root), ("shards", out)))
    assert clip_frame_rate(shards) == clip_frame_rate(files)
    assert clip_frame_rate(shards) > 0
    assert clip_frame_rate(shards.subset([0])) == clip_frame_rate(shards) and shards.source == name

    index = json.loads((out / "train/index.json").read_text())
    del index["clip_rate"], index["dataset"]  # an earlier version, and nobody's
    (out / "train/index.json").write_text(json.dumps(index))
    shards = create_dataset("shards", out)
    assert clip_frame_rate(shards) is None and shards.source == "shards"


def test_shards_of_ones_own_videos(tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    (tmp_path / "clips" / "train" / "wave").mkdir(parents=True)
    for number, frames in enumerate((10, 20, 40)):
        video = np.zeros((frames, 32, 32, 3), np.uint8)
        write_video(video, tmp_path / "clips" / "train" / "wave" / f"{number}.mp4", fps=20)
    prepare_dataset("folder", tmp_path / "clips", tmp_path / "shards")
    assert clip_frame_rate(create_dataset("shards", tmp_path / "shards", num_segments=8)) == 8


def test_it_is_saved_and_loaded_and_exported(tmp_path: Path) -> None:
    model = gesture_zoo.create_model("tsm_test_resnet_online", num_classes=2)
    assert TorchRunner(model).info.frame_rate is None
    model.pretrained_cfg["frame_rate"] = 3.5
    folder = gesture_zoo.save_pretrained(model, tmp_path / "model")
    loaded = gesture_zoo.create_model(f"local-dir:{folder}", pretrained=True)
    assert TorchRunner(loaded).info.frame_rate == 3.5

    config = json.loads((folder / "config.json").read_text())
    config["gesture_zoo"]["frame_rate"] = "fast"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="frame_rate of frames a second above 0 and at most 10000, not 'fast'"):
        gesture_zoo.create_model(f"local-dir:{folder}")
