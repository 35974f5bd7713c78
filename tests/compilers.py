"""Which tests need a PyTorch that tells a compiler from an exporter."""

from __future__ import annotations

import pytest
import torch

from gesture_zoo.layers.operators import is_compiled


def _tells_them_apart() -> bool:
    answer = torch.compile(lambda x: x + int(is_compiled()), backend="eager")(torch.zeros(()))
    torch.compiler.reset()
    return bool(answer)


for_compilers = pytest.mark.skipif(not _tells_them_apart(), reason="compilers before PyTorch 2.10 get plain operations")
