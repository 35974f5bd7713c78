"""The class names of datasets in the order that published weights count them, one text file each.

``kinetics400``, ``something_v1``, ``something_v2`` and ``jester`` are in the order of TSM's own lists: by code point,
which for Something-Something V2 is also that of its labels file. ``something_v1_official`` and ``jester_official``
are in the order of those datasets' labels files, in which mmaction2 counts.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import WeightsError

LABEL_SETS = (
    "egogesture",
    "jester",
    "jester_official",
    "kinetics400",
    "nvgesture",
    "something_v1",
    "something_v1_official",
    "something_v2",
)


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
    path = Path(source).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"no labels at {str(source)!r}: expected a text file with a name a line, a JSON list, or one of "
            f"{', '.join(LABEL_SETS)}"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} cannot be read as labels ({error}): expected UTF-8 text") from error
    names = _from_json(path, text) if text.lstrip().startswith(("[", "{")) else _from_lines(text)
    for number, name in enumerate(names):
        if not isinstance(name, str) or not name:
            raise WeightsError(f"{path}: class {number} has the name {name!r}, expected text")
        if name in names[:number]:
            raise WeightsError(f"{path}: class {number} has the name of class {names.index(name)}, {name!r}")
    if not names:
        raise WeightsError(f"{path} holds no names: expected one a line, or a JSON list")
    return tuple(names)


def _from_lines(text: str) -> list[str]:
    return [line.strip() for line in text.rstrip().splitlines()]


def _from_json(path: Path, text: str) -> list[str]:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is not valid JSON ({error}): expected a list of names") from error
    if not isinstance(names, list):
        raise WeightsError(f"{path} holds a JSON {type(names).__name__}: expected a list of names, class 0 first")
    return names
