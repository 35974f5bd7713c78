"""gesture-zoo list, info and demo."""

from __future__ import annotations

from pathlib import Path

from ..parser import Command


def add_list_parser(command: Command) -> None:
    """Declare the command; ``command`` makes a sub-parser of name, function (module:function) and examples."""
    sub = command(
        "list",
        "commands:list_command",
        "gesture-zoo list '*_msd'",
        "gesture-zoo list 'tsm_*' --pretrained",
    )
    sub.add_argument("pattern", nargs="?", metavar="PATTERN", help="fnmatch pattern, such as 'tsm_*' (default: all)")
    sub.add_argument("--pretrained", action="store_true", help="names with tags whose weights can be fetched")


def add_info_parser(command: Command) -> None:
    """Declare the command; ``command`` makes a sub-parser of name, function (module:function) and examples."""
    sub = command("info", "commands:info_command", "gesture-zoo info action_resnet50_msd")
    sub.add_argument(
        "model", metavar="MODEL", help="a name from 'gesture-zoo list', hf-hub:owner/name or local-dir:DIR"
    )
    sub.add_argument("--num-classes", type=int, help="classes of the head (default: those of its weights)")


def add_demo_parser(command: Command) -> None:
    """Declare the command; ``command`` makes a sub-parser of name, function (module:function) and examples."""
    sub = command("demo", "commands:demo_command", "gesture-zoo demo --out demo")
    sub.add_argument("--out", type=Path, default=Path("demo"), help="folder for the model, pictures and summary")
    sub.add_argument("--seed", type=int, default=0, help="random seed")
    sub.add_argument("--quick", action="store_true", help="a tenth of the work, to see that everything runs")
