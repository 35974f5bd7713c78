"""The command line, ``gesture-zoo``: each command is a thin shell over a public function."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from . import __version__
from .errors import GestureZooError

USAGE_ERROR = 2


class Parser(argparse.ArgumentParser):
    """argparse, with errors of one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_ERROR, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, or 2 with one line on stderr for bad input."""
    parser = build_parser()
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr, force=True)
    for name in ("httpx", "httpx2", "huggingface_hub", "PIL", "matplotlib", "libav"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("gesture-zoo: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (head, less) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (GestureZooError, TypeError, OSError) as error:
        if args.traceback or not is_bad_input(error):
            raise
        print(f"gesture-zoo: error: {' '.join(str(error).split())}", file=sys.stderr)
        return USAGE_ERROR
    return 0


def is_bad_input(error: Exception) -> bool:
    """Whether an exception is about what the user gave, so that its message is all there is to say."""
    return isinstance(error, (GestureZooError, OSError)) or "takes no argument" in str(error)


def build_parser() -> Parser:
    """The parser with all commands."""
    parser = Parser(prog="gesture-zoo", description="Train, evaluate and use gesture recognition models.")
    parser.add_argument("--version", action="version", version=f"gesture-zoo {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Any, help: str, example: str) -> Parser:
        sub: Parser = commands.add_parser(
            name,
            help=help,
            description=help[0].upper() + help[1:] + ".",
            epilog=f"example: {example}",
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        sub.set_defaults(run=run)
        sub.add_argument("--traceback", action="store_true", help="show where in the code an error came from")
        return sub

    sub = command("list", list_command, "list the models of the zoo", "gesture-zoo list '*_msd'")
    sub.add_argument("pattern", nargs="?", default="", metavar="PATTERN", help="fnmatch pattern, such as 'tsm_*'")
    sub.add_argument("--pretrained", action="store_true", help="names with tags whose weights can be fetched")

    sub = command("info", info_command, "say what a model is and costs", "gesture-zoo info action_resnet50_msd")
    sub.add_argument(
        "model", metavar="MODEL", help="a name from 'gesture-zoo list', hf-hub:owner/name or local-dir:DIR"
    )
    sub.add_argument("--num-classes", type=int, help="classes of the head (default: those of its weights)")

    sub = command(
        "demo", demo_command, "train, strip and use a small model in two minutes", "gesture-zoo demo --out demo"
    )
    sub.add_argument("--out", type=Path, default=Path("demo"), help="folder for the model, pictures and summary")
    sub.add_argument("--seed", type=int, default=0, help="random seed")
    sub.add_argument("--quick", action="store_true", help="a tenth of the work, to see that everything runs")

    sub = command(
        "train",
        train_command,
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

    sub = command(
        "eval",
        eval_command,
        "evaluate a trained model from RGB alone",
        "gesture-zoo eval --checkpoint runs/mine --data folder --data-dir clips --split test",
    )
    _data_arguments(sub)
    sub.add_argument("--checkpoint", type=Path, required=True, metavar="DIR", help="folder that train wrote")
    sub.add_argument("--split", choices=("train", "val", "test"), default="val", help="which clips")
    sub.add_argument("--json", action="store_true", help="print one JSON object")
    sub.add_argument("--confusion", type=Path, metavar="PNG", help="draw the confusion matrix")

    sub = command(
        "predict",
        predict_command,
        "recognise the gesture in a video",
        "gesture-zoo predict clip.mp4 --checkpoint runs/mine",
    )
    sub.add_argument("video", metavar="VIDEO", help="a video file with one gesture")
    which = sub.add_mutually_exclusive_group(required=True)
    which.add_argument("--checkpoint", type=Path, metavar="DIR", help="folder that train wrote")
    which.add_argument("--model", help="a model with weights: hf-hub:owner/name or architecture.tag")
    sub.add_argument("--topk", type=int, default=5, help="how many classes to print")
    sub.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _data_arguments(sub: Parser) -> None:
    sub.add_argument("--data", required=True, help="dataset: folder, isogd or synthetic")
    sub.add_argument("--data-dir", metavar="DIR", help="where it is")
    sub.add_argument(
        "--holdout", type=float, metavar="F", help="use this share of every class of the training split for validation"
    )
    sub.add_argument("--batch-size", type=int, default=16, help="clips in a batch")
    sub.add_argument("--workers", type=int, default=2, help="processes that read clips")
    sub.add_argument("--seed", type=int, default=0, help="random seed, also of the held-out part")


def list_command(args: argparse.Namespace) -> None:
    """Print model names, one per line."""
    from .registry import list_models

    names = list_models(args.pattern, pretrained=args.pretrained)
    if not names:
        raise GestureZooError(f"no model matches {args.pattern!r}; 'gesture-zoo list' names them all")
    print("\n".join(names))


def info_command(args: argparse.Namespace) -> None:
    """Print what a model is: size, operations, input, taps, and the tags of its weights."""
    from .complexity import complexity
    from .factory import create_model
    from .msd import MSDModel, strip_msd
    from .registry import get_entry

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
    from .demo import describe, run_demo

    quick: dict[str, Any] = {"train_clips": 96, "test_clips": 48, "epochs": 2} if args.quick else {}
    summary = run_demo(args.out, seed=args.seed, **quick)
    print(describe(summary))
    print(f"Written to {args.out}: figure5.png, confusion.png, {summary['video']}, model/, deploy/, summary.md")
    print(f"Try: gesture-zoo predict {args.out / summary['video']} --checkpoint {args.out / 'deploy'}")


def train_command(args: argparse.Namespace) -> None:
    """Train, and print what came out."""
    from .data import resolve_data_config
    from .data.factory import class_names
    from .engine import TrainConfig, train, train_val_datasets
    from .engine.train import check_free
    from .factory import create_model

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
    names = class_names(args.data, args.data_dir)
    overlay = {"file": str(args.backbone_weights), "backbone_only": True} if args.backbone_weights else None
    seed_everything(args.seed)
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
        args.data, args.data_dir, data_config, holdout=args.holdout, seed=args.seed
    )
    logging.getLogger(__name__).info("%d clips to train on, %s", len(train_data), where)
    result = train(model, train_data, val_data, config=config, out=out, progress=True)
    print(f"trained {config.epochs} epochs in {result.seconds:.0f} s: {out}")
    if "val_top1" in result.history[-1]:
        print(f"top-1 {100 * result.history[-1]['val_top1']:.2f} %, {where}, from RGB alone")
    for name, after in result.depth_after.items():
        before = result.depth_before[name]
        print(
            f"depth error of the mask at {name}: {before.rmse:.4f} before, {after.rmse:.4f} after; "
            f"mean depth everywhere: {after.baseline:.4f}"
        )


def seed_everything(seed: int) -> None:
    """Seed torch, from which everything random in training is drawn."""
    import torch

    torch.manual_seed(seed)


def eval_command(args: argparse.Namespace) -> None:
    """Evaluate a checkpoint and print its accuracy."""
    from .data import resolve_data_config
    from .engine import evaluate, make_loader
    from .engine.loader import holdout_part, make_dataset
    from .visualize import save_confusion

    model = load_for_inference(args)
    config = resolve_data_config(model=model)
    if args.holdout:
        data: Any = holdout_part(args.data, args.data_dir, config, args.holdout, seed=args.seed)
        names, split = list(data.dataset.class_names), f"holdout {args.holdout} of train"
    else:
        data = make_dataset(args.data, args.data_dir, config, split=args.split)
        names, split = list(data.class_names), args.split
    if len(names) != model.num_classes:
        raise GestureZooError(f"{args.checkpoint} knows {model.num_classes} classes, {args.data} has {len(names)}")
    accuracy = evaluate(model, make_loader(data, args.batch_size, workers=args.workers), progress=True)
    if args.confusion:
        save_confusion(accuracy.confusion, names, args.confusion)
    if args.json:
        record = {"split": split, "count": accuracy.count, "top1": accuracy.top1, "top5": accuracy.top5}
        print(json.dumps(record))
        return
    print(
        f"top-1 {100 * accuracy.top1:.2f} %, top-5 {100 * accuracy.top5:.2f} % of {accuracy.count} clips "
        f"({split}), from RGB alone"
    )


def load_for_inference(args: argparse.Namespace) -> Any:
    """The model of --checkpoint or --model, with its weights and without decoders."""
    from .factory import create_model
    from .msd import MSDModel, strip_msd

    name = f"local-dir:{args.checkpoint}" if args.checkpoint else args.model
    model = create_model(name, pretrained=True)
    return (strip_msd(model) if isinstance(model, MSDModel) else model).eval()


def predict_command(args: argparse.Namespace) -> None:
    """Recognise the gesture in one video file."""
    from .engine import predict_video

    predictions = predict_video(load_for_inference(args), args.video, topk=args.topk)
    if args.json:
        print(json.dumps({"source": args.video, "predictions": [p._asdict() for p in predictions]}))
        return
    width = max(len(p.label) for p in predictions)
    for prediction in predictions:
        print(f"{prediction.label:<{width}}  {100 * prediction.score:5.1f} %")
