"""What a run says while it goes on: a bar on a terminal, lines of a log elsewhere, and TensorBoard."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ..data import ClipSample
from ..msd import MSDModel
from ..visualize import figure5
from ..visualize.fonts import naming_missing_letters
from . import distributed
from .trainer import Step

_logger = logging.getLogger(__name__)


class Progress:
    """Reports on a run of ``epochs`` x ``steps`` updates, of which ``done`` are behind it; a context manager.

    With ``bar`` and a terminal, a bar; otherwise one line of the log every ``log_steps`` updates. With a ``folder`` and
    TensorBoard installed, curves and pictures there. Only the first of several processes says anything.
    """

    def __init__(
        self, *, epochs: int, steps: int, done: int, log_steps: int, bar: bool, folder: Path | None = None
    ) -> None:
        self.epochs, self.steps, self.log_steps = epochs, steps, log_steps
        self.talks = distributed.is_first()
        self.has_bar = bar and self.talks and sys.stderr.isatty()
        self.board: Any = None
        if folder is not None and self.talks:
            with self.writing_curves():
                self.board = _board(folder, done)
        self.done = done
        self.window: list[Step] = []
        self.stack = ExitStack()

    def __enter__(self) -> Progress:
        total = self.epochs * self.steps
        self.bar = tqdm(total=total, initial=self.done, desc="train", unit="step", disable=not self.has_bar)
        self.stack.enter_context(self.bar)
        if self.has_bar:
            self.stack.enter_context(logging_redirect_tqdm())  # a line of the log must not cut the bar in two
        self.started = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stack.close()
        with self.writing_curves():
            if self.board is not None:
                self.board.close()

    def update(self, step: Step) -> None:
        """Tell of an update."""
        if not self.talks:
            return
        self.window.append(step)
        self.bar.update()
        if len(self.window) < self.log_steps and step.number < self.steps:
            return
        seconds = sum(step.seconds for step in self.window)
        rate = sum(step.clips for step in self.window) / seconds
        wait = sum(step.wait for step in self.window) / seconds
        good = [step for step in self.window if step.values]
        seen: dict[str, list[float]] = {}
        for one in good:
            for name, value in one.values.items():
                seen.setdefault(name, []).append(value)
        means = {name: sum(values) / len(values) for name, values in seen.items()}
        if self.has_bar:
            self.bar.set_postfix(epoch=step.epoch + 1, **{n: f"{v:.3f}" for n, v in means.items()}, wait=f"{wait:.0%}")
        else:
            left = (self.epochs * self.steps - step.updates) * seconds / len(self.window)
            _logger.info(
                "epoch %d of %d, step %d of %d: %s, lr %.3g, %.1f clips/s, %.0f %% waiting for clips, %s left",
                step.epoch + 1, self.epochs, step.number, self.steps, numbers(means), step.lr, rate, 100 * wait,
                timedelta(seconds=round(left)),
            )  # fmt: skip
        scalars = {f"train/{name}": value for name, value in means.items()}
        self.scalars(scalars | {"lr": step.lr, "speed/clips_per_second": rate, "speed/wait_share": wait}, step.updates)
        self.window = []

    def validated(self, record: dict[str, float], updates: int) -> None:
        """Tell of the end of an epoch."""
        if not self.talks:
            return
        words = {name: value for name, value in record.items() if name not in ("epoch", "lr", "seconds", "wait_share")}
        took = f"{record['seconds']:.0f} s" if "seconds" in record else "before the first step"
        _logger.info("epoch %d of %d: %s, %s", record["epoch"], self.epochs, numbers(words), took)
        validation = {f"val/{name.removeprefix('val_')}": v for name, v in record.items() if name.startswith("val_")}
        self.scalars(validation, updates)

    def scalars(self, values: dict[str, float], updates: int) -> None:
        """Numbers for TensorBoard."""
        with self.writing_curves():
            if self.board is not None:
                for name, value in values.items():
                    self.board.add_scalar(name, value, updates)

    def pictures(
        self, model: Any, clips: Callable[[], Sequence[ClipSample]], names: Sequence[str], updates: int
    ) -> None:
        """Figure 5 of some clips for TensorBoard, the same ones every time."""
        if self.board is not None and isinstance(model, MSDModel) and (samples := clips()):
            figure = figure5(model, samples, class_names=names)
            with self.writing_curves(), naming_missing_letters():
                self.board.add_figure("masks", figure, updates)

    @contextmanager
    def writing_curves(self) -> Iterator[None]:
        """Where the disk refuses TensorBoard's file, say so once and do without: curves are no reason to end a run."""
        try:
            yield
        except OSError as error:
            self.board = None
            _logger.warning("TensorBoard's curves end here (%s): training goes on", error.strerror or error)


def numbers(values: dict[str, float]) -> str:
    """Names and numbers as one line.

    >>> numbers({"loss": 1.25, "top1": 0.5})
    'loss 1.250, top1 0.500'
    """
    return ", ".join(f"{name} {value:.3f}" for name, value in values.items()) or "no finite loss"


def _board(folder: Path, done: int) -> Any:
    """TensorBoard's writer, or None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        _logger.info('TensorBoard is not installed (pip install "gesture-zoo[tracking]"): no curves while it trains')
        return None
    # What an interrupted run wrote after its last checkpoint comes again.
    return SummaryWriter(str(folder / "tensorboard"), purge_step=done + 1 if done else None)
