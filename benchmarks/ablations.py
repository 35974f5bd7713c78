"""The paper's ablations (Tables VI, VII and VIII of arXiv 2110.15639) on any dataset.

    python benchmarks/ablations.py --data synthetic --out benchmarks/results/ablations_synthetic.md
    python benchmarks/ablations.py --data egogesture --data-dir DIR --model action_resnet50 --pretrained --seeds 1

Table VI: which decoders, at which weight in the loss. Table VII: the size of the local and the global target. Table
VIII: depth as it is, or binarised at 10 of 255. Every network is tested from RGB alone, after its last epoch: on the
recipe's test split or, where that is none, on the validation clips; none is chosen by them. Rendered clips and their
network are those of msd_gain.py. The file is written anew after every seed, so that a run can be stopped.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from common import mean_and_deviation, origin, paired_difference, write
from msd_gain import RENDERED, SIDE, TEST_CLIPS, TRAIN_CLIPS, measure, rendered, small_network

import gesture_zoo
from gesture_zoo import Tap
from gesture_zoo.data import resolve_data_config
from gesture_zoo.data.factory import class_names
from gesture_zoo.demo import TransformedClips
from gesture_zoo.engine import RECIPES, Recipe, load_recipe, make_test_dataset, parse_protocol, train_val_datasets


class Row(NamedTuple):
    """A line of a table: the decoders, a threshold that binarises depth, and the paper's top-1 by dataset."""

    name: str
    taps: tuple[Tap, ...] = ()
    binarize: float | None = None
    paper: str = ""


def local(weight: float = 1.0, scale: float = 1.0) -> Tap:
    return Tap("res1", weight=weight, scale=scale)


def whole(weight: float = 0.01, scale: float = 0.25) -> Tap:
    return Tap("layer4", weight=weight, scale=scale)


BASE = Row("no decoder", paper="94.2 / 80.7")
LOCAL, GLOBAL = (
    Row("local, 1 : 1", (local(),), paper="94.4 / 82.3"),
    Row("global, 1 : 0.01", (whole(),), paper="94.3 / 82.4"),
)
BOTH = Row("local and global", (local(), whole()), paper="94.5 / 84.0")
TABLES: dict[str, tuple[Row, ...]] = {
    "VI": (
        BASE,
        Row("local, 1 : 0.1", (local(0.1),), paper="94.3 / 81.1"),
        LOCAL,
        Row("global, 1 : 1", (whole(1.0),), paper="94.1 / 80.3"),
        Row("global, 1 : 0.1", (whole(0.1),), paper="94.2 / 80.5"),
        GLOBAL,
        BOTH,
    ),
    "VII": (
        Row("local target of a quarter of the side", (local(scale=0.25),), paper="93.8 / 77.8"),
        LOCAL._replace(name="local target of the whole side"),
        Row("global target of the whole side", (whole(scale=1.0),), paper="94.0 / 82.4"),
        GLOBAL._replace(name="global target of a quarter of the side"),
    ),
    "VIII": (
        Row("both, depth binarised at 10 of 255", (local(), whole()), binarize=10 / 255, paper="94.5 / 84.0"),
        BOTH._replace(name="both, depth as it is"),
    ),
}


def build(args: argparse.Namespace, row: Row, recipe: Recipe) -> Any:
    """The network of a row; rows of a seed start alike."""
    if args.data == "synthetic":
        model = small_network("action", msd=False, seed=recipe.seed)
    else:
        torch.manual_seed(recipe.seed)
        names = class_names(args.data, args.data_dir, split=recipe.train_split)
        options = {"num_segments": recipe.num_segments, "drop_rate": recipe.drop_rate}
        model = gesture_zoo.create_model(args.model, args.pretrained, num_classes=len(names), **options)
        if recipe.size is not None:
            model.pretrained_cfg["input_size"] = (model.in_chans, recipe.size, recipe.size)
    return gesture_zoo.with_msd(model, taps=row.taps) if row.taps else model


