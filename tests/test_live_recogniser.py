"""From frames to events and to the answer for a clip, and what is drawn of it."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from live_tools import Brightness, brightness_info, flashes, frame, write_brightness
from PIL import Image, ImageChops

import gesture_zoo
from gesture_zoo.data import write_video
from gesture_zoo.engine import predict_video
from gesture_zoo.errors import DataError, GestureZooError, ModelError
from gesture_zoo.export import export_model
from gesture_zoo.live import (
    Event,
    EventDetector,
    Overlay,
    Recogniser,
    Recorder,
    Seen,
    open_source,
    predict_clip,
    recognise,
)
from gesture_zoo.runtime import Runner, open_exported
from gesture_zoo.runtime.torch_runner import TorchRunner

SHARP = {"smoothing": "none", "min_frames": 1}


def test_every_gesture_is_one_event(tmp_path: Path) -> None:
    frames = flashes(40, range(5, 12), range(20, 30))
    write_video(np.stack([rgb for _, rgb in frames]), tmp_path / "clip.mp4", fps=10)
    detector = EventDetector(("flash", "nothing"), **SHARP)
    for source in (frames, tmp_path / "clip.mp4", str(tmp_path / "clip.mp4")):
        found = list(recognise(source, Brightness(), detector=detector))
        assert [(e.label, round(e.start, 3), round(e.end, 3)) for e in found] == [
            ("flash", 0.5, 1.1),
            ("flash", 2.0, 2.9),
        ]


class LeftOrRight(Brightness):
    """Says on which side of the picture it is brighter."""

    def advance(self, frame: np.ndarray) -> np.ndarray:
        half = frame.shape[-1] // 2
        return np.array([[9 * frame[..., :half].mean(), 9 * frame[..., half:].mean()]], np.float32)


@pytest.mark.parametrize(("mirror", "label"), [(False, "flash"), (True, "nothing")])
def test_a_mirrored_stream_has_left_and_right_exchanged(mirror: bool, label: str) -> None:
    left = np.zeros((8, 8, 3), np.uint8)
    left[:, :4] = 255
    detector = EventDetector(("flash", "nothing"), no_gesture=(), **SHARP)
    frames = [(index / 10, left) for index in range(8)]
    assert [event.label for event in recognise(frames, LeftOrRight(), detector=detector, mirror=mirror)] == [label]


def test_an_event_is_told_when_it_has_ended_and_the_last_one_at_the_end() -> None:
    told = []

    def watched():
        for time, rgb in flashes(10, range(2, 4), range(8, 10)):
            told.append(time)
            yield time, rgb

    events = recognise(watched(), Brightness(), detector=EventDetector(("flash", "nothing"), **SHARP))
    assert next(events).end == 0.3
    assert told[-1] == 0.4
    assert next(events).end == 0.9


def test_an_exported_file_sees_the_same(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    frames = flashes(30, range(5, 12))
    found = [
        list(recognise(frames, runner))
        for runner in (Brightness(), open_exported(write_brightness(tmp_path / "b.onnx")))
    ]
    assert [event.label for event in found[0]] == ["flash"]
    assert [(e.label, e.start, e.end) for e in found[0]] == [(e.label, e.start, e.end) for e in found[1]]


@pytest.mark.parametrize(
    ("source", "rate", "seen"), [(30, 12, 24), (30, 30, 60), (30, 7.5, 15), (25, 10, 20), (10, 30, 20)]
)
def test_frames_are_skipped_by_their_time(source: float, rate: float, seen: int) -> None:
    recogniser = Recogniser(Brightness(), rate=rate)
    rng = np.random.default_rng(0)
    times = [i / source + rng.uniform(0, 0.05) / source for i in range(round(2 * source))]
    looked = [time for time in times if recogniser.see(frame(False), 100 + time) is not None]
    assert len(looked) == recogniser.frames == seen
    assert recogniser.skipped == len(times) - seen
    assert np.diff(looked).min() > 0.5 / rate
    assert np.diff(looked).max() < 1 / rate + 1.2 / source


def test_after_a_gap_the_model_and_the_detector_start_anew() -> None:
    class Counting(Brightness):
        resets = 0

        def reset(self) -> None:
            super().reset()
            self.resets += 1

    recogniser = Recogniser(runner := Counting(), EventDetector(("flash", "nothing"), max_gap=1.0, **SHARP))
    at_first, times = runner.resets, [0.0, 0.1, 0.2, 60.0, 60.1, 61.1]
    ended = [event for time in times for event in recogniser.see(frame(True), time).ended]
    assert [(event.start, event.end) for event in [*ended, *recogniser.flush()]] == [(0.0, 0.2), (60.0, 61.1)]
    assert runner.resets == at_first + 1


@pytest.mark.parametrize("bad", [None, [[0]], "frame", np.zeros((8, 8, 3))])
def test_what_is_no_frame_leaves_the_recogniser_as_it_was(bad: object) -> None:
    recogniser = Recogniser(Brightness(), rate=10)
    with pytest.raises(DataError, match=r"a frame is \(H, W, 3\) uint8, got"):
        recogniser.see(bad, 0.0)
    assert recogniser.see(frame(True), 0.0) is not None and recogniser.skipped == 0


def test_a_detector_of_other_labels_is_refused() -> None:
    with pytest.raises(ModelError, match="the detector is for 3 classes, .* has 2: EventDetector.runner.info.labels."):
        Recogniser(Brightness(), EventDetector(("a", "b", "c")))


def test_the_model_says_its_rate() -> None:
    assert Recogniser(Brightness(frame_rate=12.0)).rate == 12
    assert Recogniser(Brightness(frame_rate=12.0), rate=5).rate == 5
    assert Recogniser(Brightness()).rate is None


def test_what_a_recogniser_does_not_take() -> None:
    with pytest.raises(DataError, match="the rate is a number of frames a second above 0, got 0"):
        Recogniser(Brightness(), rate=0)
    for channels in (1, 4):
        with pytest.raises(ModelError, match="brightness sees depth.*: only clips"):
            Recogniser(Brightness(input_size=(channels, 32, 32)))


def test_a_recogniser_starts_anew_and_knows_the_whole() -> None:
    recogniser = Recogniser(Brightness())
    for _ in range(2):
        for time, rgb in flashes(10, range(1, 10)):
            recogniser.see(rgb, time)
        assert recogniser.frames == 10
        assert recogniser.overall(1)[0] == ("flash", pytest.approx(0.9, abs=0.01))
        assert recogniser.step_seconds > 0
        recogniser.reset()


def test_a_recogniser_does_not_grow() -> None:
    class Still(Runner):
        def advance(self, frame: np.ndarray) -> np.ndarray:
            return np.array([[1.0, -1.0]], np.float32)

    recogniser, rgb = Recogniser(Still(brightness_info())), frame(bright=True)
    held = []
    tracemalloc.start()
    for number in range(2400):
        recogniser.see(rgb, number / 10)
        if number in (1199, 2399):
            held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert held[1] - held[0] < 4096


@pytest.mark.parametrize(
    ("kind", "way"),
    [("clip", "torch"), ("stream", "torch"), ("stream", ".onnx"), ("stream", ".xml"), ("stream", ".pt2")],
)
def test_runners_of_one_model_do_not_mix(kind: str, way: str, tmp_path: Path) -> None:
    model = gesture_zoo.create_model("tsm_test_resnet_online" if kind == "stream" else "tsm_test_resnet", num_classes=4)
    model.pretrained_cfg["input_size"] = (3, 32, 32)
    if way == "torch":
        runner = TorchRunner(model)
    else:
        pytest.importorskip({".onnx": "onnxscript", ".xml": "openvino", ".pt2": "torch"}[way])
        runner = open_exported(export_model(model, tmp_path / f"model{way}", stream=kind == "stream").path)
    clips = np.random.default_rng(0).standard_normal((4, 10, 1, 3, 32, 32), np.float32)

    def logits(clip: np.ndarray, mine: Runner) -> np.ndarray:
        return np.concatenate([mine.step(frame) for frame in clip])

    with ThreadPoolExecutor(len(clips)) as pool:
        together = list(pool.map(logits, clips, [runner.another() for _ in clips]))
    for clip, answers in zip(clips, together, strict=True):
        runner.reset()
        np.testing.assert_allclose(answers, logits(clip, runner), rtol=1e-5, atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 1e-3


def opinionated(name: str) -> torch.nn.Module:
    """A model whose classes are not all equally probable."""
    model = gesture_zoo.create_model(name, num_classes=4, num_segments=4)
    with torch.no_grad():
        model.get_classifier().weight.mul_(50)
    return model


@pytest.mark.parametrize(
    ("name", "way"),
    [("tsm_test_resnet", "torch"), ("tsm_test_resnet_online", "torch"), ("tsm_test_resnet_online", "exported")],
)
def test_a_clip_is_answered_as_by_predict_video(name: str, way: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_video(np.random.default_rng(0).integers(0, 255, (20, 160, 240, 3), np.uint8), path, fps=10)
    model = opinionated(name)
    if way == "exported":
        pytest.importorskip("onnxscript")
        runner = open_exported(export_model(model, tmp_path / "model.onnx", stream="online" in name).path)
    else:
        runner = TorchRunner(model)
    found, expected = predict_clip(runner, path, topk=4), predict_video(model, path, topk=4)
    assert max(p.score for p in expected) > 0.4, "it says something"
    assert [p.label for p in found] == [p.label for p in expected]
    np.testing.assert_allclose([p.score for p in found], [p.score for p in expected], atol=0.01)
    assert {(p.start, round(p.end, 3)) for p in found} == {(0.0, 2.0)}

    seen, expected = predict_clip(runner, path, topk=4, mirror=True), predict_video(model, path, topk=4, mirror=True)
    assert [p.score for p in seen] != [p.score for p in found]
    np.testing.assert_allclose([p.score for p in seen], [p.score for p in expected], atol=0.01)


def test_a_mirrored_clip_has_left_and_right_exchanged(tmp_path: Path) -> None:
    left = np.zeros((32, 32, 3), np.uint8)
    left[:, :16] = 255
    for number in range(6):
        Image.fromarray(left).save(tmp_path / f"{number}.png")
    plain, mirrored = Brightness("clip"), Brightness("clip")
    predict_clip(plain, tmp_path)
    predict_clip(mirrored, tmp_path, mirror=True)
    np.testing.assert_array_equal(mirrored.given[0], plain.given[0][..., ::-1])


def test_a_clip_is_a_folder_too(tmp_path: Path) -> None:
    for number in range(6):
        Image.fromarray(frame(True)).save(tmp_path / f"{number}.png")
    runner = Brightness("clip")
    (prediction,) = predict_clip(runner, tmp_path, topk=1, folder_rate=12)
    assert prediction.label == "flash" and prediction.end == 0.5
    assert runner.given[0].shape == (1, 4, 3, 32, 32)
    with pytest.raises(ModelError, match="topk must be at least 1"):
        predict_clip(runner, tmp_path, topk=0)


LABELS = ("swipe_left", "a label that is far too long for a small picture, and for most others", "手を振る\n", "")
SCORES = np.array([0.9, 0.06, 0.03, 0.01])


@pytest.mark.parametrize("size", [(1, 1), (20, 20), (120, 160), (480, 640), (640, 360), (60, 400), (1080, 1920)])
def test_anything_can_be_drawn_on_any_frame(size: tuple[int, int]) -> None:
    rgb = np.full((*size, 3), 128, np.uint8)
    recent = [Event(label, 0.9, 1.0, 2.0, 1.1) for label in LABELS]
    for label in LABELS:
        active = Event(label, 0.9, 1.0, None, 1.1)
        drawn = Overlay(LABELS, topk=5).draw(rgb, Seen(1.0, SCORES, active, []), recent=recent, rate=25)
        assert drawn.shape == rgb.shape and drawn.dtype == np.uint8
    assert (rgb == 128).all(), "the frame itself stays as it is"
    assert Overlay(LABELS).draw(rgb, None).shape == rgb.shape


@pytest.mark.parametrize("level", [0, 128, 255])
def test_text_stands_out_on_any_picture(level: int) -> None:
    rgb = np.full((240, 320, 3), level, np.uint8)
    drawn = Overlay(LABELS).draw(rgb, Seen(1.0, SCORES, Event("swipe_left", 0.9, 1.0, None, 1.1), []))
    strip = drawn[2:20].max(axis=2)
    assert int(strip.max()) - int(np.median(strip)) > 120
    middle = slice(60, 140)
    assert (drawn[middle] == level).all(), "the middle of the picture is left free"


def test_what_is_drawn_depends_on_what_was_seen() -> None:
    rgb, overlay = np.full((240, 320, 3), 128, np.uint8), Overlay(LABELS)
    states = [None, Seen(1.0, SCORES, None, []), Seen(1.0, SCORES, Event("swipe_left", 0.9, 1.0, None, 1.1), [])]
    pictures = [Image.fromarray(overlay.draw(rgb, seen)) for seen in states]
    assert all(ImageChops.difference(a, b).getbbox() for a, b in pairwise(pictures))


def test_a_font_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "font.ttf").write_text("no font")
    with pytest.raises(DataError, match=r"cannot read the font .*font\.ttf: expected a \.ttf"):
        Overlay(LABELS, font=tmp_path / "font.ttf")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_recording_keeps_uneven_times(suffix: str, tmp_path: Path) -> None:
    path, times = tmp_path / f"out{suffix}", [0.0, 0.1, 0.5, 0.5, 1.2]
    with Recorder(path) as recorder:
        for number, time in enumerate(times):
            recorder.write(frame(True, (49, 65) if number != 3 else (20, 20)), time)
        assert not path.exists(), "not before it is complete"
    with open_source(path) as source:
        found, frames = zip(*source, strict=True)
    np.testing.assert_allclose(found, times, atol=2e-3)
    assert frames[0].shape == (48, 64, 3)
    assert list(tmp_path.iterdir()) == [path]


def test_a_recording_that_cannot_be(tmp_path: Path) -> None:
    for name, message in (("out.txt", "the name of a video ends in"), ("none/out.mp4", "none does not exist")):
        with pytest.raises(GestureZooError, match=message):
            Recorder(tmp_path / name)
    with Recorder(tmp_path / "out.mp4") as recorder, pytest.raises(DataError, match=r"a frame is \(H, W, 3\) uint8"):
        recorder.write(np.zeros((8, 8), np.uint8), 0.0)
    assert not list(tmp_path.iterdir()), "no frames, no file"


@pytest.mark.parametrize("rate", [None, 10.0])
def test_another_source_begins_with_a_reset(rate: float | None) -> None:
    recogniser = Recogniser(Brightness(), rate=rate)
    recogniser.see(frame(True), 1.0)
    steps = recogniser.runner.given[:]
    for time in (0.5, float("nan")):
        with pytest.raises(ModelError, match=r"times must not go back: .* came after 1\.0 s; reset\(\) starts anew"):
            recogniser.see(frame(True), time)
    assert len(recogniser.runner.given) == len(steps), "the model saw nothing of it"
    recogniser.reset()
    assert recogniser.see(frame(True), 0.5) is not None
