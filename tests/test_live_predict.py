"""gesture-zoo predict: clips, videos in a folder, streams; what is printed where, and how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from live_tools import FakeCv2, camera_server, flashes, frame, write_brightness

import gesture_zoo
from gesture_zoo.cli import build_parser, main
from gesture_zoo.cli.parser import COMMANDS
from gesture_zoo.data import write_video
from gesture_zoo.live import open_source

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SHARP = ("--smoothing", "none", "--min-frames", "1")
HEAVY = ("torch", "torchvision", "timm")


def run(*argv: object) -> int:
    try:
        return main([str(text) for text in argv])
    except SystemExit as exit:
        return int(exit.code or 0)


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    """A model made for streams."""
    return write_brightness(tmp_path / "stream.onnx")


@pytest.fixture
def clip_model(tmp_path: Path) -> Path:
    return write_brightness(tmp_path / "clip.onnx", "clip")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Three seconds with two gestures."""
    frames = flashes(30, range(5, 10), range(20, 30))
    write_video(np.stack([rgb for _, rgb in frames]), tmp_path / "video.mp4", fps=10)
    return tmp_path / "video.mp4"


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_events_of_a_file_are_json_lines(stream: Path, video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("predict", video, "--onnx", stream, *SHARP) == 0
    printed = capsys.readouterr()
    assert lines(printed.out) == [
        {"label": "flash", "score": 1.0, "start": 0.5, "end": 0.9},
        {"label": "flash", "score": 1.0, "start": 2.0, "end": 2.9},
    ]
    assert "note: brightness does not say how many frames a second it is for: it sees all, 10 a second" in printed.err
    assert "source ended after 2.9 s" in printed.err
    assert "30 frames in" in printed.err and "ms a step (median)" in printed.err and "times real time" in printed.err


def test_a_source_that_is_slower_than_the_model_is_said_to_be(
    stream: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("predict", video, "--onnx", stream, "--rate", "15") == 0
    said = "note: the source has 10 frames a second and brightness is for 15: gestures look faster to it than they are"
    assert said in capsys.readouterr().err
    assert run("predict", video, "--onnx", stream, "--rate", "12") == 0
    assert "the source has" not in capsys.readouterr().err


def test_clips_in_folders_of_classes_are_pointed_at(
    stream: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clips" / "wave").mkdir(parents=True)
    shutil.copy(video, tmp_path / "clips" / "wave")
    assert run("predict", tmp_path / "clips", "--onnx", stream) == 2
    assert f"in its folders: name one of them, such as {tmp_path / 'clips' / 'wave'}" in capsys.readouterr().err


def test_a_clip_has_its_most_probable_classes(
    clip_model: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("predict", video, "--onnx", clip_model) == 0
    # Of its four frames one is bright.
    assert capsys.readouterr().out == "nothing  100.0 %\nflash      0.0 %\n"
    assert run("predict", video, "--onnx", clip_model, "--json", "--topk", 1) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["source"] == str(video)
    assert [(p["label"], p["start"], p["end"]) for p in record["predictions"]] == [("nothing", 0.0, 3.0)]


def test_which_answer_a_file_gets_can_be_chosen(
    stream: Path, clip_model: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("predict", video, "--onnx", stream, "--clip", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["predictions"]) == 2
    assert run("predict", video, "--onnx", clip_model, "--events") == 0
    assert [event["label"] for event in lines(capsys.readouterr().out)] == ["flash", "flash"]


def test_videos_of_a_folder_are_answered_in_order(
    stream: Path, clip_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    for number, bright in ((10, False), (9, True)):
        write_video(np.stack([frame(bright)] * 6), folder / f"{number}.mp4")
    write_video(np.stack([frame(True)] * 6), folder / "9.depth.mkv")
    assert run("predict", folder, "--onnx", clip_model) == 0
    assert capsys.readouterr().out == "9.mp4   100.0 %  flash\n10.mp4  100.0 %  nothing\n"
    (folder / "11.mp4").write_bytes(b"broken")
    assert run("predict", folder, "--onnx", clip_model, "--json") == 2
    printed = capsys.readouterr()
    answers = {Path(answer["source"]).name: answer["predictions"][0]["label"] for answer in lines(printed.out)}
    assert answers == {"9.mp4": "flash", "10.mp4": "nothing"}
    assert f"gesture-zoo: error: cannot read video {folder / '11.mp4'}" in printed.err
    assert run("predict", folder, "--onnx", stream) == 2
    printed = capsys.readouterr()
    assert [(event["source"], event["label"]) for event in lines(printed.out)] == [(str(folder / "9.mp4"), "flash")]
    assert f"{folder / '10.mp4'}: no gesture; mean over all frames: nothing 100.0 %" in printed.err


def test_a_folder_of_frames_has_a_rate(stream: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    for number, (_, rgb) in enumerate(flashes(30, range(10, 20))):
        (tmp_path / "frames").mkdir(exist_ok=True)
        Image.fromarray(rgb).save(tmp_path / "frames" / f"{number}.jpg")
    assert run("predict", tmp_path / "frames", "--onnx", stream, "--folder-rate", 5, *SHARP) == 0
    assert [(e["start"], e["end"]) for e in lines(capsys.readouterr().out)] == [(2.0, 3.8)]


def test_a_folder_may_be_called_as_a_camera(
    stream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    (tmp_path / "0").mkdir()
    for number, (_, rgb) in enumerate(flashes(30, range(10, 20))):
        Image.fromarray(rgb).save(tmp_path / "0" / f"{number}.jpg")
    monkeypatch.chdir(tmp_path)
    assert run("predict", "./0", "--onnx", stream, "--folder-rate", 5, *SHARP) == 0
    assert len(lines(capsys.readouterr().out)) == 1
    with open_source(Path("./0")) as source:
        assert len(list(source)) == 30


def test_frames_are_skipped_to_the_models_rate(stream: Path, video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("predict", video, "--onnx", stream, "--rate", 5, *SHARP) == 0
    printed = capsys.readouterr()
    assert [(e["start"], e["end"]) for e in lines(printed.out)] == [(0.6, 0.8), (2.0, 2.8)]
    assert "15 frames in" in printed.err and "; 15 frames between were skipped, for 5 a second" in printed.err
    assert "note:" not in printed.err


def test_max_seconds_and_thresholds(stream: Path, video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("predict", video, "--onnx", stream, "--max-seconds", 0.8, *SHARP) == 0
    printed = capsys.readouterr()
    assert [(e["start"], e["end"]) for e in lines(printed.out)] == [(0.5, 0.7)]
    assert "source stopped after 0.7 s" in printed.err
    assert run("predict", video, "--onnx", stream, "--min-duration", 0.6, *SHARP) == 0
    assert [e["start"] for e in lines(capsys.readouterr().out)] == [2.0]
    assert run("predict", video, "--onnx", stream, "--no-gesture", "flash", "nothing") == 2
    assert run("predict", video, "--onnx", stream, "--no-gesture", *SHARP) == 0
    assert "nothing" in {event["label"] for event in lines(capsys.readouterr().out)}


@pytest.mark.parametrize("kind", ["mjpeg", "mpegts"])
def test_a_stream_that_breaks_off_ends_well(kind: str, stream: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # The gesture is on when the connection goes: it is an event all the same.
    frames = [rgb for _, rgb in flashes(120, range(70, 120))]
    with camera_server(frames, kind=kind, rate=100) as url:
        assert run("predict", url, "--onnx", stream) == 0
    printed = capsys.readouterr()
    assert [event["label"] for event in lines(printed.out)] == ["flash"]
    assert "source ended after" in printed.err and "reset by peer" in printed.err
    assert "ms a step (median)" in printed.err and "real time" not in printed.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_the_end_of_a_live_source(number: int, stream: Path, tmp_path: Path) -> None:
    frames = [rgb for _, rgb in flashes(60, range(20, 40))]
    record = tmp_path / "seen.mp4"
    with camera_server(frames, endless=True) as url:
        command = [sys.executable, "-m", "gesture_zoo", "predict", url, "--onnx", str(stream), "--record", str(record)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        assert json.loads(process.stdout.readline())["label"] == "flash", "it is there at once, not at the end"
        process.send_signal(number)
        _, said = process.communicate()
        watchdog.cancel()
    assert process.returncode == 0, said
    assert "source stopped after" in said and "ms a step" in said and f"recorded: {record}" in said
    assert len(list(open_source(record))) > 10


def test_ctrl_c_interrupts_a_file(stream: Path, video: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    from gesture_zoo.live import Recogniser

    see = Recogniser.see

    def interrupted(self, rgb, time):
        if time > 0.65:
            os.kill(os.getpid(), signal.SIGINT)
        return see(self, rgb, time)

    monkeypatch.setattr(Recogniser, "see", interrupted)
    before = signal.getsignal(signal.SIGINT)
    assert run("predict", video, "--onnx", stream, *SHARP) == 130
    assert signal.getsignal(signal.SIGINT) is before
    printed = capsys.readouterr()
    assert [(e["start"], e["end"]) for e in lines(printed.out)] == [(0.5, 0.7)]
    assert printed.err.splitlines()[-1] == "gesture-zoo: interrupted"


def test_a_window_shows_what_is_seen_and_q_ends_it(
    stream: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeCv2(keys={12: "q"})
    monkeypatch.setitem(sys.modules, "cv2", fake)
    monkeypatch.setenv("DISPLAY", ":7")
    record = tmp_path / "record.mp4"
    assert run("predict", video, "--onnx", stream, "--display", "--record", record, *SHARP) == 0
    assert len(fake.shown) == 12 == len(list(open_source(record)))
    assert not fake.windows, "it is closed"
    bgr = fake.shown[-1]
    assert bgr.shape == (48, 64, 3) and len(np.unique(bgr)) > 10, "something is written on it"
    printed = capsys.readouterr()
    assert "source stopped after 1.1 s" in printed.err
    assert len(lines(printed.out)) == 1
    assert run("predict", video, "--onnx", stream) == 0
    assert len(fake.shown) == 12, "no window where nobody looks at the terminal"


def test_a_camera_with_a_window(stream: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    frames = [frame(True)] * 30
    monkeypatch.setitem(sys.modules, "cv2", FakeCv2(frames))
    monkeypatch.setenv("DISPLAY", ":7")
    assert run("predict", "0", "--onnx", stream, "--display") == 0
    printed = capsys.readouterr()
    assert [event["label"] for event in lines(printed.out)] == ["flash"]
    assert "(the camera gave no frame for 2 s)" in printed.err


def test_no_window_where_there_is_none(stream: Path, video: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert run("predict", video, "--onnx", stream, "--display") == 2
    assert "there is no display to open a window on" in capsys.readouterr().err
    fake = FakeCv2()
    monkeypatch.setitem(sys.modules, "cv2", fake)
    monkeypatch.setenv("DISPLAY", ":7")

    def fail(title: str, flags: int) -> None:
        raise fake.error("not built with windows")

    monkeypatch.setattr(fake, "namedWindow", fail)
    assert run("predict", video, "--onnx", stream, "--display") == 2
    assert "OpenCV cannot open a window" in capsys.readouterr().err
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run("predict", video, "--onnx", stream) == 0, "not asked for, it is only a note"
    assert "note: no window: OpenCV cannot open a window" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert run("predict", video, "--onnx", stream, "--display") == 2
    assert 'pip install "gesture-zoo[live]"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("{tmp}/none.mp4 --onnx {stream}", "there is no file {tmp}/none.mp4"),
        ("{tmp}/empty --onnx {stream}", "the folder {tmp}/empty holds neither images"),
        ("{video} --onnx {tmp}/none.onnx", "there is no file {tmp}/none.onnx"),
        ("{video} --exported {video}", "expected a file .onnx (ONNX Runtime) or .xml (OpenVINO)"),
        ("{video} --onnx {stream} --clip --rate 5", "--rate is for streams: add --events, or leave it out"),
        ("{video} --onnx {clip} --min-frames 5", "--min-frames is for streams: add --events, or leave it out"),
        ("{video} --onnx {stream} --clip --events", "not allowed with argument --clip"),
        ("{video} --onnx {stream} --rate 0", "the rate is a number of frames a second above 0"),
        ("{video} --onnx {stream} --on 0.2", "expected 0 < off <= on <= 1"),
        ("{video} --onnx {stream} --topk 0", "topk must be at least 1"),
        ("{video} --onnx {stream} --max-seconds 0", "--max-seconds is a number of seconds above 0"),
        ("{video} --onnx {stream} --folder-rate -1", "--folder-rate is a number of frames a second above 0"),
        ("{video} --onnx {stream} --no-gesture wave", "'wave' is none of the classes flash, nothing"),
        ("{video} --onnx {stream} --record {tmp}/out.gif", "the name of a video ends in .mkv"),
        (
            "{video} --onnx {stream} --record {video}",
            "--record {video}: it is the clip that is read; name another file",
        ),
        ("{tmp}/videos --onnx {stream} --record {tmp}/out.mp4", "--record writes one video, and {tmp}/videos holds 1"),
        ("http://127.0.0.1:1/camera --onnx {stream} --clip", "--clip is for files and folders with one gesture"),
        ("http://127.0.0.1:1/camera --onnx {stream}", "cannot open http://127.0.0.1:1/camera: "),
        ("{video} --onnx {depth} --events", "only clips that have depth can be given to it"),
        ("{video} --checkpoint {tmp}/depth --events", "only clips that have depth can be given to it"),
    ],
)
def test_bad_input_is_one_line(
    argv: str, message: str, stream: Path, clip_model: Path, video: Path, tmp_path: Path, capsys
) -> None:
    places = {"tmp": tmp_path, "stream": stream, "clip": clip_model, "video": video}
    places["depth"] = write_brightness(tmp_path / "depth.onnx", input_size=(1, 32, 32))
    if "/depth" in argv:
        gesture_zoo.save_pretrained(gesture_zoo.create_model("tsm_test_resnet", in_chans=1), tmp_path / "depth")
    (tmp_path / "empty").mkdir()
    (tmp_path / "videos").mkdir()
    video_too = tmp_path / "videos" / "video.mp4"
    video_too.write_bytes(video.read_bytes())
    before = video.read_bytes()
    assert run("predict", *argv.format(**places).split()) == 2
    printed = capsys.readouterr()
    errors = [line for line in printed.err.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert message.format(**places) in errors[0]
    assert "Traceback" not in printed.err
    assert not printed.out
    assert video.read_bytes() == before


def test_an_empty_source_is_not_the_current_folder(
    stream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(np.zeros((3, 32, 32, 3), np.uint8), tmp_path / "here.mp4")
    assert run("predict", "", "--onnx", stream) == 2
    assert "error: SOURCE is empty: name a video, a folder (. is this one)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "expected"),
    [("tsm_test_resnet_online", "events"), ("tsm_test_resnet", "clip"), ("tsn_test_resnet", "clip")],
)
def test_a_checkpoint_is_streamed_if_it_is_causal(
    name: str, expected: str, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gesture_zoo.save_pretrained(gesture_zoo.create_model(name, num_classes=3), tmp_path / "model")
    assert run("predict", video, "--checkpoint", tmp_path / "model") == 0
    printed = capsys.readouterr()
    assert ("times real time" in printed.err) == (expected == "events")
    assert run("predict", video, "--checkpoint", tmp_path / "model", "--events", "--on", 0.01, "--off", 0.01) == 0
    (event,) = lines(capsys.readouterr().out)
    assert (event["start"], event["end"]) == (0.0, 2.9)


@pytest.mark.parametrize("way", ["--clip", "--events"])
def test_an_exported_file_runs_without_pytorch(way: str, stream: Path, video: Path) -> None:
    code = (
        "import sys; from gesture_zoo.cli import main; code = main(sys.argv[1:]); "
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    command = [sys.executable, "-c", code, "predict", str(video), "--onnx", str(stream), way]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "flash" in done.stdout
    assert done.stderr.splitlines()[-1] == "[]"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, contextlib\nfrom gesture_zoo.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(f"    {name}" in done.stdout for name in COMMANDS)


def test_the_short_parser_says_what_the_whole_one_says() -> None:
    whole, short = build_parser(), build_parser(["list"])
    assert whole.format_help() == short.format_help()
    for name in COMMANDS:
        one = build_parser(["--traceback", name, "x"])
        assert subparser(one, name).format_help() == subparser(whole, name).format_help()
    assert "--traceback" not in subparser(short, "train").format_help()


def subparser(parser, name: str):
    return next(action for action in parser._actions if action.dest == "command").choices[name]
