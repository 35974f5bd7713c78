"""gesture-zoo eval: how good a trained model is on what it sees of clips, and how near its masks come to depth."""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path
from typing import Any

from ..data import create_dataset, holdout_indices
from ..data.factory import available_splits
from ..data.folder import CLASSES
from ..data.transforms import sees
from ..engine.clips import has_depth
from ..engine.datasets import DEFAULT_HOLDOUT, looks_for_val, part
from ..engine.depth_error import DepthError, evaluate_depth
from ..engine.distributed import device, is_first, process_group
from ..engine.evaluation import evaluate
from ..engine.loader import make_loader
from ..engine.protocol import Protocol, parse_protocol
from ..engine.recipes import Recipe, load_recipe, overlap
from ..engine.report import Report, write_report
from ..engine.run import RECIPE_NAME
from ..engine.testing import default_split, make_test_dataset
from ..errors import DataError, GestureZooError, ModelError
from ..msd import MSDModel
from ..visualize import check_name, save_confusion
from .loading import describe_checkpoint, load_checkpoint, quiet_others
from .options import parse_options

VIEWS_IN_BATCH = 16

_logger = logging.getLogger(__name__)


def eval_command(args: argparse.Namespace) -> None:
    """Evaluate a checkpoint; the first of several processes prints and writes."""
    protocol = parse_protocol(args.protocol)
    if args.confusion:
        check_name(args.confusion)
    if args.out and args.out.exists() and not args.out.is_dir():
        raise GestureZooError(f"--out {args.out} is a file, not a folder for the results")
    with process_group():
        quiet_others()
        report = run_evaluation(args, protocol)
        if not is_first():
            return
        if args.out:
            write_report(report, args.out)
        if args.confusion:
            save_confusion(report.evaluation.confusion, report.class_names, args.confusion)
        print(json.dumps(report.summary()) if args.json else describe(report))
        if args.out and not args.json:
            print(f"results and predictions: {args.out}")


