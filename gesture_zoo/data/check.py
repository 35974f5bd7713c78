"""check_dataset: what is wrong with a downloaded dataset, before training finds out."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from ..errors import DataError
from .base import ClipDataset
from .clip_check import SEGMENTS, ClipCheck, MissingFiles
from .duplicates import find_duplicates
from .factory import create_dataset, existing_root, get_reader
from .listing import SPLITS, UNLABELLED, ClipRecord, Problem
from .polarity import Polarity, depth_polarity

__all__ = ["DatasetReport", "SplitCount", "check_dataset"]

# These hold the clips of others, and are no splits of their own.
UNIONS = {"trainval": ("train", "val")}

T = TypeVar("T")


@dataclass
class SplitCount:
    """Clips of a split: ``listed`` by its annotation, ``clips`` whose files are there, ``official``ly (None unknown).

    ``classes``: clips there by class name, of every class; ``unlabelled``: clips there without a label.

    >>> report = check_dataset("synthetic", splits=["val"], sample=0, num_clips=24)
    >>> report.splits["val"].listed, report.splits["val"].classes["push"]
    (24, 2)
    """

    listed: int
    clips: int
    official: int | None
    classes: dict[str, int]
    unlabelled: int


@dataclass
class DatasetReport:
    """What ``check_dataset`` found.

    ``problems`` are to be mended; ``notes`` are worth knowing. ``polarity`` is None where no depth was read,
    ``decoded`` the number of clips that were.

    >>> report = check_dataset("synthetic", splits=["val"], sample=0, num_clips=6)
    >>> report.ok, report.problems, report.to_dict()["splits"]["val"]["clips"]
    (True, [], 6)
    """

    name: str
    title: str
    root: str
    splits: dict[str, SplitCount] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    polarity: Polarity | None = None
    declared: str = ""
    sampled: int = 0
    decoded: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.problems

    def add(self, problem: Problem) -> None:
        """File a finding under problems or notes, once."""
        found = self.problems if problem.fatal else self.notes
        if problem not in self._seen:
            self._seen.add(problem)
            found.append(problem)

    def __post_init__(self) -> None:
        self._seen = {*self.problems, *self.notes}

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain numbers, texts, lists and dicts."""
        plain = asdict(self)
        for key in ("problems", "notes"):
            plain[key] = [{"kind": p.kind, "where": p.where, "message": p.message} for p in getattr(self, key)]
        if self.polarity is not None:
            plain["polarity"] |= {"verdict": self.polarity.verdict, "chance": self.polarity.chance}
        return {"ok": self.ok, **plain}


def check_dataset(
    name: str,
    root: str | Path | None = None,
    *,
    splits: Sequence[str] | None = None,
    sample: int | None = 64,
    seed: int = 0,
    progress: bool = False,
    **options: Any,
) -> DatasetReport:
    """Say what is wrong with the dataset ``name`` under ``root``, in the ``splits`` that are there or those given.

    It counts clips against the official numbers, looks for files that are missing and clips that are there twice,
    decodes ``sample`` clips, drawn with ``seed`` from all splits and classes, and tells from their pixels whether
    nearer really is larger in their depth. ``sample=None`` decodes every frame of every clip, and compares
    the contents of all files. ``options`` are those of the reader. A name, folder, split or option that does not exist
    is an error; a list that is not in the folder is a problem.

    >>> report = check_dataset("synthetic", splits=["val"], sample=8, num_clips=24, size=64)
    >>> report.ok, report.splits["val"].clips, report.decoded, report.polarity.verdict
    (True, 24, 8, 'agrees')
    """
    if sample is not None and sample < 0:
        raise DataError(f"sample must be at least 0, or None for every clip, got {sample}")
    begun = time.perf_counter()
    report = DatasetReport(name, "", str(root or ""))
    if name == "synthetic":
        checker = _check_synthetic(report, splits, sample, seed, progress, options)
    else:
        checker = _check_files(report, root, splits, sample, seed, progress, options)
    report.decoded = checker.decoded
    if checker.scores:
        report.polarity = depth_polarity(checker.scores)
        _report_polarity(report, report.polarity)
    report.seconds = round(time.perf_counter() - begun, 2)
    return report


