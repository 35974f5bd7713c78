"""What it costs a training step on a CPU that glibc gives large arrays back to the system at once.

    python benchmarks/malloc.py --out benchmarks/results/malloc.md

Arrays of more than 32 MB come fresh from the system every time, and every page of them is faulted in anew; two
environment variables of glibc (Linux) make it keep them. They are read when a process starts, so each measurement is a
process of its own; the two kinds take turns.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from common import origin
from speed_models import CLASSES, FRAMES, SIDE, clips, training_step
from timing import in_turn

import gesture_zoo

KEEP = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "8589934592"}  # bytes


def measure(name: str, batch: int, rounds: int) -> tuple[float, float]:
    """Seconds of a training step, and the most memory of this process in MB."""
    model = gesture_zoo.create_model(name, num_classes=CLASSES)
    step = training_step(model, clips(batch, torch.float32))
    times = in_turn({"step": step}, rounds)["step"]
    return statistics.median(times) / 1e3, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_process(name: str, batch: int, rounds: int, environment: Mapping[str, str]) -> tuple[float, float]:
    """``measure`` in a process of its own."""
    given = ["--models", name, "--batch", str(batch), "--rounds", str(rounds), "--here"]
    done = subprocess.run(
        [sys.executable, __file__, *given],
        env={**{key: value for key, value in os.environ.items() if key not in KEEP}, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds, memory = json.loads(done.stdout.splitlines()[-1])
    return seconds, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["tsm_mobilenetv2_100", "tsm_resnet18"])
    parser.add_argument("--batch", type=int, default=4, help="clips (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="steps of a process (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=2, help="processes of each kind (default: %(default)s)")
    parser.add_argument("--here", action="store_true", help="measure in this process, and print what was found")
    parser.add_argument("--out", type=Path, help="file for the results (default: print)")
    args = parser.parse_args()
    if args.here:
        print(json.dumps(measure(args.models[0], args.batch, args.rounds)))
        return
    rows = []
    for name in args.models:
        pairs = [[in_process(name, args.batch, args.rounds, way) for way in ({}, KEEP)] for _ in range(args.turns)]
        (plain, memory), (kept, more) = (
            tuple(statistics.median(found[number] for found in way) for number in (0, 1))
            for way in zip(*pairs, strict=True)
        )
        ratio = statistics.median(one[0] / other[0] for one, other in pairs)
        rows.append(f"| {name} | {plain:.2f} | {kept:.2f} | {ratio:.2f} | {memory:.0f} | {more:.0f} |")
    what = f"A training step of {args.batch} clips of {FRAMES} frames at {SIDE} x {SIDE}, float32; with: " + " ".join(
        f"`{key}={value}`" for key, value in KEEP.items()
    )
    head = "| model | without, s | with, s | times as fast | most memory without, MB | with, MB |"
    text = "\n".join([origin(), f"{what}.", "", head, "|" + "---|" * 6, *rows, ""])
    if args.out:
        args.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
