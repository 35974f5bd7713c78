"""What each command does: call a public function, print what came out."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

import torch

from ..complexity import complexity
from ..data import resolve_data_config
from ..data.factory import class_names
from ..demo import describe, run_demo
from ..engine import TrainConfig, evaluate, make_loader, predict_video, train, train_val_datasets
from ..engine.datasets import holdout_part, make_dataset
from ..engine.train import check_free
from ..errors import GestureZooError
from ..factory import create_model
from ..msd import MSDModel, strip_msd
from ..registry import get_entry, list_models
from ..visualize import save_confusion
from .options import parse_options


def list_command(args: argparse.Namespace) -> None:
    """Print model names, one per line."""
    names = list_models(args.pattern, pretrained=args.pretrained)
    if not names:
        raise GestureZooError(f"no model matches {args.pattern!r}; 'gesture-zoo list' names them all")
    print("\n".join(names))


def info_command(args: argparse.Namespace) -> None:
    """Print what a model is: size, operations, input, taps, and the tags of its weights."""
    model = create_model(args.model, num_classes=args.num_classes)
    shape = (1, model.num_segments, *model.pretrained_cfg["input_size"])
    bare = strip_msd(model) if isinstance(model, MSDModel) else model
    rows = {
        "model": args.model,
        "input": f"clip (N, {', '.join(map(str, shape[1:]))}), RGB",
        "classes": model.num_classes,
        "inference": complexity(bare, shape),
    }
    if isinstance(model, MSDModel):
        rows["training"] = complexity(model, shape, training=True)
        for name, tap in model.taps.items():
            rows[f"tap {name}"] = f"mask at {tap.scale:g} of the frame's side, weight {tap.weight:g} in the loss"
    for tag, cfg in get_entry(model.pretrained_cfg["architecture"]).cfgs.items():
        rows[f"weights .{tag}"] = cfg.hf_hub_id or "not published yet"
    width = max(map(len, rows))
    for key, value in rows.items():
        print(f"{key:<{width}}  {value}")


def demo_command(args: argparse.Namespace) -> None:
    """Run the demo and print its summary."""
    quick: dict[str, Any] = {"train_clips": 96, "test_clips": 48, "epochs": 2} if args.quick else {}
    summary = run_demo(args.out, seed=args.seed, **quick)
    print(describe(summary))
    print(f"Written to {args.out}: figure5.png, confusion.png, {summary['video']}, model/, deploy/, summary.md")
    # As the user called it: outside an activated environment the bare name is not found.
    program = sys.argv[0] if Path(sys.argv[0]).name == "gesture-zoo" else "gesture-zoo"
    print(f"Try: {program} predict {args.out / summary['video']} --checkpoint {args.out / 'deploy'}")


def train_command(args: argparse.Namespace) -> None:
    """Train, and print what came out."""
    if args.size is not None and args.size < 32:
        raise GestureZooError(f"size must be at least 32, got {args.size}")
    out = args.out or Path("runs") / f"{args.model.rpartition('/')[2]}-{args.data}"
    check_free(out)
    config = TrainConfig(
        epochs=args.epochs,
        batch_size=args.batch_size,
        opt=args.opt,
        lr=args.lr,
        weight_decay=args.weight_decay,
        sched=args.sched,
        workers=args.workers,
        seed=args.seed,
    )
    options = parse_options(args.data, args.data_option)
    names = class_names(args.data, args.data_dir, **options)
    overlay = {"file": str(args.backbone_weights), "backbone_only": True} if args.backbone_weights else None
    torch.manual_seed(args.seed)  # decoders and classifier start at random
    model = create_model(
        args.model,
        args.pretrained or overlay is not None,
        pretrained_cfg_overlay=overlay,
        num_classes=len(names),
        num_segments=args.num_segments,
        drop_rate=args.drop_rate,
    )
    if args.size is not None:
        model.pretrained_cfg["input_size"] = (model.in_chans, args.size, args.size)
    model.pretrained_cfg.update(label_names=tuple(names), dataset=args.data)
    data_config = resolve_data_config(model=model)
    train_data, val_data, where = train_val_datasets(
        args.data, args.data_dir, data_config, holdout=args.holdout, seed=args.seed, hflip=args.hflip, **options
    )
    logging.getLogger(__name__).info("%d clips to train on, %s", len(train_data), where)
    result = train(model, train_data, val_data, config=config, out=out, progress=True)
    print(f"trained {config.epochs} epochs in {result.seconds:.0f} s: {out}")
    if result.bad_clips:
        print(f"{len(result.bad_clips)} clips could not be read and were replaced by others: history.json names them")
    if "val_top1" in result.history[-1]:
        print(f"top-1 {100 * result.history[-1]['val_top1']:.2f} %, {where}, from RGB alone")
    for name, after in result.depth_after.items():
        before = result.depth_before[name]
        print(
            f"depth error of the mask at {name}: {before.rmse:.4f} before, {after.rmse:.4f} after; "
            f"mean depth everywhere: {after.baseline:.4f}"
        )


def eval_command(args: argparse.Namespace) -> None:
    """Evaluate a checkpoint and print its accuracy."""
    model = load_for_inference(args)
    config = resolve_data_config(model=model)
    options = parse_options(args.data, args.data_option)
    if args.holdout:
        data: Any = holdout_part(args.data, args.data_dir, config, args.holdout, seed=args.seed, **options)
        split = f"holdout {args.holdout} of train"
    else:
        data = make_dataset(args.data, args.data_dir, config, split=args.split, **options)
        split = args.split
    names = list(getattr(data, "dataset", data).class_names)
    if len(names) != model.num_classes:
        raise GestureZooError(f"{args.checkpoint} knows {model.num_classes} classes, {args.data} has {len(names)}")
    on_error = "skip" if args.skip_bad else "raise"
    loader = make_loader(data, args.batch_size, workers=args.workers, on_error=on_error)
    accuracy = evaluate(model, loader, progress=True)
    if accuracy.count == 0:
        raise GestureZooError(f"none of the {len(data)} clips could be read, the first: {accuracy.skipped[0]}")
    if args.confusion:
        save_confusion(accuracy.confusion, names, args.confusion)
    if args.json:
        record = {"split": split, "count": accuracy.count, "top1": accuracy.top1, "top5": accuracy.top5}
        record["skipped"] = list(accuracy.skipped)
        print(json.dumps(record))
        return
    print(
        f"top-1 {100 * accuracy.top1:.2f} %, top-5 {100 * accuracy.top5:.2f} % of {accuracy.count} clips "
        f"({split}), from RGB alone"
    )
    if accuracy.skipped:
        print(f"{len(accuracy.skipped)} clips could not be read and are not counted, the first: {accuracy.skipped[0]}")


def load_for_inference(args: argparse.Namespace) -> Any:
    """The model of --checkpoint or --model, with its weights and without decoders."""
    name = f"local-dir:{args.checkpoint}" if args.checkpoint else args.model
    model = create_model(name, pretrained=True)
    return (strip_msd(model) if isinstance(model, MSDModel) else model).eval()


def predict_command(args: argparse.Namespace) -> None:
    """Recognise the gesture in one video file."""
    predictions = predict_video(load_for_inference(args), args.video, topk=args.topk)
    if args.json:
        print(json.dumps({"source": args.video, "predictions": [p._asdict() for p in predictions]}))
        return
    width = max(len(p.label) for p in predictions)
    for prediction in predictions:
        print(f"{prediction.label:<{width}}  {100 * prediction.score:5.1f} %")
