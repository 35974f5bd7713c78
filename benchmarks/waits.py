"""What one waits for: help, a typo, the list of models, a model to be made, an export; in turns with another checkout.

    git worktree add ../before COMMIT
    python benchmarks/waits.py --against ../before --out benchmarks/results/waits.md

Everything is a process of its own, as a user starts it, on one thread; of making and exporting a model the time counts
from when all is imported. "torch and timm" is what no command that uses a model can do without.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from common import commit, origin, write

COMMANDS = {
    "`gesture-zoo --help`": ["--help"],
    "`gesture-zoo train --help`": ["train", "--help"],
    "`gesture-zoo export --help`": ["export", "--help"],
    "`gesture-zoo train --epoch 3` (a typo)": ["train", "--epoch", "3"],
    "`gesture-zoo predict` (no source)": ["predict"],
    "`gesture-zoo list`": ["list"],
}
# Printed by a process: the seconds of what stands at {what}, after all imports.
INSIDE = """
import contextlib, io, sys, tempfile, time
from pathlib import Path
import torch, gesture_zoo
import gesture_zoo.export
torch.set_num_threads(1)
make = gesture_zoo.create_model
if {is_export}:
    import onnx, onnxruntime, onnxscript, torch.onnx
    model = make({name!r}, num_classes=5)
    path = Path(tempfile.mkdtemp()) / "model{suffix}"
started = time.perf_counter()
with contextlib.redirect_stdout(io.StringIO()):
    {what}
print(time.perf_counter() - started)
"""


def in_process(arguments: list[str], root: Path) -> tuple[float, str]:
    """Seconds until a process with the package of ``root`` has ended, and what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    started = time.perf_counter()
    # Not in this folder: its package would come first.
    done = subprocess.run(
        [sys.executable, *arguments], cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - started, done.stdout.decode()


def command(arguments: list[str], root: Path) -> float:
    return in_process(["-m", "gesture_zoo", *arguments], root)[0]


def inside(what: str, root: Path, *, name: str = "", suffix: str = "") -> float:
    code = INSIDE.format(what=what, name=name, suffix=suffix, is_export=bool(suffix))
    shown = in_process(["-c", code], root)[1]
    if not shown:
        raise SystemExit(f"no answer to {what} with the package of {root}: it was changed meanwhile, or lacks an extra")
    return float(shown.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="another checkout, to measure in turns with this one")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument(
        "--export-rounds", type=int, default=1, help="of exports, which take long (default: %(default)s)"
    )
    parser.add_argument(
        "--models", nargs="*", default=["tsm_resnet50", "tea_res2net50_26w_4s", "action_resnet50_msd"], help="to make"
    )
    parser.add_argument(
        "--exports", nargs="*", default=["tsm_resnet50", "tea_res2net50_26w_4s", "action_mobilenetv2_100"]
    )
    parser.add_argument("--out", type=Path, help="file for the results (default: print)")
    args = parser.parse_args()

    here = Path(__file__).resolve().parents[1]
    roots = {"now": here} if args.against is None else {"before": args.against.resolve(), "now": here}
    jobs = {name: lambda root, a=arguments: command(a, root) for name, arguments in COMMANDS.items()}
    jobs["import of torch and timm alone"] = lambda root: in_process(["-c", "import torch, timm"], root)[0]
    for name in args.models:
        jobs[f"`create_model({name!r})`"] = lambda root, n=name: inside(f"make({n!r})", root)
    slow: set[str] = set()
    for name in args.exports:
        for suffix in (".onnx", ".pt2"):
            what = "gesture_zoo.export_model(model, path, size=(64, 64))"
            job = f"`export_model` of `{name}`, a clip of 64 x 64, to {suffix}"
            jobs[job] = lambda root, n=name, s=suffix, w=what: inside(w, root, name=n, suffix=s)
            slow.add(job)
    seconds: dict[str, dict[str, list[float]]] = {job: {root: [] for root in roots} for job in jobs}
    for turn in range(max(args.rounds, args.export_rounds)):
        for job, run in jobs.items():
            for label, root in roots.items() if turn < (args.export_rounds if job in slow else args.rounds) else ():
                seconds[job][label].append(run(root))

    many = f"{args.rounds} processes (exports: {args.export_rounds})"
    lines = [origin(), f"Seconds, medians of {many} on one thread, in turns."]
    if args.against is not None:
        other = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=args.against, capture_output=True, text=True
        )
        lines[-1] += f" Before: commit {other.stdout.strip()}; now: {commit()}."
    lines += ["", f"| what | {' | '.join(roots)} |", "|---" * (1 + len(roots)) + "|"]
    for job, found in seconds.items():
        medians = [statistics.median(times) for times in found.values()]
        lines.append(f"| {job} | {' | '.join(f'{value:.{0 if value >= 10 else 2}f}' for value in medians)} |")
    write("\n".join(lines) + "\n", args.out)


if __name__ == "__main__":
    main()
