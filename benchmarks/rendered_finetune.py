"""What weights learned from rendered gestures are worth as a start on few real clips of other classes.

    python benchmarks/rendered_finetune.py --model NAME_OR_CHECKPOINT --data ROOT --out results.md

The same network learns from these weights and from a random start, on --shots clips a class of ROOT/isogd (or
--dataset nvgesture), with the rest as test. A class takes part where it has a clip more than that. A seed decides which
clips are learned from, their order and the random start; the clips are the same for all starts. --epochs, --seeds,
--size and --classes shorten it. The file is written anew after every seed, so that a run can be stopped.
"""

import argparse
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from common import mean_and_deviation, origin, paired_difference
from rendered_clips import Recording, find_recordings
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional

import gesture_zoo
from gesture_zoo.data import ClipSample, create_transform, resolve_data_config
from gesture_zoo.data.media import media
from gesture_zoo.data.sampling import segment_indices
from gesture_zoo.engine import Recipe, evaluate, load_recipe, make_loader, train
from gesture_zoo.errors import DataError, GestureZooError

KEPT = 32  # frames of a clip that are held in memory, evenly spaced
RECIPE = replace(load_recipe("finetune"), epochs=20, batch_size=8, workers=0, log_steps=1000)
WEIGHTS, IMAGENET, SCRATCH = "these weights", "ImageNet", "random"


class FewClips(Dataset[ClipSample]):
    """Clips in memory, (frames (F, 3, H, W) uint8, label) each, sampled and transformed when they are asked for."""

    def __init__(self, clips: Sequence[tuple[Tensor, int]], config: dict[str, Any], *, training: bool) -> None:
        self.clips, self.training = clips, training
        self.num_segments = config["num_segments"]
        self.transform = create_transform(config, is_training=training)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> ClipSample:
        frames, label = self.clips[index]
        places = segment_indices(len(frames), self.num_segments, random=self.training)
        return self.transform(ClipSample(frames[places], None, None, label, str(index)))


def few_shot(numbers: Sequence[int], shots: int, seed: int) -> tuple[list[int], list[int]]:
    """Places of clips to learn from, ``shots`` of every class that has more, and of the rest of these classes.

    ``numbers`` are the clips' classes; one below 1 is not known.

    >>> train, test = few_shot([5, 5, 5, 7], 2, seed=0)
    >>> len(train), len(test), 3 in train + test
    (2, 1, False)
    """
    places = defaultdict(list)
    for place, number in enumerate(numbers):
        if number > 0:
            places[number].append(place)
    generator, learned, rest = random.Random(seed), [], []
    for number in sorted(places):
        if len(places[number]) > shots:
            generator.shuffle(places[number])
            learned += places[number][:shots]
            rest += places[number][shots:]
    return learned, rest


def read_clip(recording: Recording, side: int) -> Tensor:
    """Up to ``KEPT`` frames (F, 3, H, W) uint8 of a recording, or of its window, the shorter side ``side`` pixels."""
    source = media(recording.path, *(recording.window or (0, None)))
    count = source.length()
    frames = source.read(sorted(set(segment_indices(count, min(KEPT, count)))))
    return functional.resize(frames, [side], antialias=True)


def start_from(model: str, start: str, *, classes: int, seed: int, size: int | None, backbone: Path | None) -> Any:
    """The network of ``model`` for so many classes, from one of the three starts."""
    torch.manual_seed(seed)
    name = f"local-dir:{model}" if Path(model).is_dir() else model
    found: Any = gesture_zoo.create_model(name, pretrained=True, num_classes=classes)
    found = gesture_zoo.strip_msd(found) if isinstance(found, gesture_zoo.MSDModel) else found
    cfg = found.pretrained_cfg
    if start != WEIGHTS:
        torch.manual_seed(seed)
        overlay = None if start == SCRATCH else {"file": str(backbone), "backbone_only": True}
        # Frames as the others see them: from random weights any normalisation is as good as another.
        seen = {} if overlay else {key: cfg[key] for key in ("mean", "std")}
        arguments = {**cfg["model_args"], "num_classes": classes}
        architecture = cfg["architecture"].removesuffix("_msd")
        arguments.pop("taps", None)
        found = gesture_zoo.create_model(architecture, start != SCRATCH, pretrained_cfg_overlay=overlay, **arguments)
        found.pretrained_cfg.update(seen, input_size=cfg["input_size"], crop_pct=cfg["crop_pct"])
    if size is not None:
        found.pretrained_cfg["input_size"] = (3, size, size)
    return found


def run_once(
    model: Any, learned: Sequence[tuple[Tensor, int]], rest: Sequence[tuple[Tensor, int]], recipe: Recipe
) -> float:
    """Train on some clips and return the share of right answers on the rest."""
    config = resolve_data_config(model=model)
    train(model, FewClips(learned, config, training=True), recipe=recipe)
    return evaluate(model, make_loader(FewClips(rest, config, training=False), 16, workers=0)).top1


