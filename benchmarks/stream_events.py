"""How well gesture events are found in long streams: the part `events` of stream.py.

An online model is trained on rendered streams, frame by frame: it should say the class of a gesture from some share of
it on, that or "no gesture" before, and "no gesture" between gestures. It then answers unseen streams one frame at a
time (`to_streaming`), and `EventDetector` turns the answers into events. Everything that is chosen (a row's parameters)
is chosen by F1 on validation streams, of equals the soonest; what is reported is counted on test streams.
"""

import argparse
import itertools
import statistics
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from common import origin, write
from stream_scores import Tally, add_stream
from stream_training import WARM_UP, WINDOW, allowed_classes, online_model, render_streams, streamed_logits, train
from torch import Tensor

import gesture_zoo
from gesture_zoo.data.synthetic_stream import NO_GESTURE, STREAM_CLASSES, STREAM_RATE, SyntheticStream
from gesture_zoo.live import Event, EventDetector

# The first seed of each split; far apart, so that no stream is in two.
TRAIN, VALIDATION, TEST = 0, 1_000_000, 4_000_000
TRAIN_GESTURES, GESTURES = 5, 20  # in a stream to train on, and to measure on
TRAIN_IDLE = (6, 16)  # frames between gestures to train on: fewer than where it is measured, to see more gestures
GRID: dict[str, tuple] = {
    "window": (3, 5, 7, 9),
    "on": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    "off": (0.05, 0.1, 0.2, 0.3, 0.4),
    "min_frames": (1, 2, 3),
    "release": (1, 2),
}
Finder = Callable[[Tensor, dict[str, Any]], list[Event]]


@dataclass
class Answers:
    """Streams of a split and the model's logits (T, K) for each."""

    streams: list[SyntheticStream]
    logits: list[Tensor]


def detect(logits: Tensor, parameters: dict[str, Any]) -> list[Event]:
    """The events of an EventDetector; times are frames."""
    detector = EventDetector(STREAM_CLASSES, **parameters)
    events = [event for frame, row in enumerate(logits.numpy()) for event in detector.update(row, frame)]
    return events + detector.flush()


def ungated(logits: Tensor, parameters: dict[str, Any]) -> list[Event]:
    """The same without a threshold: whatever is highest counts, "no gesture" too, and ends what was on."""
    everything = {**parameters, "no_gesture": (), "on": 1e-9, "off": 1e-9}
    return [event for event in detect(logits, everything) if event.label != NO_GESTURE]


@dataclass(frozen=True)
class Row:
    """A line of the table: how events are found, what is fixed, and which parameters are chosen on validation."""

    name: str
    find: Finder = detect
    fixed: tuple[tuple[str, Any], ...] = ()
    chosen: tuple[str, ...] = ()
    hysteresis: bool = True

    def candidates(self) -> list[dict[str, Any]]:
        """All settings of the chosen parameters."""
        grid = [
            dict(zip(self.chosen, values, strict=True)) for values in itertools.product(*map(GRID.get, self.chosen))
        ]
        settings = [{**dict(self.fixed), **values} for values in grid]
        if not self.hysteresis:
            settings = [{**values, "off": values["on"]} for values in settings]
        return [values for values in settings if values.get("off", 0) <= values.get("on", 1)]


