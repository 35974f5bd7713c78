"""What was measured with this code, from the tables of the results files, with what follows from them in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .facts import FAMILIES
from .markdown import listing, table
from .results import Results, Row, interval, pairs

GAIN = "gain, points"


class Gain(NamedTuple):
    """A row of a comparison without and with MSD: the family, after how many epochs, and the table's cells."""

    family: str
    epochs: int
    row: Row

    @property
    def name(self) -> str:
        """The network and its epochs, in words."""
        return f"{FAMILIES[self.family].title} after {self.epochs} epochs"

    @property
    def seeds(self) -> list[tuple[float, float]]:
        """Top-1 in % without and with MSD, by seed."""
        return pairs(self.row["seeds, without -> with"])


def rendered_gains(files: Iterable[Results]) -> list[Gain]:
    """The comparisons on rendered clips, in the order of the families, shorter runs first."""
    gains = [
        Gain(row["network"], int(file.text(r"(\d+) epochs")[1]), row) for file in files for row in file.table(GAIN)
    ]
    order = list(FAMILIES)
    return sorted(gains, key=lambda gain: (order.index(gain.family), gain.epochs))


def gain_line(gain: Gain) -> str:
    """One comparison as a line of a family's section."""
    row = gain.row
    return f"{gain.epochs} epochs, {row['without MSD']} -> {row['with MSD']} % ({row[GAIN]} points)"


def measured_lines(family: str, rendered: Iterable[Results], isogd: Results) -> list[str]:
    """What was measured of a family, without -> with MSD, as lines of its section."""
    lines = [f"rendered clips, {gain_line(gain)}" for gain in rendered_gains(rendered) if gain.family == family]
    names = [row["network, tap"].partition(",")[0] for row in isogd.table("masked RMSE")]
    for name in dict.fromkeys(name for name in names if name.startswith(f"{family}_")):
        row = next(row for row in isogd.table(GAIN) if row[""] == "top-1")
        lines.append(
            f"few real IsoGD clips, `{name.removesuffix('_msd')}`, {row['without MSD']} -> {row['with MSD']} % "
            f"({row[GAIN]} points)"
        )
    return lines


def rendered_section(files: list[Results]) -> list[str]:
    """Accuracy on rendered clips: the table, and what it says."""
    gains = rendered_gains(files)
    clips = files[0].text(r"^(.*?), \d+ epochs")[1]
    chance = float(files[0].text(r"chance is ([\d.]+)")[1].rstrip("."))
    return [
        f"**Rendered clips.** {clips}; small networks of about 0.4 M parameters (timm's `test_resnet`, for TEA a "
        f"Res2Net of its widths); chance is {chance} %. From {', '.join(file.origin for file in files)}.",
        table(
            ("network", "epochs", "top-1 without MSD, %", "with MSD, %", GAIN),
            [(FAMILIES[g.family].title, g.epochs, g.row["without MSD"], g.row["with MSD"], g.row[GAIN]) for g in gains],
        ),
        " ".join(_conclusions(gains, chance)),
    ]


def _conclusions(gains: list[Gain], chance: float) -> Iterable[str]:
    certain = [gain.name for gain in gains if not _holds_zero(gain.row[GAIN])]
    yield f"Certain: {listing(certain)}." if certain else "No gain is certain: every interval holds 0."
    for word, sign in (("better", 1), ("worse", -1)):
        always = [gain.name for gain in gains if all(sign * (b - a) > 0 for a, b in gain.seeds)]
        if always:
            yield f"With MSD in every seed {word}: {listing(always)}."
    steadier = [
        gain.name for gain in gains if 2 * _deviation(gain.row["with MSD"]) < _deviation(gain.row["without MSD"])
    ]
    if steadier:
        yield f"The spread over the seeds fell to less than half: {listing(steadier)}."
    lowest = min(gains, key=lambda gain: _mean(gain.row["without MSD"]))
    yield (
        f"The lowest, {lowest.name}, is at {_mean(lowest.row['without MSD'])} % where chance is {chance} %: it had "
        "hardly begun to learn. TSN cannot see order, and these gestures come in pairs that differ by nothing else."
    )


