"""gesture-zoo prepare: which dataset, and what its shards are to be like."""

from __future__ import annotations

from pathlib import Path

from ...data.names import CLIPS_PER_SHARD, READER_NAMES
from ..parser import Command


def add_prepare_parser(command: Command) -> None:
    """Declare the command; ``command`` makes a sub-parser of name, function (module:function) and examples."""
    sub = command(
        "prepare",
        "prepare:prepare_command",
        "gesture-zoo prepare isogd IsoGD shards --split train --split val",
    )
    sub.add_argument("name", metavar="NAME", help=f"dataset: {', '.join(READER_NAMES)}")
    sub.add_argument("directory", type=Path, metavar="DIR", help="where it is")
    sub.add_argument("out", type=Path, metavar="OUT", help="folder for the shards")
    sub.add_argument(
        "--split", action="append", metavar="S", help="a split, may be repeated (default: train, val, test if there)"
    )
    sub.add_argument("--clips-per-shard", type=int, default=CLIPS_PER_SHARD, metavar="N", help="clips in a tar file")
    sub.add_argument(
        "--quality", type=int, default=95, metavar="Q", help="of JPEG frames that are not copied, 1 to 100"
    )
    sub.add_argument("--skip-bad", action="store_true", help="leave out clips that cannot be read, and list them")
    sub.add_argument("--workers", type=int, default=2, metavar="N", help="threads that encode clips")
    sub.add_argument("--data-option", action="append", metavar="KEY=VALUE", help="an option of the dataset's reader")
    sub.add_argument(
        "--no-depth", dest="with_depth", action="store_false", help="leave depth out, for models that see RGB alone"
    )
