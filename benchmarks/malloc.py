"""What it costs a network on a CPU that glibc gives large arrays back to the system at once.

    python benchmarks/malloc.py --out benchmarks/results/malloc.md

Large arrays come fresh from the system every time, and every page of them is faulted in anew; with
``gesture_zoo.memory.keep_freed_memory()``, as the commands have it, glibc keeps them. That is for good, so each
measurement is a process of its own; the two kinds take turns.
"""

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import torch
from common import origin
from speed import inference
from speed_models import CLASSES, FRAMES, SIDE, clips, training_step
from timing import in_turn

import gesture_zoo
from gesture_zoo.memory import keep_freed_memory

WORK = {"clip": 1, "training step": 4}  # clips at once


def measure(name: str, work: str, rounds: int) -> tuple[float, float]:
    """Milliseconds of a forward in evaluation or of a training step, and the most memory of this process in MB."""
    model = gesture_zoo.create_model(name, num_classes=CLASSES)
    clip = clips(WORK[work], torch.float32)
    call = inference(model, clip, compiled=False) if work == "clip" else training_step(model, clip)
    times = in_turn({work: call}, rounds)[work]
    return statistics.median(times), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_process(name: str, work: str, rounds: int, *, keep: bool) -> tuple[float, float]:
    """``measure`` in a process of its own."""
    given = ["--models", name, "--rounds", str(rounds), "--here", work, *(["--keep"] if keep else [])]
    done = subprocess.run([sys.executable, __file__, *given], stdout=subprocess.PIPE, text=True, check=True)
    took, memory = json.loads(done.stdout.splitlines()[-1])
    return took, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = ["tsm_mobilenetv2_100", "tsm_resnet18", "tsm_resnet50", "action_resnet50"]
    parser.add_argument("--models", nargs="+", default=models)
    parser.add_argument("--rounds", type=int, default=5, help="of a process (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=3, help="processes of each kind (default: %(default)s)")
    parser.add_argument("--here", choices=WORK, help="measure this in this process, and print what was found")
    parser.add_argument("--keep", action="store_true", help="with --here: keep what is freed")
    parser.add_argument("--out", type=Path, help="file for the results (default: print)")
    args = parser.parse_args()
    if args.keep and not keep_freed_memory():
        parser.error("there is no glibc here to be told, or the environment has settings of its malloc")
    if args.here:
        print(json.dumps(measure(args.models[0], args.here, args.rounds)))
        return
    rows = []
    for name, work in itertools.product(args.models, WORK):
        pairs = [[in_process(name, work, args.rounds, keep=keep) for keep in (False, True)] for _ in range(args.turns)]
        (plain, memory), (kept, more) = (
            tuple(statistics.median(found[number] for found in way) for number in (0, 1))
            for way in zip(*pairs, strict=True)
        )
        ratio = statistics.median(one[0] / other[0] for one, other in pairs)
        rows.append(f"| {name} | {work} | {plain:.0f} | {kept:.0f} | {ratio:.2f} | {memory:.0f} | {more:.0f} |")
        print(rows[-1], flush=True)
    what = ", ".join(f"{work}: {count} x {FRAMES} frames" for work, count in WORK.items())
    head = "| model | | without, ms | with, ms | times as fast | most memory without, MB | with, MB |"
    text = "\n".join(
        [
            origin(),
            f"{what} at {SIDE} x {SIDE}, float32; with: `keep_freed_memory()`.",
            "",
            head,
            "|" + "---|" * 7,
            *rows,
            "",
        ]
    )
    if args.out:
        args.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
