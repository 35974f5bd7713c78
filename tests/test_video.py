"""Frames from video and image files: the right ones, from wherever decoding starts, or an error that names the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.io import write_jpeg, write_png

from gesture_zoo.data import count_frames, read_frames, segment_indices, write_video
from gesture_zoo.data.images import read_images
from gesture_zoo.data.media import FrameFolder, NumberedFrames, VideoFile
from gesture_zoo.data.video import BACKEND_VARIABLE, video_backend
from gesture_zoo.errors import DataError


def gray_video(path: Path, levels: Sequence[int], size: tuple[int, int] = (48, 64)) -> Path:
    """A video whose frames are flat grey levels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(np.stack([np.full((*size, 3), level, dtype=np.uint8) for level in levels]), path)
    return path


def encode(path: Path, codec: str, options: dict[str, str], num_frames: int = 60) -> list[np.ndarray]:
    """Write a moving picture with a codec's options, and return its frames as decoded from the start."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (32, 32 + 2 * num_frames, 3)).repeat(4, 0).repeat(2, 1).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 128, "yuv420p"
        for t in range(num_frames):
            frame = np.ascontiguousarray(picture[:, 4 * t : 4 * t + 64])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_frames_by_index_in_any_order(tmp_path: Path) -> None:
    video = gray_video(tmp_path / "v.mp4", range(10, 250, 20))
    assert count_frames(video) == 12
    frames = read_frames(video, [11, 0, 0, 5])
    assert frames.shape == (4, 3, 48, 64)
    assert frames.dtype == torch.uint8
    levels = frames.float().mean((1, 2, 3)).round().tolist()
    assert np.allclose(levels, [230, 10, 10, 110], atol=3)
    assert read_frames(video, [3], gray=True).shape == (1, 1, 48, 64)


B_FRAMES = {"g": "10", "bf": "3", "sc_threshold": "0"}


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("plain.avi", "mpeg4", {"g": "12"}),
        ("b.mp4", "libx264", B_FRAMES),
        ("b.mkv", "libx264", B_FRAMES),
        ("open_gop.mp4", "libx264", {**B_FRAMES, "x264-params": "open-gop=1"}),
        ("b.avi", "libx264", B_FRAMES),  # a container without presentation times
        ("one_key.avi", "mpeg4", {"g": "600"}),
        ("all_keys.mkv", "mpeg4", {"g": "1"}),
    ],
)
def test_seeking_finds_the_frames_that_decoding_in_order_finds(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg has no {codec}")
    frames = encode(tmp_path / name, codec, options)
    assert count_frames(tmp_path / name) == len(frames) == 60
    for indices in ([59], [0, 30, 59], [14, 15, 16], [9, 10, 11, 19, 20, 41], segment_indices(60, 8), [40, 5]):
        expected = torch.from_numpy(np.stack([frames[i] for i in indices])).permute(0, 3, 1, 2)
        assert torch.equal(read_frames(tmp_path / name, indices), expected), indices


def test_unreadable_videos_are_named(tmp_path: Path) -> None:
    good = gray_video(tmp_path / "good.mp4", [10, 20, 30])
    empty, text = tmp_path / "empty.avi", tmp_path / "text.mp4"
    empty.write_bytes(b"")
    text.write_text("not a video")
    for path in (empty, text):
        with pytest.raises(DataError, match=f"cannot read video .*{path.name}"):
            count_frames(path)
        with pytest.raises(DataError, match=f"cannot read video .*{path.name}"):
            read_frames(path, [0])
    with pytest.raises(DataError, match="there is no file .*none.mp4"):
        count_frames(tmp_path / "none.mp4")
    with pytest.raises(DataError, match="ends before frame 3: it is truncated"):
        read_frames(good, [0, 3])
    with pytest.raises(DataError, match="no frames asked for"):
        read_frames(good, [])
    with pytest.raises(DataError, match="frames count from 0"):
        read_frames(good, [-1])


def test_a_truncated_video_is_named(tmp_path: Path) -> None:
    whole = gray_video(tmp_path / "whole.avi", range(0, 250, 5))
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])
    with pytest.raises(DataError, match=r"cut\.avi"):
        read_frames(cut, segment_indices(50, 8))


@pytest.mark.skipif(video_backend() != "pyav", reason="torchcodec hands over patched frames as if they were whole")
def test_a_video_with_damage_in_the_middle_is_named(tmp_path: Path) -> None:
    encode(tmp_path / "whole.avi", "mpeg4", {"g": "60"})
    whole = (tmp_path / "whole.avi").read_bytes()
    for place in (0.4, 0.5, 0.6):
        data = bytearray(whole)
        start = int(place * len(data))
        data[start : start + 300] = bytes(range(100)) * 3
        (tmp_path / "bad.avi").write_bytes(data)
        with pytest.raises(DataError, match=r"bad\.avi is damaged at frame \d+"):
            read_frames(tmp_path / "bad.avi", segment_indices(60, 8))


def test_the_backend_is_chosen_by_name_or_by_what_works(monkeypatch: pytest.MonkeyPatch) -> None:
    choose = video_backend.__wrapped__
    monkeypatch.setenv(BACKEND_VARIABLE, "pyav")
    assert choose() == "pyav"
    monkeypatch.setenv(BACKEND_VARIABLE, "decord")
    with pytest.raises(DataError, match="is 'pyav' or 'torchcodec', not 'decord'"):
        choose()
    monkeypatch.setattr("gesture_zoo.data.video._torchcodec_fault", lambda: "no FFmpeg here")
    monkeypatch.setenv(BACKEND_VARIABLE, "torchcodec")
    with pytest.raises(DataError, match="is torchcodec, which cannot be used: no FFmpeg here"):
        choose()
    monkeypatch.delenv(BACKEND_VARIABLE)
    assert choose() == "pyav"


@pytest.mark.skipif(video_backend() != "torchcodec", reason="torchcodec with FFmpeg is not installed")
@pytest.mark.parametrize("name", ["b.mp4", "b.avi"])
def test_torchcodec_and_pyav_agree(tmp_path: Path, name: str) -> None:
    frames = encode(tmp_path / name, "libx264", B_FRAMES)
    found = read_frames(tmp_path / name, [3, 14, 59]).permute(0, 2, 3, 1).numpy()
    assert np.abs(found.astype(int) - np.stack([frames[i] for i in (3, 14, 59)])).max() <= 2


# Images.


def write_frames(folder: Path, count: int, name: str = "{:05d}.jpg") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(1, count + 1):
        write_jpeg(torch.full((3, 24, 32), 10 * index, dtype=torch.uint8), str(folder / name.format(index)))
    return folder


def test_frames_of_a_folder(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip", 12, "img{:d}.jpg")
    (folder / ".DS_Store").write_text("x")
    (folder / "notes.txt").write_text("x")
    frames = FrameFolder(folder)
    assert frames.length() == 12
    assert frames.read([11, 0]).float().mean((1, 2, 3)).round().tolist() == [120, 10]
    part = FrameFolder(folder, 2, 5)
    assert part.length() == 3
    assert part.read([2], gray=True).float().mean().round() == 50
    with pytest.raises(DataError, match="has 3 frames, not 4"):
        part.read([3])
    with pytest.raises(DataError, match="does not hold frames 2 to 19"):
        FrameFolder(folder, 2, 20).length()


def test_numbered_frames_count_from_where_they_are_told(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "clip", 9)
    assert NumberedFrames(folder, "{:05d}.jpg").length() == 9
    part = NumberedFrames(folder, "{:05d}.jpg", first=4, count=3)
    assert part.length() == 3
    assert part.read([0, 2]).float().mean((1, 2, 3)).round().tolist() == [40, 60]
    with pytest.raises(DataError, match=r"there is no file .*00013\.jpg"):
        part.read([9])
    with pytest.raises(DataError, match="cannot read the folder of frames"):
        NumberedFrames(tmp_path / "none", "{:05d}.jpg").length()


def test_video_windows(tmp_path: Path) -> None:
    path = gray_video(tmp_path / "v.mp4", range(10, 250, 20))
    window = VideoFile(path, 3, 7)
    assert window.length() == 4
    assert abs(window.read([0]).float().mean() - 70) < 3
    assert VideoFile(path, 3).length() == 9
    with pytest.raises(DataError, match="has 12 frames, and the clip starts at frame 12"):
        VideoFile(path, 12).length()


def test_sixteen_bits_stay_sixteen_bits(tmp_path: Path) -> None:
    levels = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) * 80
    Image.fromarray(levels).save(tmp_path / "depth.png")
    raw = read_images([tmp_path / "depth.png"], gray=True)
    assert raw.dtype == torch.uint16
    assert np.array_equal(raw[0, 0].numpy(), levels)


def test_a_damaged_png_is_an_error_and_not_the_end_of_the_process(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 1 << 16, (24, 32), dtype=np.uint16)
    Image.fromarray(levels).save(tmp_path / "depth.png")
    good, bad = (tmp_path / "depth.png").read_bytes(), tmp_path / "bad.png"
    for place in range(8, len(good), 60):
        bad.write_bytes(good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :])
        with pytest.raises(DataError, match=r"cannot read image .*bad.png: it is (cut off|damaged)"):
            read_images([bad], gray=True)
        bad.write_bytes(good[:place])
        with pytest.raises(DataError, match=f"cut off at byte {place}" if place > 8 else "cannot read image"):
            read_images([bad], gray=True)


def test_damaged_images_are_named(tmp_path: Path) -> None:
    good = write_frames(tmp_path, 2) / "00001.jpg"
    bad, empty, text = tmp_path / "bad.jpg", tmp_path / "empty.jpg", tmp_path / "text.jpg"
    bad.write_bytes(good.read_bytes()[:-40])
    empty.write_bytes(b"")
    text.write_text("not an image")
    for path, message in (
        (bad, "truncated"),
        (empty, "is empty"),
        (text, "text.jpg: it is no JPEG, PNG or WebP picture, or is damaged$"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            read_images([good, path])
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)
    write_png(torch.zeros(3, 8, 8, dtype=torch.uint8), str(tmp_path / "small.png"))
    with pytest.raises(DataError, match=r"small\.png is 8x8 uint8, but 00001\.jpg is 24x32 uint8"):
        read_images([good, tmp_path / "small.png"])
