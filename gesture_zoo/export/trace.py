"""A model as one graph with named inputs: a clip model, or one step of a stream with its states."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.utils._pytree import tree_map

from ..copies import copy_of
from ..errors import ModelError, one_line
from ..models import ClipModel, VideoModel
from ..msd import MSDModel, strip_msd
from ..runtime import ModelInfo, StateInfo
from ..runtime.torch_runner import model_info
from ..streaming import Stream, to_streaming
from .constants import fold_constants
from .fold import fold_batch_norm

# Clips or streams at once. The exporter wants a bound; one that a user meets would be a surprise.
MAX_BATCH = 1 << 20


class Step(nn.Module):
    """One step of a stream as a function: frame and states in, logits and states out."""

    def __init__(self, stream: Stream, keys: list[str]) -> None:
        super().__init__()
        self.stream, self.keys = stream, keys

    def forward(self, frame: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        logits, after = self.stream.advance(frame, dict(zip(self.keys, states, strict=True)))
        return logits, [after[key] for key in self.keys]


class Traced(NamedTuple):
    """A graph without BatchNorm, what it is, its inputs and outputs by name, and the bare model it came from."""

    program: ExportedProgram
    info: ModelInfo
    input_names: list[str]
    output_names: list[str]
    model: ClipModel | VideoModel


def bare_model(model: nn.Module) -> ClipModel | VideoModel:
    """A float32 copy on the CPU, in eval mode and without decoders; a model that is neither is a ModelError."""
    bare = strip_msd(model) if isinstance(model, MSDModel) else model
    if not isinstance(bare, (ClipModel, VideoModel)):
        raise ModelError(f"export takes a ClipModel (create_model, with_temporal), not a {type(bare).__name__}")
    bare = copy_of(bare).cpu().float().eval()
    for parameter in bare.parameters():
        parameter.requires_grad_(False)
    return bare


def trace(
    model: nn.Module, *, stream: bool = False, size: tuple[int, int] | None = None, batch: int | None = None
) -> Traced:
    """The graph of a model for clips (N, T, C, H, W), or with ``stream`` of one step of its stream.

    N is ``batch``, or free where that is None; H and W are ``size``, by default the model's own. Decoders are stripped
    and BatchNorm is folded.
    """
    sides = size if isinstance(size, (tuple, list)) and len(size) == 2 else (None,)
    if size is not None and not all(type(side) is int and side >= 1 for side in sides):
        raise ModelError(f"size is (H, W), whole numbers of pixels of at least 1, got {size}")
    bare = bare_model(model)
    if size is not None:
        bare.pretrained_cfg["input_size"] = (bare.in_chans, *size)
    source = to_streaming(bare)
    return _trace_stream(bare, source, batch) if stream else _trace_clip(bare, source, batch)


def _info(source: Stream, *, kind: str) -> ModelInfo:
    """What goes into the file, as it will be read from it: what cannot be is said before the work."""
    return ModelInfo.from_json(model_info(source, kind=kind).to_json(), where="the model to export")


def _trace_clip(model: ClipModel | VideoModel, source: Stream, batch: int | None) -> Traced:
    info = _info(source, kind="clip")
    clip = torch.rand(batch or 2, info.num_segments, *info.input_size)
    program = _program(model, (clip,), batch)
    return Traced(program, info, ["clip"], ["logits"], model)


def _trace_stream(model: ClipModel | VideoModel, source: Stream, batch: int | None) -> Traced:
    info = _info(source, kind="stream")
    frame = torch.rand(batch or 2, *info.input_size)
    states = source.initial_state(batch or 2, info.input_size[1:])
    names: dict[str, str] = {}
    for key in states:
        name = free = re.sub(r"\W+", "_", key.removeprefix("base_model."))
        for number in itertools.count(2):  # "l.1" and "l_1" are two modules
            if free not in names.values():
                break
            free = f"{name}_{number}"
        names[key] = free
    described = tuple(
        StateInfo(f"state_{names[key]}", f"next_{names[key]}", tuple(value.shape[1:])) for key, value in states.items()
    )
    program = _program(Step(source, list(states)), (frame, list(states.values())), batch)
    return Traced(
        program,
        replace(info, states=described),
        ["frame", *(state.input for state in described)],
        ["logits", *(state.output for state in described)],
        model,
    )


def _program(module: nn.Module, arguments: tuple[Any, ...], batch: int | None) -> ExportedProgram:
    """Export, fold, export again: the second graph is a plain one, as every format's converter expects it."""
    axis = Dim("batch", min=1, max=MAX_BATCH)
    shapes: Any = None if batch else tree_map(lambda tensor: {0: axis}, arguments)
    try:
        with torch.no_grad():
            graph_module: Any = torch.export.export(module, arguments, dynamic_shapes=shapes).module()
            fold_batch_norm(graph_module)
            fold_constants(graph_module)
            return torch.export.export(graph_module, arguments, dynamic_shapes=shapes)
    except (RuntimeError, ValueError, TypeError, NotImplementedError, AssertionError) as error:
        what = one_line(error)[:400]
        raise ModelError(
            f"torch.export cannot trace this model ({type(error).__name__}: {what}); control flow that depends on the "
            "values of tensors is the usual reason"
        ) from error
