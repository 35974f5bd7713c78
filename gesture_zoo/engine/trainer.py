"""Trainer: a model in training with all its state, which goes on from any step of any epoch."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any, NamedTuple

import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from ..data import ClipBatch
from ..data.sampling import derived_seed
from ..errors import ModelError, WeightsError, one_line
from ..msd import MSDLoss
from . import distributed
from .batches import check_labels
from .checkpoint import random_state, restore_random_state
from .loader import ClipLoader
from .metrics import weighted_means
from .optim import (
    autocast,
    frozen_norms,
    make_optimizer,
    make_scheduler,
    restore_optimizer,
    running_statistics,
    set_layout,
    sync_norms,
)
from .recipes import Recipe
from .sums import count, means_of

_logger = logging.getLogger(__name__)

MOST_NAMED = 16  # clips in a message
PROGRESS = ("epoch", "updates", "clips_done", "skipped", "sums")  # how far a run has come, in its checkpoint


class Step(NamedTuple):
    """One update: where it is in the run, the mean of every loss term and of the accuracy, and what it took."""

    epoch: int
    number: int  # in its epoch, from 1
    updates: int  # of the whole run so far
    values: dict[str, float]
    lr: float
    clips: int
    seconds: float
    wait: float  # seconds of these that were spent waiting for clips


class Trainer:
    """The model, optimiser, schedule, average of the weights, and how far the run has come.

    ``model`` is trained in place. All processes of a process group make one, each with its own loader. ``epoch``
    counts from 0; ``clips_done`` are the clips of this epoch, of all processes, that were trained on or make no batch.

    A model is called with frames, and its answer goes to ``MSDLoss``. One that learns otherwise says so: with
    ``takes_depth = True`` it is called with frames, depth and valid (or None), and its ``make_loss`` takes the
    arguments of ``MSDLoss`` used here and gives a loss with the same ``terms`` and ``total``.
    """

    def __init__(self, model: nn.Module, loader: ClipLoader, recipe: Recipe) -> None:
        processes = distributed.world_size()
        self.recipe, self.loader = recipe, loader
        self.device = distributed.device()
        model.to(self.device)
        set_layout(model, channels_last=recipe.channels_last)
        if recipe.sync_bn and processes > 1:
            model = sync_norms(model)
        if recipe.grad_checkpointing:
            model.set_grad_checkpointing()  # type: ignore[operator]
        self.frozen = frozen_norms(model, recipe.norm)
        self.frozen_parameters = [p for norm in self.frozen for p in norm.parameters() if p.requires_grad]
        for parameter in self.frozen_parameters:
            parameter.requires_grad_(False)
        self.bare = model
        self.statistics = running_statistics(model)
        self.good_statistics = [values.clone() for values in self.statistics]
        self.optimizer = make_optimizer(model, recipe, processes=processes)
        self.updates_per_epoch = math.ceil(len(loader) / recipe.accumulate)
        self.scheduler = make_scheduler(self.optimizer, recipe, self.updates_per_epoch)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=recipe.amp == "fp16")
        self.takes_depth = bool(getattr(model, "takes_depth", False))
        make_loss: Any = getattr(model, "make_loss", MSDLoss)
        self.loss = make_loss(
            label_smoothing=recipe.label_smoothing, binarize=recipe.binarize, all_processes=processes > 1
        )
        self.model: Any = model
        if processes > 1:
            devices = [self.device] if self.device.type == "cuda" else None
            self.model = DistributedDataParallel(model, device_ids=devices)
        self.ddp = self.model if processes > 1 else None
        # After all processes have the first one's weights. The decay rises to its value: a short run would else keep
        # much of its random start.
        self.ema = None if recipe.ema_decay is None else ModelEmaV3(model, decay=recipe.ema_decay, use_warmup=True)
        if recipe.compile:
            self.model = torch.compile(self.model)
        self.epoch = self.updates = self.clips_done = 0
        self.skipped = 0  # steps of the whole run whose loss was not finite
        self.sums: dict[str, float] = {}  # of this epoch

    @property
    def kept(self) -> nn.Module:
        """The model that is validated and saved: the average of the weights, if there is one."""
        return self.bare if self.ema is None else self.ema.module

    def run_epoch(self, on_update: Callable[[Step], bool]) -> dict[str, float] | None:
        """Train to the end of the epoch and return its record; None if ``on_update`` said no before.

        Afterwards ``next_epoch`` begins another.
        """
        together = self.recipe.batch_size * distributed.world_size()
        self.loader.set_epoch(self.epoch, self.clips_done)
        self.bare.train()
        for norm in self.frozen:
            norm.eval()
        started = time.perf_counter()
        batches = iter(self.loader) if self.clips_done < self.loader.size else iter(())
        for group in _groups(batches, self.recipe.accumulate):
            wait = time.perf_counter() - started
            lr = self.sums["lr"] = self.lr
            values = self.update(group)
            self.updates += 1
            self.scheduler.step_update(self.updates)
            self.clips_done += len(group) * together
            clips = sum(len(batch.labels) for batch in group) * distributed.world_size()
            seconds = time.perf_counter() - started
            count(self.sums, {"seconds": seconds, "wait": wait}, 1)
            number = math.ceil(self.clips_done / together / self.recipe.accumulate)
            step = Step(self.epoch, number, self.updates, values, lr, clips, seconds, wait)
            if self.loader.batches_from(self.clips_done) == 0:
                # What makes no batch is done with too, also for another number of processes that goes on from here.
                self.clips_done = max(self.clips_done, self.loader.size)
            if not on_update(step):
                return None
            started = time.perf_counter()
        return self.record()

    def record(self) -> dict[str, float]:
        """What the epoch was like so far: means over its clips, its last learning rate, seconds, and skipped steps.

        Those of masks are over the batches in which a clip has depth.
        """
        return {"epoch": self.epoch + 1, "lr": self.lr, **means_of(self.sums)}

    def next_epoch(self) -> None:
        """Begin another epoch."""
        self.epoch, self.clips_done, self.sums = self.epoch + 1, 0, {}

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def update(self, group: list[ClipBatch]) -> dict[str, float]:
        """One step of the optimiser; the means over its clips, or nothing if it had to be skipped."""
        self.optimizer.zero_grad()
        ids = [name for batch in group for name in batch.ids]
        seen: list[tuple[dict[str, float], int]] = []  # of every batch, and how many clips it has
        for number, batch in enumerate(group, start=1):
            with self._without_sync() if number < len(group) else nullcontext():
                loss, values = self.forward(batch)
                if not math.isfinite(values["loss"]):
                    return self.skip(values, [] if math.isfinite(loss.item()) else batch.ids)
                self.scaler.scale(loss / len(group)).backward()
            seen.append((values, len(batch.labels) * distributed.world_size()))
        self.scaler.unscale_(self.optimizer)
        learning = [parameter for parameter in self.bare.parameters() if parameter.grad is not None]
        norm = get_total_norm([parameter.grad for parameter in learning if parameter.grad is not None])
        if not self.scaler.is_enabled() and not math.isfinite(norm.item()):
            return self.skip({"gradient": norm.item()}, ids)
        if self.recipe.clip_grad is not None:
            clip_grads_with_norm_(learning, self.recipe.clip_grad, norm)
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.scaler.get_scale() < scale:
            # Half precision overflowed and the step was left out: usual while the scale is sought, but not below 1.
            return self._counted(seen) if scale > 1 else self.skip({"gradient": math.inf}, ids)
        if self.ema is not None:
            self.ema.update(self.bare, step=self.updates)
        self._remember_statistics()
        return self._counted(seen)

    def _counted(self, batches: list[tuple[dict[str, float], int]]) -> dict[str, float]:
        """Add batches, each with its number of clips, to the sums of the epoch; the means over their clips."""
        for values, clips in batches:
            count(self.sums, values, clips)
        return weighted_means(batches)

    def forward(self, batch: ClipBatch) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch of this process, and the means over all processes of its terms and of the accuracy.

        Where no clip has depth there are no errors of masks to tell of.
        """
        frames, labels = (part.to(self.device, non_blocking=True) for part in (batch.frames, batch.labels))
        depth, valid = (
            part if part is None else part.to(self.device, non_blocking=True) for part in (batch.depth, batch.valid)
        )
        with autocast(self.recipe.amp, self.device):
            output = self.model(frames, depth, valid) if self.takes_depth else self.model(frames)
        logits = output if isinstance(output, Tensor) else output.logits
        check_labels(batch, logits.shape[1])
        terms = self.loss.terms(output, labels, depth, valid)
        loss = self.loss.total(output, terms)
        hits = (logits.argmax(1) == labels).float().mean()
        # One transfer from the device, and one sum over the processes, in which NaN anywhere is NaN everywhere.
        supervised = hits.new_tensor(float(depth is not None)) if valid is None else valid.any()
        seen = torch.stack([value.detach().double() for value in (loss, *terms.values(), hits, supervised)])
        *means, supervised_share = distributed.all_mean(seen).tolist()
        values = dict(zip(("loss", *terms, "top1"), means, strict=True))
        masks = () if supervised_share else getattr(output, "masks", ())
        return loss, {name: value for name, value in values.items() if name not in masks}

    def skip(self, values: dict[str, float], ids: Sequence[str]) -> dict[str, float]:
        """Undo what a forward pass changed, and count; too many of these in an epoch are a ModelError.

        ``ids`` are the clips of this process that it may have come from.
        """
        self.optimizer.zero_grad()
        for values_now, values_before in zip(self.statistics, self.good_statistics, strict=True):
            values_now.copy_(values_before)
        self.skipped += 1
        self.sums["bad"] = self.sums.get("bad", 0.0) + 1
        names = [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]
        ids = [name for part in distributed.gather(ids) for name in part]
        clips = ", ".join(ids[:MOST_NAMED]) + (", ..." if len(ids) > MOST_NAMED else "")
        number = self.updates % self.updates_per_epoch + 1
        where = f"epoch {self.epoch + 1}, step {number}: {', '.join(names)} (one of clips {clips})"
        bad, most = int(self.sums["bad"]), self.recipe.max_bad_steps
        if bad > most:
            raise ModelError(
                f"{where}; {bad} steps of this epoch were not finite, at most {most} may be (max_bad_steps): "
                "lower the learning rate (lr), or clip the gradient (clip_grad)"
            )
        _logger.warning("%s: step skipped", where)
        return {}

    def _remember_statistics(self) -> None:
        for before, now in zip(self.good_statistics, self.statistics, strict=True):
            before.copy_(now)

    def _without_sync(self) -> AbstractContextManager[Any]:
        """Gradients stay with their process until the last batch of a step."""
        return nullcontext() if self.ddp is None else self.ddp.no_sync()

    def release(self) -> None:
        """Give the model back as it learns by itself: what was frozen for this run is so no more."""
        for parameter in self.frozen_parameters:
            parameter.requires_grad_(True)
        if self.recipe.grad_checkpointing:
            self.bare.set_grad_checkpointing(False)  # type: ignore[operator]

    def state(self) -> dict[str, Any]:
        """All that is needed to go on; every process has to ask for it."""
        return {
            "model": self.bare.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "ema": None if self.ema is None else self.ema.module.state_dict(),
            "random": distributed.gather(random_state()),
            "progress": {name: getattr(self, name) for name in PROGRESS},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a ``state``; one of another model is a WeightsError."""
        try:
            self.bare.load_state_dict(state["model"])
            restore_optimizer(self.optimizer, state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            if self.ema is not None:
                self.ema.module.load_state_dict(state["ema"])
            for name in PROGRESS:
                setattr(self, name, state["progress"][name])
        except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise WeightsError(f"the checkpoint is of another model or optimiser: {one_line(error)}") from error
        self._remember_statistics()
        mine, processes = distributed.rank(), distributed.world_size()
        if len(state["random"]) == processes:
            restore_random_state(state["random"][mine])
        else:  # restarted with another number of processes, which take other steps
            torch.manual_seed(derived_seed(self.recipe.seed, self.updates, mine))
            # Counted from the epoch's end, so that the schedule ends with the run.
            left = math.ceil(self.loader.batches_from(self.clips_done) / self.recipe.accumulate)
            self.updates = (self.epoch + 1) * self.updates_per_epoch - left
            if self.loader.batches is None and 0 < self.clips_done < self.loader.size:
                _logger.warning(
                    "other processes share out a stream otherwise: to the end of epoch %d some clips come twice and "
                    "others not at all",
                    self.epoch + 1,
                )
        self.scheduler.step_update(self.updates)


def _groups(batches: Iterable[ClipBatch], size: int) -> Iterator[list[ClipBatch]]:
    iterator = iter(batches)
    while group := list(islice(iterator, size)):
        yield group
