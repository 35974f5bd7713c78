"""Hostile input: whatever a file, a name or an argument holds, it is taken or refused by an error of the library.

The same inputs by the hundred thousand: benchmarks/fuzz.py. What it found has a test of its own here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import fuzz
import fuzz_parts
from fuzz_inputs import outcome

# A model takes time to build, and so does reading YAML.
EXAMPLES = {"config.json, model built": 15, "recipe": 60}


@pytest.mark.parametrize("name", fuzz_parts.PARTS)
def test_nothing_but_our_own_errors(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fuzz.no_network(monkeypatch.setattr)
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path / "folder")
    part = fuzz_parts.PARTS[name](tmp_path / "folder", monkeypatch)

    @settings(
        max_examples=EXAMPLES.get(name, 200), derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.randoms(note_method_calls=False, use_true_random=False))
    def feed(rng: Random) -> None:
        given = part.make(rng)
        note(repr(given))
        outcome(part, given)

    feed()
    assert [path.name for path in tmp_path.iterdir()] == ["folder"], "wrote beside its folder"
    assert not list(tmp_path.rglob("harm")), "something was run"
