"""What the README says runs as it says it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from gesture_zoo.cli import build_parser

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_python_snippets_run_one_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    assert len(blocks("python")) >= 2
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert names["logits"].shape == (2, 83)


def test_every_command_line_is_understood() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    commands = [match[1] for line in lines if (match := re.search(r"(?:^|/|-m )gesture[-_]zoo (.*)", line))]
    assert len(commands) == 23
    for command in commands:
        build_parser().parse_args(shlex.split(command, comments=True))


def test_quick_start_is_two_one_line_commands() -> None:
    quick = README.partition("## Quick start")[2].partition("\n## ")[0]
    commands = re.findall(r"^```sh\n(.*?)^```", quick, flags=re.MULTILINE | re.DOTALL)
    assert [command.count("\n") for command in commands] == [1, 1]
    assert all(command.startswith("python3 -m venv .venv && ") for command in commands)


def test_pictures_and_links_exist() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
