"""Opening the exported files that PyTorch itself runs: torch.export's and ExecuTorch's."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import ModelError
from .files import info_of, missing, unreadable
from .info import METADATA_KEY, ModelInfo
from .pt2_check import load_program
from .runner import GraphRunner


class Pt2Runner(GraphRunner):
    """A torch.export file (.pt2) that ``export_model`` wrote; one that could run other code is refused."""

    def __init__(self, path: str | Path) -> None:
        if not zipfile.is_zipfile(path):
            raise unreadable(path, ValueError("it is no .pt2 archive"))
        try:
            program, text = load_program(path)
            self.module = program.module()
        except (RuntimeError, ValueError, KeyError, OSError) as error:
            raise unreadable(path, error) from error
        super().__init__(info_of(text or None, path))

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            answer = self.module(*arguments(self.info, inputs))
        return named_outputs(self.info, answer)


class ExecuTorchRunner(GraphRunner):
    """An ExecuTorch file (.pte), run by ExecuTorch's own Python binding; one clip or stream at a time."""

    def __init__(self, path: str | Path) -> None:
        try:
            from executorch.runtime import Runtime
        except ImportError as error:
            raise missing("executorch", "executorch") from error
        try:
            self.program = Runtime.get().load_program(str(path))
            self.forward = self.program.load_method("forward")
            described = METADATA_KEY in self.program.method_names
            text = self.program.load_method(METADATA_KEY).execute([])[0] if described else None
        except KeyError as error:
            raise unreadable(path, ValueError(f"it has no method {error}")) from error
        except (RuntimeError, ValueError) as error:
            raise unreadable(path, error) from error
        super().__init__(info_of(text, path))

    def _part(self) -> None:
        self.forward = self.program.load_method("forward")

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if any(len(value) != 1 for value in inputs.values()):
            raise ModelError("an ExecuTorch file takes one clip or stream at a time: another() is for a second one")
        flat = torch.utils._pytree.tree_leaves(arguments(self.info, inputs))
        # The runtime owns what it answers with and overwrites it at the next call.
        return {name: value.copy() for name, value in named_outputs(self.info, self.forward.execute(flat)).items()}


def arguments(info: ModelInfo, inputs: dict[str, np.ndarray]) -> tuple[Any, ...]:
    """The inputs as the exported program takes them: a clip, or a frame and the list of states."""
    tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in inputs.items()}
    if info.kind == "clip":
        return (tensors["clip"],)
    return tensors["frame"], [tensors[state.input] for state in info.states]


def named_outputs(info: ModelInfo, answer: Any) -> dict[str, np.ndarray]:
    """The outputs of the exported program by name."""
    values = torch.utils._pytree.tree_leaves(answer)
    names = ["logits", *(state.output for state in info.states)]
    return {name: value.numpy() for name, value in zip(names, values, strict=True)}
