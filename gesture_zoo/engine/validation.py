"""What is measured on the validation clips while a model learns."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..msd import MSDModel
from .clips import spread_clips
from .depth_error import DepthError, evaluate_depth
from .evaluation import evaluate
from .loader import ClipLoader, make_loader
from .recipes import Recipe

_PANELS = 4  # clips of Figure 5 in TensorBoard


class Validation:
    """The clips a checkpoint is chosen by, and what is measured on them."""

    def __init__(self, data: Any, recipe: Recipe, *, progress: bool) -> None:
        self.data = data
        self.recipe = recipe
        self.progress = progress
        self.loader: ClipLoader = make_loader(data, recipe.batch_size, workers=recipe.workers)
        whole = data if hasattr(data, "class_names") else getattr(data, "dataset", data)  # of which data may be a part
        self.class_names = list(getattr(whole, "class_names", ()))

    def accuracy(self, model: nn.Module) -> dict[str, float]:
        """Top-1 and, where there are more than five classes, top-5, without decoders."""
        found = evaluate(model, self.loader, amp=self.recipe.amp, progress=self.progress)
        top1 = {"val_top1": found.top1}
        return {**top1, "val_top5": found.top5} if found.scores.shape[1] > 5 else top1

    def depth(self, model: nn.Module) -> dict[str, DepthError]:
        """Errors of the masks, if there are decoders and depth."""
        return evaluate_depth(model, self.loader, progress=self.progress) if isinstance(model, MSDModel) else {}

    def panels(self) -> list[Any]:
        """Some of the clips, for pictures; always the same."""
        return spread_clips(self.data, _PANELS)
