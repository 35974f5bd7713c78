"""Models that learned from rendered gestures, tested on real recordings.

    python benchmarks/rendered_real.py --model NAME_OR_CHECKPOINT --data ROOT --out results.md

ROOT holds nvgesture/, nvgesture_frames/, isogd/ or some of them (rendered_clips.py says how they are laid out). The
model is a name with a tag, a folder that `gesture-zoo train` wrote, or an exported file. Every recording is streamed
from its first frame to its last. Gestures of NVGesture that are one of our classes (nvgesture_classes.csv) are judged;
events outside their windows, and all events on IsoGD, whose classes are others, are counted by the minute. --sheets
FOLDER writes a contact sheet for every wrong answer and every recording with a false alarm: people can be recognised on
them.
"""

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from common import origin
from rendered_answers import Answered, answer, decide, open_model
from rendered_clips import COLORS, DATASETS, LISTS, Recording, find_recordings, read_classes
from rendered_scores import PAIRS, Alarms, Judged, best_of, direction, idle_spans, right_of, share
from rendered_sheets import draw_sheet, sheets_folder

from gesture_zoo.errors import DataError, GestureZooError
from gesture_zoo.live import no_gesture_labels
from gesture_zoo.runtime import ModelInfo, Runner


class Report:
    """What was seen of all recordings, for one model."""

    def __init__(self, info: ModelInfo, mapped: set[str], margin: float) -> None:
        self.labels, self.info, self.margin = info.labels, info, margin
        # As the mapping has them, not these recordings: the question stays the same for any of them.
        self.allowed = [label for label in info.labels if label in mapped]
        self.gestures = [label for label in info.labels if label not in no_gesture_labels(info.labels)]
        self.judged: dict[str, list[Judged]] = {}
        self.idle, self.other, self.unmapped, self.further = Alarms(), Alarms(), Alarms(), Alarms()
        self.ways: list[str] = []
        self.windows: list[str] = []
        self.streams: list[str] = []
        self.unreadable: list[str] = []

    def add(self, recording: Recording, answered: Answered) -> list[str]:
        """Count one recording; what is wrong with the answer to it, in words."""
        if recording.window is None:
            before = self.other.counts.total()
            self.other.add(answered.events, [(0.0, answered.seconds)])
            events = ", ".join(f"{event.label} {100 * event.score:.0f} %" for event in answered.events)
            self.streams.append(f"| {recording.dataset} | {recording.id} | {recording.number} | {events or 'none'} |")
            return ["events where there may be none"] * (self.other.counts.total() > before)
        start, end = (frame / recording.rate for frame in recording.window)
        before = self.idle.counts.total()
        self.idle.add(answered.events, idle_spans(answered.seconds, (start, end), self.margin))
        faults = ["an event beside the window"] * (self.idle.counts.total() > before)
        ways = decide(answered, recording, self.labels, margin=self.margin)
        cells = []
        for way, (scores, said) in ways.items():
            among, probability = best_of(scores, self.labels, self.allowed)
            cells.append(f"{among} {100 * probability:.0f} % ({said or 'none'})")
            if recording.mapped is not None and recording.mapped.label in self.allowed:
                label, fit = recording.mapped
                self.judged.setdefault(way, []).append(Judged(recording.id, label, fit, scores, said))
                faults += [f"{way}: {among} instead of {label}"] * (among != label)
        around = [(max(0.0, start - self.margin), min(answered.seconds, end + self.margin))]
        if recording.mapped is not None:
            # One event is the answer, right or wrong; more of them are too many.
            taken = answered.event_in(start - self.margin, end)
            self.further.add([event for event in answered.events if event is not taken], around)
        elif recording.number > 0:  # 0: not known which gesture it is
            self.unmapped.add(answered.events, around)
        self.ways = list(ways)
        true = f"{recording.mapped.label} ({recording.mapped.fit})" if recording.mapped else "-"
        self.windows.append(
            f"| {recording.dataset} | {recording.id} | {recording.number} | {true} | {' | '.join(cells)} |"
        )
        return faults

    def text(self) -> str:
        """The results as Markdown."""
        return "\n".join([*self._accuracy(), "", *self._directions(), "", *self._alarms(), "", *self._every_clip()])

    def _accuracy(self) -> list[str]:
        lines = [
            "## Which gesture",
            "",
            "Top-1 with Wilson's 95 % interval (as of independent clips; those of one person are alike) of the clips",
            "whose class is one of ours; `exact` are those where it is",
            "the same gesture, not only one like it. An answer is the best of the mapped classes, of all gestures, or",
            f"the decision among all {len(self.labels)} classes (of events: the event, or that there was none).",
            "",
            f"| answer by | of {len(self.allowed)} mapped | exact | of {len(self.gestures)} gestures | decided |",
            "|---|---|---|---|---|",
        ]
        for way, clips in self.judged.items():
            exact = [clip for clip in clips if clip.fit == "exact"]
            counts = [
                (right_of(clips, self.labels, self.allowed), len(clips)),
                (right_of(exact, self.labels, self.allowed), len(exact)),
                (right_of(clips, self.labels, self.gestures), len(clips)),
                (right_of(clips, self.labels, None), len(clips)),
            ]
            lines.append(f"| {way} | {' | '.join(share(*count) for count in counts)} |")
        chances = [100 / max(1, len(kinds)) for kinds in (self.allowed, self.allowed, self.gestures, self.labels)]
        lines.append(f"| chance | {' | '.join(f'{chance:.0f} %' for chance in chances)} |")
        return lines

    def _directions(self) -> list[str]:
        pairs = [pair for pair in PAIRS if set(pair) <= set(self.labels)]
        lines = [
            "## Which way",
            "",
            "Of the clips of either class of a pair, those with the higher score in the right one; chance is 50 %.",
            "",
            f"| answer by | {' | '.join(' / '.join(pair) for pair in pairs)} |",
            "|---|" + "---|" * len(pairs),
        ]
        for way, clips in self.judged.items():
            lines.append(f"| {way} | {' | '.join(share(*direction(clips, self.labels, pair)) for pair in pairs)} |")
        return lines

    def _alarms(self) -> list[str]:
        kinds = {
            f"beginning {self.margin:g} s or more beside a gesture's window": self.idle,
            "in windows of gestures that are none of our classes": self.unmapped,
            "in windows of our gestures, beside the best of each": self.further,
            "IsoGD, whose gestures are others; some may be one of ours": self.other,
        }
        lines = [
            "## Events where there should be none",
            "",
            "| where | recordings | minutes | events | a minute |",
            "|---|---|---|---|---|",
        ]
        for what, alarms in kinds.items():
            numbers = f"{alarms.streams} | {alarms.seconds / 60:.1f} | {alarms.counts.total()} | {alarms.a_minute:.1f}"
            lines.append(f"| {what} | {numbers} |")
        lines += [
            "",
            "Events a minute by class:",
            "",
            "| class | beside | other gestures | further | IsoGD |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {label} | {' | '.join(f'{alarms.of_class(label):.2f}' for alarms in kinds.values())} |"
            for label in self.gestures
        ]
        return lines

    def _every_clip(self) -> list[str]:
        ways = " | ".join(self.ways)
        return [
            "## Every gesture",
            "",
            "The best of the mapped classes with its share of their probability, and in brackets what was decided.",
            "",
            f"| data | recording | its class | ours | {ways} |",
            "|---|---|---|---|" + "---|" * len(self.ways),
            *self.windows,
            "",
            "## Every other recording",
            "",
            "| data | recording | its class | events |",
            "|---|---|---|---|",
            *self.streams,
            *(f"\nNot read: {text}." for text in self.unreadable),
        ]


