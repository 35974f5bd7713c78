"""Trains the small networks that come with the package, on rendered people alone.

    python benchmarks/rendered_training.py pool --out POOL --shards 400 --size 96 --seed 0
    python benchmarks/rendered_training.py pool --out PLAIN --shards 100 --size 96 --seed 20000 --plain
    python benchmarks/rendered_training.py train --pool POOL PLAIN --model tsm_test_resnet_online --out DIR
    python benchmarks/rendered_training.py train --pool POOL PLAIN --model tsm_test_resnet --stride 2 --start DIR/model

The first two commands render (run two of each, with seeds apart, for two cores); the others train on what is there and
go on to look for more. An online model learns from every frame by itself: in the first part of a stroke it may say "No
gesture" too, and just after it the stroke's class. A clip model learns from clips. Both learn beside it where the hand
is and was (rendered_points.py), and with decoders ("_msd") depth. The first steps are taken on smaller pictures, which
costs half as much. --start takes the weights of a model that was trained before, online or not: TSM has none of its
own. DIR/model is a checkpoint for `rendered_calibrate.py` and `pack_weights.py`; beside it curves.csv has step,
seconds, loss, and accuracy on rendered items of other seeds. No real picture is used anywhere.
"""

import argparse
import csv
import dataclasses
import math
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from common import origin
from rendered_points import HandMaps
from rendered_pool import MOTIONS, Batch, Pool, augmented, render, write_shards
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import gesture_zoo
from gesture_zoo.render import CLASSES

NONE, OTHER = CLASSES.index("No gesture"), CLASSES.index("Doing other things")
MEAN = STD = (0.5, 0.5, 0.5)
HAND = 0.5  # weight of the heat maps
WARM_UP = 3  # frames of a window with too little past to be judged


def allowed_classes(batch: Batch, known_from: float, linger: int = 2) -> Tensor:
    """Which classes every frame may be taken for, (N, T, K) bool."""
    allowed = F.one_hot(batch.classes, len(CLASSES)).bool()
    gesture = (batch.classes != NONE) & (batch.classes != OTHER)
    early = gesture & (batch.stroke < known_from)
    allowed[..., NONE] |= early
    allowed[..., OTHER] |= early
    for step in range(1, linger + 1):
        before, now = batch.classes[:, :-step], allowed[:, step:]
        ended = gesture[:, :-step] & ~gesture[:, step:]
        now |= F.one_hot(before, len(CLASSES)).bool() & ended[..., None]
    allowed[:, :WARM_UP] = True
    return allowed


def stream_loss(logits: Tensor, batch: Batch, known_from: float) -> Tensor:
    """Mean of -log of the probability of the allowed classes; frames that may be anything count for nothing."""
    allowed = allowed_classes(batch, known_from)
    inside = logits.masked_fill(~allowed, -torch.inf).logsumexp(-1)
    idle = allowed[..., NONE] | allowed[..., OTHER]
    weights = torch.where(idle, 0.4, 1.0) * ~allowed.all(-1)
    return (weights * (logits.logsumexp(-1) - inside)).sum() / weights.sum()


def thinned(batch: Batch, stride: int, start: int) -> Batch:
    """Every ``stride``-th frame from ``start``."""
    return Batch(*(field[:, start::stride] if field.dim() > 1 else field for field in batch))


