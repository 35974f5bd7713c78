"""Averages the weights of models that learned on from the same beginning.

    python benchmarks/rendered_mean.py CHECKPOINT CHECKPOINT --out FOLDER

Models that were trained on from one start lie close enough together for their mean to be a model too, often a better
one than either, at no cost when it is used (Wortsman et al., "Model soups", arXiv 2203.05482, and "Robust fine-tuning
of zero-shot models", arXiv 2109.01903). All checkpoints count the same; what the first says of itself (labels,
preprocessing, T, frame rate) is kept. A calibration is part of the weights: take checkpoints from before it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import gesture_zoo
from gesture_zoo.errors import WeightsError


def mean_of(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of every tensor; whole numbers, which only count batches, are those of the first.

    >>> mean_of([{"w": torch.tensor([1.0])}, {"w": torch.tensor([2.0])}])
    {'w': tensor([1.5000])}
    """
    first = states[0]
    for other in states[1:]:
        if differing := [key for key in first.keys() | other.keys() if _shape(first, key) != _shape(other, key)]:
            key = min(differing)
            raise WeightsError(
                f"{key} is {_shape(first, key)} in the first checkpoint and {_shape(other, key)} in another: only "
                f"models of one architecture have a mean"
            )
    return {
        key: torch.stack([state[key] for state in states]).mean(0) if value.is_floating_point() else value
        for key, value in first.items()
    }


def _shape(state: dict[str, Tensor], key: str) -> tuple[int, ...] | str:
    return tuple(state[key].shape) if key in state else "missing"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="CHECKPOINT")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    args = parser.parse_args(arguments)
    models: list[Any] = [
        gesture_zoo.create_model(f"local-dir:{folder}", pretrained=True).eval() for folder in args.checkpoints
    ]
    models[0].load_state_dict(mean_of([model.state_dict() for model in models]))
    gesture_zoo.save_pretrained(models[0], args.out)


if __name__ == "__main__":
    main()