def test_all(
    runner: Runner,
    recordings: Sequence[Recording],
    report: Report,
    *,
    sheets: Path | None,
    **detector: Any,
) -> None:
    """Let the model answer every recording; one that cannot be read is noted, and the others go on."""
    for recording in recordings:
        try:
            answered = answer(runner, recording, **detector)
            faults = report.add(recording, answered)
        except DataError as error:
            report.unreadable.append(f"{recording.dataset} {recording.id} ({type(error).__name__})")
            continue
        if sheets is not None and faults:
            draw_sheet(recording, answered, runner.info.labels, "\n".join([recording.id, *faults]), sheets)


def describe(info: ModelInfo, detector: dict[str, Any]) -> str:
    """A sentence on the model and how events are found."""
    settings = ", ".join(f"{name} {value}" for name, value in detector.items()) or "as they are by default"
    rate = f"{info.frame_rate:g} frames a second" if info.frame_rate else "all frames"
    kind = "frame by frame" if info.kind == "stream" else f"over its last {info.num_segments} frames"
    size = f"{info.input_size[1]} x {info.input_size[2]}"
    return f"{info.architecture}, {kind}, {rate} of {size}, {len(info.labels)} classes; events: {settings}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, metavar="NAME_OR_CHECKPOINT")
    parser.add_argument("--data", required=True, type=Path, metavar="ROOT")
    parser.add_argument("--only", nargs="+", choices=DATASETS, default=DATASETS, help="(default: all that are there)")
    parser.add_argument("--lists", choices=list(LISTS), help="NVGesture's lists (default: v2, where there is one)")
    parser.add_argument("--color", choices=COLORS, help="NVGesture's (default: sk_color, else sk_wrapped)")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N recordings of each dataset alone")
    parser.add_argument("--margin", type=float, default=0.5, help="seconds around a window that count for nothing")
    for name, kind in (("on", float), ("off", float), ("window", int), ("min_frames", int), ("release", int)):
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help="of the EventDetector (default: its own)")
    parser.add_argument("--sheets", type=Path, metavar="FOLDER", help="contact sheets of failures, outside of here")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="file for the results (default: print)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    try:
        sheets = None if args.sheets is None else sheets_folder(args.sheets)
        recordings, notes = find_recordings(args.data, lists=args.lists, color=args.color, only=args.only)
        if args.limit is not None:
            recordings = [r for name in args.only for r in [r for r in recordings if r.dataset == name][: args.limit]]
        runner = open_model(args.model)
        given = {name: getattr(args, name) for name in ("on", "off", "window", "min_frames", "release")}
        detector = {name: value for name, value in given.items() if value is not None}
        report = Report(runner.info, {mapped.label for mapped in read_classes().values()}, args.margin)
        if not report.allowed:
            raise GestureZooError(
                f"{args.model} knows none of the classes of nvgesture_classes.csv: {runner.info.labels}"
            )
        test_all(runner, recordings, report, sheets=sheets, **detector)
    except GestureZooError as error:
        raise SystemExit(f"rendered_real.py: {error}") from error
    about = textwrap.fill(f"{describe(runner.info, detector)} {' '.join(notes)}", 120, break_on_hyphens=False)
    text = f"{origin()}\n{about}\n\n{report.text()}\n"
    if args.out:
        args.out.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
