"""Makes the scores of an online model of rendered gestures mean what EventDetector's thresholds ask of them.

    python benchmarks/rendered_calibrate.py CHECKPOINT [CHECKPOINT ...] --out FOLDER

The model answers rendered streams that it did not learn from, and half as many in which nobody gestures and most show
other signs all the time; several models see the same, and the best is taken. An event is right that begins up to LINGER
frames after its gesture: that is when models are taught to be surest. Of all triples of a factor for its logits,
a number that is added to those of gestures and one that is added to those of gestures that are a pose (motions.SHOWN:
other signs are taken for these first), the one is taken whose events, with the detector's own settings, have the
highest F1 among those with few false events in a minute without a gesture, in either kind of streams: in all likelihood
at most MOST (where there is none: the fewest). In all likelihood: the upper end of the one-sided 95 % interval of the
rate is meant, since the best of so many triples is partly lucky. They are put into the classifier; FOLDER is the model
again, and FOLDER/calibration.md says what was found, of every gesture too.
"""

import argparse
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from common import origin
from rendered_learner import LINGER, MEAN, STD
from rendered_pool import MOTIONS
from stream_scores import Tally, add_stream
from torch import Tensor

import gesture_zoo
from gesture_zoo.data.synthetic_stream import StreamEvent
from gesture_zoo.errors import ModelError
from gesture_zoo.live import Event, EventDetector
from gesture_zoo.render import CLASSES, GESTURES, render_scene, sample_stream
from gesture_zoo.render.motions import SHOWN

FACTORS = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
ADDED = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)
TO_POSES = (-3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5)
MOST = 0.75  # real people's false events were up to twice as many as rendered ones': at most one a minute is the aim
FIRST_SEED, FIRST_BUSY_SEED = 3_000_000, 3_500_000  # far from those of the pools
BUSY = (0.0,) * len(GESTURES) + (1.0, 3.0)  # weights of classes where nobody gestures
SIGNS = {"sign": 4.0, "palm": 1.0, "droop": 1.5, "across": 1.5, "face": 1.0, "point": 0.5, "both": 0.5}
BUSY_MOTIONS = dataclasses.replace(MOTIONS, other_kinds=SIGNS, lookalikes=0.5)


class Streams(NamedTuple):
    """Logits (N, T, K), the true class of every frame (N, T), and frames a second."""

    logits: Tensor
    classes: Tensor
    rate: float


class Change(NamedTuple):
    """What is done to the logits."""

    factor: float = 1.0
    added: float = 0.0  # to those of all gestures
    to_poses: float = 0.0  # to those of gestures that are a pose, besides

    @property
    def offsets(self) -> Tensor:
        """What is added to every class."""
        added = torch.zeros(len(CLASSES))
        added[: len(GESTURES)] += self.added
        added[list(SHOWN)] += self.to_poses
        return added


class Quiet(NamedTuple):
    """False events in so many minutes without a gesture."""

    events: int
    minutes: float

    @property
    def rate(self) -> float:
        """Events a minute."""
        return self.events / self.minutes

    @property
    def most(self) -> float:
        """The highest rate at which so few events have a chance of 5 % or more.

        >>> round(Quiet(0, 3.0).most, 2), round(Quiet(3, 8.0).most, 2)
        (1.0, 0.97)
        """
        low, high = 0.0, 10.0 * (self.events + 3)
        for _ in range(60):
            middle = (low + high) / 2
            chance = torch.special.gammaincc(torch.tensor(self.events + 1.0), torch.tensor(middle))
            low, high = (middle, high) if chance > 0.05 else (low, middle)
        return low / self.minutes


class Found(NamedTuple):
    """What a change reaches."""

    change: Change
    f1: float
    recall: float
    between: Quiet  # without a gesture, in streams of everything
    busy: Quiet  # in streams without gestures

    @property
    def most_false(self) -> float:
        """Events a minute where there is no gesture, at most, in the worse kind of streams."""
        return max(self.between.most, self.busy.most)


@torch.no_grad()
def answered(
    models: Sequence[Any], *, streams: int, seconds: float, seed: int = FIRST_SEED, busy: bool = False
) -> list[Streams]:
    """Each model's logits of the same rendered streams of so many seconds, of everything or (``busy``) no gestures."""
    weights, ranges = (BUSY, BUSY_MOTIONS) if busy else (None, MOTIONS)
    rate, size = looks_of(models[0])
    frames = round(seconds * rate)
    for model in models:
        model.num_segments, model.consensus = frames, lambda logits: logits
    logits: list[list[Tensor]] = [[] for _ in models]
    classes = []
    for number in range(streams):
        generator = torch.Generator().manual_seed(seed + number)
        scene = sample_stream(
            1, num_frames=frames, generator=generator, frame_rate=rate, class_weights=weights, ranges=ranges
        )
        pictures = render_scene(scene, size, generator).frames.float() / 255
        for model, answers in zip(models, logits, strict=True):
            answers.append(model((pictures - MEAN[0]) / STD[0]))
        classes.append(scene.frame_labels[0])
    return [Streams(torch.stack(answers), torch.stack(classes), rate) for answers in logits]


def looks_of(model: Any) -> tuple[float, int]:
    """Frame rate and size of the pictures that a model takes."""
    return model.pretrained_cfg["frame_rate"], model.pretrained_cfg["input_size"][-1]


def true_events(classes: Sequence[int]) -> list[StreamEvent]:
    """Runs of frames of one gesture, and the LINGER frames after it that are of no other: an answer may begin there.

    >>> true_events([15, 0, 0, 15, 15, 15])
    [StreamEvent(label='Swiping Left', start=1, end=5)]
    """
    events, start = [], 0
    for label, run in itertools.groupby(classes):
        end = start + len(list(run))
        if label < len(GESTURES):
            after = itertools.takewhile(lambda other: other >= len(GESTURES), classes[end : end + LINGER])
            events.append(StreamEvent(CLASSES[label], start, end + len(list(after))))
        start = end
    return events


