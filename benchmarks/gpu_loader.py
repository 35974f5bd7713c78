"""Clips a second of a whole training loop on a GPU, of its loader alone, and of the GPU alone. A part of speed.py."""

import statistics
import time
from collections.abc import Iterator
from itertools import islice

from gpu_rates import Card

import gesture_zoo
from gesture_zoo.engine import Recipe
from gesture_zoo.engine.datasets import make_dataset
from gesture_zoo.engine.loader import make_loader
from gesture_zoo.engine.trainer import Step, Trainer

NAME, BATCH = "action_resnet50_msd", 16
# Batches of an epoch, of which the first are in store before the first step: not counted.
STEPS, FIRST = 72, 30
MOST_SECONDS = 10.0
HEAD = (
    "| model | batch | type | workers | loader alone, clips/s | GPU alone, one batch reused, clips/s "
    "| together, clips/s | waiting for clips, % | what limits |"
)


def training_throughput(card: Card, *, workers: int, size: int = 224) -> Iterator[str]:
    """One row."""
    recipe = Recipe(batch_size=BATCH, amp="bf16", workers=workers, epochs=1, milestones=())
    model = gesture_zoo.create_model(NAME, num_classes=12)
    config = gesture_zoo.resolve_data_config(model=model) | {"input_size": (3, size, size)}
    data = make_dataset("synthetic", None, config, split="train", training=True, num_clips=STEPS * BATCH)
    loader = make_loader(data, BATCH, workers=workers, training=True)
    trainer = Trainer(model, loader, recipe)

    # The loader alone, to the end of an epoch or of its time.
    loader.set_epoch(0)
    started, arrivals = time.perf_counter(), []
    batches = iter(loader)
    for batch in batches:
        arrivals.append(time.perf_counter())
        kept = batch
        if arrivals[-1] - started > MOST_SECONDS and len(arrivals) > 2:
            break
    batches.close()  # type: ignore[attr-defined]
    first = min(FIRST, len(arrivals) // 2)
    alone = BATCH * (len(arrivals) - 1 - first) / (arrivals[-1] - arrivals[first])

    # The GPU alone.
    trainer.bare.train()
    frames, depth, valid, labels = (
        None if part is None else part.to(trainer.device) for part in (kept.frames, kept.depth, kept.valid, kept.labels)
    )
    reused = kept._replace(frames=frames, depth=depth, valid=valid, labels=labels)
    seconds = []
    for _ in range(15):
        start = time.perf_counter()
        trainer.update([reused])  # reads the loss: it does not return before the GPU is nearly done
        seconds.append(time.perf_counter() - start)
    gpu = BATCH / statistics.median(seconds[5:])

    # Both.
    steps: list[Step] = []
    started = time.perf_counter()

    def on_update(step: Step) -> bool:
        steps.append(step)
        return time.perf_counter() - started < MOST_SECONDS

    trainer.epoch = 1
    trainer.run_epoch(on_update)
    counted = list(islice(steps, min(FIRST, len(steps) // 2), None))
    took, waited = sum(step.seconds for step in counted), sum(step.wait for step in counted)
    together, share = sum(step.clips for step in counted) / took, waited / took
    limit = "the loader" if share > 0.1 else "the GPU"
    yield (
        f"| {NAME} | {BATCH} | bfloat16, channels_last | {workers} | {alone:.0f} | {gpu:.0f} | {together:.0f} "
        f"| {100 * share:.0f} | {limit} |"
    )
