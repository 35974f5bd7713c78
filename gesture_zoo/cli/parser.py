"""The commands, their arguments and their help."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn

from .. import __version__
from . import commands as run
from .check import add_check_arguments, check_command
from .convert import add_convert_parser
from .evaluate import add_eval_parser
from .prepare import add_prepare_parser
from .train import add_train_parser
from .visualize import add_visualize_parser

USAGE_ERROR = 2


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Help that names a default where there is one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None or action.default is False else super()._get_help_string(action)


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
            formatter_class=HelpFormatter,
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
    add_train_parser(command)
    add_eval_parser(command)

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
    add_visualize_parser(command)
    add_convert_parser(command)
    return parser
