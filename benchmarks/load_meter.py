"""What a process holds while it works, told line by line: memory, Python's objects, open files."""

import gc
import json
import os
import sys
import time
import tracemalloc
from pathlib import Path
from typing import NamedTuple

POINTS = 20  # of a curve
WARM = 0.2  # of the work after which nothing may grow
TRACED = 0.9, 0.95  # from when tracemalloc looks, and what is compared with the end
ALLOWED = 0.02  # growth after the warm-up
PATIENCE = 3600.0  # seconds: a busy machine has other things to do


class Point(NamedTuple):
    """What a process holds after so much work: memory in MiB, blocks and objects of Python, open files."""

    done: int
    memory: float
    blocks: int
    objects: int
    files: int


class Curve(NamedTuple):
    """The points of some work, its seconds, and by how many bytes more Python holds after its last twentieth."""

    points: list[Point]
    seconds: float
    traced: int | None

    @property
    def warm(self) -> list[Point]:
        """The points after the warm-up."""
        return [point for point in self.points if point.done >= WARM * self.points[-1].done]

    def growth(self, what: str) -> float:
        """By how much it was above its value at the end of the warm-up, at most, as a share of that."""
        values = [getattr(point, what) for point in self.warm]
        return max(values) / values[0] - 1

    def faults(self) -> list[str]:
        """What grew by more than is allowed."""
        return [
            f"{what} grew by {100 * self.growth(what):.1f} %"
            for what in ("memory", "blocks", "objects", "files")
            if self.growth(what) > ALLOWED
        ]


class Meter:
    """Prints a point of the curve after every twentieth of ``total`` pieces of work, as a line of JSON."""

    def __init__(self, total: int) -> None:
        self.every = max(1, total // POINTS)
        self.trace_at, self.compare_at = (max(1, int(share * total)) for share in TRACED)
        self.total, self.held = total, 0
        self.start = time.perf_counter()

    def tell(self, done: int) -> None:
        """So much is done; to be called once for every piece."""
        if done == self.trace_at:
            tracemalloc.start()
        if done == self.compare_at:
            self.held = tracemalloc.get_traced_memory()[0]
        if done == self.total:
            traced = tracemalloc.get_traced_memory()[0] - self.held
            tracemalloc.stop()
        if done % self.every == 0 or done == self.total:
            say(point=here(done))
        if done == self.total:
            say(seconds=time.perf_counter() - self.start, traced=traced)


def here(done: int) -> Point:
    """A point of this process."""
    used = memory(os.getpid())
    gc.collect()
    files = len(list(Path("/proc/self/fd").iterdir()))
    return Point(done, used, sys.getallocatedblocks(), len(gc.get_objects()), files)


def memory(pid: int) -> float:
    """Memory of a process, in MiB; 0 where it has just ended."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)


def say(**values: object) -> None:
    """A line for whoever started this process."""
    print(json.dumps(values), flush=True)


def heard(text: str) -> dict[str, list]:
    """What a process has said, by name; lines of others are left out."""
    found: dict[str, list] = {}
    for line in text.splitlines():
        if line.startswith('{"'):
            for name, value in json.loads(line).items():
                found.setdefault(name, []).append(value)
    return found


def curve(text: str) -> Curve:
    """The curve in what a process has said."""
    found = heard(text)
    return Curve([Point(*values) for values in found["point"]], found["seconds"][0], found["traced"][0])


def curve_table(curves: dict[str, Curve]) -> str:
    """All points of some curves, as Markdown."""
    lines = ["| way | after | what |", "|---|---|---|"]
    for name, one in curves.items():
        done = ", ".join(f"{point.done:,}" for point in one.points)
        lines.append(f"| {name} | {done} | |")
        for what, text in {"memory, MiB": "{0.memory:.1f}", "blocks": "{0.blocks:,}"}.items():
            if what == "memory, MiB" or one.traced is not None:
                lines.append(f"| | {'; '.join(text.format(point) for point in one.points)} | {what} |")
    return "\n".join(lines) + "\n"
