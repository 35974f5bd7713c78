"""Trains the small networks that come with the package, on rendered people alone.

    python benchmarks/rendered_training.py pool --out POOL --shards 400 --size 96 --seed 0
    python benchmarks/rendered_training.py train --pool POOL --model tsm_test_resnet_online --out DIR
    python benchmarks/rendered_training.py train --device cuda --minutes 7 --live 40000 --size 112 --out DIR \\
        --model tsm_mobilenetv2_050_online tsm_mobilenetv2_050

The first command renders (run two, with seeds apart, for two cores); the second trains on what is there and goes on to
look for more. The third is for a GPU: it renders there while it trains, clips and streams, and several models take
turns on the same items. An online model learns from every frame by itself: in the first part of a stroke it may say "No
gesture" too, and just after it must still say the stroke's class. A clip model learns from clips, of which it takes
every --stride-th frame. Both learn beside it where the hand is and was (rendered_points.py), and with decoders ("_msd")
depth. The first steps are taken on smaller pictures, which costs half as much. --start takes the weights of a model
that was trained before, online or not (TSM has none of its own), or of one with fewer blocks. DIR/MODEL/model is a
checkpoint for `rendered_calibrate.py` and `pack_weights.py`; beside it curves.csv has step, seconds, loss, and accuracy
on rendered items of other seeds. No real picture is used anywhere.
"""

import argparse
import csv
import math
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from common import origin
from rendered_learner import MEAN, STD, Learner, accuracy, finished, losses_of, thinned
from rendered_live import LivePool
from rendered_pool import MOTIONS, Batch, Pool, render, write_shards
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import gesture_zoo
from gesture_zoo.errors import WeightsError
from gesture_zoo.render import CLASSES
from gesture_zoo.render.draws import Draw


