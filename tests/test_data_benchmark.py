"""benchmarks/data.py: the parts that render need no files."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import data


def test_rendering_alone_has_a_row_for_every_size_and_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["data.py", "--parts", "rendered"])
    report = data.run(tmp_path, Namespace(parts=["rendered"], isogd=None, rounds=1, clips=1))
    rows = [line.split(" | ")[0] for line in report.splitlines() if line.startswith("| rendered people")]
    looks = ("", ", one sample", ", plain looks")
    assert rows == [f"| rendered people at {size} px{look}" for size in (112, 128) for look in looks]
    assert "synthetic" not in report.partition("|")[2] and "Where the time of a clip goes" not in report
    assert not list(tmp_path.iterdir()), "wrote files"


def test_a_round_renders_one_batch() -> None:
    way = data.rendered_ways(2)["rendered people at 112 px, plain looks"]
    first, second = way(0), way(1)
    assert first.shape == (data.T, 3, 112, 112) and not first.equal(second)
    assert first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr()
    assert way(0).untyped_storage().data_ptr() != first.untyped_storage().data_ptr()
