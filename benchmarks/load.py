"""Does memory stay flat under load, and does every stream and every file get its own answer?

    python benchmarks/load.py --out benchmarks/results/load.md
    python benchmarks/load.py streams --streams 8 --frames 500
    python benchmarks/load.py videos --videos 200

streams: many concurrent streams of frames through the packaged online model in one process, in every way there is to
serve them: all in one forward, a recogniser for each, a recogniser and a thread for each, in PyTorch and in ONNX
Runtime. All logits are compared with those of the same frames alone. videos: a folder of short videos, one in twenty
corrupt, through ``gesture-zoo predict`` and its functions. Every way is a process of its own, on one core.

Exit code 1 if memory grew by more than 2 % after the first fifth, an answer was another's, or a file had no answer and
no error that names it.
"""

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

import load_streams
import load_videos
import torch
from common import origin
from load_meter import PATIENCE, Curve, curve, curve_table, heard
from load_streams import Load
from reliability_tools import Forked

from gesture_zoo.labels import label_names
from gesture_zoo.packaged import packaged_file

CLASSES = len(label_names("rendered"))
ROUNDING = 1e-4  # of the largest logit
APART = 10  # times that rounding: how far the logits of any two streams must be apart, or nothing could be told


class Serving(NamedTuple):
    """A way to serve streams: what does it, by what, a share of the frames, and what it is compared with."""

    serve: Callable[..., None]
    open_runner: Callable[[Load], object]
    share: float
    reference: str


