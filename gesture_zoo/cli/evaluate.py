"""gesture-zoo eval: how good a trained model is on what it sees of clips, and how near its masks come to depth."""

from __future__ import annotations

import argparse
import json
import logging
import time
from typing import Any

from ..data import create_dataset, holdout_indices
from ..data.transforms import sees
from ..engine.clips import has_depth
from ..engine.datasets import DEFAULT_HOLDOUT, looks_for_val, part
from ..engine.depth_error import DepthError, evaluate_depth
from ..engine.distributed import device, is_first, process_group
from ..engine.evaluation import evaluate
from ..engine.loader import make_loader
from ..engine.protocol import Protocol, parse_protocol
from ..engine.recipes import load_recipe
from ..engine.report import Report, write_report
from ..engine.run import RECIPE_NAME
from ..engine.testing import default_split, make_test_dataset
from ..errors import GestureZooError, ModelError
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
        raise GestureZooError(
            f"{args.checkpoint} knows {_counted(known or model.num_classes)}, {where} has {_counted(names)}: "
            "evaluate on clips of the classes that it was trained on"
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
    options, split, seed = parse_options(args.data, args.data_option), args.split, args.seed
    if args.holdout is not None:
        split, seed = held_out_of(args, options)
    split = split or default_split(args.data, args.data_dir)
    data = make_test_dataset(args.data, args.data_dir, model, split=split, protocol=protocol, seed=args.seed, **options)
    if args.holdout is None:
        return data, split
    held = holdout_indices(data.labels, args.holdout, seed=seed)[1]
    return part(data, held), f"holdout {args.holdout} of {split}"


def held_out_of(args: argparse.Namespace, options: dict[str, Any]) -> tuple[str, int]:
    """The split that the run held clips out of and the seed it drew them by; without its recipe "train" and --seed.

    Another share than the run's would hold clips that it learned from: a ModelError.
    """
    # The checkpoint is a run, or "best" inside one.
    found = [path for path in (args.checkpoint, args.checkpoint.parent) if (path / RECIPE_NAME).is_file()]
    if not found:
        return "train", args.seed
    recipe = load_recipe(found[0] / RECIPE_NAME)
    share = DEFAULT_HOLDOUT if recipe.holdout is None else recipe.holdout
    own = recipe.val_split != "auto"
    if not own and looks_for_val(args.data, args.data_dir, recipe.train_split, recipe.holdout):
        own = min(create_dataset(args.data, args.data_dir, split="val", **options).labels) >= 0
    if own or share != args.holdout:
        held = "without clips held out" if own else f"with --holdout {share}"
        raise ModelError(f"{found[0]} was trained {held}: --holdout {args.holdout} would be clips that it learned from")
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
