"""Parameters and multiply-adds of the zoo's models at the paper's setting: 83 classes, 8 frames, 224 x 224.

    python benchmarks/complexity.py > benchmarks/results/complexity.md

Counted by torch's formulas (convolutions and matrix products) on the meta device: no timing, no weights.
A model whose weights are for frames of another side is counted at that side too.
"""

from typing import Any

import torch
from common import commit
from torch import nn

import gesture_zoo
from gesture_zoo.cards.catalogue import zoo_models
from gesture_zoo.cards.facts import PAPER_ROWS
from gesture_zoo.complexity import complexity
from gesture_zoo.layers import TEMPORAL, TemporalModule

CLASSES, FRAMES, SIDE = 83, 8, 224
COLUMNS = (
    "model",
    "temporal modules",
    "M parameters",
    "paper",
    "G multiply-adds",
    "paper (GFLOPs)",
    "MSD: M parameters",
    "MSD: G",
    "its own side",
    "G at its own side",
)


def temporal_modules(module: nn.Module) -> int:
    """How many temporal modules there are; one inside another is a part of it."""
    kinds = (TemporalModule, *(kind for kind in TEMPORAL.values() if isinstance(kind, type)))
    return sum(1 if isinstance(child, kinds) else temporal_modules(child) for child in module.children())


def row(name: str) -> tuple[Any, ...]:
    with torch.device("meta"):
        plain = gesture_zoo.create_model(name, num_classes=CLASSES, num_segments=FRAMES)
        clip = (1, FRAMES, 3, SIDE, SIDE)
        cost, modules, side = complexity(plain, clip), temporal_modules(plain), plain.pretrained_cfg["input_size"][-1]
        own = cost if side == SIDE else complexity(plain, (1, FRAMES, 3, side, side))
        twin = gesture_zoo.is_model(f"{name}_msd")
        taught = cost
        if twin:
            model = gesture_zoo.create_model(f"{name}_msd", num_classes=CLASSES, num_segments=FRAMES)
            taught = complexity(model, clip, training=True)
    paper = PAPER_ROWS.get(name)
    return (
        name,
        modules,
        f"{cost.params / 1e6:.3f}",
        (paper.million_parameters or "") if paper else "",
        f"{cost.multiply_adds / 1e9:.2f}",
        (paper.gflops or "") if paper else "",
        f"+{(taught.params - cost.params) / 1e6:.3f}" if twin else "",
        f"+{(taught.multiply_adds - cost.multiply_adds) / 1e9:.2f}" if twin else "",
        side,
        f"{own.multiply_adds / 1e9:.2f}",
    )


def main() -> None:
    print(f"Command: `python benchmarks/complexity.py`, commit {commit()}.", end=" ")
    print("Counted, not timed: any hardware gives the same.")
    print(f"\n{CLASSES} classes, one clip of {FRAMES} frames at {SIDE} x {SIDE}. M = million, G = 10^9 multiply-adds.")
    print("Its own side is that of the frames its default weights are for.\n")
    print(f"| {' | '.join(COLUMNS)} |")
    print("|" + "---|" * len(COLUMNS))
    for name in zoo_models():
        if not name.endswith("_msd"):
            print(f"| {' | '.join(map(str, row(name)))} |")


if __name__ == "__main__":
    main()