def events_of(streams: Streams, change: Change) -> Iterator[tuple[list[Event], list[StreamEvent], int]]:
    """Of every stream what the detector finds after a change, what there is, and how many frames."""
    scores = change.factor * streams.logits + change.offsets
    for logits, classes in zip(scores.numpy(), streams.classes.tolist(), strict=True):
        detector = EventDetector(CLASSES)
        events = [event for frame, row in enumerate(logits) for event in detector.update(row, frame)]
        yield events + detector.flush(), true_events(classes), len(classes)


def tally_of(streams: Streams, change: Change) -> Tally:
    """What the detector finds in the streams after a change."""
    tally = Tally()
    for stream in events_of(streams, change):
        add_stream(tally, *stream)
    return tally


def by_class(streams: Streams, change: Change) -> dict[str, Tally]:
    """What the detector finds of every gesture by itself; an event of it elsewhere is one beside all of its own."""
    tallies = {label: Tally() for label in CLASSES[: len(GESTURES)]}
    for events, true, frames in events_of(streams, change):
        for label, tally in tallies.items():
            add_stream(tally, [e for e in events if e.label == label], [t for t in true if t.label == label], frames)
    return tallies


def false_events(streams: Streams, tally: Tally) -> Quiet:
    """Those of a tally, of streams of this rate."""
    return Quiet(tally.elsewhere, tally.idle_frames / streams.rate / 60)


def tried(streams: Streams, busy: Streams, change: Change) -> Found:
    """What the detector finds in both kinds of streams after a change."""
    tallies = [tally_of(some, change) for some in (streams, busy)]
    return Found(change, tallies[0].f1, tallies[0].recall, *(false_events(streams, tally) for tally in tallies))


def search(streams: Streams, busy: Streams, changes: Sequence[Change]) -> Found:
    """The best of the changes; most are known to be too loud from the second kind of streams, the fewer."""
    calm = [change for change in changes if false_events(busy, tally_of(busy, change)).most <= MOST]
    found = best([tried(streams, busy, change) for change in calm]) if calm else None
    if found is not None and found.most_false <= MOST:
        return found
    return best([tried(streams, busy, change) for change in changes])


def best(found: Sequence[Found], most: float = MOST) -> Found:
    """The highest F1 among those with few enough false events; without any, that with the fewest."""
    quiet = [one for one in found if one.most_false <= most]
    return max(quiet, key=lambda one: one.f1) if quiet else min(found, key=lambda one: one.most_false)


@torch.no_grad()
def calibrate(model: Any, change: Change) -> None:
    """Put a change into the classifier."""
    classifier = model.get_classifier()
    classifier.weight.mul_(change.factor)
    classifier.bias.mul_(change.factor).add_(change.offsets)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="CHECKPOINT")
    parser.add_argument("--streams", type=int, default=120, help="(default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a stream (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(arguments)

    def load() -> list[Any]:
        return [gesture_zoo.create_model(f"local-dir:{path}", pretrained=True).eval() for path in args.checkpoints]

    models = load()
    for path, model in zip(args.checkpoints, models, strict=True):
        says = model.pretrained_cfg
        if tuple(says.get("label_names") or ()) != CLASSES or not says.get("frame_rate"):
            raise ModelError(f"{path} is no model of the label set 'rendered' that says its frame rate")
        if looks_of(model) != looks_of(models[0]):
            raise ModelError(
                f"{path} takes {looks_of(model)} (frames a second, size), {args.checkpoints[0]} {looks_of(models[0])}"
            )
    asked = load()  # others than those that are saved: now they answer for every frame
    streams = answered(asked, streams=args.streams, seconds=args.seconds)
    busy = answered(asked, streams=-(-args.streams // 2), seconds=args.seconds, seed=FIRST_BUSY_SEED, busy=True)
    pairs = list(zip(streams, busy, strict=True))
    changes = [Change(*triple) for triple in itertools.product(FACTORS, ADDED, TO_POSES)]
    bests = [search(*pair, changes) for pair in pairs]
    after = best(bests)
    place, rows = bests.index(after), []
    for path, pair, one in zip(args.checkpoints, pairs, bests, strict=True):
        rows += [(f"{path.name}, before", tried(*pair, Change())), (f"{path.name}, after", one)]
    calibrate(models[place], after.change)
    gesture_zoo.save_pretrained(models[place], args.out)
    lines = [
        f"| {name} | {' | '.join(f'{number:g}' for number in one.change)} | {100 * one.f1:.1f} "
        f"| {100 * one.recall:.1f} | {one.between.rate:.2f} | {one.busy.rate:.2f} |"
        for name, one in rows
    ]
    head = "| | factor | added | to poses | F1, % | recall, % | false events a minute | where nobody gestures |"
    what = f"{args.streams} rendered streams of {args.seconds:g} s, and half as many without gestures."
    classes = [
        f"| {label} | {tally.true} | {tally.matched} | {tally.detected - tally.matched} |"
        for label, tally in by_class(pairs[place][0], after.change).items()
    ]
    taken = f"Taken: {args.checkpoints[place].name}. Its events of the first streams, after:"
    head_of_classes = ["| | there | found | that are none |", "|" + "---|" * 4]
    tables = [head, "|" + "---|" * 8, *lines, "", taken, "", *head_of_classes, *classes]
    text = "\n".join([origin(), "", what, "", *tables, ""])
    (args.out / "calibration.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
