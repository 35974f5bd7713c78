"""The commands, and the parser of a command line; what a command runs is imported when it runs."""

from __future__ import annotations

import argparse
import difflib
import importlib
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from .. import __version__
from ..errors import one_line

USAGE_ERROR = 2

# Makes a sub-parser of a name in COMMANDS, the function that runs, as module:function, and examples.
Command = Callable[..., argparse.ArgumentParser]

# What a command is, and the function that declares its arguments, as module:function of the package ``arguments``.
COMMANDS = {
    "list": ("list the models of the zoo", "commands:add_list_parser"),
    "info": ("say what a model is and costs", "commands:add_info_parser"),
    "demo": ("train, strip and use a small model in two to four minutes", "commands:add_demo_parser"),
    "check-data": ("say what is wrong with a dataset's folder; exit code 1 if anything is", "check:add_check_parser"),
    "prepare": (
        "convert a dataset to WebDataset shards, to train from a disk or a URL; a second run goes on where one ended",
        "prepare:add_prepare_parser",
    ),
    "train": (
        "train a model, with depth where the data has it; under torchrun in several processes",
        "train:add_train_parser",
    ),
    "eval": ("evaluate a trained model from RGB alone", "evaluate:add_eval_parser"),
    "predict": ("recognise gestures in a video, a folder, a camera or a stream", "predict:add_predict_parser"),
    "visualize": (
        "draw what the decoders see, training curves, or a confusion matrix",
        "visualize:add_visualize_parser",
    ),
    "convert": (
        "convert a checkpoint of TSM, ACTION-Net, TEA, mmaction2, torchvision or timm to a model folder",
        "convert:add_convert_parser",
    ),
    "push": (
        "upload a model folder to the Hugging Face Hub, with the token of `hf auth login` or HF_TOKEN",
        "push:add_push_parser",
    ),
    "export": (
        "write a model as one file (ONNX, OpenVINO, .pt2, ExecuTorch), checked against PyTorch",
        "export:add_export_parser",
    ),
    "web": (
        "serve a page that recognises gestures from the camera or a video, in the browser, without a network",
        "web:add_web_parser",
    ),
}


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Help that names a default where there is one, and leaves examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        # Indented lines are the examples: broken in two they could not be copied.
        fill = super()._fill_text
        return "\n".join(line if line.startswith(" ") else fill(line, width, indent) for line in text.splitlines())

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None or action.default is False else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """argparse, with errors of one line, said by the command that they concern."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, but nothing may be left over: only a command knows what its options are called."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            option = unknown[0].partition("=")[0]
            near = difflib.get_close_matches(option, self._option_string_actions, 1) if option.startswith("--") else []
            hint = f"; did you mean {near[0]}?" if near else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_ERROR, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def error_line(error: Exception) -> str:
    """What is said of an error, on one line.

    >>> error_line(ValueError("no such clip"))
    'gesture-zoo: error: no such clip'
    """
    return f"gesture-zoo: error: {one_line(error)}"


def example_lines(*commands: str) -> str:
    """Command lines as the end of a help text, each on a line of its own.

    >>> example_lines("gesture-zoo list", "gesture-zoo list '*_msd'").splitlines()
    ['examples:', '  gesture-zoo list', "  gesture-zoo list '*_msd'"]
    """
    return "\n  ".join(["example:" if len(commands) == 1 else "examples:", *commands])


def late(place: str) -> Callable[[argparse.Namespace], int | None]:
    """The function module:function of this package, which is imported when it is called.

    >>> late("commands:list_command")(argparse.Namespace(pattern="tsm_resnet18", pretrained=False))
    tsm_resnet18
    """
    module, _, function = place.partition(":")

    def run(args: argparse.Namespace) -> int | None:
        code: int | None = getattr(importlib.import_module(f".{module}", __package__), function)(args)
        return code

    return run


def build_parser(argv: Sequence[str] | None = None) -> Parser:
    """The parser with all commands; for ``argv`` only what it takes to parse that: the command it names.

    The others are then known by name and help alone, so that nothing of them is imported.

    >>> build_parser().parse_args(["list", "tsm_*", "--pretrained"]).pattern
    'tsm_*'
    """
    wanted = set(COMMANDS) if argv is None else {next((text for text in argv if not text.startswith("-")), "")}
    parser = Parser(
        prog="gesture-zoo",
        description="Train, evaluate and use gesture recognition models.",
        epilog=example_lines("gesture-zoo demo --out demo", "gesture-zoo train --help"),
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gesture-zoo {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, function: str, *examples: str) -> Parser:
        help, _ = COMMANDS[name]
        sub: Parser = subparsers.add_parser(
            name,
            help=help,
            description=help[0].upper() + help[1:] + ".",
            epilog=example_lines(*examples),
            formatter_class=HelpFormatter,
        )
        sub.set_defaults(run=late(function))
        sub.add_argument("--traceback", action="store_true", help="show where in the code an error came from")
        return sub

    for name, (help, place) in COMMANDS.items():
        if name not in wanted:
            subparsers.add_parser(name, help=help)
            continue
        module, _, function = place.partition(":")
        getattr(importlib.import_module(f".arguments.{module}", __package__), function)(command)
    return parser