def clips(args: argparse.Namespace, recipe: Recipe) -> tuple[Any, Any]:
    """Clips to train and to test on."""
    if args.data == "synthetic":
        return rendered("train", TRAIN_CLIPS, recipe.seed), rendered("test", TEST_CLIPS, 0)
    model = build(args, BASE, recipe)
    config = resolve_data_config(model=model)
    splits = {"train_split": recipe.train_split, "val_split": recipe.val_split, "holdout": recipe.holdout}
    data = train_val_datasets(args.data, args.data_dir, config, seed=recipe.seed, **splits)
    if recipe.test_split is None and data.val is None:
        raise SystemExit(f"there are no clips to test on ({data}): give --recipe one with a test_split or val_split")
    if recipe.test_split is None:
        return data.train, data.val
    protocol = parse_protocol(recipe.test_protocol)
    return data.train, make_test_dataset(args.data, args.data_dir, model, split=recipe.test_split, protocol=protocol)


def table(results: dict[tuple, list[float]], tables: list[str]) -> str:
    """The results as Markdown."""
    lines = []
    base = results[key_of(BASE)]
    for name in tables:
        lines += [
            f"Table {name}:",
            "",
            "| | top-1 % | beside no decoder, points | the paper's, EgoGesture / NVGesture |",
            "|---|---|---|---|",
        ]
        for row in TABLES[name]:
            found = results[key_of(row)]
            difference = "" if row.taps == () else paired_difference(base, found, scale=100)
            lines.append(f"| {row.name} | {mean_and_deviation(found, scale=100)} | {difference} | {row.paper} |")
        lines.append("")
    return "\n".join(lines)


def share_above(clips: TransformedClips, threshold: float) -> float:
    """Share of the valid depth above a threshold."""
    samples = [clips[index] for index in range(24)]
    return torch.cat([sample.depth[sample.valid] > threshold for sample in samples]).float().mean().item()


def setting(args: argparse.Namespace, recipe: Recipe) -> str:
    """The data and the network in words."""
    if args.data != "synthetic":
        return f"{args.data}, {args.model}"
    return (
        f"{TRAIN_CLIPS} rendered clips of 12 classes to train on, {TEST_CLIPS} others to test on, 8 frames of\n"
        f"{SIDE} x {SIDE} (the paper's 224 and 56 are {SIDE} and {SIDE // 4} here), an ACTION-Net of 0.39 M parameters"
    )


def key_of(row: Row) -> tuple:
    """What is trained, whatever it is called: several tables share rows."""
    return row.taps, row.binarize


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="synthetic", help="name of a dataset")
    parser.add_argument("--data-dir", help="where it is")
    parser.add_argument(
        "--model", default="action_resnet50", help="a model without _msd; rendered clips have their own"
    )
    parser.add_argument("--pretrained", action="store_true", help="start from ImageNet")
    parser.add_argument("--recipe", help="a name or a .yaml file (default: named as the dataset, else finetune)")
    parser.add_argument("--tables", nargs="+", choices=tuple(TABLES), default=list(TABLES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="file for the results (default: print)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    head, started = origin(), time.perf_counter()
    recipe = RENDERED
    if args.recipe or args.data != "synthetic":
        recipe = load_recipe(args.recipe or (args.data if args.data in RECIPES else "finetune"))
    rows = {key_of(row): row for row in (BASE, *(row for name in args.tables for row in TABLES[name]))}
    results: dict[tuple, list[float]] = {key: [] for key in rows}
    for seed in range(args.seeds):
        train_data, test_data = clips(args, replace(recipe, seed=seed))
        for key, row in rows.items():
            settings = replace(recipe, seed=seed, binarize=row.binarize)
            results[key].append(measure(build(args, row, settings), train_data, test_data, settings).accuracy.top1)
        minutes = (time.perf_counter() - started) / 60
        text = (
            f"{head}{minutes:.0f} minutes in all.\n\n"
            f"{setting(args, recipe)}, {recipe.epochs} epochs, {seed + 1} seeds.\n"
            "Mean and standard deviation over the seeds; differences are paired by seed, with their 95 % interval\n"
            f"(Student's t).\n\n{table(results, args.tables)}"
        )
        if args.data == "synthetic":
            share = share_above(test_data, 10 / 255)
            text += f"\nRendered backgrounds have depth too: {100 * share:.0f} % of it is above 10 of 255.\n"
        write(text, args.out)


if __name__ == "__main__":
    main()
