"""benchmarks/load.py at a small size: what grows, mixes or has no answer is found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import load_meter
import load_streams
import load_videos
from load_meter import Curve, Point, curve, curve_table, heard
from load_streams import Content, Load
from reliability_tools import Forked

from gesture_zoo.runtime import Runner

CLASSES = 16


def flat(memory: list[float], objects: int = 5) -> Curve:
    return Curve([Point(number, value, 10, objects, 3) for number, value in enumerate(memory, start=1)], 1.0, 0)


def test_growth_counts_after_the_warm_up() -> None:
    assert flat([1, 100, 101, 101.9, 101, 100, 101, 101, 100, 100]).faults() == []
    assert flat([1, 100, 100, 100, 100, 100, 105, 100, 100, 100]).faults() == ["memory grew by 5.0 %"]
    assert "100.0; 105.0" in curve_table({"mine": flat([100, 105])})


def test_no_two_streams_have_the_same_frame() -> None:
    content = Content(8, 32)
    frames = [{content.frame(stream, tick).tobytes() for tick in range(50)} for stream in range(8)]
    assert len(set.union(*frames)) == sum(map(len, frames))


@pytest.fixture(scope="module", autouse=True)
def few_points() -> Iterator[None]:
    """Counting all objects of a test run takes its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load_meter, "POINTS", 2)
        yield


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Load]:
    """Four streams of 25 frames in every way, in PyTorch."""
    folder = tmp_path_factory.mktemp("load")
    load = Load(4, 25, 32, folder / "model.onnx")
    for serve in (load_streams.batched, load_streams.separate, load_streams.threads):
        serve(load, load_streams.torch_runner, folder / serve.__name__)
    load_streams.alone(load, load_streams.torch_runner, folder / "alone", every=2)
    return folder, load


@pytest.mark.parametrize("way", ["batched", "separate", "threads"])
def test_every_stream_has_its_own_answers(answers: tuple[Path, Load], way: str) -> None:
    folder, load = answers
    match = load_streams.compare(folder / way, folder / "alone", load, CLASSES, frames=25, every=2)
    assert match.frames == 50
    assert match.farthest < 1e-4 * match.largest
    assert match.not_shared == 0
    assert load_streams.apart(folder / way, load, CLASSES, 25) > 1


def test_streams_that_share_a_state_are_found(
    answers: tuple[Path, Load], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, load = answers
    monkeypatch.setattr(Runner, "another", lambda runner: runner)
    load_streams.separate(load, load_streams.torch_runner, folder / "mixed")
    match = load_streams.compare(folder / "mixed", folder / "alone", load, CLASSES, frames=25, every=2)
    assert match.farthest > 0.01 * match.largest
    told = curve(capsys.readouterr().out)
    assert [point.done for point in told.points] == [12, 24, 25]


def test_every_video_has_one_answer_or_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "videos"
    kinds = load_videos.write_folder(folder, 20 * len(load_videos.BAD))
    names = {kind: name for name, kind in kinds.items()}
    assert len(names) == len(load_videos.BAD) + 1

    with capsys.disabled():  # the command writes to a pipe
        done = Forked(partial(load_videos.predict, few(folder, names, tmp_path / "few"), ["--clip", "--json"]))
        assert done.end() == 0
    told = heard(done.text)
    assert told["code"] == [2]
    outcomes = load_videos.by_video(told["video"])
    assert load_videos.wrong(outcomes, {name: kind for kind, name in names.items()}) == []


def few(folder: Path, names: dict[str, str], out: Path) -> Path:
    """One of each kind."""
    out.mkdir()
    for name in names.values():
        (folder / name).rename(out / name)
    return out


def test_what_is_wrong_with_answers() -> None:
    kinds = {"a.mp4": "good", "b.mp4": "good", "c.mp4": "empty, .mp4"}
    right = {"a.mp4": [("answer", "x")], "b.mp4": [("answer", "x")], "c.mp4": [("error", "c.mp4 is empty")]}
    assert load_videos.wrong(right, kinds) == []
    for change, fault in [
        ({"a.mp4": []}, "a.mp4 (good): []"),
        ({"b.mp4": [("answer", "y")]}, "2 answers to one .mp4"),
        ({"c.mp4": [("answer", "x")]}, "c.mp4 (empty, .mp4) has an answer"),
        ({"": [("error", "what?")]}, "of no video: what?"),
    ]:
        assert load_videos.wrong(right | change, kinds) == [fault]


def test_rounding_is_not_mixing(tmp_path: Path) -> None:
    load = Load(2, 3, 32, tmp_path)
    for name, value in (("one", 1.0), ("two", 1.000001)):
        kept = load_streams.Answers(tmp_path / name, load, 2)
        for tick in range(3):
            for stream in range(2):
                kept.write(stream, tick, np.array([value, stream]), [])
    match = load_streams.compare(tmp_path / "one", tmp_path / "two", load, 2, frames=3, every=1)
    assert (match.frames, match.equal) == (6, 0)
    assert match.farthest == pytest.approx(1e-6, rel=0.1)
