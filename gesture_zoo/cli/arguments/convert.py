"""gesture-zoo convert: the checkpoint, and what its file does not say."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...labels import LABEL_SETS
from ..parser import Command


def add_convert_parser(command: Command) -> None:
    """Declare the command; ``command`` makes a sub-parser of name, function (module:function) and examples."""
    sub = command(
        "convert",
        "convert:convert_command",
        "gesture-zoo convert mobilenetv2_jester_online.pth.tar jester --arch tsm_mobilenetv2_100_online",
    )
    sub.add_argument("source", type=Path, metavar="SOURCE", help="a .pth, .pth.tar or .safetensors file")
    folder = sub.add_argument(
        "folder", type=Path, metavar="OUT", help="folder to write, new, empty or a saved model; also as --out OUT"
    )
    # Not nargs="?": that would be settled, without a value, by the first options that come after SOURCE.
    folder.required = False
    sub.add_argument("--arch", required=True, metavar="ARCH", help="the model to fill, a name from 'gesture-zoo list'")
    sub.add_argument("--out", type=Path, metavar="OUT", help=argparse.SUPPRESS)
    sub.add_argument(
        "--labels",
        metavar="FILE_OR_NAME",
        help=f"class names: a text file (one a line), a JSON list, or one of {', '.join(LABEL_SETS)}",
    )
    sub.add_argument(
        "--num-segments", type=int, metavar="T", help="frames in a clip (default: as the file's name says, or 8)"
    )
    sub.add_argument(
        "--shift-div", type=int, metavar="N", help="1/N of the channels move each way (default: as the name says, or 8)"
    )
    sub.add_argument("--num-classes", type=int, metavar="N", help="for an image network: classes of a new classifier")
    sub.add_argument("--dataset", metavar="NAME", help="what it was trained on, to write down")
    sub.add_argument("--origin-url", metavar="URL", help="where the file is from, to write down")
