"""gesture-zoo export: the model, the format, and the clips it is checked on."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...export.names import METHODS, SUFFIXES, TOLERANCE
from ..parser import Command

CALIBRATION = "minmax"


def add_export_parser(command: Command) -> None:
    """Declare the command; ``command`` makes a sub-parser of name, function (module:function) and examples."""
    sub = command(
        "export",
        "export:export_command",
        "gesture-zoo export --checkpoint runs/mine --format onnx --stream --out mine.onnx",
        "gesture-zoo export --checkpoint runs/mine --int8 --clips clips/val --out small.onnx",
    )
    which = sub.add_mutually_exclusive_group(required=True)
    which.add_argument("--checkpoint", type=Path, metavar="DIR", help="folder that train wrote")
    which.add_argument("--model", help="a model with weights: hf-hub:owner/name or architecture.tag")
    sub.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help=f"the file to write ({', '.join(SUFFIXES.values())})"
    )
    sub.add_argument("--format", choices=list(SUFFIXES), help="(default: as the file's name ends)")
    sub.add_argument(
        "--stream", action="store_true", help="one frame a step, with states as inputs and outputs, instead of clips"
    )
    sub.add_argument("--size", type=int, metavar="PX", help="side of the frames it takes (default: the model's own)")
    sub.add_argument(
        "--clips",
        type=Path,
        nargs="+",
        metavar="CLIP",
        help="videos, folders of frames or folders of clips to check it on, and to calibrate int8 with",
    )
    sub.add_argument(
        "--tolerance", type=float, default=TOLERANCE, help="largest difference allowed, over the largest logit"
    )
    sub.add_argument(
        "--int8", action="store_true", help="quantise the ONNX file to 8 bits, with the ranges seen on --clips"
    )
    # Not there where it is not given: without --int8 it is then told from the default.
    sub.add_argument(
        "--calibration",
        choices=list(METHODS),
        default=argparse.SUPPRESS,
        help=f"how int8 finds those ranges (default: {CALIBRATION})",
    )
