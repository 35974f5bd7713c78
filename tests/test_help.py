"""What --help says: every command shows how it is used, in lines that can be copied and run."""

from __future__ import annotations

import re
import shlex

import pytest

from gesture_zoo.cli import build_parser
from gesture_zoo.cli.parser import COMMANDS


def show_help(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        build_parser(argv).parse_args([*argv, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_ends_with_examples_that_it_takes(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")  # a narrow terminal must not break them in two
    _, title, end = show_help([command], capsys).partition("\nexample")
    lines = re.findall(r"^  (gesture-zoo .*)$", end, flags=re.MULTILINE)
    assert title and lines, f"gesture-zoo {command} --help has no example"
    for line in lines:
        argv = shlex.split(line)[1:]
        assert build_parser(argv).parse_args(argv).command == command


def test_the_program_says_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    text = show_help([], capsys)
    assert "gesture-zoo demo --out demo" in text.partition("\nexamples:")[2]
    for command in COMMANDS:
        assert re.search(rf"^    {command}\b", text, flags=re.MULTILINE), f"{command} is not listed"
