"""gesture-zoo train: from a dataset folder to a trained model, and to a number on its test split."""

from __future__ import annotations

import argparse
import gc
import logging
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..data import resolve_data_config
from ..data.factory import class_names
from ..data.frame_rate import clip_frame_rate
from ..data.transforms import sees
from ..engine import RECIPES, Recipe, TrainResult, evaluate, load_recipe, make_loader, train, train_val_datasets
from ..engine.datasets import TrainVal, check_depth
from ..engine.distributed import is_first, process_group, world_size
from ..engine.interrupt import StopWish, Terminated, stop_wish
from ..engine.protocol import parse_protocol
from ..engine.recipes import overlap
from ..engine.report import Report, write_report
from ..engine.run import RECIPE_NAME, check_free, check_unused
from ..engine.testing import make_test_dataset
from ..errors import DataError, GestureZooError
from ..factory import create_model
from ..model_arguments import check_clip_model
from ..model_folder import CHECKPOINT_NAME
from ..registry import split_name
from .evaluate import VIEWS_IN_BATCH, describe
from .loading import describe_checkpoint, quiet_others
from .options import parse_model_options, parse_options

_logger = logging.getLogger(__name__)

TEST_FOLDER = "test"
NOT_SAVED = 1


def resolve_recipe(args: argparse.Namespace) -> Recipe:
    """The recipe that the command line asks for; a run that goes on has one already."""
    name = args.recipe or (args.data if args.data in RECIPES else "finetune")
    own = folder_of(args) / RECIPE_NAME
    if args.recipe is None and args.resume == "auto" and own.exists() and (own.parent / CHECKPOINT_NAME).exists():
        name = str(own)
        _logger.info("with the recipe of the run that is there: %s", own)
    given = {key.removeprefix("recipe_"): value for key, value in vars(args).items() if key.startswith("recipe_")}
    if "holdout" in given and given["holdout"] is not None:
        given.setdefault("val_split", "auto")  # whatever the recipe says of validation
    return load_recipe(name).override(given)


def folder_of(args: argparse.Namespace) -> Path:
    """The folder of the run."""
    return args.out or Path("runs") / f"{args.model.rstrip('/').rpartition('/')[2].rpartition(':')[2]}-{args.data}"


def train_command(args: argparse.Namespace) -> int:
    """Train, evaluate on the recipe's test split, and print what came out.

    The exit code is 1 if SIGTERM came and the state could not be saved.
    """
    recipe = resolve_recipe(args)
    out = folder_of(args)
    with process_group() as group:
        quiet_others()
        check_unused(out)
        check_free(out, args.resume)
        options = parse_options(args.data, args.data_option)
        model = build(args, recipe, options)
        data = train_val_datasets(
            args.data,
            args.data_dir,
            resolve_data_config(model=model),
            train_split=recipe.train_split,
            val_split=recipe.val_split,
            holdout=recipe.holdout,
            seed=recipe.seed,
            hflip=recipe.hflip,
            **options,
        )
        model.pretrained_cfg["frame_rate"] = clip_frame_rate(data.train)
        model.pretrained_cfg["dataset"] = getattr(data.train, "source", args.data)  # of shards what they were made of
        test_data = test_clips(args, model, recipe, options)
        if recipe.test_split is not None and data.split is not None and overlap(recipe.test_split, data.split):
            raise DataError(
                f"the split {data.split!r} is to be validated and tested on: a checkpoint must not be chosen by its "
                "test; give another --test-split, or --val-split none"
            )
        # After all that fails at once, so that an error is not at the end of a page.
        _logger.info("%s", recipe.to_yaml().rstrip())
        steps = f"{recipe.batch_size} x {world_size()} x {recipe.accumulate}"
        rate = f"learning rate {recipe.scaled_lr(world_size()):.3g} for {steps} clips a step"
        _logger.info("%d clips to train on, %s; %s", len(data.train), data, rate)
        settings: dict[str, Any] = {"recipe": recipe, "out": out, "resume": args.resume, "chosen_on": data.origin}
        with stop_wish() as wish:
            result = train(model, data.train, data.val, **settings, progress=True)
            group.left = wish.alone
            if result.interrupted:
                fate = "everything is saved" if result.saved else "the steps since the last checkpoint are not saved"
                _say(f"stopped by SIGTERM, {fate}; go on with: --out {out} --resume auto")
                return 0 if result.saved else NOT_SAVED
            _say(describe_result(result, data, recipe, out, seen=sees(model.in_chans)))
            if test_data is not None:
                gc.collect()  # the processes that read clips for training live as long as their loaders
                test_or_stop(wish, model, test_data, args, recipe, out)
                group.left = wish.alone
    return 0


