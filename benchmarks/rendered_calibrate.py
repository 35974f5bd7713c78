"""Makes the scores of an online model of rendered gestures mean what EventDetector's thresholds ask of them.

    python benchmarks/rendered_calibrate.py CHECKPOINT --out FOLDER

The model answers rendered streams that it did not learn from, and half as many in which nobody gestures and most do
other things all the time. Of all pairs of a factor for its logits and a number that is added to those of gestures, the
one is taken whose events, with the detector's own settings, have the highest F1 among the pairs with at most one false
event in a minute without a gesture, in either kind of streams (where there is none: the fewest). Both are put into the
classifier; FOLDER is the model again, and FOLDER/calibration.md says what was found.
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from common import origin
from rendered_learner import MEAN, STD
from rendered_pool import MOTIONS
from stream_scores import Tally, add_stream
from torch import Tensor

import gesture_zoo
from gesture_zoo.data.synthetic_stream import StreamEvent
from gesture_zoo.errors import ModelError
from gesture_zoo.live import EventDetector
from gesture_zoo.render import CLASSES, GESTURES, render_scene, sample_stream

FACTORS = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
ADDED = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)
FIRST_SEED, FIRST_BUSY_SEED = 3_000_000, 3_500_000  # far from those of the pools
BUSY = (0.0,) * len(GESTURES) + (1.0, 3.0)  # weights of classes where nobody gestures


class Streams(NamedTuple):
    """Logits (N, T, K), the true class of every frame (N, T), and frames a second."""

    logits: Tensor
    classes: Tensor
    rate: float


class Found(NamedTuple):
    """What a pair reaches."""

    factor: float
    added: float
    f1: float
    recall: float
    false_a_minute: float  # without a gesture, in streams of everything
    busy_a_minute: float  # in streams without gestures

    @property
    def most_false(self) -> float:
        """Events a minute where there is no gesture, in the worse kind of streams."""
        return max(self.false_a_minute, self.busy_a_minute)


@torch.no_grad()
def answered(
    model: Any, *, streams: int, seconds: float, seed: int = FIRST_SEED, weights: tuple[float, ...] | None = None
) -> Streams:
    """The model's logits of rendered streams of so many seconds, of classes of these weights."""
    rate, size = model.pretrained_cfg["frame_rate"], model.pretrained_cfg["input_size"][-1]
    frames = round(seconds * rate)
    model.num_segments, model.consensus = frames, lambda logits: logits
    logits, classes = [], []
    for number in range(streams):
        generator = torch.Generator().manual_seed(seed + number)
        scene = sample_stream(
            1, num_frames=frames, generator=generator, frame_rate=rate, class_weights=weights, ranges=MOTIONS
        )
        pictures = render_scene(scene, size, generator).frames.float() / 255
        logits.append(model((pictures - MEAN[0]) / STD[0]))
        classes.append(scene.frame_labels[0])
    return Streams(torch.stack(logits), torch.stack(classes), rate)


def true_events(classes: Sequence[int]) -> list[StreamEvent]:
    """Runs of frames of one gesture.

    >>> true_events([15, 0, 0, 15])
    [StreamEvent(label='Swiping Left', start=1, end=3)]
    """
    events, start = [], 0
    for label, run in itertools.groupby(classes):
        end = start + len(list(run))
        if label < len(GESTURES):
            events.append(StreamEvent(CLASSES[label], start, end))
        start = end
    return events


def tally_of(streams: Streams, factor: float, added: float) -> Tally:
    """What the detector finds in the streams with these."""
    tally = Tally()
    scores = factor * streams.logits
    scores[..., : len(GESTURES)] += added
    for logits, classes in zip(scores.numpy(), streams.classes.tolist(), strict=True):
        detector = EventDetector(CLASSES)
        events = [event for frame, row in enumerate(logits) for event in detector.update(row, frame)]
        add_stream(tally, events + detector.flush(), true_events(classes), len(classes))
    return tally


def tried(streams: Streams, busy: Streams, factor: float, added: float) -> Found:
    """What the detector finds in both kinds of streams with these."""
    tallies = [tally_of(some, factor, added) for some in (streams, busy)]
    false = [tally.elsewhere / (tally.idle_frames / streams.rate / 60) for tally in tallies]
    return Found(factor, added, tallies[0].f1, tallies[0].recall, *false)


def best(found: Sequence[Found], most: float = 1.0) -> Found:
    """The highest F1 among those with few enough false events; without any, that with the fewest."""
    quiet = [one for one in found if one.most_false <= most]
    return max(quiet, key=lambda one: one.f1) if quiet else min(found, key=lambda one: one.most_false)


@torch.no_grad()
def calibrate(model: Any, factor: float, added: float) -> None:
    """Put both into the classifier."""
    classifier = model.get_classifier()
    classifier.weight.mul_(factor)
    classifier.bias.mul_(factor)[: len(GESTURES)] += added


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    parser.add_argument("--streams", type=int, default=60, help="(default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a stream (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(arguments)

    def load() -> Any:
        return gesture_zoo.create_model(f"local-dir:{args.checkpoint}", pretrained=True).eval()

    model = load()
    if tuple(model.pretrained_cfg.get("label_names") or ()) != CLASSES or not model.pretrained_cfg.get("frame_rate"):
        raise ModelError(f"{args.checkpoint} is no model of the label set 'rendered' that says its frame rate")
    streams = answered(load(), streams=args.streams, seconds=args.seconds)
    busy = answered(load(), streams=-(-args.streams // 2), seconds=args.seconds, seed=FIRST_BUSY_SEED, weights=BUSY)
    found = [tried(streams, busy, *pair) for pair in itertools.product(FACTORS, ADDED)]
    before, after = tried(streams, busy, 1.0, 0.0), best(found)
    calibrate(model, after.factor, after.added)
    gesture_zoo.save_pretrained(model, args.out)
    rows = [
        f"| {name} | {one.factor:g} | {one.added:g} | {100 * one.f1:.1f} | {100 * one.recall:.1f} "
        f"| {one.false_a_minute:.2f} | {one.busy_a_minute:.2f} |"
        for name, one in (("before", before), ("after", after))
    ]
    head = "| | factor | added | F1, % | recall, % | false events a minute | where nobody gestures |\n|" + "---|" * 7
    what = f"{args.streams} rendered streams of {args.seconds:g} s, and half as many without gestures."
    text = "\n".join([origin(), "", what, "", head, *rows, ""])
    (args.out / "calibration.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
