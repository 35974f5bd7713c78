"""The sums of an epoch, from which come its means: plain numbers, which a checkpoint takes."""

from __future__ import annotations

from collections.abc import Mapping

CLIPS_OF = "clips of "  # how many a mean is over


def count(sums: dict[str, float], values: Mapping[str, float], weight: int) -> None:
    """Add values to the sums, those of a loss as means over ``weight`` clips.

    >>> sums: dict[str, float] = {}
    >>> count(sums, {"loss": 0.5}, 4), count(sums, {"seconds": 2.0}, 1), sums
    (None, None, {'loss': 2.0, 'clips of loss': 4, 'seconds': 2.0})
    """
    for name, value in values.items():
        sums[name] = sums.get(name, 0.0) + value * weight
        if "loss" in values:
            sums[CLIPS_OF + name] = sums.get(CLIPS_OF + name, 0) + weight


def means_of(sums: Mapping[str, float]) -> dict[str, float]:
    """Means over the clips, seconds, the share of them spent waiting, skipped steps if there were any, and the last lr.

    >>> means_of({"loss": 2.0, "clips of loss": 4, "seconds": 2.0, "wait": 1.0, "lr": 0.1})
    {'lr': 0.1, 'loss': 0.5, 'seconds': 2.0, 'wait_share': 0.5}
    """
    totals = {name: total for name, total in sums.items() if not name.startswith(CLIPS_OF)}
    last = {"lr": totals.pop("lr")} if "lr" in totals else {}
    seconds, wait, bad = (totals.pop(name, 0.0) for name in ("seconds", "wait", "bad"))
    means = last | {name: value / sums[CLIPS_OF + name] for name, value in totals.items()}
    means |= {"seconds": round(seconds, 3), "wait_share": round(wait / seconds, 4) if seconds else 0.0}
    return means | ({"skipped_steps": bad} if bad else {})
