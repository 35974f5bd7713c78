"""For the tests of the page: its modules run by Node.js."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import gesture_zoo.web

MODULES = Path(gesture_zoo.web.__file__).parent / "static" / "js"


def run_node(script: str, data: Any) -> Any:
    """What ``script`` prints as JSON; it has ``data``, and imports modules of the page by ``load("name.js")``."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    prelude = f"""
        import {{ readFileSync }} from "node:fs";
        const load = (name) => import({json.dumps(MODULES.as_uri())} + "/" + name);
        const data = JSON.parse(readFileSync(0, "utf8"));
        const print = (value) => process.stdout.write(JSON.stringify(value));
    """
    command = [node, "--input-type=module", "--eval", prelude + script]
    done = subprocess.run(command, input=json.dumps(data), capture_output=True, text=True, timeout=60)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)
