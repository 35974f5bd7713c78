"""What the GPU at hand can do at best, and how many operations a model asks of it. A part of speed.py."""

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import NamedTuple

import torch
from speed_models import CLASSES, FRAMES, SIDE, plain_cnn
from timing import in_turn_on_gpu

import gesture_zoo
from gesture_zoo.complexity import complexity

# What a row's "type" means: the type of the tensors. TF32 is float32 whose products are rounded to fewer bits.
KINDS = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16}
COPY_BYTES, SIDE_OF_MATRICES = 2**30, 8192


class Card(NamedTuple):
    """Bytes a second that a copy reads and writes, together; operations a second of a matrix product, by type."""

    bandwidth: float
    rates: dict[str, float]

    def __str__(self) -> str:
        rates = ", ".join(f"{rate / 1e12:.1f} TFLOP/s in {kind}" for kind, rate in self.rates.items())
        return (
            f"A copy of {COPY_BYTES >> 20} MiB moves {self.bandwidth / 1e9:.0f} GB/s (read and written together). A "
            f"matrix product of side {SIDE_OF_MATRICES} runs at {rates}."
        )


def set_tf32(on: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = on
    torch.backends.cudnn.allow_tf32 = on


@contextmanager
def precision(kind: str) -> Iterator[torch.dtype]:
    """The type of the tensors of a row, with TF32 as that row wants it."""
    set_tf32(kind == "tf32")
    try:
        yield KINDS[kind]
    finally:
        set_tf32(False)


def card(device: str = "cuda") -> Card:
    """Measure it."""
    source = torch.rand(COPY_BYTES // 4, device=device)
    target = torch.empty_like(source)
    copying = in_turn_on_gpu({"copy": partial(target.copy_, source)}, 9)["copy"]
    rates = {}
    for kind in KINDS:
        with precision(kind) as dtype:
            # Not zeros: a GPU that has less to switch runs faster.
            a, b = (torch.randn(SIDE_OF_MATRICES, SIDE_OF_MATRICES, device=device).to(dtype) for _ in range(2))
            product = torch.empty_like(a)
            times = in_turn_on_gpu({"product": lambda a=a, b=b, product=product: torch.mm(a, b, out=product)}, 5)
            rates[kind] = 2 * SIDE_OF_MATRICES**3 / (statistics.median(times["product"]) / 1000)
    return Card(2 * COPY_BYTES / (statistics.median(copying) / 1000), rates)


@cache
def multiply_adds(name: str) -> int:
    """Of one clip in eval mode; "plain NAME" is the CNN under a model."""
    plain = name.removeprefix("plain ")
    with torch.device("meta"):
        model = gesture_zoo.create_model(name, num_classes=CLASSES) if plain == name else plain_cnn(plain)
    return complexity(model, (1, FRAMES, 3, SIDE, SIDE)).multiply_adds
