"""What becomes of work that is disturbed: killed, without a disk, a server, a camera, or by another like it.

    python benchmarks/reliability.py --out benchmarks/results/reliability.md
    python benchmarks/reliability.py train=5 disk

train, prepare: SIGKILL at random moments, and the same command again, until it ends: is the result that of a run that
nothing disturbed, to the last bit? readers: a process that reads clips is killed. writers: two commands with one
output folder. disk: no file may grow beyond a random size, from a random moment on. files: the same for exports, saved
models and downloads. hub: a server that cuts connections, refuses, or sends another file. stall: cameras and streams
that fall silent. Exit code 1 if a try failed.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import reliability_disk
import reliability_kills
import reliability_net
import torch
from common import origin
from reliability_tools import Try

# What it is, and how often it is tried.
PARTS: dict[str, tuple[Callable[[Path, int, random.Random], Iterator[Try]], int]] = {
    "train": (reliability_kills.train, 25),
    "prepare": (reliability_kills.prepare, 25),
    "readers": (reliability_kills.readers, 8),
    "writers": (reliability_kills.writers, 5),
    "disk": (reliability_disk.disk, 6),
    "files": (reliability_disk.files, 5),
    "hub": (reliability_net.hub, 1),
    "stall": (reliability_net.stall, 2),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ", ".join(f"{name}={tries}" for name, (_, tries) in PARTS.items())
    parser.add_argument("parts", nargs="*", help=f"what to try, and how often (default: {names})")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--out", type=Path, help="file for the results (default: print)")
    args = parser.parse_args()
    wanted = {name: number for name, _, number in (text.partition("=") for text in args.parts or PARTS)}
    if any(name not in PARTS or (number and not number.isdecimal()) for name, number in wanted.items()):
        parser.error(f"a part is one of {', '.join(PARTS)}, and = and a number after it if you like")
    torch.set_num_threads(1)
    report, failed = origin(), 0
    with tempfile.TemporaryDirectory() as folder:
        for name, number in wanted.items():
            part, tries = PARTS[name]
            done = list(part(Path(folder) / name, int(number or tries), random.Random(args.seed)))
            report += table(name, done)
            bad = sum(not one.passed for one in done)
            failed += bad
            print(f"{name}: {len(done)} tries, {bad} failed", file=sys.stderr, flush=True)
            if args.out:
                args.out.write_text(report)
    if not args.out:
        print(report, end="")
    return 1 if failed else 0


def table(name: str, done: list[Try]) -> str:
    """The tries of a part by what was done, and what was seen how often."""
    lines = ["", f"## {name}", "", "| what | tries | passed | failed | seen |", "|---|---|---|---|---|"]
    for what in dict.fromkeys(one.what for one in done):
        tries = [one for one in done if one.what == what]
        passed = sum(one.passed for one in tries)
        counts = Counter(" ".join(one.seen.split()).replace("|", "/") for one in tries)
        seen = "; ".join(f"{count} x: {text}" if len(tries) > 1 else text for text, count in counts.most_common())
        lines.append(f"| {what} | {len(tries)} | {passed} | {len(tries) - passed} | {seen} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
