"""Writing a traced model as a file: ONNX, OpenVINO, torch.export, ExecuTorch."""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..errors import GestureZooError, ModelError, one_line
from ..runtime.files import missing
from ..runtime.info import METADATA_KEY
from ..runtime.pt2_check import NAMES
from .names import SUFFIXES
from .trace import Traced


class Format(NamedTuple):
    """How a format is written: ``write(traced, path)``, into a folder of its own, since it may make several files."""

    suffix: str
    runs_with: str
    write: Callable[[Traced, Path], None]


def write_onnx(traced: Traced, path: Path) -> None:
    """One .onnx file with the weights inside, by torch's dynamo exporter."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise missing(str(error.name), "export") from error
    with redirect_stdout(io.StringIO()):  # onnxscript 0.6 prints how it gets on
        program: Any = torch.onnx.export(
            traced.program,
            (),
            dynamo=True,
            input_names=traced.input_names,
            output_names=traced.output_names,
            verbose=False,
            optimize=False,
        )
        _prune(program.model)
        program.optimize()
    _name_batch(program.model)
    _forget_places(node.metadata_props for node in program.model.graph.all_nodes())
    program.model.metadata_props[METADATA_KEY] = traced.info.to_json()
    program.model.doc_string = traced.info.how_to_use
    program.model.producer_name = f"gesture_zoo {traced.info.version}"
    program.save(str(path), external_data=False)


def _prune(model: Any) -> None:
    """Take out most of what the optimiser would: its time grows with the square of the nodes that it looks at."""
    import onnx_ir.passes.common as passes
    from onnxscript import optimizer

    optimizer.fold_constants(model)
    for step in (
        passes.RemoveUnusedNodesPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.CommonSubexpressionEliminationPass(),
        passes.RemoveUnusedNodesPass(),
    ):
        step(model)


def _forget_places(nodes: Iterable[MutableMapping[str, Any]]) -> None:
    """Take the files and folders of who exports out of what tells where each node came from."""
    for told in nodes:
        for key in ("stack_trace", "pkg.torch.onnx.stack_trace"):
            told.pop(key, None)


def write_openvino(traced: Traced, path: Path) -> None:
    """An .xml file with its .bin beside, in float32."""
    try:
        import openvino
    except ImportError as error:
        raise missing("openvino", "openvino") from error
    # By way of ONNX: so both files hold the same graph and the same names.
    graph = path.with_suffix(".onnx")
    write_onnx(traced, graph)
    model = openvino.convert_model(str(graph))
    graph.unlink()
    model.set_rt_info(traced.info.to_json(), [METADATA_KEY])
    openvino.save_model(model, str(path), compress_to_fp16=False)


def write_pt2(traced: Traced, path: Path) -> None:
    """A torch.export program; the description is its extra file "gesture_zoo.json"."""
    if odd := next((key for key in traced.program.state_dict if not re.fullmatch(NAMES, key)), None):
        raise ModelError(
            f"names in a .pt2 file are of letters, digits, '_', '.' and '+', and the model has {odd!r}: rename the "
            "module, or export .onnx"
        )
    # Not to the disk at once: on a full one torch's writer ends the whole process, without an error.
    memory = io.BytesIO()
    _forget_places(node.meta for node in traced.program.graph.nodes)
    torch.export.save(traced.program, memory, extra_files={f"{METADATA_KEY}.json": traced.info.to_json()})
    path.write_bytes(memory.getbuffer())


def write_executorch(traced: Traced, path: Path) -> None:
    """An ExecuTorch program for XNNPACK; the description is what its method "gesture_zoo" returns.

    The batch is one: a phone has one camera, and ExecuTorch plans its memory beforehand.
    """
    try:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
    except ImportError as error:
        raise missing("executorch", "executorch") from error
    try:
        lowered = to_edge_transform_and_lower(
            traced.program, partitioner=[XnnpackPartitioner()], constant_methods={METADATA_KEY: traced.info.to_json()}
        )
        program = lowered.to_executorch()
    except Exception as error:  # its own errors have no class in common
        raise RuntimeError(str(error)) from error
    with open(path, "wb") as file:
        program.write_to_file(file)


FORMATS: dict[str, Format] = {
    "onnx": Format(SUFFIXES["onnx"], "ONNX Runtime", write_onnx),
    "openvino": Format(SUFFIXES["openvino"], "OpenVINO", write_openvino),
    "pt2": Format(SUFFIXES["pt2"], "PyTorch", write_pt2),
    "executorch": Format(SUFFIXES["executorch"], "ExecuTorch", write_executorch),
}


def format_of(path: Path, name: str | None) -> tuple[str, Format]:
    """The format that a name, or else the file's suffix, asks for; an unknown one is a GestureZooError."""
    if name is None:
        by_suffix = {form.suffix: key for key, form in FORMATS.items()}
        name = by_suffix.get(path.suffix.lower())
        if name is None:
            kinds = ", ".join(f"{suffix} ({key})" for suffix, key in by_suffix.items())
            raise GestureZooError(f"cannot tell the format of {path}: its name should end in {kinds}")
    if name not in FORMATS:
        raise GestureZooError(f"unknown format {name!r}: choose one of {', '.join(FORMATS)}")
    if path.suffix.lower() != FORMATS[name].suffix:
        raise GestureZooError(f"{path}: a file of format {name} ends in {FORMATS[name].suffix}")
    return name, FORMATS[name]


def check_target(path: Path) -> None:
    """Raise a GestureZooError unless a file could be made at ``path``: before the work, not after it."""
    if not path.parent.is_dir():
        raise GestureZooError(f"cannot write {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise GestureZooError(f"cannot write {path}: it is a folder")
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise GestureZooError(
            one_line(f"cannot write {path}: its name is not UTF-8, which not all formats take")
        ) from error


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """A temporary folder on the same disk as ``path``, from which finished files are moved to their names.

    What the system refuses there (rights, a full disk) is a GestureZooError.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=path.parent) as folder:
            yield Path(folder)
    except OSError as error:
        raise GestureZooError(f"cannot write {path}: {error.strerror or error}") from error


def move_files(folder: Path, target: Path) -> list[Path]:
    """Move what a writer made from ``folder`` to the target's folder, the target itself last; returns the files.

    The writer's own suffix is in small letters; the target's may not be.
    """
    own = target.with_suffix(target.suffix.lower()).name
    moves = {file: target if file.name == own else target.with_name(file.name) for file in folder.iterdir()}
    made = sorted(moves, key=lambda file: moves[file] == target)
    for file in made:
        os.replace(file, moves[file])
    return [moves[file] for file in made]


def _name_batch(model: Any) -> None:
    """Call the free axis "batch" everywhere instead of the exporter's s0."""
    import onnx_ir

    symbol = model.graph.inputs[0].shape[0]
    values = [*model.graph.inputs, *(output for node in model.graph for output in node.outputs)]
    for value in values:
        for axis, size in enumerate(value.shape or ()):
            if size == symbol:
                value.shape[axis] = onnx_ir.SymbolicDim("batch")