def fixed(**values: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(values.items())


ROWS = (
    Row("frame by frame: a run of the same highest class", ungated, fixed(smoothing="none", min_frames=1)),
    Row("EMA, gate, hysteresis, as they are by default"),
    Row("EMA, gate, hysteresis", fixed=fixed(smoothing="ema"), chosen=tuple(GRID)),
    Row("majority, gate, hysteresis", fixed=fixed(smoothing="majority"), chosen=tuple(GRID)),
    Row("no smoothing", fixed=fixed(smoothing="none"), chosen=("on", "off", "min_frames", "release")),
    Row("EMA without gate", ungated, fixed(smoothing="ema"), ("window", "min_frames")),
    Row("EMA without hysteresis", detect, fixed(smoothing="ema", min_frames=1), ("window", "on"), hysteresis=False),
)


def tally(answers: Answers, row: Row, parameters: dict[str, Any]) -> Tally:
    """A row's events against the true ones, over all streams of a split."""
    counts = Tally()
    for stream, logits in zip(answers.streams, answers.logits, strict=True):
        add_stream(counts, row.find(logits, parameters), stream.events, len(stream.frames))
    return counts


def choose(row: Row, validation: Answers) -> dict[str, Any]:
    """The setting of the highest F1, of equals the one whose events are known the soonest."""

    def merit(parameters: dict[str, Any]) -> tuple[float, float]:
        counts = tally(validation, row, parameters)
        return round(counts.f1, 3), -counts.delay

    candidates = row.candidates()
    return max(candidates, key=merit) if len(candidates) > 1 else candidates[0]


def answer(model: Any, first_seed: int, count: int, size: int) -> Answers:
    """Render streams and let the model answer them, frame by frame."""
    streams = render_streams(first_seed, count, num_gestures=GESTURES, size=size)
    return Answers(streams, [streamed_logits(model, stream) for stream in streams])


def frame_accuracy(answers: Answers, known_from: float) -> tuple[float, float]:
    """Share of right frames: of gestures, as far as they should be known, and of the time between."""
    allowed = torch.cat([allowed_classes(stream, known_from) for stream in answers.streams])
    best = torch.cat([logits.argmax(1) for logits in answers.logits])
    sure, labels = allowed.sum(1) == 1, allowed.int().argmax(1)
    idle = labels == STREAM_CLASSES.index(NO_GESTURE)
    return tuple((best == labels)[sure & which].float().mean().item() for which in (~idle, idle))


def frames_of(values: Sequence[float]) -> str:
    """Mean and median of latencies, as text."""
    return f"{statistics.mean(values):+.1f} / {statistics.median(values):+.0f}" if values else "-"


def table(validation: Answers, test: Answers) -> list[str]:
    """The ablation, as Markdown."""
    lines = [
        "| events found by | precision | recall | F1 | frames from start, mean / median | from end | "
        "Levenshtein | false a minute of idle | F1, validation | chosen |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        parameters = choose(row, validation)
        counts = tally(test, row, parameters)
        own = ", ".join(f"{name} {parameters[name]}" for name in row.chosen)
        lines.append(
            f"| {row.name} | {100 * counts.precision:.1f} | {100 * counts.recall:.1f} | {100 * counts.f1:.1f} "
            f"| {frames_of(counts.after_start)} | {frames_of(counts.after_end)} | {100 * counts.sequence_accuracy:.1f} "
            f"| {counts.false_a_minute:.1f} | {100 * tally(validation, row, parameters).f1:.1f} | {own or '-'} |"
        )
    return lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `stream.py events`."""
    parser.description = __doc__
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", default="tsm_test_resnet_online", help="an online model (default: %(default)s)")
    parser.add_argument("--backbone-weights", type=Path, metavar="FILE", help="an ImageNet start (.safetensors)")
    parser.add_argument("--size", type=int, default=48, help="side of the frames in pixels (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=6000, help="of training (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="windows of a step (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=5e-3, help="the highest learning rate (default: %(default)s)")
    parser.add_argument("--known-from", type=float, default=0.5, help="share of a gesture after which it is asked for")
    parser.add_argument("--train-streams", type=int, default=600)
    parser.add_argument("--streams", type=int, default=10, help="to validate on, and twice as many to test on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="save the trained model there")
    parser.add_argument("--out", type=Path, help="file for the results (default: print)")


def run(args: argparse.Namespace) -> None:
    """Train, answer, count, write."""
    torch.set_num_threads(args.threads)
    head, started = origin(), time.perf_counter()
    model = online_model(args.model, args.size, weights=args.backbone_weights, seed=args.seed)
    shape = {"num_gestures": TRAIN_GESTURES, "size": args.size, "idle_frames": TRAIN_IDLE}
    streams = render_streams(TRAIN, args.train_streams, **shape)
    rendered = time.perf_counter()
    options = {"steps": args.steps, "lr": args.lr, "batch": args.batch, "known_from": args.known_from}
    train(model, streams, seed=args.seed, report=progress, **options)
    trained = time.perf_counter()
    if args.save:
        gesture_zoo.save_pretrained(model, args.save)
    validation = answer(model, VALIDATION, args.streams, args.size)
    test = answer(model, TEST, 2 * args.streams, args.size)
    lines = table(validation, test)
    gestures, idle = frame_accuracy(test, args.known_from)
    frames = sum(len(stream.frames) for stream in streams)
    counts = tally(test, ROWS[0], ROWS[0].candidates()[0])
    minutes = (time.perf_counter() - started) / 60
    start = "an ImageNet" if args.backbone_weights else "a random"
    share = f"{100 * args.known_from:.0f} %"
    parameters, idle_minutes = sum(p.numel() for p in model.parameters()), counts.idle_frames / STREAM_RATE / 60
    paragraphs = (
        f"""{args.model}, {parameters / 1e6:.2f} M parameters, from {start} start, frames of {args.size} x {args.size}
        pixels, {STREAM_RATE:.0f} a second: a gesture takes 8 to 14 of them, the time between two 10 to 26 (to train on
        {TRAIN_IDLE[0]} to {TRAIN_IDLE[1]}), in which the hand moves as much. {len(STREAM_CLASSES)} classes,
        "{NO_GESTURE}" among them. Trained on {len(streams)} rendered streams ({frames} frames) in {args.steps} steps of
        {args.batch} windows of {WINDOW} frames: in every frame, minus the logarithm of the probability of what it may
        be taken for, which is its own class; also "{NO_GESTURE}" before {share} of a gesture; also the gesture in the
        first frame after it; anything in the first {WARM_UP} of a window. One run, seed {args.seed}.""",
        f"""Tested on {len(test.streams)} other streams, frame by frame through `to_streaming`: {counts.true} gestures,
        and {counts.idle_frames} frames ({idle_minutes:.1f} minutes) between them. Classified rightly are
        {100 * gestures:.1f} % of the frames of gestures (from {share} on), {100 * idle:.1f} % of those between.""",
        f"""A detected event matches a true one of the same label if they share at least one frame; in order of time,
        each at most once. Latencies are those of matched events: frames from the first (and from the last) frame of
        the gesture to the one with which the event was known. Levenshtein is 1 - edit distance / number of gestures, of
        the sequences of labels. False events a minute of idle are those that share no frame with any gesture, over the
        time between gestures. All but the first two rows use the parameters of the highest F1 on {args.streams}
        validation streams (of equals, the soonest events); the test streams chose nothing. Precision, recall, F1 and
        Levenshtein are in %.""",
    )
    text = f"{head}{minutes:.0f} minutes in all: {(rendered - started) / 60:.1f} to render what it is trained on, "
    text += f"{(trained - rendered) / 60:.1f} to train.\n\n"
    text += "\n\n".join(textwrap.fill(" ".join(part.split()), 120, break_on_hyphens=False) for part in paragraphs)
    text += "\n\n" + "\n".join(lines) + "\n"
    write(text, args.out)


def progress(step: int, loss: float, seconds: float) -> None:
    """A line about the training, beside the results."""
    print(f"step {step}, loss {loss:.3f}, {seconds:.0f} s", file=sys.stderr, flush=True)
