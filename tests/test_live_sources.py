"""Where frames come from: files, folders, cameras and URLs, each as frames with their times."""

from __future__ import annotations

import http.server
import sys
import threading
import time
import types
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from live_tools import FakeCv2, camera_server, frame
from PIL import Image

from gesture_zoo.data import images, read_frames, segment_indices, write_video
from gesture_zoo.errors import DataError, GestureZooError
from gesture_zoo.live import LiveSource, open_source, opencv
from gesture_zoo.live import files as live_files
from gesture_zoo.live.clip import clip_frames, clip_length, middle_frames
from gesture_zoo.live.source import Reader
from gesture_zoo.live.sources import open_camera
from gesture_zoo.live.video import without_password
from gesture_zoo.live.window import Window


@pytest.fixture(autouse=True)
def _loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")  # FFmpeg's HTTP client reads it


def noise(count: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, *size, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_file_gives_all_its_frames_with_their_times(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"clip{suffix}"
    write_video(noise(12), path, fps=10)
    with open_source(path) as source:
        assert not source.live and source.frame_rate == pytest.approx(10)
        times, frames = zip(*source, strict=True)
    assert times == pytest.approx([i / 10 for i in range(12)])
    np.testing.assert_array_equal(np.stack(frames), read_frames(path, range(12)).permute(0, 2, 3, 1).numpy())
    assert not source.note


def test_a_file_that_was_cut_off_ends_where_it_ends(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.mkv", tmp_path / "cut.mkv"
    write_video(noise(40), whole, fps=10)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert 5 < len(list(open_source(cut))) < 40


def test_damaged_frames_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "damaged.mp4"
    write_video(noise(40), path, fps=10)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(1).bytes(3000)
    path.write_bytes(data)
    with open_source(path) as source:
        count = len(list(source))
    assert 5 < count < 40
    assert "damaged frames were left out" in source.note


def test_a_folder_of_frames_is_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").write_text("not a frame")
    with open_source(tmp_path, folder_rate=4) as source:
        assert [(time, int(rgb[0, 0, 0])) for time, rgb in source] == [(0.0, 1), (0.25, 9), (0.5, 10)]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{tmp}/none.mp4", "there is no file {tmp}/none.mp4"),
        ("{tmp}/empty.mp4", "cannot read video {tmp}/empty.mp4"),
        ("{tmp}", "the folder {tmp} does not hold any images"),
        ("gopher://camera/1", "cannot open gopher://camera/1: a URL starts with http://, https://, rtsp://"),
        ("http://me:secret@127.0.0.1:1/camera", "cannot open http://127.0.0.1:1/camera: "),
        ("rtsp://127.0.0.1:1/camera", "cannot open rtsp://127.0.0.1:1/camera: "),
    ],
)
def test_what_cannot_be_opened_is_said(source: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        open_source(source.format(tmp=tmp_path))
    assert message.format(tmp=tmp_path) in str(caught.value)


def test_passwords_are_not_shown() -> None:
    assert without_password("rtsp://me:a@b@camera:554/1?x=@") == "rtsp://camera:554/1?x=@"


class Counted(Reader):
    """Frames that are there at once, and then a fault."""

    def __init__(self, count: int, fault: Exception | None = None) -> None:
        self.count, self.fault, self.closed = count, fault, False

    def __iter__(self) -> Iterator[int]:
        yield from range(self.count)
        if self.fault is not None:
            raise self.fault

    def convert(self, raw: int) -> np.ndarray:
        return np.full((2, 2, 3), raw, np.uint8)

    def close(self) -> None:
        self.closed = True


def test_of_a_live_source_only_the_newest_frame_is_kept() -> None:
    reader = Counted(10)
    with LiveSource("camera", reader) as source:
        while not reader.closed:
            time.sleep(0.001)
        assert [int(rgb[0, 0, 0]) for _, rgb in source] == [9]
    assert source.live and source.dropped == 9


def test_how_a_live_source_ends() -> None:
    with LiveSource("camera", Counted(1, OSError("unplugged"))) as source:
        assert len(list(source)) == 1
        assert source.note == "unplugged"
    with (
        pytest.raises(DataError, match="camera gave no frame: unplugged"),
        LiveSource("camera", Counted(0, OSError("unplugged"))) as source,
    ):
        list(source)
    with pytest.raises(KeyError), LiveSource("camera", Counted(1, KeyError("ours"))) as source:
        list(source)


def test_a_live_source_stops_while_it_waits() -> None:
    silent = threading.Event()

    class Silent(Counted):
        def __iter__(self) -> Iterator[int]:
            yield 1
            silent.wait()

    source = LiveSource("camera", Silent(0))
    threading.Timer(0.05, source.stop).start()
    assert len(list(source)) == 1
    silent.set()
    source.close()


def test_a_live_source_ends_where_its_reader_waits_for_ever() -> None:
    silent = threading.Event()

    class Stuck(Counted):
        def __iter__(self) -> Iterator[int]:
            yield from range(self.count)
            silent.wait()

    source = LiveSource("camera", Stuck(1), patience=0.2)
    assert len(list(source)) == 1
    assert source.note == "no frame for 0.2 s"
    silent.set()
    source.close()
    assert source.note == "no frame for 0.2 s"
    silent.clear()
    with pytest.raises(DataError, match="camera gave no frame: no frame for 0.2 s"):
        list(LiveSource("camera", Stuck(0), patience=0.2))
    silent.set()


def test_a_camera_is_read_until_it_gives_no_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    blue = np.zeros((4, 6, 3), np.uint8)
    blue[..., 0] = 200  # OpenCV's first channel
    fake = FakeCv2([blue] * 3)
    monkeypatch.setitem(sys.modules, "cv2", fake)
    with open_camera(0, patience=0.05) as source:
        frames = [rgb for _, rgb in source]
    assert 1 <= len(frames) <= 3
    assert frames[0][0, 0].tolist() == [0, 0, 200]
    assert source.note == "the camera gave no frame for 0.05 s"
    assert fake.released == 1


def test_a_camera_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeCv2(None)
    monkeypatch.setitem(sys.modules, "cv2", fake)
    with pytest.raises(DataError, match="cannot open camera 3: is it connected"):
        open_source("3")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(GestureZooError, match=r'camera 3 needs OpenCV: pip install "gesture-zoo\[live\]"'):
        open_source("3")


@pytest.mark.parametrize("kind", ["mjpeg", "mpegts"])
def test_a_stream_that_breaks_off_ends(kind: str) -> None:
    with camera_server([frame(True)] * 60, kind=kind, rate=100) as url, open_source(url, timeout=5) as source:
        assert source.live
        times, frames = zip(*source, strict=True)
    assert times[0] == 0 and list(times) == sorted(times)
    assert abs(int(frames[-1].mean()) - 230) < 5
    assert "reset" in source.note


def test_a_stream_that_falls_silent_ends() -> None:
    with camera_server([frame(True)] * 5, silence=20) as url, open_source(url, timeout=0.5) as source:
        assert len(list(source)) >= 1
    assert source.note == "no data any more"


def test_a_file_behind_a_url_is_read_as_a_file(tmp_path: Path) -> None:
    write_video(noise(12), tmp_path / "clip.mp4", fps=10)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            with open_source(f"http://127.0.0.1:{server.server_port}/clip.mp4") as source:
                assert not source.live
                assert [time for time, _ in source] == pytest.approx([i / 10 for i in range(12)])
        finally:
            server.shutdown()
            thread.join()


def test_the_rules_are_those_of_training_clips() -> None:
    for length in range(1, 60):
        for segments in (1, 3, 8, 16):
            assert middle_frames(length, segments) == segment_indices(length, segments)


def test_clips_are_read_as_in_training(tmp_path: Path) -> None:
    write_video(noise(20), tmp_path / "clip.mp4", fps=10)
    indices = [0, 3, 3, 17]
    expected = read_frames(tmp_path / "clip.mp4", indices).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(np.stack(clip_frames(tmp_path / "clip.mp4", indices)), expected)
    assert clip_length(tmp_path / "clip.mp4") == (20, pytest.approx(2.0))
    with pytest.raises(DataError, match="ends before frame 20: it is truncated or damaged"):
        clip_frames(tmp_path / "clip.mp4", [20])


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "I;16", "jpeg", "webp", "CMYK"])
def test_pictures_are_read_as_in_training(mode: str, tmp_path: Path) -> None:
    picture = Image.fromarray(noise(1)[0])
    path = tmp_path / f"picture.{mode if mode in ('jpeg', 'webp') else 'png'}"
    if mode == "I;16":
        picture = Image.fromarray(np.arange(0, 65536, 21, dtype=np.uint16)[: 48 * 64].reshape(48, 64))
    elif mode == "CMYK":
        path = path.with_suffix(".jpg")
        picture = picture.convert("CMYK")
    elif mode not in ("jpeg", "webp"):
        picture = picture.convert(mode)
    picture.save(path)
    expected = images.read_images([path])[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(live_files.read_picture(path).astype(int), expected.astype(int), atol=2)


def test_a_picture_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(DataError, match=r"cannot read image .*text\.png"):
        list(open_source(tmp_path))


def test_opencv_is_loaded_before_pyav_where_windows_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opencv, "on_linux", lambda: True)
    monkeypatch.setenv("DISPLAY", ":7")
    loaded: list[str] = []
    monkeypatch.setattr(opencv.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(opencv.importlib, "import_module", loaded.append)
    for name in ("av", "cv2"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    opencv.load_before_av()
    assert loaded == ["cv2"]
    monkeypatch.setitem(sys.modules, "av", types.ModuleType("av"))
    opencv.load_before_av()
    assert loaded == ["cv2"], "too late: then it does not cost time either"
    with pytest.raises(GestureZooError, match="a window would hang, because PyAV was imported before OpenCV"):
        Window("never opened")
