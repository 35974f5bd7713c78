"""What depth supervision is worth: networks trained with and without the Multi-Scale-Decoder, seed by seed.

    python benchmarks/msd_gain.py synthetic --out benchmarks/results/msd_gain_synthetic.md
    python benchmarks/msd_gain.py isogd --isogd DIR --backbone-weights FILE --out benchmarks/results/msd_gain_isogd.md

`synthetic`: TSN, TSM, TEA and ACTION-Net on small backbones of the same widths (timm's test_resnet; for TEA a Res2Net
of its widths), trained on rendered clips, tested from RGB alone on other rendered clips. A seed decides the training
clips, their order and the start of the weights, the same with and without MSD: the runs of a seed are a pair.

`isogd`: TSM MobileNetV2 from an ImageNet start on the real IsoGD clips in DIR, a fifth of every class held out, by
seed. The masks' error on the held-out clips beside two baselines, and few-shot accuracy with and without MSD.

The file is written anew after every seed, so that a run can be stopped.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from common import mean_and_deviation, origin, paired_difference, write

import gesture_zoo
from gesture_zoo.data import create_transform, resolve_data_config
from gesture_zoo.data.synthetic import SYNTHETIC_CLASSES, SyntheticGestures
from gesture_zoo.demo import TransformedClips
from gesture_zoo.engine import (
    DepthError,
    Evaluation,
    Recipe,
    evaluate,
    evaluate_depth,
    load_recipe,
    make_loader,
    train,
    train_val_datasets,
)

FAMILIES = ("tsn", "tsm", "tea", "action")
SIDE, TRAIN_CLIPS, TEST_CLIPS = 48, 600, 480
# In narrow layers an eighth of the channels is too few to shift.
OPTIONS: dict[str, dict[str, Any]] = {"tsm": {"shift_div": 4}}
RENDERED = Recipe(
    epochs=10, opt="adamw", lr=6e-3, weight_decay=0.02, sched="cosine", warmup_epochs=2, workers=0, log_steps=1000
)
REAL = replace(load_recipe("finetune"), epochs=25, batch_size=8, lr=0.004, size=112, workers=1, log_steps=1000)


class Run(NamedTuple):
    """A trained network on its test clips."""

    accuracy: Evaluation
    depth: dict[str, DepthError]
    seconds: float


def small_network(family: str, *, msd: bool, seed: int) -> Any:
    """A network of about 0.4 M parameters."""
    torch.manual_seed(seed)
    name = "res2net50_26w_4s" if family == "tea" else "test_resnet"
    layers = {"layers": (1, 1, 1, 1), "channels": (32, 48, 48, 96)} if family == "tea" else {}
    cnn = timm.create_model(name, zero_init_last=False, **layers)
    options = {"num_classes": len(SYNTHETIC_CLASSES), "num_segments": 8, **OPTIONS.get(family, {})}
    model = gesture_zoo.with_temporal(cnn, family, **options)
    model.pretrained_cfg.update(input_size=(3, SIDE, SIDE), crop_pct=1.0)
    return gesture_zoo.with_msd(model) if msd else model


def rendered(split: str, count: int, seed: int) -> TransformedClips:
    """Rendered clips in memory, with depth as from a sensor."""
    data = SyntheticGestures(split, num_clips=count, size=SIDE, seed=seed)
    config = resolve_data_config(model=small_network("tsn", msd=False, seed=0))
    return TransformedClips([data[index] for index in range(count)], create_transform(config))


def measure(model: Any, train_data: Any, test_data: Any, recipe: Recipe) -> Run:
    """Train, then test from RGB alone."""
    started = time.perf_counter()
    train(model, train_data, recipe=recipe)
    loader = make_loader(test_data, 16, workers=recipe.workers)
    accuracy = evaluate(model, loader)
    depth = evaluate_depth(model, loader) if isinstance(model, gesture_zoo.MSDModel) else {}
    return Run(accuracy, depth, time.perf_counter() - started)


def synthetic(args: argparse.Namespace, write_table: Callable[[str], None]) -> None:
    """The comparison on rendered clips."""
    test_data = rendered("test", TEST_CLIPS, 0)
    runs: dict[str, list[tuple[Run, Run]]] = {family: [] for family in args.families}
    for seed in range(args.seeds):
        train_data = rendered("train", TRAIN_CLIPS, seed)
        recipe = replace(RENDERED, seed=seed, epochs=args.epochs)
        for family in args.families:
            pair = [
                measure(small_network(family, msd=m, seed=seed), train_data, test_data, recipe) for m in (False, True)
            ]
            runs[family].append((pair[0], pair[1]))
        write_table(synthetic_table(runs, args.epochs))


def synthetic_table(runs: dict[str, list[tuple[Run, Run]]], epochs: int) -> str:
    """The results as Markdown."""
    count = len(next(iter(runs.values())))
    lines = [
        f"{TRAIN_CLIPS} rendered clips of 12 classes to train on, {TEST_CLIPS} others to test on, 8 frames of",
        f"{SIDE} x {SIDE}, {epochs} epochs, {count} seeds. Top-1 in %, from RGB alone; chance is 8.3. Mean",
        "and standard deviation over the seeds; the gain is the mean of the paired differences with its 95 % interval",
        "(Student's t).",
        "",
        "| network | without MSD | with MSD | gain, points | seeds, without -> with | s a run, without / with |",
        "|---|---|---|---|---|---|",
    ]
    for family, pairs in runs.items():
        plain, taught = ([pair[side].accuracy.top1 for pair in pairs] for side in (0, 1))
        each = ", ".join(f"{100 * a:.1f} -> {100 * b:.1f}" for a, b in zip(plain, taught, strict=True))
        seconds = [statistics.mean(pair[side].seconds for pair in pairs) for side in (0, 1)]
        lines.append(
            f"| {family} | {mean_and_deviation(plain, scale=100)} | {mean_and_deviation(taught, scale=100)} "
            f"| {paired_difference(plain, taught, scale=100)} | {each} | {seconds[0]:.0f} / {seconds[1]:.0f} |"
        )
    lines += ["", "Error of the masks on the test clips:", "", *depth_table({f: [p[1] for p in runs[f]] for f in runs})]
    return "\n".join(lines)


def depth_table(runs: dict[str, list[Run]]) -> list[str]:
    """How near the masks come to depth, by network and tap."""
    lines = [
        "| network, tap | masked RMSE | correlation | mean depth everywhere | mean depth of every pixel |",
        "|---|---|---|---|---|",
    ]
    for name, rows in runs.items():
        for tap in rows[0].depth:
            errors = [row.depth[tap] for row in rows]
            cells = [
                mean_and_deviation([error.rmse for error in errors], digits=4),
                mean_and_deviation([error.correlation or 0.0 for error in errors], digits=3),
                f"{statistics.mean(error.baseline for error in errors):.4f}",
                f"{statistics.mean(error.pixel_baseline or 0.0 for error in errors):.4f}",
            ]
            lines.append(f"| {name}, {tap} | {' | '.join(cells)} |")
    return lines


def isogd(args: argparse.Namespace, write_table: Callable[[str], None]) -> None:
    """The comparison on the real clips."""
    if not args.isogd or not args.backbone_weights:
        raise SystemExit("isogd needs --isogd FOLDER and --backbone-weights FILE")
    overlay = {"file": str(args.backbone_weights), "backbone_only": True}
    pairs: list[tuple[Run, Run]] = []
    clips = (0, 0)
    for seed in range(args.seeds):
        recipe = replace(REAL, seed=seed)
        pair = []
        for suffix in ("", "_msd"):
            torch.manual_seed(seed)
            name = f"tsm_mobilenetv2_100{suffix}"
            model = gesture_zoo.create_model(name, True, pretrained_cfg_overlay=overlay, num_classes=249)
            model.pretrained_cfg["input_size"] = (3, recipe.size, recipe.size)
            data = train_val_datasets("isogd", str(args.isogd), resolve_data_config(model=model), seed=seed)
            clips = len(data.train), len(data.val)
            pair.append(measure(model, data.train, data.val, recipe))
        pairs.append((pair[0], pair[1]))
        write_table(isogd_table(pairs, clips))


def isogd_table(pairs: list[tuple[Run, Run]], clips: tuple[int, int]) -> str:
    """The results as Markdown."""
    rows = []
    for what, value in (("top-1", lambda run: run.accuracy.top1), ("top-5", lambda run: run.accuracy.top5)):
        plain, taught = ([value(pair[side]) for pair in pairs] for side in (0, 1))
        each = ", ".join(f"{100 * a:.0f} -> {100 * b:.0f}" for a, b in zip(plain, taught, strict=True))
        rows.append(
            f"| {what} | {mean_and_deviation(plain, scale=100)} | {mean_and_deviation(taught, scale=100)} "
            f"| {paired_difference(plain, taught, scale=100)} | {each} |"
        )
    seconds = [statistics.mean(pair[side].seconds for pair in pairs) for side in (0, 1)]
    lines = [
        f"{clips[0]} real IsoGD clips of 50 classes to train on (one to four a class), {clips[1]} others held out; TSM",
        f"MobileNetV2 from an ImageNet start, 8 frames of {REAL.size} x {REAL.size}, {REAL.epochs} epochs, the recipe",
        f"finetune with lr {REAL.lr} and batch {REAL.batch_size}; {len(pairs)} seeds, each with other clips held out;",
        f"{seconds[0]:.0f} s a run without MSD, {seconds[1]:.0f} s with.",
        "",
        "Error of the masks on the held-out clips, from RGB alone (the baselines know the held-out depth):",
        "",
        *depth_table({"tsm_mobilenetv2_100_msd": [pair[1] for pair in pairs]}),
        "",
        "Accuracy on the held-out clips in %, of 249 classes (50 occur), few-shot:",
        "",
        "| | without MSD | with MSD | gain, points | seeds, without -> with |",
        "|---|---|---|---|---|",
        *rows,
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("synthetic", "isogd"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=RENDERED.epochs, help="of synthetic")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=FAMILIES, help="of synthetic")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--isogd", type=Path, metavar="FOLDER", help="real IsoGD clips, with train_list.txt")
    parser.add_argument("--backbone-weights", type=Path, metavar="FILE", help="an ImageNet MobileNetV2 (.safetensors)")
    parser.add_argument("--out", type=Path, help="file for the results (default: print)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    head, started = origin(), time.perf_counter()

    def write_table(table: str) -> None:
        minutes = (time.perf_counter() - started) / 60
        write(f"{head}{minutes:.0f} minutes in all.\n\n{table}\n", args.out)

    (synthetic if args.what == "synthetic" else isogd)(args, write_table)


if __name__ == "__main__":
    main()