ONNX, TORCH = load_streams.onnx_runner, load_streams.torch_runner
# By PyTorch one frame costs many times what it costs by ONNX Runtime: few have all of them.
SERVING = {
    "alone, ONNX Runtime": Serving(partial(load_streams.alone, every=16), ONNX, 1, ""),
    "recognisers, ONNX Runtime": Serving(load_streams.separate, ONNX, 1, "alone, ONNX Runtime"),
    "batch, ONNX Runtime": Serving(load_streams.batched, ONNX, 1, "recognisers, ONNX Runtime"),
    "threads, ONNX Runtime": Serving(load_streams.threads, ONNX, 1, "recognisers, ONNX Runtime"),
    "alone, PyTorch": Serving(partial(load_streams.alone, every=16), TORCH, 0.05, ""),
    "recognisers, PyTorch": Serving(load_streams.separate, TORCH, 0.05, "alone, PyTorch"),
    "threads, PyTorch": Serving(load_streams.threads, TORCH, 0.05, "recognisers, PyTorch"),
    "batch, PyTorch": Serving(load_streams.batched, TORCH, 1, "recognisers, ONNX Runtime"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=[], help="streams, videos (default: both)")
    parser.add_argument("--streams", type=int, default=64, help="how many at once")
    parser.add_argument("--frames", type=int, default=10_000, help="of each stream")
    parser.add_argument("--side", type=int, default=32, help="of the frames, in pixels")
    parser.add_argument("--videos", type=int, default=2000, help="in the folder")
    parser.add_argument("--work", type=Path, help="folder that keeps what is done, for the same command after a break")
    parser.add_argument("--out", type=Path, help="file for the results (default: print)")
    args = parser.parse_args()
    if set(args.parts) - {"streams", "videos"}:
        parser.error("a part is streams or videos")
    torch.set_num_threads(1)
    report, faults = origin(), []
    with nullcontext(args.work) if args.work else tempfile.TemporaryDirectory() as folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        if "streams" in (args.parts or ["streams"]):
            load = Load(args.streams, args.frames, args.side, Path(folder) / "model.onnx")
            text, found = streams(load, Path(folder))
            report, faults = report + text, faults + found
            write(report, args.out)
        if "videos" in (args.parts or ["videos"]):
            text, found = videos(Path(folder), args.videos)
            report, faults = report + text, faults + found
    report += "\n## Faults\n\n" + ("\n".join(f"- {fault}" for fault in faults) or "None.") + "\n"
    write(report, args.out)
    if not args.out:
        print(report, end="")
    return 1 if faults else 0


def write(report: str, out: Path | None) -> None:
    """What there is so far, where a file was asked for."""
    if out:
        out.write_text(report)


def process(name: str, work: Callable[[], None], folder: Path) -> tuple[str, list[str]]:
    """Work in a process of its own: what it said, which is kept in the folder, and what went wrong."""
    kept = path_of(folder, name).with_suffix(".said")
    if kept.exists():
        return kept.read_text(), []
    print(name, file=sys.stderr, flush=True)
    shutil.rmtree(path_of(folder, name), ignore_errors=True)  # half of it
    forked = Forked(work, patience=PATIENCE)
    code = forked.end()
    faults = [f"{name}: {fault}" for fault in heard(forked.text).get("fault", [])]
    faults += [] if code == 0 else [f"{name}: exit code {code}: {forked.text[-300:]!r}"]
    if not faults:
        kept.write_text(forked.text)
    return forked.text, faults


def streams(load: Load, folder: Path) -> tuple[str, list[str]]:
    """All ways to serve streams: the report, and what is wrong."""
    faults = process("export", lambda: load_streams.export(load.file, load.side), folder)[1]
    curves: dict[str, Curve] = {}
    rows, largest = [], 0.0
    for name, way in SERVING.items():
        mine = load._replace(frames=max(1, round(way.share * load.frames)))
        text, found = process(name, partial(way.serve, mine, way.open_runner, path_of(folder, name)), folder)
        faults += found
        if found:
            continue
        curves[name] = curve(text)
        faults += [f"{name}: {fault}" for fault in curves[name].faults()]
        if way.reference:
            every = getattr(SERVING[way.reference].serve, "keywords", {}).get("every", 1)
            match = load_streams.compare(
                path_of(folder, name), path_of(folder, way.reference), load, CLASSES, frames=mine.frames, every=every
            )
            if not match.farthest <= ROUNDING * match.largest:
                faults.append(f"{name}: a logit is {match.farthest:.3g} from {way.reference}")
            largest = max(largest, match.largest)
            rows.append(
                f"| {name} | {way.reference} | {match.frames:,} | {match.equal:,} | {match.farthest:.2g} | "
                f"{match.largest:.1f} | {match.events:,} | {match.not_shared:,} |"
            )
    apart = load_streams.apart(path_of(folder, "recognisers, ONNX Runtime"), load, CLASSES, load.frames)
    if not apart > APART * ROUNDING * largest:
        faults.append(f"streams are too like one another to tell: {apart:.3g}")
    head = (
        f"\n## Streams\n\n{load.streams} streams of {load.frames:,} frames of {load.side} x {load.side}, each with "
        f"noise and a moving spot of its own; `{load_streams.MODEL}`. Some ways have fewer frames.\n\n"
    )
    compared = (
        "\nLogits of every frame, and events (the class of every frame that is at least 60 % sure counts). Events that "
        "the two do not share are counted on both sides. The logits of the two streams that are most alike are "
        f"{apart:.2g} apart (the largest difference in a frame, mean over the frames).\n\n"
        "| way | compared with | frames | equal to the bit | farthest | largest logit | events | not shared |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    points = "\nThe curves:\n\n" + curve_table(curves)
    return head + summary(curves) + compared + "\n".join(rows) + "\n" + points, faults


def path_of(folder: Path, name: str) -> Path:
    """Where the answers of a way are."""
    return folder / name.replace(", ", "-").replace(" ", "-")


def summary(curves: dict[str, Curve]) -> str:
    """How much grew in each way, as Markdown."""
    lines = [
        "Memory is that of the process, blocks are those of Python's allocator, objects those its collector knows. "
        "All are after a fifth of the work and at its end; growth is that of the largest value since. Held is what "
        "tracemalloc finds more at the end than a twentieth of the work before.\n",
        "| way | seconds | memory, MiB | growth | blocks | growth | objects | growth | files | held |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, one in curves.items():
        first, last = one.warm[0], one.warm[-1]
        cells = [name, f"{one.seconds:.0f}", f"{first.memory:.1f}, {last.memory:.1f}", grown(one, "memory")]
        if one.traced is not None:
            cells += [f"{first.blocks:,}, {last.blocks:,}", grown(one, "blocks")]
            cells += [f"{first.objects:,}, {last.objects:,}", grown(one, "objects")]
            cells += [f"{first.files}, {last.files}", f"{one.traced / 1024:.1f} KiB"]
        lines.append(f"| {' | '.join(cells)} |{' |' * (10 - len(cells))}")
    return "\n".join(lines) + "\n"


def grown(one: Curve, what: str) -> str:
    """Growth in percent."""
    return f"{100 * one.growth(what):.2f} %"


def videos(folder: Path, count: int) -> tuple[str, list[str]]:
    """All ways to have videos answered: the report, and what is wrong."""
    clips = folder / "videos"
    for path in (clips, folder / "sources"):
        shutil.rmtree(path, ignore_errors=True)
    kinds = load_videos.write_folder(clips, count)
    curves: dict[str, Curve] = {}
    rows: list[str] = []
    faults: list[str] = []
    seen: dict[tuple[str, str], Counter[str]] = {}
    with packaged_file(f"{load_videos.MODEL}.onnx") as onnx:
        for name, way in load_videos.ways(onnx).items():
            if way.function is None:
                work = partial(load_videos.predict, clips, way.options)
            else:
                work = partial(load_videos.answer_all, clips, way.function)
            text, found = process(name, work, folder)
            faults += found
            if found:
                continue
            told, curves[name] = heard(text), curve(text)
            code = told["code"][0] if way.function is None else ""
            faults += [] if code in (2, "") else [f"{name}: exit code {code}"]
            outcomes = load_videos.by_video(told["video"])
            faults += [f"{name}: {fault}" for fault in curves[name].faults() + load_videos.wrong(outcomes, kinds)]
            counts = Counter(what for several in outcomes.values() for what, _ in several)
            rows.append(f"| {name} | {counts['answer']:,} | {counts['error']:,} | {code} |")
            for kind, words in load_videos.outcomes_of_bad(outcomes, kinds, clips):
                seen.setdefault((kind, words), Counter())[name] += 1
    bad = sum(kind != "good" for kind in kinds.values())
    head = (
        f"\n## Videos\n\n{count:,} videos of {load_videos.FRAMES} frames of {load_videos.SIDE} x {load_videos.SIDE}, "
        f"{bad} of them corrupt; the others are links to three files, and links to one shall have one answer. Of a "
        "command the memory alone is known from outside.\n\n"
    )
    table = "| way | answers | errors that name the file | exit code |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    what = "\nWhat was said of corrupt files:\n\n| file | outcome | ways | times |\n|---|---|---|---|\n" + "".join(
        f"| {kind} | {words} | {len(names)} of {len(curves)} | {sum(names.values())} |\n"
        for (kind, words), names in sorted(seen.items())
    )
    return head + table + "\n" + summary(curves) + what + "\nThe curves:\n\n" + curve_table(curves), faults


if __name__ == "__main__":
    sys.exit(main())
