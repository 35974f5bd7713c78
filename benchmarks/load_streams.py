"""Many streams in one process, in every way that there is to serve them; for load.py."""

import json
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from load_meter import Meter, say

import gesture_zoo
from gesture_zoo.live import Event, EventDetector, Recogniser
from gesture_zoo.runtime import Runner, open_exported, preprocess
from gesture_zoo.runtime.torch_runner import TorchRunner

MODEL = "tsm_resnet28_nano_online.rendered"
RATE = 8.9  # frames a second, the model's own
SPOT = 8  # pixels


class Load(NamedTuple):
    """So many streams, the frames of each, their side in pixels, and the exported file."""

    streams: int
    frames: int
    side: int
    file: Path


class Content:
    """A frame for every stream and moment: noise that slides, and a spot that goes round; no two streams alike."""

    def __init__(self, streams: int, side: int) -> None:
        self.side, self.scenes = side, []
        for seed in range(streams):
            rng = np.random.default_rng(seed)
            tile = rng.integers(0, 60, (2 * side, 2 * side, 3)) + rng.integers(0, 190, 3)
            spot, steps = rng.integers(0, 256, 3, np.uint8), rng.integers(1, side // 2, 4)
            self.scenes.append((tile.astype(np.uint8), spot, steps.tolist()))

    def frame(self, stream: int, tick: int) -> np.ndarray:
        """(side, side, 3) uint8 RGB."""
        tile, spot, (down, right, y, x) = self.scenes[stream]
        top, left = tick * down % self.side, tick * right % self.side
        frame = tile[top : top + self.side, left : left + self.side].copy()
        top, left = tick * y % (self.side - SPOT), tick * x % (self.side - SPOT)
        frame[top : top + SPOT, left : left + SPOT] = spot
        return frame


class Answers:
    """Logits and events in files, so that they take no memory, by stream and moment."""

    def __init__(self, folder: Path, load: Load, classes: int) -> None:
        folder.mkdir()
        self.logits = os.open(folder / "logits", os.O_RDWR | os.O_CREAT)
        self.events = [os.open(folder / f"events{stream}", os.O_WRONLY | os.O_CREAT) for stream in range(load.streams)]
        self.row = 4 * classes
        self.streams = load.streams
        os.ftruncate(self.logits, load.frames * load.streams * self.row)

    def write(self, stream: int, tick: int, logits: np.ndarray, events: Iterable[Event]) -> None:
        """The answer to one frame."""
        os.pwrite(self.logits, logits.astype(np.float32).tobytes(), (tick * self.streams + stream) * self.row)
        for event in events:
            os.write(self.events[stream], json.dumps([event.label, event.start, event.end]).encode() + b"\n")


class Kept(Runner):
    """A runner whose last logits can be looked at."""

    def __init__(self, runner: Runner) -> None:
        super().__init__(runner.info)
        self.runner = runner

    def advance(self, frame: np.ndarray) -> np.ndarray:
        self.last = self.runner.step(frame)
        return self.last

    def reset(self) -> None:
        super().reset()
        self.runner.reset()


def model(side: int) -> torch.nn.Module:
    """The packaged online model, for small frames."""
    network = gesture_zoo.create_model(MODEL, pretrained=True)
    network.pretrained_cfg["input_size"] = (3, side, side)
    return network


def export(file: Path, side: int) -> None:
    """Write its streaming ONNX file."""
    gesture_zoo.export_model(model(side), file, stream=True, size=(side, side))


def torch_runner(load: Load) -> Runner:
    """PyTorch."""
    return TorchRunner(model(load.side))


def onnx_runner(load: Load) -> Runner:
    """ONNX Runtime, on one core."""
    return open_exported(load.file, threads=1)


Open = Callable[[Load], Runner]


def detector(runner: Runner) -> EventDetector:
    """One that also takes "no gesture" for an event: there shall be many."""
    return EventDetector(runner.info.labels, no_gesture=())


def batched(load: Load, open_runner: Open, out: Path) -> None:
    """All streams in one forward, and a detector for each."""
    runner, content = open_runner(load), Content(load.streams, load.side)
    answers = Answers(out, load, len(runner.info.labels))
    detectors = [detector(runner) for _ in range(load.streams)]
    meter = Meter(load.frames)
    for tick in range(load.frames):
        frames = [preprocess(content.frame(stream, tick), runner.info) for stream in range(load.streams)]
        for stream, logits in enumerate(runner.step(np.concatenate(frames))):
            answers.write(stream, tick, logits, detectors[stream].update(logits, tick / RATE))
        meter.tell(tick + 1)


def separate(load: Load, open_runner: Open, out: Path) -> None:
    """A recogniser for each stream, in turns; one model in memory."""
    first, content = open_runner(load), Content(load.streams, load.side)
    answers = Answers(out, load, len(first.info.labels))
    runners = [Kept(first.another()) for _ in range(load.streams)]
    recognisers = [Recogniser(runner, detector(first), rate=RATE) for runner in runners]
    meter = Meter(load.frames)
    for tick in range(load.frames):
        for stream, recogniser in enumerate(recognisers):
            seen = recogniser.see(content.frame(stream, tick), tick / RATE)
            assert seen is not None
            answers.write(stream, tick, runners[stream].last[0], seen.ended)
        meter.tell(tick + 1)


def threads(load: Load, open_runner: Open, out: Path) -> None:
    """A recogniser and a thread for each stream; one model in memory. They go in step, all at once."""
    first, content = open_runner(load), Content(load.streams, load.side)
    answers = Answers(out, load, len(first.info.labels))
    meter, faults = Meter(load.frames), []
    done = [0]

    def told() -> None:
        done[0] += 1
        meter.tell(done[0])

    barrier = threading.Barrier(load.streams, action=told)

    def serve(stream: int) -> None:
        try:
            runner = Kept(first.another())
            recogniser = Recogniser(runner, detector(first), rate=RATE)
            for tick in range(load.frames):
                seen = recogniser.see(content.frame(stream, tick), tick / RATE)
                assert seen is not None
                answers.write(stream, tick, runner.last[0], seen.ended)
                barrier.wait()
        except Exception as error:
            faults.append(f"stream {stream}: {type(error).__name__}: {error}")
            barrier.abort()

    workers = [threading.Thread(target=serve, args=(stream,)) for stream in range(load.streams)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if faults:
        say(fault=faults[0])


def alone(load: Load, open_runner: Open, out: Path, *, every: int) -> None:
    """Every so many streams, one after another, each by a model of its own: what the others are compared with."""
    content = Content(load.streams, load.side)
    for stream in range(0, load.streams, every):
        runner = Kept(open_runner(load))
        if not stream:
            answers = Answers(out, load, len(runner.info.labels))
            meter = Meter(load.frames * len(range(0, load.streams, every)))
        recogniser = Recogniser(runner, detector(runner), rate=RATE)
        for tick in range(load.frames):
            seen = recogniser.see(content.frame(stream, tick), tick / RATE)
            assert seen is not None
            answers.write(stream, tick, runner.last[0], seen.ended)
            meter.tell(stream // every * load.frames + tick + 1)


class Match(NamedTuple):
    """How many answers to frames were compared, how many are the same to the bit, the farthest, the largest logit."""

    frames: int
    equal: int
    farthest: float
    largest: float
    events: int
    not_shared: int


def compare(ours: Path, theirs: Path, load: Load, classes: int, *, frames: int, every: int) -> Match:
    """The answers in one folder with those in another, of every so many streams and the first so many frames."""
    a, b = (np.memmap(path / "logits", np.float32, "r").reshape(-1, load.streams, classes) for path in (ours, theirs))
    one, two = a[:frames, ::every], b[:frames, ::every]
    events = other = 0
    for stream in range(0, load.streams, every):
        first, second = (ended(path / f"events{stream}", frames / RATE) for path in (ours, theirs))
        events += len(second)
        other += len(set(first) ^ set(second))
    equal = int((one == two).all(2).sum())
    return Match(
        one.shape[0] * one.shape[1], equal, float(np.abs(one - two).max()), float(np.abs(two).max()), events, other
    )


def ended(path: Path, before: float) -> list[tuple[str, float, float]]:
    """The events in a file that had ended some frames before a time, and were told."""
    events = [tuple(json.loads(line)) for line in path.read_text().splitlines()]
    return [event for event in events if event[2] < before - 10 / RATE]


def apart(folder: Path, load: Load, classes: int, frames: int) -> float:
    """How far the answers to two streams are from one another in the same moment, at least, on the mean."""
    logits = np.memmap(folder / "logits", np.float32, "r").reshape(-1, load.streams, classes)[:frames]
    means = [
        np.abs(logits - np.roll(logits, shift, 1)).max(2).mean(0).min() for shift in range(1, load.streams // 2 + 1)
    ]
    return float(min(means))
