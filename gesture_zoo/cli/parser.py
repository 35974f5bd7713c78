"""The commands, their arguments and their help."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn

from .. import __version__
from ..data import DATASETS
from . import commands as run
from .check import add_check_arguments, check_command
from .prepare import add_prepare_parser

USAGE_ERROR = 2


class Parser(argparse.ArgumentParser):
    """argparse, with errors of one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_ERROR, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def build_parser() -> Parser:
    """The parser with all commands."""
    parser = Parser(prog="gesture-zoo", description="Train, evaluate and use gesture recognition models.")
    parser.add_argument("--version", action="version", version=f"gesture-zoo {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, function: Any, help: str, example: str) -> Parser:
        sub: Parser = subparsers.add_parser(
            name,
            help=help,
            description=help[0].upper() + help[1:] + ".",
            epilog=f"example: {example}",
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        sub.set_defaults(run=function)
        sub.add_argument("--traceback", action="store_true", help="show where in the code an error came from")
        return sub

    sub = command("list", run.list_command, "list the models of the zoo", "gesture-zoo list '*_msd'")
    sub.add_argument("pattern", nargs="?", default="", metavar="PATTERN", help="fnmatch pattern, such as 'tsm_*'")
    sub.add_argument("--pretrained", action="store_true", help="names with tags whose weights can be fetched")

    sub = command("info", run.info_command, "say what a model is and costs", "gesture-zoo info action_resnet50_msd")
    sub.add_argument(
        "model", metavar="MODEL", help="a name from 'gesture-zoo list', hf-hub:owner/name or local-dir:DIR"
    )
    sub.add_argument("--num-classes", type=int, help="classes of the head (default: those of its weights)")

    sub = command(
        "demo", run.demo_command, "train, strip and use a small model in two minutes", "gesture-zoo demo --out demo"
    )
    sub.add_argument("--out", type=Path, default=Path("demo"), help="folder for the model, pictures and summary")
    sub.add_argument("--seed", type=int, default=0, help="random seed")
    sub.add_argument("--quick", action="store_true", help="a tenth of the work, to see that everything runs")

    sub = command(
        "check-data",
        check_command,
        "say what is wrong with a dataset's folder; exit code 1 if anything is",
        "gesture-zoo check-data isogd IsoGD --contact-sheet sheet.png",
    )
    add_check_arguments(sub)
    add_prepare_parser(command)

    sub = command(
        "train",
        run.train_command,
        "train a model, with depth where the data has it",
        "gesture-zoo train --model tsm_mobilenetv2_100_msd --pretrained --data folder --data-dir clips --out runs/mine",
    )
    _data_arguments(sub)
    sub.add_argument(
        "--model", required=True, help="a name from 'gesture-zoo list', hf-hub:owner/name or local-dir:DIR"
    )
    sub.add_argument("--pretrained", action="store_true", help="start from the tag's weights (default tag: ImageNet)")
    sub.add_argument(
        "--backbone-weights", type=Path, metavar="FILE", help="start the 2-D CNN from a .safetensors image network"
    )
    sub.add_argument("--out", type=Path, help="folder for the trained model (default: runs/MODEL-DATA)")
    sub.add_argument("--num-segments", type=int, help="frames of a clip, T (default: 8)")
    sub.add_argument("--size", type=int, help="side of the square input (default: the model's, 224)")
    sub.add_argument("--epochs", type=int, default=25, help="passes over the training clips")
    sub.add_argument("--opt", default="sgd", help="optimiser, a name of timm's")
    sub.add_argument("--lr", type=float, default=0.0025, help="learning rate for a batch of 16; scales with the batch")
    sub.add_argument("--weight-decay", type=float, default=1e-5, help="weight decay")
    sub.add_argument("--sched", choices=("multistep", "cosine"), default="multistep", help="learning-rate schedule")
    sub.add_argument("--drop-rate", type=float, help="dropout before the classifier")
    sub.add_argument(
        "--hflip",
        type=float,
        default=0.0,
        metavar="P",
        help="mirror clips with this probability, and swap their labels",
    )

    sub = command(
        "eval",
        run.eval_command,
        "evaluate a trained model from RGB alone",
        "gesture-zoo eval --checkpoint runs/mine --data folder --data-dir clips --split test",
    )
    _data_arguments(sub)
    sub.add_argument("--checkpoint", type=Path, required=True, metavar="DIR", help="folder that train wrote")
    sub.add_argument("--split", default="val", help="which clips: train, val, test, or another the dataset has")
    sub.add_argument("--skip-bad", action="store_true", help="leave out clips that cannot be read, and count them")
    sub.add_argument("--json", action="store_true", help="print one JSON object")
    sub.add_argument("--confusion", type=Path, metavar="PNG", help="draw the confusion matrix")

    sub = command(
        "predict",
        run.predict_command,
        "recognise the gesture in a video",
        "gesture-zoo predict clip.mp4 --checkpoint runs/mine",
    )
    sub.add_argument("video", metavar="VIDEO", help="a video file, or folder of frames, with one gesture")
    which = sub.add_mutually_exclusive_group(required=True)
    which.add_argument("--checkpoint", type=Path, metavar="DIR", help="folder that train wrote")
    which.add_argument("--model", help="a model with weights: hf-hub:owner/name or architecture.tag")
    sub.add_argument("--topk", type=int, default=5, help="how many classes to print")
    sub.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _data_arguments(sub: Parser) -> None:
    sub.add_argument("--data", required=True, metavar="NAME", help=f"dataset: {', '.join(DATASETS)}")
    sub.add_argument("--data-dir", metavar="DIR", help="where it is")
    sub.add_argument("--data-option", action="append", metavar="KEY=VALUE", help="an option of the dataset's reader")
    sub.add_argument(
        "--holdout", type=float, metavar="F", help="use this share of every class of the training split for validation"
    )
    sub.add_argument("--batch-size", type=int, default=16, help="clips in a batch")
    sub.add_argument("--workers", type=int, default=2, help="processes that read clips")
    sub.add_argument("--seed", type=int, default=0, help="random seed, also of the held-out part")
