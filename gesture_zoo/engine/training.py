"""Training: a model, clips with depth, and the loss of the paper; what comes out is a folder to load.

A run may be stopped at any moment and goes on from its last checkpoint, to the same weights.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset, IterableDataset

from ..data.sampling import derived_seed
from ..errors import DataError
from ..files import remove_leftovers, write_files
from ..saving import model_config, save_pretrained
from ..visualize import save_curves
from . import distributed
from .depth_error import DepthError
from .interrupt import Terminated, stop_wish
from .loader import make_loader
from .progress import Progress
from .readers import naming_dead_readers
from .recipes import Recipe
from .run import (
    BEST_NAME,
    CURVES_NAME,
    FREE_FIELDS,
    HISTORY_NAME,
    RECIPE_NAME,
    check_free,
    going_on,
    naming,
    read_run,
    sole_run,
    write_checkpoint,
    write_history,
)
from .subject import subject_of
from .trainer import Step, Trainer
from .validation import Validation

_logger = logging.getLogger(__name__)


@dataclass
class TrainResult:
    """What training did: a dictionary per epoch, depth errors before and after, the best epoch, and seconds.

    ``bad_clips``: what was wrong with every clip that could not be read and was replaced by another.
    ``skipped_steps``: steps whose loss was not finite. ``interrupted``: SIGTERM came; ``saved``: the checkpoint is that
    of this moment, and not an older one.

    >>> result = TrainResult(history=[{"epoch": 1, "loss": 2.1, "val_top1": 0.4}], best_epoch=1)
    >>> result.history[result.best_epoch - 1]["val_top1"], result.interrupted
    (0.4, False)
    """

    history: list[dict[str, float]] = field(default_factory=list)
    depth_before: dict[str, DepthError] = field(default_factory=dict)
    depth_after: dict[str, DepthError] = field(default_factory=dict)
    best_epoch: int | None = None
    bad_clips: list[str] = field(default_factory=list)
    skipped_steps: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    saved: bool = False


def train(
    model: nn.Module,
    train_data: Dataset[Any],
    val_data: Dataset[Any] | None = None,
    *,
    recipe: Recipe | None = None,
    out: str | Path | None = None,
    resume: str = "never",
    chosen_on: str = "the validation clips",
    progress: bool = False,
) -> TrainResult:
    """Train ``model`` on ``train_data``, in place, and write the run to the folder ``out``.

    Both datasets yield ``ClipSample``, transformed. With decoders and depth the loss is ``MSDLoss``, else
    cross-entropy. The model is evaluated on ``val_data`` without decoders, and the best of it is kept beside the last;
    ``chosen_on`` says what these clips are. A training clip that cannot be read is replaced by another and counted; a
    validation clip that cannot is a DataError. Under torchrun (inside ``distributed.process_group``) all processes
    train together. ``resume="auto"`` goes on with the run in ``out`` if there is one; with "never" that is a
    WeightsError, and so is another process that is training into ``out``. After SIGTERM the state is saved and the
    result says ``interrupted``.

    >>> import gesture_zoo
    >>> from gesture_zoo.data import create_dataset
    >>> from gesture_zoo.engine import Recipe, for_training, train
    >>> model = gesture_zoo.create_model("tsm_test_resnet_msd", num_classes=12, num_segments=4)
    >>> model.pretrained_cfg["input_size"] = (3, 32, 32)
    >>> clips = create_dataset("synthetic", num_segments=4, size=32, num_clips=4)
    >>> clips = for_training(clips, gesture_zoo.resolve_data_config(model=model))
    >>> result = train(model, clips, recipe=Recipe(epochs=1, batch_size=2, workers=0))
    >>> len(result.history)
    1
    """
    recipe = recipe or Recipe()
    folder = None if out is None else Path(out)
    # The order of a stream is shared out among the workers.
    free = [name for name in FREE_FIELDS if name != "workers" or not isinstance(train_data, IterableDataset)]
    if folder is not None:
        check_free(folder, resume)
        model_config(model)  # a model that cannot be saved by name says so now, not after the last epoch
    with sole_run(folder):
        clips = len(train_data)  # type: ignore[arg-type]
        subject = subject_of(model, train_data)
        saved = read_run(folder, resume, recipe, clips, subject=subject, free=free)
        torch.manual_seed(derived_seed(recipe.seed, distributed.rank()))
        loader = make_loader(train_data, recipe.batch_size, workers=recipe.workers, training=True, seed=recipe.seed)
        trainer = Trainer(model, loader, recipe)
        validation = None if val_data is None else Validation(val_data, recipe, progress=progress)
        run = _Run(trainer, validation, recipe, folder, chosen_on, clips, subject)
        if saved is not None:
            run.restore(saved)
        if folder is not None and distributed.is_first():
            remove_leftovers(folder)
            remove_leftovers(folder / BEST_NAME)
            with naming(folder / RECIPE_NAME):
                write_files(folder, {RECIPE_NAME: recipe.to_yaml()})
        reports = Progress(
            epochs=recipe.epochs,
            steps=trainer.updates_per_epoch,
            done=trainer.updates,
            log_steps=recipe.log_steps,
            bar=progress,
            folder=folder,
        )
        try:
            with naming_dead_readers(), reports:
                run.go(reports)
        finally:
            trainer.release()
    return run.result


class _Run:
    """A run from wherever it is to its end."""

    def __init__(
        self,
        trainer: Trainer,
        validation: Validation | None,
        recipe: Recipe,
        folder: Path | None,
        chosen_on: str,
        clips: int,
        subject: dict[str, str],
    ) -> None:
        self.trainer, self.validation, self.recipe, self.folder = trainer, validation, recipe, folder
        self.chosen_on, self.clips, self.subject = chosen_on, clips, subject
        self.result = TrainResult()
        self.started = time.monotonic()
        self.seconds_before = 0.0

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on where a checkpoint was written."""
        self.trainer.restore(saved["trainer"])
        result = saved["result"]
        depths = {key: {n: DepthError(**e) for n, e in result[key].items()} for key in ("depth_before", "depth_after")}
        self.result = TrainResult(**{**result, **depths, "interrupted": False, "saved": False})
        self.seconds_before = self.result.seconds
        self.trainer.loader.bad.update(dict.fromkeys(self.result.bad_clips))
        _logger.info("going on after %d steps, in epoch %d", self.trainer.updates, self.trainer.epoch + 1)

    def save(self) -> None:
        """Write the checkpoint."""
        self.note()
        if self.folder is not None:
            state = {
                "trainer": self.trainer.state(),
                "recipe": asdict(self.recipe),
                "clips": self.clips,
                "subject": self.subject,
            }
            self.result.saved = write_checkpoint(self.folder, state | {"result": asdict(self.result)})

    def note(self) -> None:
        """Bring the result up to date."""
        bad = [message for part in distributed.gather(list(self.trainer.loader.bad)) for message in part]
        self.result.bad_clips = list(dict.fromkeys(bad))
        self.result.skipped_steps = self.trainer.skipped
        self.result.seconds = self.seconds_before + time.monotonic() - self.started

    def go(self, reports: Progress) -> None:
        """Train to the last epoch, or until SIGTERM."""
        with stop_wish() as wish:

            def on_update(step: Step) -> bool:
                reports.update(step)
                if wish.agreed():
                    return False
                if step.updates % self.recipe.checkpoint_steps == 0:
                    self.save()
                return True

            in_steps = False
            try:
                begins = self.trainer.epoch == self.trainer.clips_done == 0
                if begins and self.validation is not None and self.recipe.early_validation:
                    self.save()  # so that there is something to go on from, whenever the end comes
                    with wish.raising():
                        self.validate_first(reports)
                while self.trainer.epoch < self.recipe.epochs:
                    in_steps = True
                    record = self.trainer.run_epoch(on_update)
                    self.save()  # what comes now can be done again
                    in_steps = False
                    if record is None:
                        raise Terminated
                    with wish.raising():
                        self.finish_epoch(record, reports)
                    # The others are on their way into the next epoch, where all agree to stop.
                    self.write_epoch()
                if wish.agreed():
                    raise Terminated
                with wish.raising():
                    self.finish()
            except Terminated:
                self.result.interrupted = True
            except (RuntimeError, DataError) as error:
                # The state may be in the middle of a step: the last checkpoint stays what it is.
                if not wish.explains(error):
                    raise
                self.result.interrupted, self.result.saved = True, self.result.saved and not in_steps

    def validate_first(self, reports: Progress) -> None:
        """Validate before the first step: a fault in the validation clips shows now, and curves have a start."""
        assert self.validation is not None
        model = self.kept()
        self.result.depth_before = self.validation.depth(model)
        record: dict[str, float] = {"epoch": 0, **self.validation.accuracy(model)}
        reports.validated(record, 0)

    def kept(self) -> nn.Module:
        """The model to validate and save, with the first process's running statistics."""
        model = self.trainer.kept
        distributed.broadcast_buffers(model)
        return model

    def finish_epoch(self, record: dict[str, float], reports: Progress) -> None:
        """Validate, keep the model if it is the best so far, and begin another epoch."""
        epoch, last = self.trainer.epoch + 1, self.recipe.epochs
        if self.validation is not None and (epoch % self.recipe.val_every == 0 or epoch == last):
            model = self.kept()
            record |= self.validation.accuracy(model)
            best = [r["val_top1"] for r in self.result.history if r["epoch"] == self.result.best_epoch]
            if not best or record["val_top1"] > best[0]:
                what, kept = f"the best by top-1 on {self.chosen_on}, epoch {epoch} of {last}", False
                with going_on((self.folder or Path()) / BEST_NAME):
                    self.save_model(model, BEST_NAME, record, what)
                    kept = True
                if all(distributed.gather(kept)):
                    self.result.best_epoch = epoch
            reports.pictures(model, self.validation.panels, self.validation.class_names, self.trainer.updates)
        self.result.history.append(record)
        reports.validated(record, self.trainer.updates)
        self.trainer.next_epoch()
        self.note()

    def write_epoch(self) -> None:
        """Write the history and its curves."""
        if self.folder is not None and distributed.is_first():
            with going_on(self.folder / HISTORY_NAME):
                write_history(self.folder, self.recipe, asdict(self.result))
                save_curves(self.result.history, self.folder / CURVES_NAME)

    def finish(self) -> None:
        """Measure depth, and write the last model."""
        model = self.kept()
        if self.validation is not None:
            self.result.depth_after = self.validation.depth(model)
        self.note()
        last = self.result.history[-1]
        self.save_model(model, "", last, f"last, epoch {self.recipe.epochs} of {self.recipe.epochs}")
        if self.folder is not None and distributed.is_first():
            with naming(self.folder / HISTORY_NAME):
                write_history(self.folder, self.recipe, asdict(self.result))
        if self.trainer.ema is not None:
            self.trainer.bare.load_state_dict(model.state_dict())  # what the caller holds is what was saved

    def save_model(self, model: nn.Module, name: str, record: dict[str, float], what: str) -> None:
        """Write a model to the run's folder, or one inside."""
        if self.folder is None or not distributed.is_first():
            return
        metrics = {"top-1 (validation)": round(record["val_top1"], 4)} if "val_top1" in record else None
        save_pretrained(model, self.folder / name, metrics=metrics, checkpoint=what)
