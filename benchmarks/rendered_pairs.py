"""How often a clip model is right on rendered clips of other seeds, and which of two opposite gestures it tells.

    python benchmarks/rendered_pairs.py NAME_OR_CHECKPOINT ...

The clips are those of rendered_pool.py, as a model learns from every second of their frames.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import torch
from common import origin
from rendered_learner import AT_ONCE, normalised, thinned
from rendered_pool import Batch, render
from torch import Tensor

import gesture_zoo
from gesture_zoo.render import CLASSES

FIRST_SEED = 5_000_000  # far from those of the pools
PAIRS = tuple((CLASSES[first], CLASSES[first + 1]) for first in range(0, 8, 2))


def rendered(shards: int, size: int) -> Batch:
    """So many times 64 clips of that size; the people and what they do are the same at every size."""
    options = {"streams": False, "count": 64, "frames": 16, "size": size, "frame_rate": 8.0}
    parts = [render(FIRST_SEED + seed, **options) for seed in range(shards)]  # type: ignore[arg-type]
    return thinned(Batch(*(torch.cat(fields) for fields in zip(*parts, strict=True))), 2, 1)


@torch.no_grad()
def logits_of(model: Any, clips: Batch) -> Tensor:
    """The model's logits (N, K)."""
    return torch.cat([model(normalised(part.float() / 255)) for part in clips.frames.split(AT_ONCE)])


def row(name: str, logits: Tensor, labels: Tensor) -> str:
    """A row of the table: the share of all that is right, and of the clips of either of a pair those told rightly."""
    cells = [f"{100 * (logits.argmax(1) == labels).float().mean():.1f}"]
    for pair in PAIRS:
        first, second = map(CLASSES.index, pair)
        either = (labels == first) | (labels == second)
        right = (logits[:, second] > logits[:, first]) == (labels == second)
        cells.append(f"{100 * right[either].float().mean():.0f} of {int(either.sum())}")
    return f"| {name} | {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument("--shards", type=int, default=10, help="of 64 clips (default: %(default)s)")
    args = parser.parse_args(arguments)
    print(f"{origin()}\n\n{64 * args.shards} rendered clips, each model sees them at its size; in %.\n")
    print(f"| model | of {len(CLASSES)} classes | {' | '.join(' / '.join(pair) for pair in PAIRS)} |")
    print(f"|---|---|{'---|' * len(PAIRS)}")
    clips: dict[int, Batch] = {}  # by size
    for name in args.names:
        model = gesture_zoo.create_model(name, pretrained=True).eval()
        size = model.pretrained_cfg["input_size"][-1]
        if size not in clips:
            clips[size] = rendered(args.shards, size)
        print(row(name, logits_of(model, clips[size]), clips[size].labels), flush=True)


if __name__ == "__main__":
    main()
