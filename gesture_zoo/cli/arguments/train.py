"""gesture-zoo train: the model, the data, and every field of a recipe."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...data.names import DATASETS, MODALITIES
from ...engine.recipes import RECIPES, RESUME, describe_fields, field_types
from ..parser import Command


def add_train_parser(command: Command) -> None:
    """Declare the command; ``command`` makes a sub-parser of name, function (module:function) and examples."""
    sub = command(
        "train",
        "train:train_command",
        "gesture-zoo train --model tsm_mobilenetv2_100_msd --pretrained --data folder --data-dir clips --out runs/mine",
        "gesture-zoo train --model action_resnet50_msd --pretrained --data isogd --data-dir IsoGD --resume auto",
    )
    sub.add_argument(
        "--model", required=True, help="a name from 'gesture-zoo list', hf-hub:owner/name or local-dir:DIR"
    )
    sub.add_argument("--pretrained", action="store_true", help="start from the tag's weights (default tag: ImageNet)")
    sub.add_argument(
        "--backbone-weights", type=Path, metavar="FILE", help="start the 2-D CNN from a .safetensors image network"
    )
    sub.add_argument(
        "--in-chans",
        type=int,
        choices=MODALITIES,
        help="what the network sees: 3 RGB, 1 depth alone, 4 RGB and depth (default: the model's, RGB)",
    )
    sub.add_argument(
        "--model-option", action="append", metavar="KEY=VALUE", help="an option of the model, such as shift_div=4"
    )
    sub.add_argument("--data", required=True, metavar="NAME", help=f"dataset: {', '.join(DATASETS)}")
    sub.add_argument("--data-dir", metavar="DIR", help="where it is")
    sub.add_argument("--data-option", action="append", metavar="KEY=VALUE", help="an option of the dataset's reader")
    sub.add_argument("--out", type=Path, help="folder for the run (default: runs/MODEL-DATA)")
    sub.add_argument(
        "--resume",
        choices=RESUME,
        default="never",
        help="auto: go on with the run in --out, and with its recipe, if there is one",
    )
    recipe = sub.add_argument_group("recipe", "Every field of a recipe; the recipe says what is not given here.")
    recipe.add_argument(
        "--recipe",
        metavar="R",
        help=f"{', '.join(RECIPES)}, or a .yaml file (default: the one named as the dataset, else finetune)",
    )
    kinds = field_types()
    for name, text in describe_fields().items():
        option, (kind, optional) = f"--{name.replace('_', '-')}", kinds[name]
        # Not None but nothing at all: the recipe has to know what was given.
        common: dict[str, Any] = {"dest": f"recipe_{name}", "default": argparse.SUPPRESS, "help": text}
        if kind is bool:
            recipe.add_argument(option, action=argparse.BooleanOptionalAction, **common)
        elif name == "milestones":
            recipe.add_argument(option, type=int, nargs="+", metavar="EPOCH", **common)
        else:
            letter = {int: "N", float: "X"}.get(kind, "NAME")
            recipe.add_argument(option, type=_or_none(kind) if optional else kind, metavar=letter, **common)


def _or_none(kind: type) -> Callable[[str], Any]:
    """A type of argparse that also takes the word none."""

    def parse(text: str) -> Any:
        return None if text == "none" else kind(text)

    parse.__name__ = kind.__name__  # argparse names the type in its error
    return parse
