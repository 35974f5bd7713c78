"""Trains the small networks that come with the package, on rendered people alone.

    python benchmarks/rendered_training.py pool --out POOL --shards 400 --seed 0
    python benchmarks/rendered_training.py train --pool POOL --model tsm_mobilenetv2_050_online --out DIR
    python benchmarks/rendered_training.py train --pool POOL --model tsm_mobilenetv2_050 --stride 2 --out DIR

The first command renders (run two, with seeds apart, for two cores); the second trains on what is there and goes on to
look for more. An online model learns from every frame by itself: in the first part of a stroke it may say "No gesture"
too, and just after it the stroke's class. A clip model learns from clips, and one with decoders ("_msd") depth too.
DIR/model is a checkpoint for `benchmarks/pack_weights.py`; beside it curves.csv has step, seconds, loss, and accuracy
on rendered items of other seeds. No real picture is used anywhere.
"""

import argparse
import csv
import math
import random
import time
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


def frame_logits(model: Any, clip: Tensor) -> Tensor:
    """Logits of every frame, (N, T, K)."""
    return model.base_model(clip.flatten(0, 1)).unflatten(0, clip.shape[:2])


@torch.no_grad()
def accuracy(model: Any, batch: Batch, online: bool) -> tuple[float, float]:
    """Of gestures (their last part), and of all: shares of right answers, in percent."""
    model.eval()
    clips = [normalised(part.float() / 255) for part in batch.frames.split(8)]
    if not online:
        right = torch.cat([model(clip).argmax(1) for clip in clips]) == batch.labels
        return (100 * right[batch.labels < NONE].float().mean().item(), 100 * right.float().mean().item())
    said = torch.cat([frame_logits(model, clip).argmax(-1) for clip in clips])[:, WARM_UP:]
    true, stroke = batch.classes[:, WARM_UP:], batch.stroke[:, WARM_UP:]
    gesture = (true != NONE) & (true != OTHER)
    late = gesture & (stroke >= 0.6)
    nothing = (said == NONE) | (said == OTHER)
    right = torch.where(gesture, said == true, nothing)
    return 100 * right[late].float().mean().item(), 100 * right[~gesture].float().mean().item()


def train(args: argparse.Namespace) -> None:
    online = args.model.endswith("_online")
    torch.manual_seed(args.seed)
    rng, numbers = random.Random(args.seed), np.random.default_rng(args.seed)
    pool = Pool(args.pool)
    while pool.refresh() < args.start_with:
        time.sleep(5)
    rendered, _, size = next(iter(pool.shards.values())).frames.shape[1:4]
    frames = rendered // args.stride
    model: Any = gesture_zoo.create_model(args.model, num_classes=len(CLASSES), num_segments=frames)
    model = model.to(memory_format=torch.channels_last)
    model.pretrained_cfg.update(
        input_size=(3, size, size),
        crop_pct=1.0,
        label_names=CLASSES,
        frame_rate=args.frame_rate / args.stride,
        mean=MEAN,
        std=STD,
    )
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(args.ema), use_buffers=True)
    decay = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=args.steps, pct_start=0.1)
    options = {"streams": args.streams, "frames": rendered, "size": size, "frame_rate": args.frame_rate}
    held_out = thinned(render(10**6, count=args.held_out, **options), args.stride, args.stride // 2)
    criterion = gesture_zoo.MSDLoss(label_smoothing=0.1)
    started, losses = time.perf_counter(), []
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / "curves.csv").open("w", newline="") as file:
        curves = csv.writer(file)
        curves.writerow(["step", "seconds", "items", "loss", "gestures", "others" if online else "all"])
        for step in range(1, args.steps + 1):
            model.train()
            batch = thinned(pool.sample(rng, args.batch), args.stride, rng.randrange(args.stride))
            clip = normalised(augmented(batch.frames, numbers))
            if online:
                loss = stream_loss(frame_logits(model, clip), batch, args.known_from)
            else:
                depth = batch.depth.float() / 255  # of plain logits, the loss takes no notice of it
                loss = criterion(model(clip), batch.labels, depth, depth > 0)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            averaged.update_parameters(model)
            losses.append(loss.item())
            if step % args.every == 0 or step == args.steps:
                shares = accuracy(averaged.module, held_out, online)
                row = [
                    step,
                    round(time.perf_counter() - started),
                    pool.refresh(),
                    round(math.fsum(losses) / len(losses), 4),
                ]
                curves.writerow([*row, *(round(share, 1) for share in shares)])
                file.flush()
                print(*row, *(f"{share:.1f} %" for share in shares), flush=True)
                losses = []
                gesture_zoo.save_pretrained(averaged.module.eval(), args.out / "model")
    (args.out / "origin.txt").write_text(f"{origin()}\nPool: {pool.made_by}; seed {args.seed}.\n")


def main() -> None:
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
            part.add_argument("--lr", type=float, default=4e-3)
            part.add_argument("--ema", type=float, default=0.995)
            part.add_argument("--known-from", type=float, default=0.5)
            part.add_argument(
                "--start-with", type=int, default=256, help="items that must be there (default: %(default)s)"
            )
            part.add_argument("--every", type=int, default=200, help="steps between two looks (default: %(default)s)")
    args = parser.parse_args()
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
