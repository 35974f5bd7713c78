"""Trains the small networks that come with the package, on rendered people alone.

    python benchmarks/rendered_training.py pool --out POOL --shards 400 --seed 0
    python benchmarks/rendered_training.py train --pool POOL --model tsm_mobilenetv2_050_online --out DIR
    python benchmarks/rendered_training.py train --pool POOL --model tsm_mobilenetv2_050 --stride 2 --out DIR

The first command renders (run two, with seeds apart, for two cores); the second trains on what is there and goes on to
look for more. An online model learns from every frame by itself: in the first part of a stroke it may say "No gesture"
too, and just after it the stroke's class. A clip model learns from clips. Both learn beside it where the hand is in
every frame and how it moves, by outputs that are cut off at the end, and with decoders ("_msd") depth. The first steps
are taken on smaller pictures, which costs half as much.
DIR/model is a checkpoint for `benchmarks/pack_weights.py`; beside it curves.csv has step, seconds, loss, and accuracy
on rendered items of other seeds. No real picture is used anywhere.
"""

import argparse
import copy
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
from rendered_pool import Batch, Pool, augmented, render, write_shards
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import gesture_zoo
from gesture_zoo.render import CLASSES

NONE, OTHER = CLASSES.index("No gesture"), CLASSES.index("Doing other things")
MEAN = STD = (0.5, 0.5, 0.5)
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


def framewise(model: Any) -> Any:
    """The model with the answers of all frames for its logits, (N*T, K + 4), instead of their mean."""
    inner = model.model if isinstance(model, gesture_zoo.MSDModel) else model
    inner.consensus = lambda logits: logits
    return model


def finished(model: Any) -> Any:
    """A copy that is a model for users: without decoders and without the outputs about the hand."""
    model = copy.deepcopy(model).eval()
    model = gesture_zoo.strip_msd(model) if isinstance(model, gesture_zoo.MSDModel) else model
    del model.consensus
    learned = model.get_classifier()
    model.reset_classifier(len(CLASSES))
    with torch.no_grad():
        model.get_classifier().weight.copy_(learned.weight[: len(CLASSES)])
        model.get_classifier().bias.copy_(learned.bias[: len(CLASSES)])
    return model.to(memory_format=torch.contiguous_format)


def hand_loss(found: Tensor, hand: Tensor) -> Tensor:
    """How far (N, T, 4), place and movement since the frame before, is from the hand (N, T, 2), where it is seen."""
    seen = (hand.abs() < 1.1).all(-1, keepdim=True)
    both = seen[:, 1:] & seen[:, :-1]
    place = F.smooth_l1_loss(found[..., :2], hand, reduction="none", beta=0.1)
    movement = F.smooth_l1_loss(found[:, 1:, 2:], 4 * (hand[:, 1:] - hand[:, :-1]), reduction="none", beta=0.1)
    return (place * seen).sum() / seen.sum().clamp(min=1) + (movement * both).sum() / both.sum().clamp(min=1)


def losses_of(
    model: Any, batch: Batch, numbers: np.random.Generator, *, online: bool, known_from: float, side: int
) -> list[Tensor]:
    """What is to become small: of the classes, of the hand, and of every mask; frames of ``side`` pixels."""
    frames, depth, hand = augmented(batch, numbers)
    if side != frames.shape[-1]:
        small = F.interpolate(frames.flatten(0, 1), (side, side), mode="bilinear", antialias=True)
        frames = small.unflatten(0, hand.shape[:2])
    out = model(normalised(frames))
    logits, found = (
        (out if isinstance(out, Tensor) else out.logits).unflatten(0, hand.shape[:2]).split(len(CLASSES), -1)
    )
    if online:
        losses = [stream_loss(logits, batch, known_from)]
    else:
        losses = [F.cross_entropy(logits.mean(1), batch.labels, label_smoothing=0.1)]
    losses.append(hand_loss(found, hand))
    if not isinstance(out, Tensor):
        criterion, plain = gesture_zoo.MSDLoss(), dataclasses.replace(out, logits=logits.mean(1))
        terms = criterion.terms(plain, batch.labels.clamp(min=0), depth, depth > 0)
        losses.append(criterion.total(plain, {name: term for name, term in terms.items() if name != "ce"}))
    return losses