def _check_synthetic(
    report: DatasetReport,
    splits: Sequence[str] | None,
    sample: int | None,
    seed: int,
    progress: bool,
    options: dict[str, Any],
) -> ClipCheck:
    report.title, report.declared = "synthetic clips", "nearer is brighter"
    checker, labels = ClipCheck(), {}
    data = {split: create_dataset("synthetic", split=split, **options) for split in splits or SPLITS}
    for split, dataset in data.items():
        labels[split] = list(dataset.labels)
        report.splits[split] = _count(dataset.class_names, labels[split], len(dataset), None)
    chosen = choose(labels, sample, seed=seed)
    report.sampled = len(chosen)
    for split, index in tqdm(chosen, desc="clips", disable=None if progress else True, leave=False):
        for problem in checker.check_pixels(data[split][index], f"{split} clip {index}"):
            report.add(problem)
    return checker


def _check_files(
    report: DatasetReport,
    root: str | Path | None,
    splits: Sequence[str] | None,
    sample: int | None,
    seed: int,
    progress: bool,
    options: dict[str, Any],
) -> ClipCheck:
    reader = get_reader(report.name)
    report.title = reader.title or reader.name
    folder = existing_root(report.name, root)
    try:
        there = [split for split in reader.available_splits(folder) if split not in UNIONS]
    except DataError:  # EgoGesture has no lists but a folder of them
        there = []
    # Where there is none, the reader says best what it looked for.
    wanted = list(dict.fromkeys(splits if splits is not None else there or list(reader.splits)[:1]))
    for split in [] if splits is not None else reader.splits:
        if split not in wanted and split not in UNIONS and reader.splits[split] is not None:
            what = f"{report.title} has this split, the folder does not"
            report.add(Problem("absent", split, what, False))
    data: dict[str, ClipDataset] = {}
    for split in wanted:
        try:
            data[split] = reader(folder, split, num_segments=SEGMENTS, strict=False, **options)
        except DataError as error:
            # Where the split is there, or never was one, it is the question that is wrong, not the folder.
            if split in there or split not in reader.splits:
                raise
            report.add(Problem("no list", split, str(error)))
    present = {split: _check_records(report, dataset, progress) for split, dataset in data.items()}
    names = {split: dataset.class_names for split, dataset in data.items()}
    for split in list(names)[1:]:
        first = next(iter(names))
        if names[split] != names[first]:
            what = f"{len(names[split])} classes, other than the {len(names[first])} of {first}"
            report.add(Problem("classes", split, what))
    apart = {split: records for split, records in present.items() if not set(UNIONS.get(split, ())) & set(wanted)}
    for problem in find_duplicates(apart, full=sample is None, progress=progress):
        report.add(problem)
    checker = ClipCheck(full=sample is None)
    chosen = choose({split: [r.label for r in records] for split, records in present.items()}, sample, seed=seed)
    report.sampled = len(chosen)
    for split, index in tqdm(chosen, desc="clips", disable=None if progress else True, leave=False):
        for problem in checker.check(data[split], present[split][index]):
            report.add(problem)
    report.declared = " or ".join(sorted(checker.declared))
    return checker


