"""Training: a model, clips with depth, and the loss of the paper; what comes out is a folder to load."""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from timm.optim import create_optimizer_v2, list_optimizers
from timm.scheduler import create_scheduler_v2
from torch import nn
from torch.utils.data import Dataset
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ..errors import ModelError, WeightsError
from ..hub import CONFIG_NAME
from ..msd import MSDLoss, MSDModel
from ..saving import model_config, save_pretrained
from .evaluate import DepthError, evaluate, evaluate_depth
from .loader import make_loader

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainConfig:
    """How to train. The defaults are the paper's for EgoGesture (section IV of arXiv 2110.15639).

    ``lr`` is meant for batches of 16 and scales with ``batch_size``; ``sched`` "multistep" divides it by 10 at
    40, 60 and 80 % of the epochs, "cosine" lets it fall to 0. ``opt`` is a name of timm's optimisers.
    """

    epochs: int = 25
    batch_size: int = 16
    opt: str = "sgd"
    lr: float = 0.0025
    weight_decay: float = 1e-5
    momentum: float = 0.9
    sched: str = "multistep"
    warmup_epochs: int = 0
    workers: int = 2
    seed: int = 0
    channels_last: bool = True

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 2), ("workers", 0), ("warmup_epochs", 0)):
            if getattr(self, name) < least:
                raise ModelError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not 0 < self.lr < math.inf:
            raise ModelError(f"lr must be positive, got {self.lr}")
        if not 0 <= self.weight_decay < math.inf:
            raise ModelError(f"weight_decay must not be negative, got {self.weight_decay}")
        if not 0 <= self.seed < 2**63:
            raise ModelError(f"seed must be in [0, 2^63), got {self.seed}")
        known = [str(name) for name in list_optimizers()]
        if self.opt not in known:
            near = ", ".join(get_close_matches(self.opt, known, n=3)) or "sgd, adamw, lion, ..."
            raise ModelError(f"timm has no optimiser {self.opt!r}; it has {near}")
        if self.sched not in ("multistep", "cosine"):
            raise ModelError(f"sched is 'multistep' or 'cosine', not {self.sched!r}")


