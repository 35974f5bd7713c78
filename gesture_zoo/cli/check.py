"""gesture-zoo check-data: say what is wrong with a dataset's folder."""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from typing import Any

from ..contact_sheet import save_contact_sheet
from ..data import DATASETS
from ..data.check import DatasetReport, check_dataset
from ..data.factory import create_dataset
from ..data.listing import Problem
from ..errors import DataError, one_line
from .options import parse_options

PROBLEMS_FOUND = 1
FIRST = 5  # of a kind, in the text


def check_command(args: argparse.Namespace) -> int:
    """Check a dataset and print what was found; the exit code is 1 if there are problems."""
    if args.data_dir is None and args.data != "synthetic" and args.data in DATASETS:
        raise DataError(f"check-data {args.data} needs DIR, the folder it is in")
    if args.data_dir is not None and args.data == "synthetic":
        raise DataError(f"check-data synthetic: these clips are rendered and in no folder, leave out {args.data_dir}")
    if args.contact_sheet and args.contact_sheet.suffix.lower() != ".png":
        raise DataError(f"--contact-sheet {args.contact_sheet}: pictures are PNG files")
    options = parse_options(args.data, args.data_option) | {"with_depth": args.with_depth}
    report = check_dataset(
        args.data,
        args.data_dir,
        splits=args.split,
        sample=None if args.full else args.sample,
        seed=args.seed,
        progress=True,
        **options,
    )
    drawn = args.contact_sheet is not None and draw_sheet(report, args, options)
    if args.json:
        print(json.dumps(report.to_dict()))
    else:
        print(describe(report))
        if drawn:
            print(f"Contact sheet: {args.contact_sheet}")
    return 0 if report.ok else PROBLEMS_FOUND


def draw_sheet(report: DatasetReport, args: argparse.Namespace, options: dict[str, Any]) -> bool:
    """Draw the first split that has clips, and say whether it could be; if not, that is one problem more."""
    split = next((split for split, count in report.splits.items() if count.clips), "")
    if not split:
        report.add(Problem("contact sheet", str(args.contact_sheet), "there are no clips to draw"))
        return False
    if args.data != "synthetic":
        options = options | {"strict": False}
    dataset = create_dataset(args.data, args.data_dir, split=split, num_segments=1, **options)
    try:
        save_contact_sheet(dataset, args.contact_sheet, title=f"{report.title}, {split}", progress=True)
    except (DataError, OSError) as error:  # a check can have taken an hour: what it found is said all the same
        report.add(Problem("contact sheet", split, str(error)))
        return False
    return True


def describe(report: DatasetReport) -> str:
    """A report as text: a table of the splits, then problems and notes by kind, the first few of each."""
    lines = [f"{report.title} in {report.root}" if report.root else report.title, *_table(report)]
    read = f"{report.decoded} of {report.sampled} sampled clips could be read" if report.sampled else "no clip was read"
    if report.polarity is not None:
        polarity = report.polarity
        votes = f"{polarity.agree} clips for it, {polarity.disagree} against, {polarity.open} unclear"
        verdict = {"agrees": "the pixels agree", "disagrees": "the pixels disagree"}.get(polarity.verdict)
        read += f"; depth: {report.declared}, {verdict or 'which the pixels cannot tell'} ({votes})"
    lines.append(f"{read}; {report.seconds:.1f} s")
    for title, found in (("problem", report.problems), ("note", report.notes)):
        if found:
            lines += ["", f"{len(found):,} {title}{'s' if len(found) > 1 else ''}", *_by_kind(found)]
    return "\n".join(lines if report.problems else [*lines, "", "No problems."])


def _table(report: DatasetReport) -> list[str]:
    rows = [("split", "clips", "official", "there", "classes", "clips per class")]
    for split, count in report.splits.items():
        numbers = [number for number in count.classes.values() if number]
        official = "" if count.official is None else f"{count.official:,}"
        whole = count.official if count.official is not None else count.listed
        there = f"{1000 * count.clips // whole / 10} %" if whole else ""
        if numbers:
            least, most = min(numbers), max(numbers)
            spread = f"{least}" if least == most else f"{least} to {most}, median {statistics.median(numbers):g}"
        else:
            spread = "no labels" if count.unlabelled else ""
        classes = f"{len(numbers)} of {len(count.classes)}"
        rows.append((split, f"{count.clips:,}", official, there, classes, spread))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = (1, 2, 3)
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _by_kind(found: list[Problem]) -> list[str]:
    kinds: dict[str, list[Problem]] = defaultdict(list)
    for problem in found:
        kinds[problem.kind].append(problem)
    lines = []
    for kind, members in kinds.items():
        lines.append(f"  {kind} ({len(members):,})")
        lines += [f"    {one_line(f'{p.where}: {p.message}')}" for p in members[:FIRST]]
        if len(members) > FIRST:
            lines.append(f"    ... and {len(members) - FIRST:,} more; --json lists all")
    return lines
