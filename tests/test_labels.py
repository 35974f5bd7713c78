"""Class names: those that are shipped, and those that users bring as files or lists."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torchvision

from gesture_zoo.data import egogesture, jester, nvgesture
from gesture_zoo.errors import WeightsError
from gesture_zoo.labels import LABEL_SETS, check_names, label_names, read_labels


@pytest.mark.parametrize(("name", "count"), [("kinetics400", 400), ("something_v1", 174), ("something_v2", 174)])
def test_shipped_labels_are_those_of_tsms_lists(name: str, count: int) -> None:
    names = label_names(name)
    assert len(set(names)) == count
    assert list(names) == sorted(names)
    assert all(name == name.strip() and name for name in names)


def test_shipped_labels_agree_with_the_readers() -> None:
    assert label_names("jester") == jester.ORDERS["alphabetical"]
    assert label_names("jester_official") == jester.ORDERS["official"]
    assert label_names("egogesture") == tuple(egogesture.CLASS_NAMES)
    assert label_names("nvgesture") == tuple(nvgesture.CLASS_NAMES)
    assert sorted(label_names("something_v1_official")) == list(label_names("something_v1"))
    assert label_names("something_v1_official")[0] == "Holding something"
    assert set(label_names("kinetics400")) == set(torchvision.models._meta._KINETICS400_CATEGORIES)
    assert all(read_labels(name) == label_names(name) for name in LABEL_SETS)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("a.txt", "a\nb\na\n", "class 2 has the name of class 0, 'a'"),
        ("a.txt", "a\n\nb\n", "class 1 has the name ''"),
        ("a.txt", "", "holds no names"),
        ("a.txt", '["a", 3]', "class 1 has the name 3"),
        ("a.txt", "a\rb\nc", r"class 0 has a name of several lines, 'a\\rb'"),
        ("a.txt", b"\xff\xfe\x00", "cannot be read as labels"),
        ("a.json", '["a", ', "not valid JSON"),
        ("a.JSON", '{"a": 0}', "a JSON dict: expected a list"),
        ("a.json", '["a", "b\\nc"]', r"class 1 has a name of several lines, 'b\\nc'"),
        ("a.json", "[]", "holds no names"),
    ],
)
def test_bad_labels(tmp_path: Path, file: str, text: str | bytes, message: str) -> None:
    (tmp_path / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(WeightsError, match=message) as error:
        read_labels(tmp_path / file)
    assert "\n" not in str(error.value)


def test_no_labels() -> None:
    for source in ("jesters", "a" * 5000):
        with pytest.raises(WeightsError, match=f"no labels at '{source}': expected a text file"):
            read_labels(source)


def test_a_line_of_text_may_hold_what_json_and_python_take_for_something_else(tmp_path: Path) -> None:
    names = ("[noise]", "{wave}")
    (tmp_path / "a.txt").write_bytes("\r\n".join(names).encode())
    assert read_labels(tmp_path / "a.txt") == names
    (tmp_path / "list").write_text(json.dumps(names))
    assert read_labels(tmp_path / "list") == names


@pytest.mark.parametrize("name", ["two\u2028parts", "a\x0bb", "x\x85y", "0\twave"])
def test_names_that_no_config_can_hold_are_refused_where_they_are_read(tmp_path: Path, name: str) -> None:
    for path, text in ((tmp_path / "a.txt", f"fist\n{name}"), (tmp_path / "list.json", json.dumps(["fist", name]))):
        path.write_bytes(text.encode())
        with pytest.raises(WeightsError, match=re.escape(f"class 1 has the name {name!r}, which holds")):
            read_labels(path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "a", "a"], "labels: class 1 has the name of class 0, 'a'"),
        ([None, "", 3], "labels: class 0 has the name None, expected text"),
        (["a", " "], "labels: class 1 has the name ' '"),
        (["a", "b\nc"], r"labels: class 1 has a name of several lines, 'b\\nc'"),
        ([], "labels holds no names"),
        (3, "labels is a int: expected a list of names"),
    ],
)
def test_lists_are_checked_as_files_are(names: object, message: str) -> None:
    with pytest.raises(WeightsError, match=message) as error:
        check_names(names, source="labels")
    assert "\n" not in str(error.value)
