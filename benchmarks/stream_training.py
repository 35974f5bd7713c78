"""Streams to train and to measure on, and the training of an online model frame by frame: parts of stream_events.py."""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import gesture_zoo
from gesture_zoo.data import resolve_data_config
from gesture_zoo.data.motions import GESTURES
from gesture_zoo.data.synthetic_stream import NO_GESTURE, STREAM_CLASSES, STREAM_RATE, SyntheticStream, render_stream

WINDOW, WARM_UP = 24, 6  # frames of a training window, and those at its start that have too little past to be judged
# Which class a class becomes when the picture is mirrored.
MIRRORED = torch.tensor(
    [STREAM_CLASSES.index(NO_GESTURE if name == NO_GESTURE else GESTURES[name].flipped) for name in STREAM_CLASSES]
)


def render_streams(first_seed: int, count: int, **options: Any) -> list[SyntheticStream]:
    """Streams of consecutive seeds; ``options`` are those of ``render_stream``."""
    return [render_stream(seed=first_seed + i, **options) for i in range(count)]


def allowed_classes(stream: SyntheticStream, known_from: float, *, linger: int = 1) -> Tensor:
    """Which classes a frame may be taken for, (T, K) bool: its own; in the first part of a gesture also "no gesture".

    Before the share ``known_from`` of a gesture nothing can tell what it will be, but it is no other gesture; the
    ``linger`` frames after it may still be taken for it.
    """
    allowed = torch.nn.functional.one_hot(torch.from_numpy(stream.frame_labels), len(STREAM_CLASSES)).bool()
    for label, start, end in stream.events:
        allowed[start : start + round(known_from * (end - start)), STREAM_CLASSES.index(NO_GESTURE)] = True
        allowed[end : end + linger, STREAM_CLASSES.index(label)] = True
    return allowed


def online_model(name: str, size: int, *, weights: Path | None = None, seed: int = 0) -> Any:
    """An online model of the streams' classes; ``weights`` is a file with an ImageNet start."""
    torch.manual_seed(seed)
    options: dict[str, Any] = {"num_classes": len(STREAM_CLASSES), "num_segments": WINDOW}
    if "test_resnet" in name:
        options["shift_div"] = 4  # in narrow layers an eighth of the channels is too few to shift
    if weights is not None:
        options["pretrained_cfg_overlay"] = {"file": str(weights), "backbone_only": True}
    model = gesture_zoo.create_model(name, weights is not None, **options)
    model.pretrained_cfg.update(
        input_size=(3, size, size), crop_pct=1.0, label_names=STREAM_CLASSES, frame_rate=STREAM_RATE
    )
    return model


def normalised(frames: Tensor, model: Any) -> Tensor:
    """Frames (..., H, W, 3) uint8 as the model takes them: (..., 3, H, W) float32."""
    config = resolve_data_config(model=model)
    mean, std = (torch.tensor(config[key]) for key in ("mean", "std"))
    return ((frames.float() / 255 - mean) / std).movedim(-1, -3)


def windows(
    streams: list[SyntheticStream], known_from: float, batch: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of windows at random places, half of them mirrored: uint8 frames, allowed classes (N, T, K)."""
    rng = random.Random(seed)
    targets = [allowed_classes(stream, known_from) for stream in streams]
    frames = [torch.from_numpy(stream.frames) for stream in streams]
    while True:
        clips, classes = [], []
        for _ in range(batch):
            which = rng.randrange(len(streams))
            start = rng.randrange(len(targets[which]) - WINDOW + 1)
            clip, allowed = frames[which][start : start + WINDOW], targets[which][start : start + WINDOW].clone()
            allowed[:WARM_UP] = True
            if rng.random() < 0.5:
                clip, allowed = clip.flip(2), allowed[:, MIRRORED]
            clips.append(clip)
            classes.append(allowed)
        yield torch.stack(clips), torch.stack(classes)


def loss_of(logits: Tensor, allowed: Tensor, weights: Tensor) -> Tensor:
    """Mean of -log of the probability of the allowed classes; logits (M, K), allowed (M, K) bool, weights (M,).

    Of one allowed class this is the cross-entropy, of all of them 0.
    """
    inside = logits.masked_fill(~allowed, -torch.inf).logsumexp(1)
    return (weights * (logits.logsumexp(1) - inside)).sum() / weights.sum()


def train(
    model: Any,
    streams: list[SyntheticStream],
    *,
    steps: int,
    lr: float,
    known_from: float = 0.5,
    idle_weight: float = 0.4,
    batch: int = 4,
    seed: int = 0,
    report: Callable[[int, float, float], None] | None = None,
) -> None:
    """Train with the loss of every frame's logits; ``report`` gets step, loss and seconds now and then.

    ``idle_weight``: of a frame that may be taken for no gesture, of which there are more than of all others.
    """
    model.num_segments = WINDOW
    model.train()
    decay = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.15)
    none = STREAM_CLASSES.index(NO_GESTURE)
    started, losses = time.perf_counter(), []
    for step, (frames, allowed) in zip(range(steps), windows(streams, known_from, batch, seed), strict=False):
        # One look per window, as of one camera: a factor for the contrast and a shift of the brightness.
        contrast, shift = torch.rand(2, batch, 1, 1, 1, 1) - 0.5
        clip = normalised(frames, model) * (1 + 0.6 * contrast) + 0.6 * shift
        logits = model.base_model(clip.flatten(0, 1))
        classes = allowed.flatten(0, 1)
        # Frames that may be anything are those of the warm-up: they count for nothing.
        weights = torch.where(classes[:, none], idle_weight, 1.0) * ~classes.all(1)
        loss = loss_of(logits, classes, weights)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if report and (step + 1) % 100 == 0:
            report(step + 1, sum(losses) / len(losses), time.perf_counter() - started)
            losses = []
    model.eval()


def streamed_logits(model: Any, stream: SyntheticStream) -> Tensor:
    """What the model says to every frame, one by one: (T, K)."""
    online = gesture_zoo.to_streaming(model)
    frames = torch.from_numpy(stream.frames)
    return torch.cat([online.step(normalised(frame[None], model)) for frame in frames])
