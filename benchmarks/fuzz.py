"""Does anything but the library's own errors come out of what others wrote, and at what cost in time and memory?

    python benchmarks/fuzz.py --inputs 100000 --out benchmarks/results/fuzz.md

Each part of ``fuzz_parts.py`` runs in a process of its own that may have 2 GiB more memory than it starts with and 5
seconds of processor time an input, and that no network answers. ``--parts`` chooses; the inputs are those of
``--seed``.
"""

import argparse
import faulthandler
import logging
import math
import multiprocessing
import multiprocessing.connection
import os
import resource
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from common import origin
from fuzz_inputs import outcome
from fuzz_parts import PARTS

SECONDS = 5.0  # of one input
MEMORY = 2 << 30  # bytes beyond those at the start
FEWER = {"config.json, model built": 2000, "recipe": 10_000}  # inputs at most where one takes 20 ms and more


class TooSlow(BaseException):
    """An input took longer than it may."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--inputs", type=int, default=100_000, help="inputs to each part")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end a part after so long, with fewer inputs")
    parser.add_argument("--jobs", type=int, default=1, help="parts at a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the results to this file")
    args = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    for name, part in in_processes(args.parts, args):
        print(f"{name}: {part['outcomes']}, {part['faults'] or 'no faults'}", file=sys.stderr, flush=True)
        found[name] = part
        if args.out:
            ended = {name: found[name] for name in args.parts if name in found}
            args.out.write_text(f"{origin()}\n{describe(ended)}")
    print(describe(found))
    sys.exit(any(part["faults"] for part in found.values()))


def in_processes(names: list[str], args: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the parts found, as they end; the end of a process without an answer is a fault too."""
    forking = multiprocessing.get_context("fork")  # what is imported need not be imported again
    left, running = list(names), {}
    while left or running:
        while left and len(running) < args.jobs:
            name = left.pop(0)
            ours, theirs = forking.Pipe(duplex=False)
            inputs = min(args.inputs, FEWER.get(name, args.inputs))
            process = forking.Process(target=answer, args=(theirs, name, inputs, args.seed, 60 * args.minutes))
            process.start()
            theirs.close()
            running[ours] = name, process
        for pipe in multiprocessing.connection.wait(list(running)):
            name, process = running.pop(pipe)
            try:
                found = pipe.recv()
            except EOFError:
                found = {"inputs": 0, "outcomes": {}, "faults": {"the process ended": ""}}
            process.join()
            yield name, found


def answer(pipe: Any, *arguments: Any) -> None:
    """Send what ``run`` finds."""
    pipe.send(run(*arguments))


def run(name: str, inputs: int, seed: int, seconds: float) -> dict[str, Any]:
    """Feed a part, for so many seconds at most, and count what came of it."""
    no_network()
    logging.disable()  # what is left out of lists, a hundred thousand times
    outcomes: Counter[str] = Counter()
    faults: dict[str, str] = {}
    slowest, costly, spent = 0.0, "", 0.0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "folder")
        folder.mkdir()
        part = PARTS[name](folder, pytest.MonkeyPatch())
        os.chdir(folder)
        limit_memory()
        signal.signal(signal.SIGPROF, too_slow)
        before = peak_memory()

        def feed(value: Any) -> None:
            nonlocal slowest, costly, spent
            faulthandler.dump_traceback_later(12 * SECONDS, exit=True)  # where no signal is heard
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            started = time.process_time()
            try:
                outcomes[outcome(part, value)] += 1
            except (Exception, TooSlow) as error:
                outcomes["faults"] += 1
                where = traceback.extract_tb(error.__traceback__)[-1]
                what = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {str(error)[:200]}"
                ours = [entry for entry in traceback.extract_tb(error.__traceback__) if "gesture_zoo" in entry.filename]
                faults.setdefault(
                    what,
                    f"{ours[-1].filename.rpartition('gesture_zoo/')[2]}:{ours[-1].lineno} {value!r:.300}"
                    if ours
                    else f"{value!r:.300}",
                )
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
                faulthandler.cancel_dump_traceback_later()
            seconds = time.process_time() - started
            spent += seconds
            if seconds > slowest:
                slowest, costly = seconds, f"{value!r:.80}"

        rng = Random(seed)
        end = time.monotonic() + seconds
        while outcomes.total() < inputs and time.monotonic() < end:
            feed(part.make(rng))
        assert [path.name for path in Path(place).iterdir()] == ["folder"] and not list(folder.rglob("harm"))
    return {
        "inputs": outcomes.total(), "outcomes": dict(outcomes), "faults": faults, "slowest": slowest, "costly": costly,
        "rate": outcomes.total() / spent, "memory": peak_memory() - before,
    }  # fmt: skip


def no_network(patch: Callable[[Any, str, Any], None] = setattr) -> None:
    """Let no name be known and no address answer; ``patch`` sets an attribute."""

    def unknown(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise ConnectionRefusedError(111, "Connection refused")

    patch(socket, "getaddrinfo", unknown)
    patch(socket, "create_connection", refuse)
    patch(socket.socket, "connect", refuse)


def limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def too_slow(*_: Any) -> None:
    raise TooSlow(f"more than {SECONDS:g} s")


def peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def describe(found: dict[str, dict[str, Any]]) -> str:
    """The results as a table, with what was a fault below it."""
    lines = [
        "Taken: read without an error. Refused: with which of the library's errors. Inputs/s: of the library's own "
        "time, without that of making inputs. Memory: how far the process grew.",
        "",
        "| part | inputs | taken | refused | faults | inputs/s | slowest, ms | memory, MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, part in found.items():
        counts = dict(part["outcomes"])
        taken, faults = counts.pop("taken", 0), counts.pop("faults", 0)
        refused = ", ".join(f"{kind} {count:,}" for kind, count in sorted(counts.items())) or "-"
        cost = (
            f"{part['rate']:,.0f} | {1000 * part['slowest']:.0f} | {part['memory'] / 2**20:.0f}"
            if counts
            else "- | - | -"
        )
        lines.append(f"| {name} | {part['inputs']:,} | {taken:,} | {refused} | {faults} | {cost} |")
    lines += ["", f"{sum(part['inputs'] for part in found.values()):,} inputs. The slowest input of each part:", ""]
    lines += [
        f"- {name}: `{' '.join(part['costly'].replace('`', ' ').split())}`"
        for name, part in found.items()
        if part.get("costly")
    ]
    wrong = [f"- {name}: {what} ({value})" for name, part in found.items() for what, value in part["faults"].items()]
    lines += ["", "Faults:", "", *wrong] if wrong else ["", "No faults."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
