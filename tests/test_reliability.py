"""benchmarks/reliability.py with few tries: kills and full disks, from the command to its result."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="it limits, and looks for, processes in /proc")

ROOT = Path(__file__).parents[1]
ROWS = {
    "train": ["train: SIGKILL after a random step, then --resume auto", "the run so killed, at its end"],
    "prepare": ["prepare: SIGKILL at a random shard, then again", "the shards so made"],
    "disk": ["train: full while it runs", "prepare: full"],
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the script says of two kills and a full disk."""
    out = tmp_path_factory.mktemp("reliability") / "report.md"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    parts = ["train=2", "prepare=2", "disk=1"]
    command = [sys.executable, str(ROOT / "benchmarks/reliability.py"), *parts, "--out", str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert out.exists(), done.stderr
    return out.read_text()


@pytest.mark.parametrize("part", ROWS)
def test_nothing_is_lost(report: str, part: str) -> None:
    table = report.partition(f"## {part}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| (\d+) \| (\d+) \| (\d+) \| (.*) \|$", table, flags=re.MULTILINE)
    assert set(ROWS[part]) <= {what for what, *_ in rows}
    for what, tries, passed, failed, seen in rows:
        assert (int(failed), tries) == (0, passed), f"{what}: {seen}"
