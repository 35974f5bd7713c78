"""Many short videos, some of them corrupt, through predict and its functions; for load.py."""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from load_meter import PATIENCE, POINTS, Meter, Point, memory, say
from load_streams import MODEL, Content
from reliability_tools import command

import gesture_zoo
from gesture_zoo.data import write_video
from gesture_zoo.engine import predict_video
from gesture_zoo.errors import GestureZooError
from gesture_zoo.live import predict_clip, recognise
from gesture_zoo.packaged import packaged_file
from gesture_zoo.runtime import open_exported

SIDE, FRAMES = 64, 12
BAD_EVERY = 20
GOOD = (".mp4", ".avi", ".mkv")
# What is wrong with a file: its kind and suffix.
BAD = (
    *[("truncated", suffix) for suffix in (".mp4", ".avi", ".mkv")],
    *[("empty", suffix) for suffix in (".mp4", ".avi")],
    *[("text", suffix) for suffix in (".mp4", ".avi")],
    *[("no frames", suffix) for suffix in (".mp4", ".avi")],
    *[("no video, sound", suffix) for suffix in (".mp4", ".avi")],
    *[("a folder", suffix) for suffix in (".mp4", ".avi")],
    *[("link to nothing", suffix) for suffix in (".mp4", ".avi")],
)


class Way(NamedTuple):
    """A way to have videos answered: the options of ``predict``, or a function of a path."""

    options: list[str]
    function: Callable[[], Callable[[Path], object]] | None = None


def write_folder(folder: Path, count: int) -> dict[str, str]:
    """So many videos, links to a few; the kind of each by its name."""
    sources = folder.with_name("sources")
    sources.mkdir()
    folder.mkdir()
    for number, suffix in enumerate(GOOD):
        content = Content(len(GOOD), SIDE)
        write_video(np.stack([content.frame(number, tick) for tick in range(FRAMES)]), sources / f"good{suffix}", fps=9)
    kinds = {}
    for number in range(count):
        nth, last = divmod(number, BAD_EVERY)
        bad = last == BAD_EVERY - 1
        kind, suffix = BAD[nth % len(BAD)] if bad else ("good", GOOD[number % len(GOOD)])
        path = folder / f"{number:05d}{suffix}"
        kinds[path.name] = f"{kind}, {suffix}" if bad else kind
        if bad:
            spoil(path, kind, sources / f"good{suffix}")
        else:
            os.link(sources / f"good{suffix}", path)
    return kinds


def spoil(path: Path, kind: str, good: Path) -> None:
    """A file that is no whole video."""
    if kind == "truncated":
        path.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("This is no video.\n" * 50)
    elif kind == "no frames":
        without_frames(path)
    elif kind == "no video, sound":
        sound(path)
    elif kind == "a folder":
        path.mkdir()
    else:
        path.symlink_to("nothing")


def without_frames(path: Path) -> None:
    """A video whose header is all there is."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=9)
        stream.height = stream.width = SIDE
        stream.pix_fmt = "yuv420p"
        container.start_encoding()


def sound(path: Path) -> None:
    """A moment of silence."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mp3", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1152), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def clip_of_torch() -> Callable[[Path], object]:
    """predict_video, in PyTorch."""
    network = gesture_zoo.create_model(MODEL, pretrained=True)
    return lambda path: predict_video(network, path, topk=3)


def clip_of_onnx() -> Callable[[Path], object]:
    """predict_clip, by ONNX Runtime."""
    with packaged_file(f"{MODEL}.onnx") as file:
        runner = open_exported(file, threads=1)
    return lambda path: predict_clip(runner, path, topk=3)


def events_of_onnx() -> Callable[[Path], object]:
    """recognise, by ONNX Runtime."""
    with packaged_file(f"{MODEL}.onnx") as file:
        runner = open_exported(file, threads=1)
    return lambda path: list(recognise(path, runner))


def ways(onnx: Path) -> dict[str, Way]:
    """All of them; ``onnx`` is the packaged file."""
    return {
        "predict --clip --json": Way(["--clip", "--json"]),
        "predict --json": Way(["--json"]),
        "predict --clip --json --onnx": Way(["--clip", "--json", "--onnx", str(onnx)]),
        "predict_video, PyTorch": Way([], clip_of_torch),
        "predict_clip, ONNX Runtime": Way([], clip_of_onnx),
        "recognise, ONNX Runtime": Way([], events_of_onnx),
    }


