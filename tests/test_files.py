"""A folder that is filled as a whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from gesture_zoo.files import FILLING, filling


def test_files_get_their_places_at_the_end(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with filling(out) as made:
        (made / "inner").mkdir()
        (made / "inner" / "a").write_text("a")
        assert [path.name.startswith(FILLING) for path in out.iterdir()] == [True]
    (out / "kept").write_text("kept")
    with filling(out) as made:
        (made / "inner").mkdir()
        (made / "inner" / "a").write_text("b")
    assert sorted(path.name for path in out.iterdir()) == ["inner", "kept"]
    assert (out / "inner" / "a").read_text() == "b"


def fill(folder: Path, names: str, error: type[BaseException] | None = None) -> None:
    with filling(folder) as made:
        for name in names:
            (made / name).write_text("new")
        if error is not None:
            raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_error_leaves_what_was_there(error: type[BaseException], tmp_path: Path) -> None:
    for out in (tmp_path / "new" / "out", tmp_path / "old"):
        if out.name == "old":
            out.mkdir()
            (out / "a").write_text("old")
        with pytest.raises(error):
            fill(out, "a", error)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert [path.read_text() for path in (tmp_path / "old").iterdir()] == ["old"]


def test_a_folder_in_the_place_of_a_file_is_said_before_anything_is_moved(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(IsADirectoryError, match="a folder is where a file is to be"):
        fill(tmp_path, "abc")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
