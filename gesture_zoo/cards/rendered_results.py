"""What ``benchmarks/rendered_real.py`` found of one model on real recordings, read from its results file."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from ..errors import GestureZooError
from .results import Results, Row, interval, number

# The ways of answering that the commands use: streams by events, of a clip model a file's clip as a whole.
_EVENTS, _CLIP = "events", "the window as a clip"


class Guess(NamedTuple):
    """What guessing reaches in %: one of the classes at random, and always the class of most of the recordings."""

    chance: float
    commonest: str
    share: float

    @property
    def words(self) -> str:
        """Both, in words."""
        return f'guessing reaches {self.chance:.0f} %, always saying "{self.commonest}" {self.share:.0f} %'


class Share(NamedTuple):
    """How many of how many, and the 95 % interval of the true share in %."""

    right: int
    clips: int
    low: float
    high: float

    @property
    def words(self) -> str:
        """The share and where the true one may be.

        >>> Share(5, 7, 36, 92).words
        '71 %; the true share may be anywhere between 36 and 92 %'
        """
        percent = 100 * self.right / self.clips
        return f"{percent:.0f} %; the true share may be anywhere between {self.low:.0f} and {self.high:.0f} %"

    def beside(self, guess: Guess) -> str:
        """What the interval says of what guessing would reach.

        >>> Share(5, 7, 36, 92).beside(Guess(50, "Swiping Left", 57)), Share(5, 7, 36, 92).beside(Guess(8, "a", 30))
        ('not shown to be better than guessing', 'better than guessing')
        """
        if self.low > max(guess.chance, guess.share):
            return "better than guessing"
        return "worse than guessing" if self.high < guess.chance else "not shown to be better than guessing"


class Alarms(NamedTuple):
    """Events where there should be none: the file's words for where, minutes, events, and events a minute."""

    where: str
    minutes: float
    events: int
    rate: float


def read_share(cell: str) -> Share | None:
    """The share in a cell of a results table; None of no clips.

    >>> read_share("5 of 7: 71 % (36 to 92)"), read_share("-")
    (Share(right=5, clips=7, low=36.0, high=92.0), None)
    """
    match = re.match(r"([0-9]{1,9}) of ([0-9]{1,9}): ", cell)
    return Share(int(match[1]), int(match[2]), *interval(cell)) if match else None


def events_interval(events: int) -> tuple[float, float]:
    """The 95 % interval of the number of events expected where so many were seen (Byar's approximation to Poisson's).

    >>> [round(limit, 1) for limit in (*events_interval(7), *events_interval(0))]
    [2.8, 14.4, 0.0, 3.7]
    """

    def limit(count: int, sign: int) -> float:
        return float(count * (1 - 1 / (9 * count) + sign * 1.96 / (3 * math.sqrt(count))) ** 3)

    return limit(events, -1) if events else 0.0, limit(events + 1, 1)


class RealResults:
    """A results file of rendered_real.py; one of another form is a GestureZooError that names the command."""

    def __init__(self, file: Results) -> None:
        self.file = file
        self.accuracy = file.table("exact")
        self.gestures = tuple(row["class"] for row in file.table("beside"))
        ways = [row["answer by"] for row in self.accuracy]
        self.way = _CLIP if _CLIP in ways else _EVENTS
        mapped = [column for column in self.accuracy[0] if re.fullmatch(r"of [1-9][0-9]{0,5} mapped", column)]
        if not mapped:
            raise GestureZooError(
                f"benchmarks/results/{file.name} has no column 'of N mapped' beside 'exact': run {file.command}"
            )
        self.mapped = mapped[0]

    @property
    def model(self) -> str:
        """What the command was given as the model, without folders and the ending of a file."""
        match = re.search(r"--model[ =](\S+)", self.file.command)
        name = PurePosixPath(match[1]).name if match else ""
        return name.removesuffix(".onnx").removesuffix(".safetensors")

    def is_of(self, name: str, tags: Collection[str]) -> bool:
        """Whether it is of the weights NAME.TAG: its command says so, or names a file or folder of this network."""
        if self.model in tags:
            return self.model == name
        return any(text.startswith(f"{name.partition('.')[0]}, ") for text in self.file.paragraphs)

    @property
    def tested(self) -> list[Row]:
        """The recordings of gestures that are one of the classes."""
        for rows in self.file.tables:
            if {"recording", "ours"} <= set(rows[0]):
                return [row for row in rows if row["ours"] != "-"]
        return []

    @property
    def classes_tested(self) -> set[str]:
        """The classes of which there was a recording."""
        return {row["ours"].rpartition(" (")[0] for row in self.tested}

    @property
    def people(self) -> int:
        """How many people the tested recordings are of, as far as their names tell."""
        return len({match[0] for row in self.tested if (match := re.search(r"subject\d+", row["recording"]))})

    @property
    def among(self) -> int:
        """How many classes are mapped."""
        return int(self.mapped.split()[1])

    def which(self) -> tuple[Share | None, Share | None]:
        """The share whose best mapped class is the right one, and the share that was decided right among all."""
        row = self._of(self.accuracy, self.way)
        return read_share(row[self.mapped]), read_share(row["decided"])

    def guess(self, classes: Collection[str] | None = None) -> Guess:
        """What guessing reaches on the recordings of these classes, of all mapped ones without."""
        labels = [row["ours"].rpartition(" (")[0] for row in self.tested]
        counts = Counter(label for label in labels if classes is None or label in classes)
        label, count = counts.most_common(1)[0] if counts else ("", 0)
        return Guess(100 / len(classes or range(self.among)), label, 100 * count / max(1, counts.total()))

    def directions(self) -> Iterator[tuple[tuple[str, str], Share | None]]:
        """Pairs of classes that differ by direction alone, with the share that was told apart."""
        rows = next((rows for rows in self.file.tables if any(" / " in column for column in rows[0])), [])
        for pair, cell in self._of(rows, self.way).items() if rows else ():
            if " / " in pair:
                one, _, other = pair.partition(" / ")
                yield (one, other), read_share(cell)

    def alarms(self) -> list[Alarms]:
        """Events where there should be none, place by place."""
        return [
            Alarms(row["where"], number(row["minutes"]), int(number(row["events"])), number(row["a minute"]))
            for row in self.file.table("a minute")
        ]

    @staticmethod
    def _of(rows: list[Row], way: str) -> Row:
        """The row of one way to answer; empty cells where nothing was judged."""
        return next((row for row in rows if row["answer by"] == way), Row(dict.fromkeys(rows[0], "-")))