def _check_records(report: DatasetReport, dataset: ClipDataset, progress: bool) -> list[ClipRecord]:
    """Count a split and report what its annotation and its folders lack; returns the clips that are there."""
    split, missing = dataset.split, MissingFiles()
    for problem in dataset.problems:
        report.add(problem)
    present, absent = [], defaultdict(list)
    bar = tqdm(dataset.records, desc=f"files of {split}", disable=None if progress else True, leave=False)
    for record in bar:
        media = [part for part in (record.rgb, record.depth) if part is not None]
        faults = {str(part.path): missing.fault(part) for part in media if missing.fault(part)}
        for path, fault in faults.items():
            absent[path, fault].append(record.id)
        if record.depth is not None and record.depth == record.rgb:
            report.add(Problem("pairs", f"{split} clip {record.id}", f"colour and depth are both {record.rgb.path}"))
        if not faults:
            present.append(record)
    for (path, fault), ids in absent.items():
        more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
        report.add(Problem("missing", path, f"{fault} ({split} clip {ids[0]}{more})"))
    labels = [record.label for record in present]
    count = report.splits[split] = _count(dataset.class_names, labels, len(dataset.records), dataset.splits[split])
    for problem in _compare(split, count, told=any(problem.fatal for problem in dataset.problems)):
        report.add(problem)
    return present


def _count(class_names: Sequence[str], labels: Sequence[int], listed: int, official: int | None) -> SplitCount:
    numbers = dict.fromkeys(range(-1, len(class_names)), 0)
    for label in labels:
        numbers[label] += 1
    unlabelled = numbers.pop(UNLABELLED)
    return SplitCount(
        listed, len(labels), official, {class_names[label]: n for label, n in numbers.items()}, unlabelled
    )


def _compare(split: str, count: SplitCount, *, told: bool) -> Iterator[Problem]:
    """A split against its official number, and its classes against none; ``told``: why clips lack is known."""
    if not count.clips:
        if count.listed or not told:
            what = f"none of the {count.listed} listed clips is there" if count.listed else "it lists no clips"
            yield Problem("empty", split, what)
    elif count.official is not None and count.clips < count.official:
        share = f"{1000 * count.clips // count.official / 10} %"  # rounded down: 100 % is all of them
        yield Problem("incomplete", split, f"{count.clips:,} of {count.official:,} clips are there ({share})")
    elif count.official is not None and count.clips > count.official:
        yield Problem("too many", split, f"{count.clips:,} clips, but officially there are {count.official:,}")
    without = [name for name, number in count.classes.items() if not number]
    if without and count.unlabelled < count.clips:
        names = ", ".join(without[:8]) + (", ..." if len(without) > 8 else "")
        yield Problem(
            "empty classes", split, f"{len(without)} of {len(count.classes)} classes have no clip: {names}", False
        )


def choose(labels: dict[str, list[int]], sample: int | None, *, seed: int = 0) -> list[tuple[str, int]]:
    """Up to ``sample`` clips (split, index), from all splits in turn and, within a split, from all classes in turn.

    >>> choose({"train": [0, 0, 0, 0, 1], "val": [0]}, 3)
    [('train', 4), ('val', 0), ('train', 3)]
    """
    queues = []
    for split, own in labels.items():
        by_class: dict[int, list[int]] = defaultdict(list)
        for index in random.Random(f"{seed} {split}").sample(range(len(own)), len(own)):
            by_class[own[index]].append(index)
        queues.append([(split, index) for index in _in_turn(by_class.values())])
    return _in_turn(queues)[:sample]


def _in_turn(queues: Iterable[Sequence[T]]) -> list[T]:
    """The first of every queue, then the second of every queue, and so on."""
    return [item for turn in zip_longest(*queues) for item in turn if item is not None]


def _report_polarity(report: DatasetReport, polarity: Polarity) -> None:
    votes = f"{polarity.agree} clips for it, {polarity.disagree} against, {polarity.open} unclear"
    if polarity.verdict == "disagrees":
        what = f"declared is that {report.declared}, but what moves in front is then farther: it is inverted ({votes})"
        report.add(Problem("polarity", "depth", what))
    elif polarity.verdict == "cannot tell":
        what = f"declared is that {report.declared}, which the pixels neither confirm nor deny ({votes})"
        report.add(Problem("polarity", "depth", what, False))