def depth_section(files: list[Results]) -> list[str]:
    """How near the masks come to depth on rendered clips they have not seen, with the longest runs."""
    longest: dict[str, tuple[int, Row]] = {}
    for file in files:
        epochs = int(file.text(r"(\d+) epochs")[1])
        for row in file.table("masked RMSE"):
            key = row["network, tap"]
            if key not in longest or epochs > longest[key][0]:
                longest[key] = epochs, row
    rows = []
    for key in sorted(longest, key=lambda key: list(FAMILIES).index(key.partition(", ")[0])):
        (family, _, tap), (epochs, row) = key.partition(", "), longest[key]
        rows.append((FAMILIES[family].title, tap, epochs, *_depth_cells(row)))
    return [
        "How near their masks come to depth (masked RMSE, depth in [0, 1]; the baselines know the test clips' depth):",
        table(
            ("network", "tap", "epochs", "masked RMSE", "correlation", "mean depth everywhere", "mean of every pixel"),
            rows,
        ),
    ]


def ablations_section(file: Results) -> list[str]:
    """The ablations whose interval leaves 0 out, beside the paper's numbers."""
    column = "beside no decoder, points"
    every = [row for rows in file.tables for row in rows if row.get(column)]
    # Some settings stand in two of the paper's tables.
    rows = list({(row["top-1 %"], row[column]): row for row in every}.values())
    certain = [row for row in rows if not _holds_zero(row[column])]
    network = file.text(r"an? ACTION-Net of ([\d.]+ M) parameters, (\d+) epochs")
    lines = [
        f"**The ablations of the paper's Tables VI to VIII**, with an ACTION-Net of {network[1]} parameters after "
        f"{network[2]} epochs on the same clips. From {file.origin}.",
        f"Of {len(rows)} settings {len(rows) - len(certain)} are uncertain (their interval holds 0)"
        + ("; the others:" if certain else "."),
    ]
    if certain:
        paper = "the paper's, EgoGesture / NVGesture"
        lines.append(
            table(("setting", "top-1, %", column, paper), [(r[""], r["top-1 %"], r[column], r[paper]) for r in certain])
        )
    return lines


def isogd_section(file: Results) -> list[str]:
    """The masks' error and few-shot accuracy on real clips, and what they say."""
    depth, accuracy = file.table("masked RMSE"), file.table(GAIN)
    clips = file.text(r"^(.*?); \d+ seeds")[1]
    near = all(_mean(row["masked RMSE"]) < float(row["mean depth everywhere"]) for row in depth)
    certain = [row[""] for row in accuracy if not _holds_zero(row[GAIN])]
    return [
        f"**Real IsoGD clips.** {clips}. From {file.origin}.",
        table(
            ("network, tap", "masked RMSE", "correlation", "mean depth everywhere", "mean of every pixel"),
            [(row["network, tap"], *_depth_cells(row)) for row in depth],
        ),
        table(
            ("one to four clips a class, %", "without MSD", "with MSD", GAIN),
            [(row[""], row["without MSD"], row["with MSD"], row[GAIN]) for row in accuracy],
        ),
        "The masks know "
        + ("more" if near else "no more")
        + " of the depth of clips they have not seen than its mean does. "
        + (
            f"Certain: {listing(certain)}."
            if certain
            else "What depth did for the classes is uncertain: the intervals hold 0."
        ),
    ]


def agreement_section(file: Results) -> list[str]:
    """How nearly our networks answer as the official ones."""
    response = "moved by one rounding step (2^-24) of the clip"
    rows = file.table(response)
    far = [row for row in rows if float(row["ours, float32"]) > 1e-5]
    lines = [
        "The largest difference of a logit from the official network's, relative to the largest logit, with weights "
        f"from a formula, in eval mode. `tests/test_golden.py` holds it. From {file.origin}.",
        table(
            ("model", "largest difference, float32", "float64", response),
            [(f"`{r['model']}`", r["ours, float32"], r["ours, float64"], r[response]) for r in rows],
        ),
    ]
    lines += [
        f"`{row['model']}`: with these weights one rounding step of the clip alone moves the logits by {row[response]}"
        ", so the recorded float32 answer says no more than that; the test uses this measured bound."
        for row in far
    ]
    return lines


def _depth_cells(row: Row) -> tuple[str, ...]:
    return row["masked RMSE"], row["correlation"], row["mean depth everywhere"], row["mean depth of every pixel"]


def _holds_zero(cell: str) -> bool:
    if "one run" in cell:
        return True  # one run has no interval, and nothing is certain
    low, high = interval(cell)
    return low <= 0 <= high


def _mean(cell: str) -> float:
    return float(cell.partition(" ± ")[0])


def _deviation(cell: str) -> float:
    return float(cell.partition(" ± ")[2] or 0)