def build(args: argparse.Namespace, recipe: Recipe, options: dict[str, Any]) -> Any:
    """The model to train, with the classes of the data."""
    names = class_names(args.data, args.data_dir, split=recipe.train_split, **options)
    if len(names) < 2:
        raise DataError(
            f"{args.data_dir} has one class only, {names[0]!r}, and nothing to tell it from: give it clips of another, "
            "at least of no gesture"
        )
    if args.pretrained and args.backbone_weights:
        raise GestureZooError("--pretrained and --backbone-weights are two ways to start: leave one out")
    overlay = {"file": str(args.backbone_weights), "backbone_only": True} if args.backbone_weights else None
    if not args.pretrained and overlay is None and ":" not in args.model and split_name(args.model)[1]:
        _logger.warning("%s names weights, but without --pretrained the network starts at random", args.model)
    torch.manual_seed(recipe.seed)  # decoders and classifier start at random, the same in every process
    model = create_model(
        args.model,
        args.pretrained or overlay is not None,
        pretrained_cfg_overlay=overlay,
        num_classes=len(names),
        num_segments=recipe.num_segments,
        in_chans=args.in_chans,
        drop_rate=recipe.drop_rate,
        **parse_model_options(args.model_option),
    )
    check_clip_model(model, args.model)
    if still := frozen_parts(model):
        _logger.warning("%s does not learn: %s", args.model, ", ".join(still))
    if args.pretrained and overlay is None and model.pretrained_cfg.get("hf_hub_id"):
        # For the model card, which after the next line cannot tell what the training started from.
        model.pretrained_cfg["base_model"] = model.pretrained_cfg["hf_hub_id"].partition("@")[0]
    if recipe.size is not None:
        model.pretrained_cfg["input_size"] = (model.in_chans, recipe.size, recipe.size)
    model.pretrained_cfg.update(label_names=tuple(names))
    return model


def frozen_parts(model: nn.Module, name: str = "") -> list[str]:
    """The largest parts of a model of which no parameter learns, by name."""
    parameters = list(model.parameters())
    if not parameters or not any(parameter.requires_grad for parameter in parameters):
        return [name or "the whole model"] if parameters else []
    parts = ((f"{name}.{child}" if name else child, module) for child, module in model.named_children())
    return [still for child, module in parts for still in frozen_parts(module, child)]


def test_clips(args: argparse.Namespace, model: Any, recipe: Recipe, options: dict[str, Any]) -> Any:
    """The clips of the recipe's test split, if it has one; made before training, so that a fault shows then."""
    if recipe.test_split is None:
        return None
    protocol = parse_protocol(recipe.test_protocol)
    settings: dict[str, Any] = {"split": recipe.test_split, "protocol": protocol, "seed": recipe.seed}
    try:
        data = make_test_dataset(args.data, args.data_dir, model, **settings, **options)
        if min(data.labels) < 0:
            raise DataError(f"the split {recipe.test_split!r} of {args.data} in {args.data_dir} has no labels")
        check_depth(data, model.in_chans)
        return data
    except DataError as error:
        hint = f"the recipe tests on the split {recipe.test_split!r}; --test-split none leaves that out"
        raise DataError(f"{error} ({hint})") from error


def describe_result(result: TrainResult, data: TrainVal, recipe: Recipe, out: Path, *, seen: str) -> str:
    """What came out of training, in a few lines."""
    lines = [f"trained {recipe.epochs} epochs in {result.seconds:.0f} s: {out}"]
    if result.bad_clips:
        count = len(result.bad_clips)
        lines.append(f"{count} clips could not be read and were replaced by others: history.json names them")
    if result.skipped_steps:
        lines.append(f"{result.skipped_steps} steps were skipped, because their loss was not finite")
    last = result.history[-1]
    if "val_top1" in last:
        lines.append(f"top-1 {100 * last['val_top1']:.2f} %, {data}, from {seen}")
    if result.best_epoch is not None:
        best = max(record.get("val_top1", 0.0) for record in result.history)
        lines.append(f"best: {100 * best:.2f} % after epoch {result.best_epoch}, {out / 'best'}")
    for name, after in result.depth_after.items():
        before = f"{result.depth_before[name].rmse:.4f} before, " if name in result.depth_before else ""
        lines.append(
            f"depth error of the mask at {name}: {before}{after.rmse:.4f} after; "
            f"mean depth everywhere: {after.baseline:.4f}"
        )
    return "\n".join(lines)


def test_or_stop(wish: StopWish, model: Any, data: Any, args: argparse.Namespace, recipe: Recipe, out: Path) -> None:
    """Evaluate on the test split, or say after SIGTERM how to do so: nothing is lost by stopping."""
    try:
        with wish.raising():
            test(model, data, args, recipe, out)
    except (Terminated, RuntimeError, DataError) as error:
        if not wish.explains(error):
            raise
        _say(f"stopped by SIGTERM, the trained model is saved; it is tested by: --out {out} --resume auto")


def test(model: Any, data: Any, args: argparse.Namespace, recipe: Recipe, out: Path) -> None:
    """Evaluate the last checkpoint on the test split: none was chosen by it."""
    started = time.monotonic()
    protocol = parse_protocol(recipe.test_protocol)
    loader = make_loader(data, max(1, VIEWS_IN_BATCH // protocol.views), workers=recipe.workers)
    found = evaluate(model, loader, amp=recipe.amp, progress=True)
    if not is_first():
        return
    names = list(getattr(data, "dataset", data).class_names)
    report = Report(
        found,
        names,
        data=args.data,
        split=str(recipe.test_split),
        checkpoint=describe_checkpoint(out),
        protocol=protocol,
        seconds=time.monotonic() - started,
        seen=sees(model.in_chans),
    )
    write_report(report, out / TEST_FOLDER)
    _say(f"{describe(report)}\nresults and predictions: {out / TEST_FOLDER}")


def _say(text: str) -> None:
    if is_first():
        print(text, flush=True)
