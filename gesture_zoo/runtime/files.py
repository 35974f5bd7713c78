"""Opening exported files: ONNX by ONNX Runtime, OpenVINO's own by OpenVINO; those of PyTorch are in torch_files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import GestureZooError, WeightsError, one_line
from .info import METADATA_KEY, ModelInfo
from .runner import GraphRunner, Runner

# Suffixes that open_exported takes, and who runs them.
FORMATS = {".onnx": "ONNX Runtime", ".xml": "OpenVINO", ".pt2": "PyTorch", ".pte": "ExecuTorch"}


def open_exported(path: str | Path, *, threads: int | None = None) -> Runner:
    """The model in a file that ``export_model`` wrote, by its suffix: one of ``FORMATS``.

    ``threads``: how many cores ONNX Runtime or OpenVINO may use, all by default; the formats of PyTorch have a setting
    of their own for that, and import it. A file that is missing, damaged or of another origin is a
    WeightsError; a runtime that is not installed a GestureZooError that says what to install.

    >>> import gesture_zoo, tempfile
    >>> model = gesture_zoo.create_model("tsm_test_resnet", num_classes=2, num_segments=2)
    >>> report = gesture_zoo.export_model(model, Path(tempfile.mkdtemp()) / "clip.pt2", size=(32, 32))
    >>> runner = open_exported(report.path)
    >>> runner.info.labels, runner.classify(np.zeros((1, 2, 3, 32, 32), np.float32)).shape
    (('0', '1'), (1, 2))
    """
    path = Path(path)
    if threads is not None and threads < 1:
        raise GestureZooError(f"threads is a number of cores of at least 1, got {threads}")
    if path.suffix.lower() not in FORMATS:
        kinds = " or ".join(f"{suffix} ({who})" for suffix, who in FORMATS.items())
        raise WeightsError(f"cannot run {path}: expected a file {kinds} from 'gesture-zoo export'")
    if not os.path.isfile(path):
        raise WeightsError(f"there is no file {path}")
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        return OnnxRunner(path, threads=threads)
    if suffix == ".xml":
        return OpenVINORunner(path, threads=threads)
    from .torch_files import ExecuTorchRunner, Pt2Runner  # the two that need PyTorch

    return Pt2Runner(path) if suffix == ".pt2" else ExecuTorchRunner(path)


class OnnxRunner(GraphRunner):
    """An ONNX file, run by ONNX Runtime on the CPU."""

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise missing("onnxruntime", "export") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # its warnings are about its own optimisations
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its own exception classes derive from nothing more precise
            raise unreadable(path, error) from error
        metadata = self.session.get_modelmeta().custom_metadata_map
        super().__init__(info_of(metadata.get(METADATA_KEY), path))
        self.outputs = [output.name for output in self.session.get_outputs()]

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self.outputs, self.session.run(self.outputs, inputs), strict=True))


class OpenVINORunner(GraphRunner):
    """An OpenVINO file (.xml with its .bin beside), compiled for the CPU."""

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        try:
            import openvino
        except ImportError as error:
            raise missing("openvino", "openvino") from error
        # One frame at a time, and float32 also where the processor has something shorter: answers as PyTorch's.
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if threads is not None:
            config["INFERENCE_NUM_THREADS"] = threads
        weights = Path(path).with_suffix(".bin")
        if Path(path).is_file() and not weights.is_file():
            raise WeightsError(f"cannot read {path}: there is no {weights.name} beside it, which holds its weights")
        try:
            core = openvino.Core()
            model = core.read_model(str(path))
            text = model.get_rt_info([METADATA_KEY]).astype(str) if model.has_rt_info([METADATA_KEY]) else None
            info = info_of(text, path)
            self.compiled = core.compile_model(model, "CPU", config)
            self.request = self.compiled.create_infer_request()
        except RuntimeError as error:
            raise unreadable(path, error) from error
        super().__init__(info)

    def _part(self) -> None:
        self.request = self.compiled.create_infer_request()

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        results = self.request.infer(inputs, share_inputs=True)
        return {port.get_any_name(): np.array(value) for port, value in results.items()}


def info_of(text: str | None, path: str | Path) -> ModelInfo:
    """The description inside a file; none is a WeightsError."""
    if text is None:
        raise WeightsError(f"{path} does not say what it is: expected a file from 'gesture-zoo export'")
    return ModelInfo.from_json(text, where=str(path))


def missing(package: str, extra: str) -> GestureZooError:
    """The error for a package that an extra brings."""
    return GestureZooError(f'{package} is not installed: pip install "gesture-zoo[{extra}]"')


def unreadable(path: str | Path, error: Exception) -> WeightsError:
    """The error for a file that its runtime does not take, with the runtime's reason on one line."""
    return WeightsError(
        f"cannot read {path}: {one_line(error)[:300].rstrip('.')}: expected a file from 'gesture-zoo export'"
    )
