"""What several commands share: models and datasets that the command line names."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from ..engine.distributed import is_first
from ..errors import WeightsError
from ..factory import create_model
from ..model_folder import CONFIG_NAME, read_config
from ..msd import MSDModel, strip_msd
from ..registry import get_entry, get_pretrained_cfg, split_name


def load_for_inference(args: argparse.Namespace) -> Any:
    """The model of --checkpoint or --model, with its weights and without decoders."""
    name = f"local-dir:{args.checkpoint}" if args.checkpoint else args.model
    if ":" not in name and "/" not in name:
        check_knows_gestures(name)
    model = create_model(name, pretrained=True)
    return (strip_msd(model) if isinstance(model, MSDModel) else model).eval()


def check_knows_gestures(name: str) -> None:
    """A name whose weights, if there are any, are those of an image network alone is a WeightsError."""
    cfg = get_pretrained_cfg(name)
    if cfg is None or cfg.backbone_only:
        architecture, _ = split_name(name)
        known = [
            f"{architecture}.{tag}"
            for tag, one in get_entry(architecture)[1].items()
            if one.has_weights and not one.backbone_only
        ]
        names = f": name {' or '.join(known)}, or " if known else ": train it, then name "
        raise WeightsError(f"{name} has no weights that know gestures{names}the folder of a trained one (--checkpoint)")


def quiet_others() -> None:
    """Let only the first of several processes log what all of them do."""
    if not is_first():
        logging.getLogger("gesture_zoo").setLevel(logging.ERROR)


def load_checkpoint(directory: Path) -> Any:
    """The model in a folder, with its decoders if it has some."""
    return create_model(f"local-dir:{directory}", pretrained=True).eval()


def describe_checkpoint(directory: Path) -> str:
    """The folder, and which state of the training is in it, where the trainer wrote that down."""
    ours = read_config(directory / CONFIG_NAME).get("gesture_zoo")
    state = ours.get("checkpoint") if isinstance(ours, dict) else None
    return f"{directory}: {state}" if state else str(directory)
