"""Which clips a path holds."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from gesture_zoo.data import count_frames, read_frames, write_video
from gesture_zoo.data.media import clips_under
from gesture_zoo.errors import DataError
from gesture_zoo.live import open_source


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in clips_under(folder)]


def test_videos_and_folders_of_frames_in_order_without_depth(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.mp4", "b/10.mp4", "b/2.depth.mkv", "a/1/0.jpg", "a/1/1.jpg", "a/1.depth/0.png", "notes.txt")
    assert names(tmp_path) == ["a/1", "b/2.mp4", "b/10.mp4"]
    assert clips_under(tmp_path / "b" / "2.mp4") == [tmp_path / "b" / "2.mp4"]
    assert clips_under(tmp_path / "a" / "1") == [tmp_path / "a" / "1"]


def test_what_systems_leave_behind_is_no_clip(tmp_path: Path) -> None:
    touch(
        tmp_path, "a/1.mp4", "a/Thumbs.db", "a/desktop.ini", "__MACOSX/a/1.mp4", "a/.hidden.mp4", "a/2.M4V", "a/3.wmv"
    )
    assert names(tmp_path) == ["a/1.mp4", "a/2.M4V", "a/3.wmv"]


@pytest.mark.parametrize(("name", "codec"), [("a.m4v", "mpeg4"), ("a.wmv", "wmv2")])
def test_videos_of_other_systems(name: str, codec: str, tmp_path: Path) -> None:
    container = av.open(str(tmp_path / name), "w", format="mp4" if name.endswith("m4v") else "asf")
    with container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in range(12):
            picture = np.full((48, 64, 3), 20 * level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    assert clips_under(tmp_path) == [tmp_path / name]
    assert count_frames(tmp_path / name) == 12
    levels = read_frames(tmp_path / name, [0, 7, 11]).float().mean((1, 2, 3))
    assert (levels / 20).round().tolist() == [0, 7, 11]


def test_pairs_as_isogd_has_them(tmp_path: Path) -> None:
    touch(tmp_path, "M_00001.avi", "K_00001.avi", "K_00002.avi")
    assert names(tmp_path) == ["K_00002.avi", "M_00001.avi"], "the second is no pair: it may be a clip of that name"


def test_what_holds_no_clip_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file or folder .*nowhere"):
        clips_under(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no videos .* and no folders of images"):
        clips_under(tmp_path)
    touch(tmp_path, "both/0.jpg", "both/1.mp4")
    with pytest.raises(DataError, match="both holds images and videos: is it a clip, or does it hold clips"):
        clips_under(tmp_path)


def test_a_name_with_a_colon_is_no_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "2024-01-01T10:30.mp4"
    write_video(np.zeros((3, 32, 32, 3), np.uint8), name)
    assert count_frames(name) == 3
    assert read_frames(name, [1]).shape == (1, 3, 32, 32)
    with open_source(name) as source:
        assert len(list(source)) == 3