@torch.no_grad()
def accuracy(model: Any, batch: Batch, online: bool) -> tuple[float, float]:
    """Right in percent: of gestures (online: the last part of strokes), and of all (online: all other frames)."""
    model.eval()
    shape = batch.classes.shape
    clips = [normalised(part.float() / 255) for part in batch.frames.split(8)]
    logits = torch.cat([model(clip) for clip in clips])[:, : len(CLASSES)].unflatten(0, shape)
    if not online:
        right = logits.mean(1).argmax(1) == batch.labels
        return 100 * right[batch.labels < NONE].float().mean().item(), 100 * right.float().mean().item()
    said, true, stroke = (part[:, WARM_UP:] for part in (logits.argmax(-1), batch.classes, batch.stroke))
    gesture = (true != NONE) & (true != OTHER)
    right = torch.where(gesture, said == true, (said == NONE) | (said == OTHER))
    late = gesture & (stroke >= 0.6)
    return 100 * right[late].float().mean().item(), 100 * right[~gesture].float().mean().item()


def train(args: argparse.Namespace) -> None:
    """Train, look now and then at items that were not learned from, and keep the mean of the last weights."""
    online = args.model.removesuffix("_msd").endswith("_online")
    torch.manual_seed(args.seed)
    rng, numbers = random.Random(args.seed), np.random.default_rng(args.seed)
    pool = Pool(args.pool)
    while pool.refresh() < args.start_with:
        time.sleep(5)
    rendered, _, size = next(iter(pool.shards.values())).frames.shape[1:4]
    model: Any = gesture_zoo.create_model(
        args.model, num_classes=len(CLASSES) + 4, num_segments=rendered // args.stride
    )
    # timm starts MobileNet's classifier for a thousand classes; for few of them its logits would be far too large.
    torch.nn.init.normal_(model.get_classifier().weight, std=0.01)
    model = framewise(model).to(memory_format=torch.channels_last)
    rate = args.frame_rate / args.stride
    looks = {"input_size": (3, size, size), "crop_pct": 1.0, "mean": MEAN, "std": STD}
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(args.ema), use_buffers=True)
    decay = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=args.steps, pct_start=0.1)
    options = {"streams": args.streams, "frames": rendered, "size": size, "frame_rate": args.frame_rate}
    held_out = thinned(render(10**6, count=args.held_out, **options), args.stride, args.stride // 2)
    started, seen = time.perf_counter(), []
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / "curves.csv").open("w", newline="") as file:
        curves = csv.writer(file)
        curves.writerow(
            ["step", "seconds", "items", "class", "hand", "depth", "gestures", "others" if online else "all"]
        )
        for step in range(1, args.steps + 1):
            model.train()
            batch = thinned(pool.sample(rng, args.batch), args.stride, rng.randrange(args.stride))
            side = args.small_side if step <= args.small_share * args.steps else size
            losses = losses_of(model, batch, numbers, online=online, known_from=args.known_from, side=side)
            optimizer.zero_grad()
            torch.stack(losses).sum().backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            averaged.update_parameters(model)
            seen.append([loss.item() for loss in losses])
            if step % args.every == 0 or step == args.steps:
                means = [math.fsum(column) / len(seen) for column in zip(*seen, strict=True)]
                shares = accuracy(averaged.module, held_out, online)
                row = [step, round(time.perf_counter() - started), pool.refresh(), *(f"{mean:.4f}" for mean in means)]
                row += [""] * (6 - len(row)) + [f"{share:.1f}" for share in shares]
                curves.writerow(row)
                file.flush()
                print(*row, flush=True)
                seen = []
                done = finished(averaged.module)
                done.pretrained_cfg.update(label_names=CLASSES, frame_rate=rate, **looks)
                gesture_zoo.save_pretrained(done, args.out / "model")
    (args.out / "origin.txt").write_text(f"{origin()}\nPool: {pool.made_by}; seed {args.seed}.\n")


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
        else:
            part.add_argument("--pool", type=Path, required=True)
            part.add_argument(
                "--stride", type=int, default=1, help="take every so many-th frame (default: %(default)s)"
            )
            part.add_argument("--held-out", type=int, default=256, help="items to look at (default: %(default)s)")
            part.add_argument("--model", required=True)
            part.add_argument("--steps", type=int, default=6000)
            part.add_argument("--batch", type=int, default=8)
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
    for path in write_shards(args.out, seeds, frame_rate=args.frame_rate, **options):
        print(path.name, flush=True)


if __name__ == "__main__":
    main()