def answer_all(folder: Path, open_function: Callable[[], Callable[[Path], object]]) -> None:
    """Every video through a function, and what came of it: an answer, an error of ours, or another."""
    function = open_function()
    paths = sorted(folder.iterdir())
    meter = Meter(len(paths))
    for number, path in enumerate(paths, start=1):
        try:
            say(video=[path.name, "answer", str(function(path))])
        except GestureZooError as error:
            say(video=[path.name, "error" if path.name in str(error) else "unnamed", str(error)])
        except Exception as error:
            say(video=[path.name, "fault", f"{type(error).__name__}: {error}"])
        meter.tell(number)


Outcomes = dict[str, list[tuple[str, str]]]


def by_video(told: Iterable[tuple[str, str, str]]) -> Outcomes:
    """What came of every video, and in which words, by its name."""
    found: Outcomes = {}
    for name, what, words in told:
        found.setdefault(name, []).append((what, words))
    return found


def wrong(outcomes: Outcomes, kinds: dict[str, str]) -> list[str]:
    """Videos without one answer or one error that names them; good ones without an answer, or with another's."""
    faults = [f"of no video: {words}" for name in outcomes.keys() - kinds for _, words in outcomes[name]]
    answers: dict[str, set[str]] = {}
    for name, kind in kinds.items():
        several = outcomes.get(name, [])
        if [what for what, _ in several] not in (["answer"], ["error"]) or (
            kind == "good" and several[0][0] != "answer"
        ):
            faults.append(f"{name} ({kind}): {several}")
        elif several[0][0] == "answer" and not kind.startswith(("good", "truncated")):
            faults.append(f"{name} ({kind}) has an answer")
        elif kind == "good":
            answers.setdefault(Path(name).suffix, set()).add(several[0][1])
    return faults + [f"{len(words)} answers to one {suffix}" for suffix, words in answers.items() if len(words) > 1]


def outcomes_of_bad(outcomes: Outcomes, kinds: dict[str, str], folder: Path) -> Iterator[tuple[str, str]]:
    """The kind of every corrupt video, and what was said of it, without its name."""
    for name, kind in kinds.items():
        for what, words in outcomes.get(name, []) if kind != "good" else []:
            text = words.removeprefix("gesture-zoo: error: ").replace(str(folder / name), "FILE")
            yield kind, text if what == "error" else what


def predict(folder: Path, options: list[str]) -> None:
    """The command: tells its memory after every twentieth of the videos, what came of each, and its exit code."""
    forked = command(["predict", folder, *options], patience=PATIENCE)
    every = max(1, len(list(folder.iterdir())) // POINTS)
    points = done = looked = 0

    def look() -> bool:
        nonlocal points, done, looked
        upto = forked.text.rfind("\n", looked) + 1
        if upto:
            done += sum(1 for _ in said(forked.text[looked:upto]))
            looked = upto
        used = memory(forked.pid) if forked.code is None and done >= every * (points + 1) else 0
        if used:
            points += 1
            say(point=Point(done, used, 1, 1, 1))
        return False

    start = time.perf_counter()
    forked.wait(look)
    for video in said(forked.text):
        say(video=video)
    say(code=forked.end(), seconds=time.perf_counter() - start, traced=None)


def said(text: str) -> Iterator[tuple[str, str, str]]:
    """Video, what came of it, and the words, of a command: every video is to have one line."""
    for line in text.splitlines():
        if line.startswith("gesture-zoo: error: "):
            names = [part.rstrip(":") for part in line.split() if "/" in part]
            yield (Path(names[0]).name if names else ""), "error", line
        elif line.startswith('{"source"') and "predictions" in line:
            record = json.loads(line)
            yield Path(record["source"]).name, "answer", json.dumps(record["predictions"])
        elif ": source ended after " in line:
            path, _, words = line.partition(": ")
            yield Path(path).name, "answer", words
        elif line.startswith("gesture-zoo: unexpected") or line.startswith("Traceback"):
            yield "", "fault", line
