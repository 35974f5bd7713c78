"""A report of an evaluation: a folder of files for people, spreadsheets and programs, and the way back from it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import DataError, ModelError
from ..files import write_files
from ..visualize import confusion_figure, png
from .depth_error import DepthError
from .evaluation import Evaluation
from .metrics import confusion_matrix, wilson_interval
from .protocol import Protocol

RESULTS, PREDICTIONS, CONFUSION, PER_CLASS, PICTURE = (
    "results.json",
    "predictions.jsonl",
    "confusion.csv",
    "per_class.csv",
    "confusion.png",
)


@dataclass(frozen=True)
class Report:
    """An evaluation, and what was evaluated: ``checkpoint`` and ``data`` in words, the split, how it was looked at.

    ``class_names`` in label order; ``seen``: what the network saw of the clips; ``seconds`` of wall clock.

    >>> result = Evaluation(["a", "b"], torch.tensor([0, 1]), torch.tensor([[0.9, 0.1], [0.6, 0.4]]))
    >>> report = Report(result, ["fist", "wave"], data="folder", split="val", checkpoint="runs/mine")
    >>> report.summary()["top1"], report.summary()["protocol"]
    (0.5, '1x1')
    """

    evaluation: Evaluation
    class_names: Sequence[str]
    data: str
    split: str
    checkpoint: str
    protocol: Protocol = field(default_factory=Protocol)
    depth: Mapping[str, DepthError] = field(default_factory=dict)
    seconds: float = 0.0
    seen: str = "RGB alone"

    def summary(self) -> dict[str, Any]:
        """The numbers, as what JSON knows; accuracies are shares in [0, 1]."""
        result = self.evaluation
        return {
            "checkpoint": self.checkpoint,
            "data": self.data,
            "split": self.split,
            "protocol": str(self.protocol),
            "count": result.count,
            "top1": result.top1,
            "interval": list(result.interval),
            "top5": result.top5,
            "macro": result.macro,
            "skipped": list(result.skipped),
            "depth": {name: asdict(error) for name, error in self.depth.items()},
            "seconds": round(self.seconds, 2),
        }


def write_report(report: Report, folder: str | Path) -> Path:
    """Write results.json, predictions.jsonl, confusion.csv, per_class.csv and confusion.png to ``folder``.

    All of them or, after an error, none. results.json has the summary and the class names; predictions.jsonl one clip
    a line, with all scores; confusion.csv a row per true class, a column per predicted one. Class names that do not go
    with the scores are a ModelError.

    >>> import tempfile
    >>> result = Evaluation(["a", "b"], torch.tensor([0, 1]), torch.tensor([[0.9, 0.1], [0.6, 0.4]]))
    >>> report = Report(result, ["fist", "wave"], data="folder", split="val", checkpoint="runs/mine")
    >>> folder = write_report(report, tempfile.mkdtemp())
    >>> read_confusion(folder).confusion.tolist()
    [[1, 0], [1, 0]]
    """
    names, result = list(report.class_names), report.evaluation
    if result.scores.shape[1] != len(names):
        raise ModelError(f"scores of {result.scores.shape[1]} classes do not go with {len(names)} class names")
    results = report.summary() | {"classes": names}
    contents: dict[str, bytes | str] = {
        RESULTS: json.dumps(results, indent=2, allow_nan=False) + "\n",
        PREDICTIONS: "".join(f"{json.dumps(line, allow_nan=False)}\n" for line in predictions(result, names)),
        CONFUSION: _table(
            [["", *names], *([n, *row] for n, row in zip(names, result.confusion.tolist(), strict=True))]
        ),
        PER_CLASS: _table([["label", "name", "count", "right", "accuracy", "low", "high"], *_per_class(report)]),
        PICTURE: png(confusion_figure(result.confusion, names)),
    }
    return write_files(folder, contents)


def predictions(result: Evaluation, names: Sequence[str]) -> Iterable[dict[str, Any]]:
    """One record a clip: its id, true and predicted class by index and name, and the scores in 6 digits."""
    rows = zip(result.ids, result.labels.tolist(), result.predictions.tolist(), result.scores.tolist(), strict=True)
    for name, label, predicted, scores in rows:
        yield {
            "id": name,
            "label": label,
            "label_name": names[label],
            "predicted": predicted,
            "predicted_name": names[predicted],
            "scores": [float(f"{score:.6g}") for score in scores],
        }


class ReadConfusion(NamedTuple):
    """A confusion matrix (true, predicted) of counts and its class names."""

    confusion: Tensor
    class_names: list[str]


def read_confusion(folder: str | Path) -> ReadConfusion:
    """The confusion matrix of a report, counted from its predictions.jsonl.

    Names of classes that no line names come from results.json, and without it are numbers. A file that is missing or
    is none of ``write_report`` is a DataError that names it and the line.
    """
    path = Path(folder) / PREDICTIONS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8"
        raise DataError(f"cannot read {path} ({reason}): 'gesture-zoo eval --out FOLDER' writes it") from error
    pairs: list[tuple[int, int]] = []
    found: dict[int, str] = {}
    classes = 0
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            pair = int(record["label"]), int(record["predicted"])
            classes = classes or len(record["scores"])
            found |= {pair[0]: str(record["label_name"]), pair[1]: str(record["predicted_name"])}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: expected what 'gesture-zoo eval --out FOLDER' writes") from error
        if not all(0 <= index < classes for index in pair):
            raise DataError(f"{path}, line {number}: classes {pair[0]}, {pair[1]} are not both in 0 to {classes - 1}")
        pairs.append(pair)
    if not pairs:
        raise DataError(f"{path} has no predictions")
    known = dict(enumerate(_class_names(path.with_name(RESULTS)))) | found
    labels, predicted = torch.tensor(pairs).T
    names = [known.get(index, str(index)) for index in range(classes)]
    return ReadConfusion(confusion_matrix(labels, predicted, classes), names)


def _class_names(path: Path) -> list[str]:
    """The class names in results.json, as far as it can be read."""
    try:
        return list(map(str, json.loads(path.read_text(encoding="utf-8"))["classes"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def _per_class(report: Report) -> Iterable[list[Any]]:
    for label, (name, part) in enumerate(zip(report.class_names, report.evaluation.per_class, strict=True)):
        low, high = wilson_interval(part.right, part.count)
        shares = [f"{share:.6f}" for share in (part.accuracy, low, high)] if part.count else [""] * 3
        yield [label, name, part.count, part.right, *shares]


def _table(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