class Run:
    """One model that learns: its optimizer, the mean of its last weights, and its curves.

    ``progress`` goes from 0 to 1; the learning rate rises in the first part of it and then falls along a cosine.
    """

    def __init__(self, name: str, args: argparse.Namespace, rendered: int, size: int, *, alone: bool) -> None:
        self.name, self.args, self.size = name, args, size
        self.online = name.removesuffix("_msd").endswith("_online")
        self.stride = 1 if self.online else args.stride
        torch.manual_seed(args.seed)
        frames = rendered // self.stride
        model: Any = gesture_zoo.create_model(name, num_classes=len(CLASSES), num_segments=frames)
        if args.start is not None:
            start_from(model.model if isinstance(model, gesture_zoo.MSDModel) else model, args.start)
        else:
            # timm starts MobileNet's classifier for a thousand classes; for few its logits would be far too large.
            torch.nn.init.normal_(model.get_classifier().weight, std=0.01)
        self.learner = Learner(model).to(args.device, memory_format=torch.channels_last)
        self.averaged = AveragedModel(self.learner, multi_avg_fn=get_ema_multi_avg_fn(args.ema), use_buffers=True)
        decay = [p for p in self.learner.parameters() if p.dim() > 1]
        others = [p for p in self.learner.parameters() if p.dim() <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decay, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}], lr=args.lr
        )
        # What is said of the finished model: a window is 1.4 to 2.2 s long.
        rate = (args.frame_rate if args.streams else rendered / (sum(MOTIONS.window) / 2)) / self.stride
        looks = {"input_size": (3, size, size), "crop_pct": 1.0, "mean": MEAN, "std": STD, "interpolation": "bilinear"}
        self.cfg = {"label_names": CLASSES, "frame_rate": round(rate, 1), **looks}
        self.out: Path = args.out if alone else args.out / name
        self.out.mkdir(parents=True, exist_ok=True)
        self.curves = self.out / "curves.csv"
        shares = ("palms", "gestures", "others" if self.online else "all")
        self._write("w", ("step", "seconds", "items", "class", "hand", "depth", *shares))
        self.seen: list[Tensor] = []

    def _write(self, mode: str, row: Sequence[object]) -> None:
        with self.curves.open(mode, newline="") as file:
            csv.writer(file).writerow(row)

    def step(self, batch: Batch, draw: Draw, rng: random.Random, progress: float) -> None:
        """Learn from one batch."""
        args = self.args
        for group in self.optimizer.param_groups:
            group["lr"] = args.lr * pace(progress)
        self.learner.train()
        batch = thinned(batch, self.stride, rng.randrange(self.stride))
        side = args.small_side if progress < args.small_share else self.size
        with torch.autocast(args.device.type, torch.bfloat16, enabled=args.bf16):
            losses = torch.stack(
                losses_of(self.learner, batch, draw, online=self.online, known_from=args.known_from, side=side)
            )
        self.optimizer.zero_grad()
        losses.sum().backward()
        torch.nn.utils.clip_grad_norm_(self.learner.parameters(), 5.0)
        self.optimizer.step()
        self.averaged.update_parameters(self.learner)
        self.seen.append(losses.detach())

    def look(self, step: int, seconds: float, items: int, held_out: Batch) -> None:
        """Add a row to the curves, and save the mean of the last weights."""
        means = torch.stack(self.seen).mean(0).tolist()
        self.seen = []
        percent = accuracy(self.averaged.module, thinned(held_out, self.stride, self.stride // 2), self.online)
        row = [step, round(seconds), items, *(f"{mean:.4f}" for mean in means)]
        row += [""] * (6 - len(row)) + [f"{share:.1f}" for share in percent]
        self._write("a", row)
        print(self.name, *row, flush=True)
        done = finished(self.averaged.module, self.name)
        done.pretrained_cfg.update(self.cfg)
        gesture_zoo.save_pretrained(done, self.out / "model")


def start_from(model: Any, folder: Path) -> None:
    """Take the weights of a model that was trained before; branches of blocks that it lacks start at zero."""
    earlier: Any = gesture_zoo.create_model(f"local-dir:{folder}", pretrained=True)
    theirs, ours = earlier.state_dict(), model.state_dict()
    if unknown := [key for key, value in theirs.items() if key not in ours or ours[key].shape != value.shape]:
        raise WeightsError(f"{folder} does not fit the model: {unknown[0]} is not in it, or of another shape")
    model.load_state_dict({**ours, **theirs})
    for name, block in model.named_modules():
        if hasattr(block, "zero_init_last") and not any(key.startswith(f"{name}.") for key in theirs):
            block.zero_init_last()


def pace(progress: float, rise: float = 0.1) -> float:
    """The learning rate's share of its highest: up in a line, down along a cosine.

    >>> [round(pace(progress), 2) for progress in (0.0, 0.05, 0.1, 0.55, 1.0)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if progress < rise:
        return progress / rise
    return (1 + math.cos(math.pi * min((progress - rise) / (1 - rise), 1.0))) / 2


def train(args: argparse.Namespace) -> None:
    """Train, look now and then at items that were not learned from, and keep the mean of the last weights."""
    rng, draw = random.Random(args.seed), Draw(torch.Generator(args.device).manual_seed(args.seed))
    pool: Any
    if args.live:
        pool = LivePool(
            capacity=args.live,
            batch=args.live_batch,
            frames=args.frames,
            size=args.size,
            seed=args.seed,
            rendering=args.rendering,
            device=args.device,
        )
        pool.fill(max(args.start_with, 4 * args.live_batch))
        rendered, size = args.frames, args.size
    else:
        pool = Pool(*args.pool)
        while pool.refresh() < args.start_with:
            time.sleep(5)
        rendered, _, size = next(iter(pool.shards.values())).frames.shape[1:4]
    options = {"streams": args.streams, "frames": rendered, "size": size, "frame_rate": args.frame_rate}
    parts = [render(10**6 + seed, count=64, device=args.device, **options) for seed in range(-(-args.held_out // 64))]
    held_out = Batch(*(torch.cat(fields)[: args.held_out] for fields in zip(*parts, strict=True)))
    runs = [Run(name, args, rendered, size, alone=len(args.model) == 1) for name in args.model]
    started, step, progress = time.perf_counter(), 0, 0.0
    while progress < 1:
        step += 1
        for run in runs:
            if args.live:
                batch = pool.sample(args.batch, clips_only=not run.online)
            else:
                batch = Batch(*(field.to(args.device) for field in pool.sample(rng, args.batch)))
            run.step(batch, draw, rng, progress)
        if args.live:
            pool.refresh()
        seconds = time.perf_counter() - started
        progress = max(step / args.steps, seconds / 60 / args.minutes)
        if step % args.every == 0 or progress >= 1:
            items = pool.refresh()
            for run in runs:
                run.look(step, seconds, items, held_out)
    source = pool.made_by if args.live else f"Pools: {list(pool.made_by.values())}"
    (args.out / "origin.txt").write_text(f"{origin()}\n{source}; seed {args.seed}.\n")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    for name, run in (("pool", fill), ("train", train)):
        part = parts.add_parser(name)
        part.set_defaults(run=run)
        part.add_argument("--seed", type=int, default=0)
        part.add_argument("--frame-rate", type=float, default=8.0)
        part.add_argument("--threads", type=int, default=torch.get_num_threads())
        part.add_argument("--out", type=Path, required=True)
        part.add_argument("--streams", action="store_true", help="streams instead of clips")
        if name == "pool":
            part.add_argument("--shards", type=int, default=100, help="(default: %(default)s)")
            part.add_argument("--items", type=int, default=32, help="of a shard (default: %(default)s)")
            part.add_argument("--frames", type=int, default=16, help="of an item (default: %(default)s)")
            part.add_argument("--size", type=int, default=112)
            part.add_argument("--plain", action="store_true", help="flat colours before a wall, quickly rendered")
        else:
            source = part.add_mutually_exclusive_group(required=True)
            source.add_argument("--pool", type=Path, nargs="+", help="folders of shards")
            source.add_argument("--live", type=int, metavar="ITEMS", help="render while training, and keep so many")
            part.add_argument("--live-batch", type=int, default=64, help="rendered at once (default: %(default)s)")
            part.add_argument(
                "--rendering", type=float, default=0.5, help="share of the time for it (default: %(default)s)"
            )
            part.add_argument("--frames", type=int, default=16, help="of a live item (default: %(default)s)")
            part.add_argument("--size", type=int, default=112, help="of a live item (default: %(default)s)")
            part.add_argument("--device", type=torch.device, default="cpu", help="(default: %(default)s)")
            part.add_argument("--minutes", type=float, default=math.inf, help="end then (default: after all steps)")
            part.add_argument(
                "--stride", type=int, default=2, help="clip models take every so many-th frame (default: %(default)s)"
            )
            part.add_argument("--held-out", type=int, default=256, help="items to look at (default: %(default)s)")
            part.add_argument("--model", nargs="+", required=True)
            part.add_argument("--start", type=Path, metavar="FOLDER", help="a model to start from")
            part.add_argument("--steps", type=int, default=6000)
            part.add_argument("--batch", type=int, default=8)
            part.add_argument(
                "--bf16", action="store_true", help="convolutions in bfloat16, for processors that have it"
            )
            part.add_argument("--lr", type=float, default=1e-3)
            part.add_argument("--ema", type=float, default=0.995)
            part.add_argument("--small-side", type=int, default=64, help="pixels at first (default: %(default)s)")
            part.add_argument("--small-share", type=float, default=0.6, help="of all steps (default: %(default)s)")
            part.add_argument("--known-from", type=float, default=0.5)
            part.add_argument(
                "--start-with", type=int, default=256, help="items that must be there (default: %(default)s)"
            )
            part.add_argument("--every", type=int, default=200, help="steps between two looks (default: %(default)s)")
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    args.run(args)


def fill(args: argparse.Namespace) -> None:
    """Render the shards that are missing."""
    seeds = range(args.seed, args.seed + args.shards)
    options = {"streams": args.streams, "count": args.items, "frames": args.frames, "size": args.size}
    options |= {"plain": args.plain} if args.plain else {}
    for path in write_shards(args.out, seeds, frame_rate=args.frame_rate, **options):
        print(path.name, flush=True)


if __name__ == "__main__":
    main()
