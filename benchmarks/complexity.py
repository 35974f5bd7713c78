"""Parameters and multiply-adds of the zoo's models at the paper's setting: 83 classes, 8 frames, 224 x 224.

    python benchmarks/complexity.py > benchmarks/results/complexity.md

Counted by torch's FlopCounterMode (convolutions and matrix products) on the meta device: no timing, no weights.
"""

from common import commit

import gesture_zoo
from gesture_zoo.complexity import complexity

CLIP = (1, 8, 3, 224, 224)
# Tables I to III of arXiv 2110.15639: GFLOPs, million parameters.
PAPER = {
    "tsm_resnet50": (28.2, 23.7),
    "tea_res2net50_26w_4s": (31.1, 24.3),
    "action_resnet50": (29.8, 27.9),
}


def row(name: str) -> str:
    plain = gesture_zoo.create_model(name, num_classes=83)
    cost = complexity(plain, CLIP)
    taught = complexity(gesture_zoo.with_msd(plain), CLIP, training=True)
    gflops, params = PAPER.get(name, ("", ""))
    return (
        f"| {name} | {cost.params / 1e6:.3f} | {params} | {cost.multiply_adds / 1e9:.2f} | {gflops} "
        f"| +{(taught.params - cost.params) / 1e6:.3f} | +{(taught.multiply_adds - cost.multiply_adds) / 1e9:.2f} |"
    )


def main() -> None:
    print(f"Command: `python benchmarks/complexity.py`, commit {commit()}.", end=" ")
    print("Counted, not timed: any hardware gives the same.")
    print("\n83 classes, one clip of 8 frames at 224 x 224. M = million, G = 10^9 multiply-adds.\n")
    print("| model | M parameters | paper | G multiply-adds | paper (GFLOPs) | MSD: M parameters | MSD: G |")
    print("|---|---|---|---|---|---|---|")
    for name in gesture_zoo.list_models(exclude_filters="*_msd"):
        print(row(name))


if __name__ == "__main__":
    main()
