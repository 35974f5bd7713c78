"""The folder of a run: what is in it, whether it may be used, and what is written to it.

checkpoint.safetensors to go on from; history.json and recipe.yaml; model.safetensors, config.json and README.md, the
last model, which ``create_model("local-dir:...")`` loads; best/, the one chosen by validation; tensorboard/.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from ..errors import WeightsError
from ..files import write_files
from ..locks import LOCK_NAME, sole_writer
from ..model_folder import CHECKPOINT_NAME, CONFIG_NAME
from . import distributed
from .checkpoint import load_checkpoint, save_checkpoint
from .recipes import RESUME, Recipe

_logger = logging.getLogger(__name__)

HISTORY_NAME, CURVES_NAME, RECIPE_NAME, BEST_NAME = "history.json", "curves.png", "recipe.yaml", "best"
# Fields that may differ when a run goes on: nothing that is learnt depends on them.
FREE_FIELDS = ("workers", "log_steps", "checkpoint_steps")


def check_free(out: str | Path, resume: str = "never") -> None:
    """Raise WeightsError if ``out`` cannot be the folder of a run; nothing is made yet."""
    path = Path(out)
    if resume not in RESUME:
        raise WeightsError(f"resume is one of {', '.join(RESUME)}, not {resume!r}")
    nearest = next((place for place in (path, *path.parents) if os.path.exists(place)), Path())
    if not os.path.isdir(nearest):
        raise WeightsError(f"{path} cannot be a folder for a model: {nearest} is a file")
    if os.path.exists(path / CHECKPOINT_NAME):
        if resume != "auto":
            raise WeightsError(
                f"{path} already holds a run: go on with it (--resume auto), choose another folder or remove it"
            )
    elif resume == "never" and distributed.may_restart():
        raise WeightsError("torchrun may restart this run (--max-restarts), which then has to go on: add --resume auto")
    elif os.path.exists(path / CONFIG_NAME):
        raise WeightsError(f"{path} already holds a model; choose another folder or remove it")


def check_unused(out: str | Path) -> None:
    """Raise WeightsError if another process trains into ``out``; it cannot know of one that starts later."""
    if distributed.is_first() and (Path(out) / LOCK_NAME).exists():
        with sole_writer(out, WeightsError):
            return


@contextmanager
def sole_run(out: Path | None) -> Iterator[None]:
    """Keep another run away from ``out``; where one is there, that is a WeightsError, in each process of this one."""
    refusal = ""
    with ExitStack() as stack:
        if out is not None and distributed.is_first():
            try:
                stack.enter_context(sole_writer(out, WeightsError))
            except WeightsError as error:
                refusal = str(error)
        if refusal := distributed.gather(refusal)[0]:
            raise WeightsError(refusal)
        yield


def read_run(
    out: Path | None,
    resume: str,
    recipe: Recipe,
    clips: int,
    *,
    subject: dict[str, str],
    free: Sequence[str] = FREE_FIELDS,
) -> dict[str, Any] | None:
    """The checkpoint to go on from, or None for a new run.

    A checkpoint of another recipe (but for its ``free`` fields), model or data is a WeightsError that says what
    differs; ``subject`` is what this run is of.
    """
    if out is None:
        return None
    check_free(out, resume)
    path = out / CHECKPOINT_NAME
    if not path.exists():
        return None
    saved = load_checkpoint(path)
    ours = asdict(recipe)
    theirs = saved.get("recipe")
    if not isinstance(theirs, dict) or not {"trainer", "result", "clips"} <= set(saved):
        raise WeightsError(f"{path} is not the checkpoint of a run: choose another folder, or remove it")
    for name in ours:
        if name not in free and theirs.get(name) != ours[name]:
            raise WeightsError(
                f"{out} was started with {name} {theirs.get(name)!r}, not {ours[name]!r}: go on with the same recipe "
                f"(--recipe {out / RECIPE_NAME}), or choose another folder"
            )
    if saved["clips"] != clips:
        raise WeightsError(f"{out} was started on {saved['clips']} training clips, now there are {clips}")
    theirs = saved.get("subject", {})  # of an older checkpoint: not known
    for what, value in subject.items():
        if theirs.get(what, value) != value:
            raise WeightsError(
                f"{out} was started with other values of {what}: {theirs[what]:.200}, now {value:.200}; go on with the "
                "same, or choose another folder"
            )
    return saved


@contextmanager
def going_on(what: Path) -> Iterator[None]:
    """Where the disk refuses to take a file, say so and go on: what was there stays, and there will be another try."""
    try:
        yield
    except (OSError, WeightsError) as error:
        if not isinstance(error, OSError) and not isinstance(error.__cause__, (OSError, SafetensorError)):
            raise
        _logger.warning("cannot write %s (%s): what was there stays, and training goes on", what, error)


@contextmanager
def naming(what: Path) -> Iterator[None]:
    """Where the disk refuses to take a file that a run cannot do without, raise a WeightsError that names it."""
    try:
        yield
    except OSError as error:
        raise WeightsError(f"cannot write {what} ({error.strerror or error}): check space and rights") from error


def write_checkpoint(out: Path, state: dict[str, Any]) -> bool:
    """Write the checkpoint from the first process, and say whether it is there; the last good one stays if not."""
    written = True
    if distributed.is_first():
        written = False
        with going_on(out / CHECKPOINT_NAME):
            save_checkpoint(out / CHECKPOINT_NAME, state)
            written = True
    return distributed.gather(written)[0]


def write_history(out: Path, recipe: Recipe, result: dict[str, Any]) -> None:
    """Write history.json."""
    write_files(out, {HISTORY_NAME: json.dumps({"recipe": asdict(recipe), **result}, indent=2) + "\n"})