def normalised(frames: Tensor) -> Tensor:
    """Floats in [0, 1] as the model takes them."""
    return (frames - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


class Learner(nn.Module):
    """A model that answers for every frame, (N*T, K), instead of their mean, and what it learns beside the classes."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        inner = model.model if isinstance(model, gesture_zoo.MSDModel) else model
        inner.consensus = lambda logits: logits
        self.model, self.hand = model, HandMaps(inner)

    def forward(self, frames: Tensor) -> Any:
        return self.model(frames)


def finished(learner: Learner, name: str) -> Any:
    """A new model for users with what was learned: without decoders and heat maps."""
    model: Any = (
        gesture_zoo.strip_msd(learner.model) if isinstance(learner.model, gesture_zoo.MSDModel) else learner.model
    )
    done = gesture_zoo.create_model(
        name.removesuffix("_msd"), num_classes=len(CLASSES), num_segments=model.num_segments
    )
    done.load_state_dict(model.state_dict())
    return done.eval()


def losses_of(
    learner: Learner, batch: Batch, numbers: np.random.Generator, *, online: bool, known_from: float, side: int
) -> list[Tensor]:
    """What is to become small: of the classes, of the hand, and of every mask; frames of ``side`` pixels."""
    frames, depth, points = augmented(batch, numbers)
    if side != frames.shape[-1]:
        small = F.interpolate(frames.flatten(0, 1), (side, side), mode="bilinear", antialias=True)
        frames = small.unflatten(0, points.shape[:2])
    out = learner(normalised(frames))
    logits = (out if isinstance(out, Tensor) else out.logits).float().unflatten(0, points.shape[:2])
    if online:
        losses = [stream_loss(logits, batch, known_from)]
    else:
        losses = [F.cross_entropy(logits.mean(1), batch.labels, label_smoothing=0.1)]
    losses.append(HAND * learner.hand.loss(points))
    if not isinstance(out, Tensor):
        criterion, plain = gesture_zoo.MSDLoss(), dataclasses.replace(out, logits=logits.mean(1))
        terms = criterion.terms(plain, batch.labels.clamp(min=0), depth, depth > 0)
        losses.append(criterion.total(plain, {name: term for name, term in terms.items() if name != "ce"}))
    return losses


@torch.no_grad()
def accuracy(learner: Learner, batch: Batch, online: bool) -> tuple[float, float, float]:
    """In percent: palms found within a tenth of the picture, gestures right (online: the last part of strokes), and all
    right (online: all other frames)."""
    learner.eval()
    logits, found = [], []
    for part in batch.frames.split(8):
        logits.append(learner(normalised(part.float() / 255)).unflatten(0, part.shape[:2]))
        found.append(learner.hand.found(part.shape[1]))
    answers, palm = torch.cat(logits), batch.points[:, :, 0]
    near = (torch.cat(found)[:, :, 0] - palm).norm(dim=-1)[(palm.abs() < 1).all(-1)] < 0.2
    shares = [near, *(_online_rights(answers, batch) if online else _clip_rights(answers, batch))]
    return tuple(100 * share.float().mean().item() for share in shares)  # type: ignore[return-value]


def _clip_rights(answers: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    right = answers.mean(1).argmax(1) == batch.labels
    return right[batch.labels < NONE], right


def _online_rights(answers: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    said, true, stroke = (part[:, WARM_UP:] for part in (answers.argmax(-1), batch.classes, batch.stroke))
    gesture = (true != NONE) & (true != OTHER)
    right = torch.where(gesture, said == true, (said == NONE) | (said == OTHER))
    return right[gesture & (stroke >= 0.6)], right[~gesture]


def train(args: argparse.Namespace) -> None:
    """Train, look now and then at items that were not learned from, and keep the mean of the last weights."""
    online = args.model.removesuffix("_msd").endswith("_online")
    torch.manual_seed(args.seed)
    rng, numbers = random.Random(args.seed), np.random.default_rng(args.seed)
    pool = Pool(*args.pool)
    while pool.refresh() < args.start_with:
        time.sleep(5)
    rendered, _, size = next(iter(pool.shards.values())).frames.shape[1:4]
    model: Any = gesture_zoo.create_model(args.model, num_classes=len(CLASSES), num_segments=rendered // args.stride)
    if args.start is not None:
        earlier: Any = gesture_zoo.create_model(f"local-dir:{args.start}", pretrained=True)
        (model.model if isinstance(model, gesture_zoo.MSDModel) else model).load_state_dict(earlier.state_dict())
    else:
        # timm starts MobileNet's classifier for a thousand classes; for few of them its logits would be far too large.
        torch.nn.init.normal_(model.get_classifier().weight, std=0.01)
    learner = Learner(model).to(memory_format=torch.channels_last)
    looks = {"input_size": (3, size, size), "crop_pct": 1.0, "mean": MEAN, "std": STD}
    averaged = AveragedModel(learner, multi_avg_fn=get_ema_multi_avg_fn(args.ema), use_buffers=True)
    decay = [p for p in learner.parameters() if p.dim() > 1]
    others = [p for p in learner.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=args.steps, pct_start=0.1)
    options = {"streams": args.streams, "frames": rendered, "size": size, "frame_rate": args.frame_rate}
    rate = (args.frame_rate if args.streams else rendered / (sum(MOTIONS.window) / 2)) / args.stride
    held_out = thinned(render(10**6, count=args.held_out, **options), args.stride, args.stride // 2)
    started, seen = time.perf_counter(), []
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / "curves.csv").open("w", newline="") as file:
        curves = csv.writer(file)
        shares = ("palms", "gestures", "others" if online else "all")
        curves.writerow(("step", "seconds", "items", "class", "hand", "depth", *shares))
        for step in range(1, args.steps + 1):
            learner.train()
            batch = thinned(pool.sample(rng, args.batch), args.stride, rng.randrange(args.stride))
            side = args.small_side if step <= args.small_share * args.steps else size
            with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
                losses = losses_of(learner, batch, numbers, online=online, known_from=args.known_from, side=side)
            optimizer.zero_grad()
            torch.stack(losses).sum().backward()
            torch.nn.utils.clip_grad_norm_(learner.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            averaged.update_parameters(learner)
            seen.append([loss.item() for loss in losses])
            if step % args.every == 0 or step == args.steps:
                means = [math.fsum(column) / len(seen) for column in zip(*seen, strict=True)]
                percent = accuracy(averaged.module, held_out, online)
                row = [step, round(time.perf_counter() - started), pool.refresh(), *(f"{mean:.4f}" for mean in means)]
                row += [""] * (6 - len(row)) + [f"{share:.1f}" for share in percent]
                curves.writerow(row)
                file.flush()
                print(*row, flush=True)
                seen = []
                done = finished(averaged.module, args.model)
                done.pretrained_cfg.update(label_names=CLASSES, frame_rate=round(rate, 1), **looks)
                gesture_zoo.save_pretrained(done, args.out / "model")
    (args.out / "origin.txt").write_text(f"{origin()}\nPools: {list(pool.made_by.values())}; seed {args.seed}.\n")


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
            part.add_argument("--pool", type=Path, nargs="+", required=True)
            part.add_argument(
                "--stride", type=int, default=1, help="take every so many-th frame (default: %(default)s)"
            )
            part.add_argument("--held-out", type=int, default=256, help="items to look at (default: %(default)s)")
            part.add_argument("--model", required=True)
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
