"""The folder of a run: what is in it, whether it may be used, and what is written to it.

checkpoint.safetensors to go on from; history.json and recipe.yaml; model.safetensors, config.json and README.md, the
last model, which ``create_model("local-dir:...")`` loads; best/, the one chosen by validation; tensorboard/.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import WeightsError
from ..files import write_files
from ..hub import CONFIG_NAME
from . import distributed
from .checkpoint import CHECKPOINT_NAME, load_checkpoint, save_checkpoint
from .recipes import Recipe

_logger = logging.getLogger(__name__)

RESUME = ("never", "auto")
HISTORY_NAME, RECIPE_NAME, BEST_NAME = "history.json", "recipe.yaml", "best"
# Fields that may differ when a run goes on: nothing that is learnt depends on them.
FREE_FIELDS = ("workers", "log_steps", "checkpoint_steps")


def check_free(out: str | Path, resume: str = "never") -> None:
    """Raise WeightsError if ``out`` cannot be the folder of a run; nothing is made yet."""
    path = Path(out)
    if resume not in RESUME:
        raise WeightsError(f"resume is one of {', '.join(RESUME)}, not {resume!r}")
    nearest = next(place for place in (path, *path.parents) if place.exists())
    if not nearest.is_dir():
        raise WeightsError(f"{path} cannot be a folder for a model: {nearest} is a file")
    if (path / CHECKPOINT_NAME).exists():
        if not _goes_on(resume):
            raise WeightsError(
                f"{path} already holds a run: go on with it (--resume auto), choose another folder or remove it"
            )
    elif (path / CONFIG_NAME).exists():
        raise WeightsError(f"{path} already holds a model; choose another folder or remove it")


def _goes_on(resume: str) -> bool:
    return resume == "auto" or distributed.restarts() > 0


def read_run(out: Path | None, resume: str, recipe: Recipe, clips: int) -> dict[str, Any] | None:
    """The checkpoint to go on from, or None for a new run.

    A checkpoint of another recipe or of other data is a WeightsError that says what differs.
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
        raise WeightsError(f"{path} is not the checkpoint of a run")
    for name in ours:
        if name not in FREE_FIELDS and theirs.get(name) != ours[name]:
            raise WeightsError(
                f"{out} was started with {name} {theirs.get(name)!r}, not {ours[name]!r}: go on with the same recipe "
                f"(--recipe {out / RECIPE_NAME}), or choose another folder"
            )
    if saved["clips"] != clips:
        raise WeightsError(f"{out} was started on {saved['clips']} training clips, now there are {clips}")
    return saved


def write_checkpoint(out: Path | None, state: dict[str, Any]) -> None:
    """Write the checkpoint from the first process; where the disk refuses, say so and keep the last good one."""
    if out is None or not distributed.is_first():
        return
    try:
        save_checkpoint(out / CHECKPOINT_NAME, state)
    except OSError as error:
        _logger.warning(
            "cannot write the checkpoint %s (%s): the last good one stays, and training goes on to the next attempt",
            out / CHECKPOINT_NAME,
            error.strerror or error,
        )


def write_history(out: Path, recipe: Recipe, result: dict[str, Any]) -> None:
    """Write history.json."""
    write_files(out, {HISTORY_NAME: json.dumps({"recipe": asdict(recipe), **result}, indent=2) + "\n"})
