"""The class names of datasets in the order that published weights count them, one text file each.

``kinetics400``, ``something_v1``, ``something_v2`` and ``jester`` are in the order of TSM's own lists: by code point,
which for Something-Something V2 is also that of its labels file. ``something_v1_official`` and ``jester_official``
are in the order of those datasets' labels files, in which mmaction2 counts. ``rendered`` are the classes of our own
models of rendered gestures, called as Jester's where there is one; left, right and clockwise are those of the person.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import Any

from ..errors import ModelError, WeightsError
from ..files import user_path

__all__ = ["LABEL_SETS", "check_names", "label_names", "read_labels"]

LABEL_SETS = (
    "egogesture",
    "jester",
    "jester_official",
    "kinetics400",
    "nvgesture",
    "rendered",
    "something_v1",
    "something_v1_official",
    "something_v2",
)


# What crosses a terminal or a table unseen, or makes two lines or cells of one.
CONTROLS = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"  # the last: bytes of a file's name that is no UTF-8


def label_names(name: str) -> tuple[str, ...]:
    """The class names of one of ``LABEL_SETS``, class 0 first; another name is a WeightsError.

    >>> len(label_names("kinetics400")), label_names("jester")[0], label_names("jester_official")[0]
    (400, 'Doing other things', 'Swiping Left')
    """
    if name not in LABEL_SETS:
        raise WeightsError(f"there are no labels {name!r}; there are {', '.join(LABEL_SETS)}")
    return tuple(Path(__file__).with_name(f"{name}.txt").read_text(encoding="utf-8").splitlines())


def read_labels(source: str | Path) -> tuple[str, ...]:
    """Class names, class 0 first, from one of ``LABEL_SETS``, a text file (one name a line) or a JSON list.

    A file that is not there, cannot be read, or names a class twice or not at all is a WeightsError.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "classes.txt"
    >>> path.write_text("wave\\nfist\\n")
    10
    >>> read_labels(path)
    ('wave', 'fist')
    """
    if str(source) in LABEL_SETS:
        return label_names(str(source))
    path = user_path(source)
    if not os.path.isfile(path):
        raise WeightsError(
            f"no labels at {str(source)!r}: expected a text file with a name a line, a JSON list, or one of "
            f"{', '.join(LABEL_SETS)}"
        )
    try:
        text = path.read_bytes().decode("utf-8-sig")  # read_text would take a lone \r for the end of a line
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} cannot be read as labels ({error}): expected UTF-8 text") from error
    return check_names(_from_json(path, text) if _is_json(path, text) else _from_lines(text), source=str(path))


def check_names(names: Iterable[Any], *, source: str) -> tuple[str, ...]:
    """Class names as a tuple; what is no plain text, blank, of several lines or there twice is a WeightsError.

    ``source`` is what messages call them.

    >>> check_names(["wave", "fist"], source="labels")
    ('wave', 'fist')
    """
    # The order of a mapping or a set is not that of the classes.
    if not isinstance(names, Iterable) or isinstance(names, (str, Mapping, Set)):
        raise WeightsError(f"{source} is a {type(names).__name__}: expected a list of names, class 0 first")
    first: dict[str, int] = {}
    for number, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise WeightsError(f"{source}: class {number} has the name {name!r}, expected text")
        if "\n" in name or "\r" in name:
            raise WeightsError(f"{source}: class {number} has a name of several lines, {name!r}: expected one line")
        check_plain(name, f"{source}: class {number}")
        if name in first:
            raise WeightsError(f"{source}: class {number} has the name of class {first[name]}, {name!r}")
        first[name] = number
    if not first:
        raise WeightsError(f"{source} holds no names: expected one a line, or a JSON list")
    return tuple(first)


def check_plain(name: str, what: str) -> None:
    """WeightsError where a name holds a tab or another control character; ``what`` is what the message calls it.

    >>> check_plain("wave", "class 0")
    >>> check_plain("0\\twave", "class 0")
    Traceback (most recent call last):
    gesture_zoo.errors.WeightsError: class 0 has the name '0\\twave', which holds '\\t': expected plain text
    """
    if found := re.search(CONTROLS, name):
        raise WeightsError(f"{what} has the name {name!r}, which holds {found[0]!r}: expected plain text")


def labels_of(model: Any, num_classes: int) -> list[str]:
    """The names of a model's classes, or their indices; another number of names, or no class, is a ModelError.

    >>> from types import SimpleNamespace
    >>> labels_of(SimpleNamespace(pretrained_cfg={}), 2)
    ['0', '1']
    """
    names = (getattr(model, "pretrained_cfg", None) or {}).get("label_names")
    if num_classes < 1:
        raise ModelError("this model has no classifier (0 classes), and so no answer: reset_classifier gives it one")
    if names and len(names) != num_classes:
        raise ModelError(
            f"pretrained_cfg has {len(names)} label_names and the model {num_classes} classes: name them all in "
            'model.pretrained_cfg["label_names"], or remove that'
        )
    return [str(name) for name in names or range(num_classes)]


def _is_json(path: Path, text: str) -> bool:
    """Whether it is called .json, or is a JSON list: a line of text may start with a bracket, too."""
    if path.suffix.lower() == ".json":
        return True
    try:
        return text.lstrip().startswith("[") and isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        return False


def _from_lines(text: str) -> list[str]:
    # Not splitlines(), which ends a line at a dozen other characters that a name may hold.
    return [line.strip() for line in re.split(r"\r?\n", text.rstrip())] if text.strip() else []


def _from_json(path: Path, text: str) -> list[str]:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is not valid JSON ({error}): expected a list of names") from error
    if not isinstance(names, list):
        raise WeightsError(f"{path} holds a JSON {type(names).__name__}: expected a list of names, class 0 first")
    return names
