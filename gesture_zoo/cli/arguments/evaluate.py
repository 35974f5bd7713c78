"""gesture-zoo eval: the checkpoint, the clips, how they are looked at, and what is written."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...engine.recipes import AMP
from ..parser import Command
from .dataset import add_dataset_arguments


def add_eval_parser(command: Command) -> None:
    """Declare the command; ``command`` makes a sub-parser of name, function (module:function) and examples."""
    sub = command(
        "eval",
        "evaluate:eval_command",
        "gesture-zoo eval --checkpoint runs/mine --data folder --data-dir clips --split test --out results",
        "gesture-zoo eval --checkpoint runs/nv --data nvgesture --data-dir NVGesture --split test --protocol 3x10",
    )
    sub.add_argument("--checkpoint", type=Path, required=True, metavar="DIR", help="folder that train wrote")
    add_dataset_arguments(sub)
    sub.add_argument(
        "--holdout", type=float, metavar="F", help="evaluate on the share of the training split that train held out"
    )
    sub.add_argument(
        "--protocol", default="1x1", metavar="CxN", help="crops x clips of every video, 1x1 or the paper's 3x10"
    )
    sub.add_argument("--skip-bad", action="store_true", help="leave out clips that cannot be read, and count them")
    sub.add_argument("--amp", choices=AMP, default="none", help="compute in half precision")
    sub.add_argument(
        "--depth",
        action=argparse.BooleanOptionalAction,
        default=argparse.SUPPRESS,
        help="compare masks with depth, on the middle frames (default: where the model has decoders, the data depth)",
    )
    sub.add_argument("--out", type=Path, metavar="DIR", help="write the results and every prediction to a folder")
    sub.add_argument("--confusion", type=Path, metavar="PNG", help="draw the confusion matrix")
    sub.add_argument("--json", action="store_true", help="print one JSON object")
    sub.add_argument(
        "--batch-size", type=int, help="clips in a batch, of every process (default: 16 views, at least one clip)"
    )
    sub.add_argument("--workers", type=int, default=2, help="processes that read clips")
    sub.add_argument(
        "--seed",
        type=int,
        default=0,
        help="of the frames of several clips, and of the held-out part where there is no recipe.yaml",
    )
