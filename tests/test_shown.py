"""Videos and pictures as a player shows them: cut by an edit list, or turned as a phone was held."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from gesture_zoo.data import count_frames, read_frames, segment_indices
from gesture_zoo.data.images import read_images
from gesture_zoo.live import open_source
from gesture_zoo.live.clip import clip_frames, clip_length
from gesture_zoo.live.files import read_picture

LENGTH, KEYS_EVERY, CUT = 60, 20, 15
QUARTER = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 64 << 16, 0, 1 << 30)  # a quarter turn, clockwise


def encode(path: Path, codec: str = "mpeg4", frames: np.ndarray | None = None) -> list[np.ndarray]:
    """Write frames, by default of rising brightness, and return them as decoded."""
    if frames is None:
        frames = np.repeat(np.arange(LENGTH, dtype=np.uint8) * 4, 64 * 96 * 3).reshape(LENGTH, 64, 96, 3)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options={"g": str(KEYS_EVERY), "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture
def cut(tmp_path: Path) -> tuple[Path, list[np.ndarray]]:
    """A video without its first half second, as `ffmpeg -ss 0.5 -c copy` and phones cut it, and what is left."""
    whole, path = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    frames = encode(whole)
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        earlier = int(CUT / 30 / stream.time_base)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - earlier, packet.dts - earlier, copy
                target.mux(packet)
    return path, frames[CUT:]


def test_what_is_cut_off_is_no_frame(cut: tuple[Path, list[np.ndarray]]) -> None:
    path, frames = cut
    assert count_frames(path) == len(frames) == LENGTH - CUT
    assert clip_length(path) == (LENGTH - CUT, pytest.approx((LENGTH - CUT) / 30))
    with open_source(path) as source:
        assert len(list(source)) == LENGTH - CUT
    for indices in ([0], [2], [44], [4, 6, 30], segment_indices(len(frames), 8)):
        expected = np.stack([frames[index] for index in indices])
        read = read_frames(path, indices)
        assert torch.equal(read, torch.from_numpy(expected).permute(0, 3, 1, 2)), indices
        np.testing.assert_array_equal(np.stack(clip_frames(path, indices)), expected)


def test_where_seeking_fails_the_video_is_decoded_from_its_start(tmp_path: Path) -> None:
    frames = encode(tmp_path / "program.mpg", "mpeg2video")
    for indices in ([0, 13, 20, 39], [45], segment_indices(LENGTH, 8)):
        expected = torch.from_numpy(np.stack([frames[index] for index in indices])).permute(0, 3, 1, 2)
        assert torch.equal(read_frames(tmp_path / "program.mpg", indices), expected), indices


@pytest.fixture
def upper_half() -> np.ndarray:
    """A wide picture, white above and black below."""
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:32] = 255
    return picture


def is_white_on_the_right(picture: np.ndarray) -> bool:
    return picture.shape == (96, 64, 3) and picture[:, 40:].min() > 200 and picture[:, :24].max() < 50


def test_a_video_is_turned_as_its_file_says(tmp_path: Path, upper_half: np.ndarray) -> None:
    path = tmp_path / "phone.mp4"
    encode(path, frames=np.stack([upper_half] * 8))
    data = bytearray(path.read_bytes())
    matrix = data.find(b"tkhd") + 4 + 40
    data[matrix : matrix + len(QUARTER)] = QUARTER
    path.write_bytes(data)
    (read,) = read_frames(path, [3]).permute(0, 2, 3, 1).numpy()
    (answered,) = clip_frames(path, [3])
    with open_source(path) as source:
        _, streamed = next(iter(source))
    for picture in (read, answered, streamed):
        assert is_white_on_the_right(picture)
    assert read_frames(path, [3], gray=True).shape == (1, 1, 96, 64)


def test_a_picture_is_turned_as_its_exif_says(tmp_path: Path, upper_half: np.ndarray) -> None:
    picture, path = Image.fromarray(upper_half), tmp_path / "phone.jpg"
    exif = picture.getexif()
    exif[0x112] = 6
    picture.save(path, exif=exif, quality=95)
    assert is_white_on_the_right(read_picture(path))
    assert is_white_on_the_right(read_images([path])[0].permute(1, 2, 0).numpy())


def test_depth_of_a_format_that_knows_colour_only_is_gray(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save(tmp_path / "depth.webp", lossless=True)
    depth = read_images([tmp_path / "depth.webp"], gray=True)
    assert depth.shape == (1, 1, 8, 8) and int(depth.float().mean()) in (199, 200, 201)
