"""gesture-zoo list, info and demo: call a public function, print what came out."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

from ..complexity import complexity
from ..data.transforms import sees
from ..demo import describe, run_demo
from ..engine.interrupt import Terminated
from ..errors import GestureZooError
from ..factory import create_model
from ..model_arguments import check_clip_model
from ..msd import MSDModel, strip_msd
from ..registry import get_entry, list_models

_NAMES_SHOWN = 20


def list_command(args: argparse.Namespace) -> None:
    """Print model names, one per line."""
    names = list_models(args.pattern or "", pretrained=args.pretrained)
    if not names:
        tags = "" if args.pretrained else ", with --pretrained and the tags of their weights"
        raise GestureZooError(f"no model matches {args.pattern!r}; 'gesture-zoo list' names them all{tags}")
    print("\n".join(names))


def info_command(args: argparse.Namespace) -> None:
    """Print what a model is: size, operations, input, taps, and the tags of its weights."""
    model = create_model(args.model, num_classes=args.num_classes)
    check_clip_model(model, args.model)
    shape = (1, model.num_segments, *model.pretrained_cfg["input_size"])
    bare = strip_msd(model) if isinstance(model, MSDModel) else model
    rows = {
        "model": args.model,
        "input": f"clip (N, {', '.join(map(str, shape[1:]))}), {sees(model.in_chans)}",
        "classes": _classes(model),
        "inference": complexity(bare, shape),
    }
    if isinstance(model, MSDModel):
        rows["training"] = complexity(model, shape, training=True)
        for name, tap in model.taps.items():
            rows[f"tap {name}"] = f"mask at {tap.scale:g} of the frame's side, weight {tap.weight:g} in the loss"
    # A saved model has its own weights; the tags of its architecture are others.
    tags = {} if ":" in args.model else get_entry(model.pretrained_cfg["architecture"]).cfgs
    for tag, cfg in tags.items():
        rows[f"weights .{tag}"] = cfg.hf_hub_id or cfg.url or cfg.file or "not published yet"
    width = max(map(len, rows))
    for key, value in rows.items():
        print(f"{key:<{width}}  {value}")


def _classes(model: Any) -> str:
    """How many classes a model has and, where its weights name them, which; of many, the first."""
    names = model.pretrained_cfg.get("label_names") or ()
    shown = (*names[:_NAMES_SHOWN], "...") if len(names) > _NAMES_SHOWN else names
    return f"{model.num_classes}: {', '.join(shown)}" if names else str(model.num_classes)


def demo_command(args: argparse.Namespace) -> int:
    """Run the demo and print its summary."""
    quick: dict[str, Any] = {"train_clips": 96, "test_clips": 48, "epochs": 2} if args.quick else {}
    try:
        summary = run_demo(args.out, seed=args.seed, **quick)
    except Terminated:
        print("gesture-zoo: stopped by SIGTERM, nothing is kept", file=sys.stderr)
        return 128 + signal.SIGTERM  # as of a program that lets itself be killed
    print(describe(summary))
    print(f"Written to {args.out}: figure5.png, confusion.png, {summary['video']}, model/, deploy/, summary.md")
    # As the user called it: outside an activated environment the bare name is not found.
    program = sys.argv[0] if Path(sys.argv[0]).name == "gesture-zoo" else "gesture-zoo"
    print(f"Try: {program} predict {args.out / summary['video']} --checkpoint {args.out / 'deploy'}")
    return 0