@dataclass
class TrainResult:
    """What training did: one dictionary per epoch, the depth errors before and after, and seconds.

    ``bad_clips``: what was wrong with every clip that could not be read and was replaced by another.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    depth_before: dict[str, DepthError] = field(default_factory=dict)
    depth_after: dict[str, DepthError] = field(default_factory=dict)
    bad_clips: list[str] = field(default_factory=list)
    seconds: float = 0.0


def train(
    model: nn.Module,
    train_data: Dataset[Any],
    val_data: Dataset[Any] | None = None,
    *,
    config: TrainConfig | None = None,
    out: str | Path | None = None,
    progress: bool = False,
) -> TrainResult:
    """Train ``model`` on ``train_data``, in place, and write it to the folder ``out``.

    Both datasets yield ``ClipSample``, transformed. With decoders and depth the loss is ``MSDLoss``, else
    cross-entropy. After every epoch the model is evaluated on ``val_data`` from RGB alone. A training clip that cannot
    be read is replaced by another and counted; a validation clip that cannot is a DataError. The folder gets what
    ``save_pretrained`` writes and history.json; one that holds a model already is a WeightsError.
    """
    config = config or TrainConfig()
    if out is not None:
        check_free(out)
        model_config(model)  # a model that cannot be saved by name says so now, not after the last epoch
    torch.manual_seed(config.seed)
    started = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    model.to(device, memory_format=layout)  # type: ignore[call-overload]
    loader = make_loader(train_data, config.batch_size, workers=config.workers, training=True, seed=config.seed)
    val_loader = make_loader(val_data, config.batch_size, workers=config.workers) if val_data is not None else None
    optimizer = create_optimizer_v2(
        model,
        opt=config.opt,
        lr=config.lr * config.batch_size / 16,
        weight_decay=config.weight_decay,
        momentum=config.momentum,
    )
    scheduler = make_scheduler(optimizer, config, len(loader))
    loss_function = MSDLoss()

    result = TrainResult()
    if val_loader is not None and isinstance(model, MSDModel):
        result.depth_before = evaluate_depth(model, val_loader, progress=progress)
    steps = config.epochs * len(loader)
    with (
        tqdm(total=steps, desc="train", unit="step", disable=None if progress else True) as bar,
        logging_redirect_tqdm(),  # a line of the log must not cut the bar in two
    ):
        for epoch in range(config.epochs):
            loader.set_epoch(epoch)
            record = train_epoch(model, loader, loss_function, optimizer, scheduler, epoch, bar)
            if val_loader is not None:
                record["val_top1"] = evaluate(model, val_loader).top1
            result.history.append(record)
            _logger.info("epoch %d of %d: %s", epoch + 1, config.epochs, describe(record))
    if val_loader is not None and isinstance(model, MSDModel):
        result.depth_after = evaluate_depth(model, val_loader, progress=progress)
    result.bad_clips = list(loader.bad)
    result.seconds = time.monotonic() - started
    if out is not None:
        write_run(model, result, config, Path(out))
    return result


def train_epoch(
    model: nn.Module, loader: Any, loss_function: MSDLoss, optimizer: Any, scheduler: Any, epoch: int, bar: Any
) -> dict[str, float]:
    """One pass over the clips; the mean of every loss term, and the training accuracy."""
    model.train()
    device = next(model.parameters()).device
    sums: dict[str, float] = {}
    clips = 0
    for step, batch in enumerate(loader):
        frames, labels = batch.frames.to(device, non_blocking=True), batch.labels.to(device, non_blocking=True)
        depth = None if batch.depth is None else batch.depth.to(device, non_blocking=True)
        valid = None if batch.valid is None else batch.valid.to(device, non_blocking=True)
        output = model(frames)
        terms = loss_function.terms(output, labels, depth, valid)
        loss = loss_function.total(output, terms)
        if not math.isfinite(loss.item()):
            raise ModelError(
                f"the loss is {loss.item()} in epoch {epoch + 1}, step {step + 1}: lower the learning rate"
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step_update(epoch * len(loader) + step + 1)
        logits = output if isinstance(output, torch.Tensor) else output.logits
        seen = {"loss": loss.item(), **{name: term.item() for name, term in terms.items()}}
        seen["top1"] = (logits.argmax(1) == labels).float().mean().item()
        clips += len(labels)
        for name, value in seen.items():
            sums[name] = sums.get(name, 0.0) + value * len(labels)
        bar.set_postfix(epoch=epoch + 1, loss=f"{sums['loss'] / clips:.3f}", top1=f"{sums['top1'] / clips:.2f}")
        bar.update()
    return {"epoch": epoch + 1, **{name: value / clips for name, value in sums.items()}}


def make_scheduler(optimizer: torch.optim.Optimizer, config: TrainConfig, steps: int) -> Any:
    """timm's scheduler for the whole run, stepped once per update."""
    scheduler, _ = create_scheduler_v2(
        optimizer,
        sched=config.sched,
        num_epochs=config.epochs,
        warmup_epochs=config.warmup_epochs,
        warmup_lr=0.0,
        decay_milestones=[round(config.epochs * share) for share in (0.4, 0.6, 0.8)],
        decay_rate=0.1,
        min_lr=0.0,
        step_on_epochs=False,
        updates_per_epoch=steps,
    )
    return scheduler


def describe(record: dict[str, float]) -> str:
    """A record of the history as one line."""
    return ", ".join(f"{name} {value:.3f}" for name, value in record.items() if name != "epoch")


def check_free(out: str | Path) -> None:
    """Raise WeightsError if ``out`` already holds a model or cannot become a folder; nothing is made yet."""
    path = Path(out)
    if (path / CONFIG_NAME).exists():
        raise WeightsError(f"{path} already holds a model; choose another folder or remove it")
    nearest = next(place for place in (path, *path.parents) if place.exists())
    if not nearest.is_dir():
        raise WeightsError(f"{path} cannot be a folder for a model: {nearest} is a file")


def write_run(model: nn.Module, result: TrainResult, config: TrainConfig, out: Path) -> None:
    """Write the model and history.json to ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    last = result.history[-1]
    metrics = {"top-1 (validation)": round(last["val_top1"], 4)} if "val_top1" in last else None
    (out / "history.json").write_text(json.dumps({"config": asdict(config), **asdict(result)}, indent=2) + "\n")
    save_pretrained(model, out, metrics=metrics)