def run_evaluation(args: argparse.Namespace, protocol: Protocol) -> Report:
    """Everything that is measured."""
    started = time.monotonic()
    model = load_checkpoint(args.checkpoint)
    data, split = clips_to_test(args, model, protocol)
    names = list(getattr(data, "dataset", data).class_names)
    check_classes(args, model, names)
    check_depth_is_there(args, model, data)
    model.to(device())
    batch_size = max(1, VIEWS_IN_BATCH // protocol.views) if args.batch_size is None else args.batch_size
    settings: dict[str, Any] = {"workers": args.workers, "on_error": "skip" if args.skip_bad else "raise"}
    result = evaluate(model, make_loader(data, batch_size, **settings), amp=args.amp, progress=True)
    if result.count == 0:
        raise GestureZooError(f"none of the {len(data)} clips could be read, the first: {result.skipped[0]}")
    depth: dict[str, DepthError] = {}
    if wants_depth(args, model, data):
        # One view, whatever the protocol: the errors are those that training reports.
        views = data if protocol == Protocol() else clips_to_test(args, model, Protocol())[0]
        loader = make_loader(views, args.batch_size or VIEWS_IN_BATCH, **settings)
        depth = evaluate_depth(model, loader, amp=args.amp, progress=True)
    return Report(
        result,
        names,
        data=args.data,
        split=split,
        checkpoint=describe_checkpoint(args.checkpoint),
        protocol=protocol,
        depth=depth,
        seconds=time.monotonic() - started,
        seen=sees(model.in_chans),
    )


def check_classes(args: argparse.Namespace, model: Any, names: list[str]) -> None:
    """Classes are compared by their index: as many as the model's, in its order, and a warning where names differ."""
    known, where = list(model.pretrained_cfg.get("label_names") or ()), args.data_dir or args.data
    if len(names) != model.num_classes:
        few = args.data == "folder" and set(names) < set(known)
        way = f"name all of the model's in {where}/{CLASSES}, one a line, in its order" if few else ""
        raise GestureZooError(
            f"{args.checkpoint} knows {_counted(known or model.num_classes)}, {where} has {_counted(names)}: "
            f"{way or 'evaluate on clips of the classes that it was trained on'}"
        )
    differ = [(index, *pair) for index, pair in enumerate(zip(known, names, strict=False)) if pair[0] != pair[1]]
    if not differ:
        return
    index, its, theirs = differ[0]
    said = f"class {index} is {its!r} for {args.checkpoint} and {theirs!r} in {where}"
    if sorted(known) == sorted(names):
        raise GestureZooError(
            f"{said}: the same classes in another order, bring them into the model's "
            "(for jester: --data-option label_order=official or alphabetical)"
        )
    _logger.warning("%s: %d of %d names differ, and are taken for the same class", said, len(differ), len(names))


def _counted(names: list[str] | int) -> str:
    """How many classes, and which where they are few."""
    if isinstance(names, int):
        return f"{names} classes"
    listed = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    return f"{len(names)} classes ({listed})"


def clips_to_test(args: argparse.Namespace, model: Any, protocol: Protocol) -> tuple[Any, str]:
    """The clips to evaluate on, and what they are called."""
    if args.holdout is not None and args.split:
        raise GestureZooError(f"--holdout is a part of the training split: leave out --split {args.split}")
    options, recipe = parse_options(args.data, args.data_option), recipe_of(args.checkpoint)
    split, seed = args.split, args.seed
    if args.holdout is not None:
        split, seed = held_out_of(args, recipe, options)
    split = split or split_to_test(args, recipe)
    if not getattr(args, "depth", True) and model.in_chans == 3:
        options["with_depth"] = False  # nothing but the comparison would look at it
    if args.holdout is None and recipe and overlap(split, recipe.train_split):
        if model.pretrained_cfg.get("dataset") == args.data:
            _logger.warning(
                "%s was trained on the split %r: if these are its clips, %r does not say how good it is on new ones",
                *(args.checkpoint, recipe.train_split, split),
            )
    elif args.split:
        check_is_there(args, recipe, split)
    data = make_test_dataset(args.data, args.data_dir, model, split=split, protocol=protocol, seed=args.seed, **options)
    if args.holdout is None:
        return data, split
    held = holdout_indices(data.labels, args.holdout, seed=seed)[1]
    return part(data, held), f"holdout {args.holdout} of {split}"


def recipe_of(checkpoint: Path) -> Recipe | None:
    """The recipe of the run that a checkpoint is, or is "best" of; None where it is no run."""
    found = [path for path in (checkpoint, checkpoint.parent) if (path / RECIPE_NAME).is_file()]
    return load_recipe(found[0] / RECIPE_NAME) if found else None


def split_to_test(args: argparse.Namespace, recipe: Recipe | None) -> str:
    """The split to evaluate on where none is asked for: "val" where the dataset has it, else "test".

    It is not one that the run learned from, as long as there is another.
    """
    there = available_splits(args.data, args.data_dir)
    if recipe is not None:
        wanted = dict.fromkeys(("val", "test", recipe.test_split))
        new = [split for split in wanted if split in there and not overlap(split, recipe.train_split)]
        if new:
            return str(new[0])
    if "val" not in there and "test" not in there:
        check_is_there(args, recipe, "val")
    return default_split(args.data, args.data_dir)


def check_is_there(args: argparse.Namespace, recipe: Recipe | None, split: str) -> None:
    """A DataError that names the ways out, where there is no such split because the run held out a part of another."""
    there = available_splits(args.data, args.data_dir)  # of shards elsewhere nobody knows
    if recipe is None or not there or split in there or not holds_out(args, recipe):
        return
    trained = recipe.train_split
    raise DataError(
        f"{args.data} in {args.data_dir} has no split {split}: --holdout {held_share(recipe)} evaluates on the clips "
        f"that the run held out of {trained}, --split {trained} on all, if they are others than it learned from"
    )


def holds_out(args: argparse.Namespace, recipe: Recipe) -> bool:
    """Whether a run, of data like this, held a part of its training split out, as far as the splits tell."""
    looks = looks_for_val(args.data, args.data_dir, recipe.train_split, recipe.holdout)
    return recipe.val_split == "auto" and not looks


def held_share(recipe: Recipe) -> float:
    """The share of the training split that a run held out, if it did."""
    return DEFAULT_HOLDOUT if recipe.holdout is None else recipe.holdout


def held_out_of(args: argparse.Namespace, recipe: Recipe | None, options: dict[str, Any]) -> tuple[str, int]:
    """The split that the run held clips out of and the seed it drew them by; without its recipe "train" and --seed.

    Another share than the run's would hold clips that it learned from: a ModelError.
    """
    if recipe is None:
        return "train", args.seed
    own = not holds_out(args, recipe)
    if own and recipe.val_split == "auto":
        own = min(create_dataset(args.data, args.data_dir, split="val", **options).labels) >= 0
    if own or held_share(recipe) != args.holdout:
        held = "without clips held out" if own else f"with --holdout {held_share(recipe)}"
        raise ModelError(
            f"{args.checkpoint} was trained {held}: --holdout {args.holdout} would be clips that it learned from"
        )
    return recipe.train_split, recipe.seed


def check_depth_is_there(args: argparse.Namespace, model: Any, data: Any) -> None:
    """--depth needs a model with decoders and data with depth."""
    if not getattr(args, "depth", False):
        return
    if not isinstance(model, MSDModel):
        raise GestureZooError(
            f"--depth needs a model with decoders (a name ending in _msd); {args.checkpoint} has none"
        )
    if not has_depth(getattr(data, "dataset", data)):
        raise GestureZooError(f"--depth needs clips with depth; {args.data} has none here")


def wants_depth(args: argparse.Namespace, model: Any, data: Any) -> bool:
    """Whether masks are compared with depth."""
    wanted = getattr(args, "depth", True)
    return wanted and isinstance(model, MSDModel) and has_depth(getattr(data, "dataset", data))


def describe(report: Report) -> str:
    """The numbers of a report in a few lines."""
    result = report.evaluation
    low, high = result.interval
    top5 = f"top-5 {100 * result.top5:.2f} %, " if result.scores.shape[1] > 5 else ""  # of five classes all are among
    lines = [
        f"checkpoint {report.checkpoint}",
        f"top-1 {100 * result.top1:.2f} % (95 % interval {100 * low:.2f} to {100 * high:.2f}), "
        f"{top5}mean of classes {100 * result.macro:.2f} % of {result.count} clips "
        f"({report.split}, {report.protocol}), from {report.seen}",
    ]
    if result.skipped:
        count, first = len(result.skipped), result.skipped[0]
        lines.append(f"{count} clips could not be read and are not counted, the first: {first}")
    for name, error in report.depth.items():
        correlation = "flat" if error.correlation is None else f"correlation {error.correlation:+.3f}"
        lines.append(
            f"depth error of the mask at {name}: {error.rmse:.4f}, {correlation}; mean depth everywhere "
            f"{error.baseline:.4f}, mean of every pixel {error.pixel_baseline:.4f}"
        )
    return "\n".join(lines)
