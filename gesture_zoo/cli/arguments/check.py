"""gesture-zoo check-data: which dataset, how much of it."""

from __future__ import annotations

from pathlib import Path

from ...data.names import READER_NAMES
from ..parser import Command


def add_check_parser(command: Command) -> None:
    """Declare the command; ``command`` makes a sub-parser of name, function (module:function) and examples."""
    sub = command(
        "check-data",
        "check:check_command",
        "gesture-zoo check-data isogd IsoGD --contact-sheet sheet.png",
    )
    sub.add_argument("data", metavar="NAME", help=f"dataset: {', '.join(sorted([*READER_NAMES, 'synthetic']))}")
    sub.add_argument("data_dir", nargs="?", metavar="DIR", help="where it is (synthetic needs none)")
    sub.add_argument("--data-option", action="append", metavar="KEY=VALUE", help="an option of the dataset's reader")
    sub.add_argument(
        "--no-depth", dest="with_depth", action="store_false", help="leave depth out, for models that see RGB alone"
    )
    sub.add_argument("--split", action="append", metavar="S", help="only this split; repeat it for several")
    much = sub.add_mutually_exclusive_group()
    much.add_argument("--sample", type=int, default=64, metavar="N", help="how many clips to decode")
    much.add_argument(
        "--full", action="store_true", help="decode all frames of all clips and compare the contents of all files"
    )
    sub.add_argument("--seed", type=int, default=0, help="which clips the sample is")
    sub.add_argument("--json", action="store_true", help="print one JSON object")
    sub.add_argument("--contact-sheet", type=Path, metavar="PNG", help="draw a frame of every class over its depth")
