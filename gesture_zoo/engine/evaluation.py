"""Evaluation: accuracy from what a model sees of clips, RGB alone as a rule.

Several processes that share the batches (``make_loader`` sees to it) come to exactly the result of one, each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import DataError, ModelError
from .batches import check_labels
from .distributed import gather, gather_batches
from .loader import ClipLoader
from .metrics import ClassAccuracy, confusion_matrix, macro_accuracy, per_class_accuracy, wilson_interval
from .passes import batches, precision
from .readers import naming_dead_readers

VIEWS_AT_ONCE = 16  # of a batch: thirty views of sixteen clips are more than a device may hold


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The answers to N clips, and what follows from them.

    ``ids``, ``labels`` (N,), and ``scores``: probabilities (N, classes) float32, of several views their mean.
    ``skipped``: what was wrong with every clip that was left out because it could not be read.

    >>> result = Evaluation(["a", "b"], torch.tensor([0, 1]), torch.tensor([[0.9, 0.1], [0.6, 0.4]]))
    >>> result.top1, result.count, result.predictions.tolist()
    (0.5, 2, [0, 0])
    """

    ids: list[str]
    labels: Tensor
    scores: Tensor
    skipped: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many clips were answered."""
        return len(self.ids)

    @cached_property
    def ranked(self) -> Tensor:
        """Class indices of the five best answers (fewer with fewer classes), best first, (N, 5)."""
        return self.scores.topk(min(5, self.scores.shape[1])).indices

    @property
    def predictions(self) -> Tensor:
        """Class indices (N,) of the best answers."""
        return self.ranked[:, 0]

    @cached_property
    def top1(self) -> float:
        """Share of clips whose best answer is right, in [0, 1]."""
        return self._share(1)

    @cached_property
    def top5(self) -> float:
        """Share of clips of which one of the five best answers is right, in [0, 1]."""
        return self._share(5)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of ``top1`` (Wilson's)."""
        return wilson_interval(round(self.top1 * self.count), self.count)

    @cached_property
    def confusion(self) -> Tensor:
        """Counts (true, predicted), (classes, classes)."""
        if not self.count:
            return torch.zeros(self.scores.shape[1], self.scores.shape[1], dtype=torch.long)
        return confusion_matrix(self.labels, self.predictions, self.scores.shape[1])

    @property
    def per_class(self) -> list[ClassAccuracy]:
        """Accuracy and number of clips of every class."""
        return per_class_accuracy(self.confusion)

    @property
    def macro(self) -> float:
        """Mean accuracy of the classes that occur, in [0, 1]."""
        return macro_accuracy(self.confusion)

    def _share(self, best: int) -> float:
        if not self.count:
            return 0.0
        hits = self.ranked[:, :best] == self.labels[:, None]
        return int(hits.any(1).sum()) / self.count


class _Row(NamedTuple):
    """What came of one batch. The labels are no tensor: one of a worker process holds a file open."""

    ids: list[str]
    labels: list[int]
    scores: Tensor


@naming_dead_readers()
@torch.inference_mode()
def evaluate(model: nn.Module, loader: ClipLoader, *, amp: str = "none", progress: bool = False) -> Evaluation:
    """Classify every clip of ``loader`` from its RGB frames and count what is right.

    A clip with several views (random clips, crops) gets the mean of their softmax (section IV of arXiv 2110.15639). A
    model with decoders runs without them. ``amp``: "none", or "bf16" or "fp16" for autocast. A clip without a label is
    a DataError; one that cannot be read is too, unless the loader was told to skip it. The model is left in eval mode.

    >>> import gesture_zoo
    >>> from gesture_zoo.engine import make_loader, make_test_dataset
    >>> model = gesture_zoo.create_model("tsm_test_resnet", num_classes=12, num_segments=2)
    >>> data = make_test_dataset("synthetic", None, model, split="val", size=32, num_clips=4)
    >>> result = evaluate(model, make_loader(data, 2, workers=0))
    >>> result.count, result.scores.shape, 0 <= result.top1 <= 1
    (4, torch.Size([4, 12]), True)
    """
    context = precision(model, amp)
    model.eval()
    device = next(model.parameters()).device
    found: dict[int, _Row] = {}
    for batch in batches(loader, "evaluate", progress=progress):
        if batch.labels.min() < 0:
            unknown = batch.ids[int(batch.labels.argmin())]
            raise DataError(f"clip {unknown} has no label, so there is nothing to compare an answer with")
        with context:
            scores = class_scores(model, batch.frames.to(device)).cpu()
        check_labels(batch, scores.shape[1])
        if not scores.isfinite().all():
            strange = int(scores.isfinite().all(1).logical_not().int().argmax())
            raise ModelError(
                f"the model's answer to clip {batch.ids[strange]} is not finite: its weights are damaged, or were "
                "trained with too large a learning rate, or fp16 is too narrow for it"
            )
        found[loader.number] = _Row(batch.ids, batch.labels.tolist(), scores)
    rows = gather_batches(found)
    # Which process met a clip is of no interest, so the order is another.
    skipped = sorted({message for part in gather(list(loader.bad)) for message in part})
    return Evaluation(
        [name for row in rows for name in row.ids],
        torch.tensor([label for row in rows for label in row.labels], dtype=torch.long),
        torch.cat([row.scores for row in rows]) if rows else torch.zeros(0, 0),
        tuple(skipped),
    )


def class_scores(model: nn.Module, frames: Tensor) -> Tensor:
    """Probabilities (N, classes) of clips (N, T, C, H, W), or of (N, V, T, C, H, W) as the mean over the views V."""
    if frames.ndim == 5:
        return model(frames).float().softmax(1)
    parts = frames.split(max(1, VIEWS_AT_ONCE // len(frames)), dim=1)
    scores = [model(part.flatten(0, 1)).float().softmax(1).unflatten(0, part.shape[:2]) for part in parts]
    return torch.cat(scores, 1).mean(1)
