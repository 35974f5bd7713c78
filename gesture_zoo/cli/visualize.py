"""gesture-zoo visualize: depth masks of clips as a picture or a video, training curves, a confusion matrix."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..data import ClipSample
from ..engine.clips import find_clips, spread_clips, video_clip
from ..engine.distributed import device
from ..engine.report import read_confusion
from ..engine.run import HISTORY_NAME
from ..engine.testing import default_split, make_test_dataset
from ..errors import GestureZooError
from ..media_names import WRITABLE_SUFFIXES
from ..msd import MSDModel
from ..visualize import check_name, save_confusion, save_curves, save_figure5, save_masks_video
from .arguments.visualize import NUM_CLIPS
from .loading import load_checkpoint
from .options import parse_options
from .sources import check_apart

# Options that only a picture of masks takes.
OF_MASKS = ("source", "checkpoint", "data", "data_dir", "data_option", "split", "clip", "num_clips", "frame")
OF_DATASET = ("data_dir", "data_option", "split", "clip", "num_clips")


def visualize_command(args: argparse.Namespace) -> None:
    """Draw one picture, and say where it is."""
    check_arguments(args)
    if args.curves:
        save_curves(read_history(args.curves), args.out)
    elif args.confusion:
        found = read_confusion(args.confusion)
        save_confusion(found.confusion, found.class_names, args.out)
    else:
        draw_masks(args)
    print(args.out)


def check_arguments(args: argparse.Namespace) -> None:
    """Arguments that do not go together are an error."""
    modes = [f"--{name}" for name in ("curves", "confusion") if getattr(args, name)]
    given = [name for name in OF_MASKS if getattr(args, name) is not None]
    if modes:
        others = modes[1:] + [option(name) for name in given]
        if others:
            raise GestureZooError(f"{modes[0]} takes nothing but --out: leave out {', '.join(others)}")
        check_name(args.out)
        return
    if not args.checkpoint:
        raise GestureZooError("what is to be drawn? --checkpoint with SOURCE or --data, --curves, or --confusion")
    if (args.source is None) == (args.data is None):
        raise GestureZooError("--checkpoint needs clips: a video SOURCE, or a dataset (--data), and not both")
    if args.source == "":  # an unset variable of a script, which as a path would be the current folder
        raise GestureZooError("SOURCE is empty: name a video, or a folder of frames (. is this one)")
    if args.source is not None and (strange := [option(name) for name in OF_DATASET if name in given]):
        raise GestureZooError(f"{', '.join(strange)}: for the clips of a dataset (--data), not of {args.source}")
    if args.clip and args.num_clips is not None:
        raise GestureZooError("--clip names the clips, so there is nothing to count: leave out --num-clips")
    check_name(args.out, (".png", *WRITABLE_SUFFIXES))
    if args.frame is not None and is_video(args.out):
        raise GestureZooError(f"{args.out} shows all frames: leave out --frame, or name a .png")
    if args.source is not None:
        check_apart("--out", args.out, args.source)


def option(name: str) -> str:
    """An argument as the user types it."""
    return "SOURCE" if name == "source" else f"--{name.replace('_', '-')}"


def is_video(path: Path) -> bool:
    """Whether masks are drawn as a video."""
    return path.suffix.lower() != ".png"


def draw_masks(args: argparse.Namespace) -> None:
    """Figure 5, or the same as a video."""
    model = load_checkpoint(args.checkpoint)
    if not isinstance(model, MSDModel):
        raise GestureZooError(f"{args.checkpoint} has no decoders to draw masks with: it takes a model named ..._msd")
    samples, names = masks_clips(args, model)
    model.to(device())
    if is_video(args.out):
        save_masks_video(model, samples, args.out, class_names=names)
    else:
        save_figure5(model, samples, args.out, class_names=names, frame=args.frame)


def masks_clips(args: argparse.Namespace, model: Any) -> tuple[list[ClipSample], list[str] | None]:
    """The clips, and the names of their classes."""
    if args.source is not None:
        return [video_clip(model, args.source)], None
    split = args.split or default_split(args.data, args.data_dir)
    options = parse_options(args.data, args.data_option)
    data = make_test_dataset(args.data, args.data_dir, model, split=split, **options)
    if args.clip:
        return find_clips(data, args.clip), list(data.class_names)
    return spread_clips(data, NUM_CLIPS if args.num_clips is None else args.num_clips), list(data.class_names)


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The epochs in a run's history.json."""
    path = folder / HISTORY_NAME
    try:
        history = json.loads(path.read_text(encoding="utf-8"))["history"]
    except OSError as error:
        raise GestureZooError(f"cannot read {path} ({error.strerror}): 'gesture-zoo train' writes it") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise GestureZooError(f"{path} is no history of a training: expected {{'history': [...]}}") from error
    if not isinstance(history, list) or not all(isinstance(record, dict) for record in history):
        raise GestureZooError(f"{path} is no history of a training: expected a list of epochs under 'history'")
    return history