def table(rows: Sequence[tuple[int, int, int, int, dict[str, list[float]]]], starts: Sequence[str]) -> list[str]:
    """The results as Markdown; a row is shots, classes, clips learned from, clips tested on, accuracies by start.

    >>> accuracy = {"these weights": [0.5, 0.7], "random": [0.3, 0.4]}
    >>> print(*table([(1, 4, 4, 6, accuracy)], list(accuracy))[2:])
    | 1 | 4 | 4 | 6 | 25.0 | 60.0 ± 14.1 | 35.0 ± 7.1 | +25.0 (-38.5 to +88.5) |
    """
    head = [
        "clips a class",
        "classes",
        "learned from",
        "tested on",
        "chance",
        *starts,
        f"gain over {starts[-1]}, points",
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for shots, classes, learned, tested, accuracy in rows:
        if not classes:
            lines.append(f"| {shots} | 0 |" + " - |" * (len(head) - 2))
            continue
        cells = [mean_and_deviation(accuracy[start], scale=100) for start in starts]
        gain = paired_difference(accuracy[starts[-1]], accuracy[starts[0]], scale=100)
        cells = [str(shots), str(classes), str(learned), str(tested), f"{100 / classes:.1f}", *cells, gain]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def describe(args: argparse.Namespace, recipe: Recipe, seconds: float) -> str:
    """What was run, in a sentence or two."""
    return (
        f"{args.dataset}, top-1 in %, mean and standard deviation over the seeds; the gain is the mean of the paired\n"
        f"differences with its 95 % interval (Student's t). {recipe.epochs} epochs, {recipe.opt}, lr {recipe.lr:g}, "
        f"batch {recipe.batch_size}; {seconds / 60:.0f} minutes in all.\n"
        "A row without classes: none has so many clips and one to test on.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, metavar="NAME_OR_CHECKPOINT")
    parser.add_argument("--data", required=True, type=Path, metavar="ROOT")
    parser.add_argument("--dataset", choices=("isogd", "nvgesture"), default="isogd")
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 2, 5])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=RECIPE.epochs)
    parser.add_argument("--lr", type=float, default=RECIPE.lr)
    parser.add_argument("--batch-size", type=int, default=RECIPE.batch_size)
    parser.add_argument("--size", type=int, help="side of the frames (default: the model's)")
    parser.add_argument("--classes", type=int, help="the first N classes alone (default: all)")
    parser.add_argument("--backbone-weights", type=Path, metavar="FILE", help="an ImageNet start, as a third one")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="file for the results (default: print)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    try:
        compare_starts(args)
    except GestureZooError as error:
        raise SystemExit(f"rendered_finetune.py: {error}") from error


def compare_starts(args: argparse.Namespace) -> None:
    """All shots, seeds and starts; the results are written after every seed."""
    started, head = time.perf_counter(), origin()
    recordings, _ = find_recordings(args.data, only=[args.dataset])
    if args.classes is not None:
        chosen = sorted({recording.number for recording in recordings if recording.number > 0})[: args.classes]
        recordings = [recording for recording in recordings if recording.number in chosen]
    starts = [WEIGHTS, *([IMAGENET] if args.backbone_weights else []), SCRATCH]
    options = {"size": args.size, "backbone": args.backbone_weights}
    side = start_from(args.model, WEIGHTS, classes=2, seed=0, **options).pretrained_cfg["input_size"][-1]
    frames: dict[int, Tensor] = {}
    rows: list[tuple[int, int, int, int, dict[str, list[float]]]] = []
    for shots in args.shots:
        if shots < 1:
            raise DataError(f"--shots are clips a class, at least 1, got {shots}")
        accuracy: dict[str, list[float]] = {start: [] for start in starts}
        for seed in range(args.seeds):
            parts = few_shot([recording.number for recording in recordings], shots, seed)
            numbers = sorted({recordings[place].number for place in parts[0]})
            if len(numbers) < 2:
                rows.append((shots, 0, 0, 0, {}))
                break
            for place in {*parts[0], *parts[1]} - frames.keys():
                frames[place] = read_clip(recordings[place], round(side / 0.875))
            learned, rest = ([(frames[p], numbers.index(recordings[p].number)) for p in part] for part in parts)
            recipe = replace(recipe_of(args), seed=seed)
            for start in starts:
                model = start_from(args.model, start, classes=len(numbers), seed=seed, **options)
                accuracy[start].append(run_once(model, learned, rest, recipe))
            so_far = [*rows, (shots, len(numbers), len(learned), len(rest), accuracy)]
            write(args, head, so_far, starts, started)
        else:
            rows = so_far
    write(args, head, rows, starts, started)


def recipe_of(args: argparse.Namespace) -> Recipe:
    """The recipe that the options ask for."""
    return RECIPE.override({"epochs": args.epochs, "lr": args.lr, "batch_size": args.batch_size})


def write(args: argparse.Namespace, head: str, rows: Any, starts: Sequence[str], started: float) -> None:
    """The results so far, to --out; without it, only when all is done."""
    recipe = recipe_of(args)
    text = f"{head}\n{describe(args, recipe, time.perf_counter() - started)}\n" + "\n".join(table(rows, starts)) + "\n"
    if args.out:
        args.out.write_text(text)
    elif len(rows) == len(args.shots) and all(len(v) == args.seeds for v in rows[-1][-1].values()):
        print(text)


if __name__ == "__main__":
    main()
