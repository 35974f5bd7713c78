"""Comparing times on a machine that does other things too: all ways take turns in one process."""

import statistics
import time
from collections.abc import Callable, Mapping

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


def paired_ratio(times: list[float], reference: list[float]) -> float:
    """Median over the rounds of a time over the reference's of the same round."""
    return statistics.median(a / b for a, b in zip(times, reference, strict=True))
