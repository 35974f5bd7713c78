"""How nearly our networks answer as the official ones, and how nearly float32 lets anyone know.

    python benchmarks/agreement.py > benchmarks/results/agreement.md

Weights, clips and official answers are those of tests/test_golden.py. All numbers are relative to the largest logit.
"""

import sys
from pathlib import Path

import torch
from common import origin

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from test_golden import GOLDEN, build, golden_clip, rounding_response


@torch.inference_mode()
def row(name: str) -> str:
    model, clip, official = build(name), golden_clip(GOLDEN[name]), torch.tensor(GOLDEN[name]["logits"])
    largest = official.abs().max()
    single, response = model(clip), rounding_response(model, clip)
    double = model.double()(clip.double())
    values = ((single - official).abs().max(), (double - official).abs().max(), torch.tensor(response))
    return f"| {name} | " + " | ".join(f"{(value / largest).item():.1e}" for value in values) + " |"


def main() -> None:
    print(origin())
    print(
        "| model | ours, float32 | ours, float64 | moved by one rounding step (2^-24) of the clip |\n|---|---|---|---|"
    )
    for name in sorted(GOLDEN):
        print(row(name))


if __name__ == "__main__":
    main()
