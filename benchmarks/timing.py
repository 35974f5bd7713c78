"""Comparing times on a machine that does other things too: all ways take turns in one process."""

import math
import statistics
import time
from collections.abc import Callable, Mapping

import torch

Way = Callable[[], object]
PAUSE = 0.05  # seconds between turns: the threads of the last one stop waiting for work


def in_turn(
    ways: Mapping[str, Way], rounds: int, *, calls: int | Mapping[str, int] = 1, warm_up: int = 2, pause: float = PAUSE
) -> dict[str, list[float]]:
    """Milliseconds a call of every way, one number a round; ``calls`` in a row make a turn, after one untimed.

    The order turns around from round to round, so that none always comes after the same.
    """
    for way in ways.values():
        for _ in range(warm_up):
            way()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        names = list(ways) if number % 2 == 0 else list(ways)[::-1]
        for name in names:
            count = calls if isinstance(calls, int) else calls[name]
            time.sleep(pause)
            if count > 1:
                ways[name]()
            start = time.perf_counter()
            for _ in range(count):
                ways[name]()
            times[name].append((time.perf_counter() - start) * 1000 / count)
    return times


def in_turn_on_gpu(
    ways: Mapping[str, Way], rounds: int, *, turn: float = 0.04, warm_up: int = 3
) -> dict[str, list[float]]:
    """As ``in_turn``, between two CUDA events: as many calls make a turn as take about ``turn`` seconds.

    The GPU has no work when a turn begins, so that the time a call takes to be launched counts where it is the longer.
    """
    calls = {}
    for name, way in ways.items():
        for _ in range(warm_up):
            way()
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(2):
            way()
        torch.cuda.synchronize()
        calls[name] = min(200, max(1, math.ceil(turn / ((time.perf_counter() - start) / 2))))
    times: dict[str, list[float]] = {name: [] for name in ways}
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    for number in range(rounds):
        for name in list(ways) if number % 2 == 0 else list(ways)[::-1]:
            first.record()
            for _ in range(calls[name]):
                ways[name]()
            last.record()
            torch.cuda.synchronize()
            times[name].append(first.elapsed_time(last) / calls[name])
    return times


def replay_of(call: Way) -> Way:
    """The same kernels, in the same memory, without Python."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def launch_milliseconds(way: Way, times: int = 5) -> float:
    """How long a call takes to give all its work to an idle GPU, which it does not wait for: the median."""
    found = []
    for _ in range(times):
        torch.cuda.synchronize()
        start = time.perf_counter()
        way()
        found.append((time.perf_counter() - start) * 1000)
    torch.cuda.synchronize()
    return statistics.median(found)


def paired_ratio(times: list[float], reference: list[float]) -> float:
    """Median over the rounds of a time over the reference's of the same round."""
    return statistics.median(a / b for a, b in zip(times, reference, strict=True))
