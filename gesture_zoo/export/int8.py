"""quantize_model: an exported ONNX file in 8-bit integers, by ONNX Runtime's static post-training quantisation."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from ..errors import DataError, GestureZooError
from ..live.clip import as_clip, clip_frames, clip_length, middle_frames
from ..runtime import ModelInfo, open_exported
from ..runtime.files import OnnxRunner, missing
from ..runtime.info import METADATA_KEY
from .check import Compared, compare
from .formats import check_target, folder_beside
from .names import METHODS


class Int8Report(NamedTuple):
    """What ``quantize_model`` wrote; ``compared`` has a row for every calibration clip, against the float file.

    >>> info = ModelInfo("tsm_resnet18", "clip", ("fist", "wave"), (3, 224, 224), (0.5,) * 3, (0.5,) * 3)
    >>> rows = Compared("0", 0.2, 0.03, True), Compared("1", 0.9, 0.12, False)
    >>> report = Int8Report(Path("int8.onnx"), info, 11_400_000, 44_700_000, rows)
    >>> report.agreement, report.max_error
    (0.5, 0.12)
    """

    path: Path
    info: ModelInfo
    size: int  # bytes
    float_size: int
    compared: tuple[Compared, ...]

    @property
    def agreement(self) -> float:
        """Share of the calibration clips whose best class (in every frame of a stream) is the float model's."""
        return sum(row.same_class for row in self.compared) / len(self.compared)

    @property
    def max_error(self) -> float:
        """The largest difference of a logit from the float file's, over its largest logit for that clip."""
        return max(row.relative for row in self.compared)


def quantize_model(
    source: str | Path,
    path: str | Path,
    *,
    clips: Iterable[str | Path | np.ndarray],
    method: str = "minmax",
    progress: bool = False,
) -> Int8Report:
    """Quantise an ONNX file of ``export_model`` to int8, with the ranges that activations have on ``clips``.

    A clip is a video, a folder of frames, or an array (T, H, W, 3) uint8 RGB; some tens of the kind the model will see.
    Weights become int8 for each channel, activations uint8; weights use 7 of their bits, since processors without
    VNNI add two products in 16 bits. Inputs, outputs and states stay float32, so the file is used as the other is, and
    says "int8" as its precision. ``method``: "minmax", "entropy" or "percentile". How often both files agree on
    the calibration clips is reported, not judged: measure it on clips with labels.

    No clip, a source that is no exported ONNX file or is int8 already, and an unknown method are a GestureZooError.

    >>> import gesture_zoo, tempfile
    >>> folder, model = Path(tempfile.mkdtemp()), gesture_zoo.create_model("tsm_test_resnet_online", num_classes=5)
    >>> report = gesture_zoo.export_model(model, folder / "step.onnx", stream=True, size=(64, 64))
    >>> clip = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    >>> small = quantize_model(report.path, folder / "int8.onnx", clips=[clip])
    >>> small.info.precision, small.size < small.float_size / 2
    ('int8', True)
    """
    source, path = Path(source), Path(path)
    if method not in METHODS:
        raise GestureZooError(f"unknown calibration method {method!r}: choose one of {', '.join(METHODS)}")
    check_int8_target(path)
    if path.resolve() == source.resolve():
        raise GestureZooError(f"{source} cannot be replaced by its own int8 file: name another")
    if source.suffix.lower() != ".onnx":
        raise GestureZooError(f"int8 is made of an .onnx file of export, not of {source}")
    runner = open_exported(source)
    assert isinstance(runner, OnnxRunner)
    if runner.info.precision != "float32":
        raise GestureZooError(f"{source} is {runner.info.precision} already: quantise the float32 file")
    one = isinstance(clips, (str, Path)) or (isinstance(clips, np.ndarray) and clips.ndim == 4)
    several: Iterable[Any] = [clips] if one else clips
    arrays = [read_clip(clip, runner.info) for clip in several]
    if not arrays:
        raise GestureZooError("int8 needs calibration clips: some tens of the kind the model will see")
    info = replace(runner.info, precision="int8")
    with folder_beside(path) as folder:
        file = folder / path.with_suffix(".onnx").name
        _quantize(source, file, Calibration(runner, arrays, progress=progress), METHODS[method], info)
        small = open_exported(file)
        compared = tuple(compare(str(number), runner, small, clip) for number, clip in enumerate(arrays))
        size = file.stat().st_size
        float_size = source.stat().st_size
        file.replace(path)
    return Int8Report(path, info, size, float_size, compared)


def check_int8_target(path: Path) -> None:
    """Raise a GestureZooError unless an int8 file could be made at ``path``."""
    if path.suffix.lower() != ".onnx":
        raise GestureZooError(f"an int8 file is an .onnx file, not {path}")
    check_target(path)


def read_clip(clip: str | Path | np.ndarray, info: ModelInfo) -> np.ndarray:
    """T frames of a clip as the model takes them, (1, T, C, H, W): the middle frame of each of T equal segments."""
    if isinstance(clip, np.ndarray):
        if clip.ndim != 4 or not len(clip):
            raise DataError(f"a clip is an array (T, H, W, 3) with a frame at least, got {clip.shape}")
        return as_clip(list(clip[middle_frames(len(clip), info.num_segments)]), info)
    if not isinstance(clip, (str, Path)):
        raise DataError(f"a clip is a path or a NumPy array (T, H, W, 3) of uint8, not a {type(clip).__name__}")
    return as_clip(clip_frames(clip, middle_frames(clip_length(clip)[0], info.num_segments)), info)


class Calibration:
    """The inputs of the graph, one after another: whole clips, or frames with the states they meet.

    This is the interface that ONNX Runtime's calibration asks for.
    """

    def __init__(self, runner: OnnxRunner, clips: Sequence[np.ndarray], *, progress: bool = False) -> None:
        bar = tqdm(clips, desc="calibrate", unit="clip", disable=None if progress else True, leave=False)
        self.inputs = self._inputs(runner, bar)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next inputs by name, None at the end."""
        return next(self.inputs, None)

    @staticmethod
    def _inputs(runner: OnnxRunner, clips: Iterable[np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        for clip in clips:
            if runner.info.kind == "clip":
                yield {"clip": clip}
                continue
            states = runner.initial_states(len(clip))
            for t in range(clip.shape[1]):
                inputs = {"frame": np.ascontiguousarray(clip[:, t]), **states}
                yield inputs
                outputs = runner.run(inputs)
                states = {state.input: outputs[state.output] for state in runner.info.states}


def _quantize(source: Path, target: Path, calibration: Calibration, method: str, info: ModelInfo) -> None:
    try:
        import onnx
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise missing(str(error.name), "export") from error
    prepared = target.with_name("prepared.onnx")
    # Symbolic shapes are there already: the exporter wrote them.
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    reader: Any = type("Reader", (quantization.CalibrationDataReader,), {"get_next": lambda _: calibration.get_next()})
    with contextlib.redirect_stdout(io.StringIO()):  # some methods print how they get on
        quantization.quantize_static(
            str(prepared),
            str(target),
            reader(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod[method],
        )
    prepared.unlink()
    model = onnx.load(str(target))
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = info.to_json()
    onnx.save(model, str(target))
