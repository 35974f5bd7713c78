"""Exported files are opened and run without torch; what is no such file is said in a line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import gesture_zoo
from gesture_zoo.errors import DataError, GestureZooError, ModelError, WeightsError
from gesture_zoo.runtime import ModelInfo, Runner, StateInfo, centre_box, open_exported, preprocess
from gesture_zoo.runtime.info import METADATA_KEY

INFO = ModelInfo("counter", "stream", ("a", "b"), (3, 4, 4), (0.5,) * 3, (0.25,) * 3, num_segments=4)


def counter(path: Path, info: ModelInfo | None, *, opset: int = 20) -> Path:
    """A stream that adds up what its frames hold: logits = next state = state + mean of the frame, for two classes."""
    nodes = [
        helper.make_node("ReduceMean", ["frame", "axes"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "last"], ["column"]),
        helper.make_node("Add", ["state_sum", "column"], ["logits"]),
        helper.make_node("Identity", ["logits"], ["next_sum"]),
    ]
    frame = helper.make_tensor_value_info("frame", TensorProto.FLOAT, ["batch", 3, 4, 4])
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2])
        for name in ("state_sum", "logits", "next_sum")
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3]),
        helper.make_tensor("last", TensorProto.INT64, [1], [1]),
    ]
    graph = helper.make_graph(nodes, "counter", [frame, values[0]], values[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    if info is not None:
        helper.set_model_props(model, {METADATA_KEY: info.to_json()})
    onnx.save(model, str(path))
    return path


STREAM = ModelInfo(**{**vars(INFO), "states": (StateInfo("state_sum", "next_sum", (2,)),)})


def frames(*values: float, batch: int = 1) -> list[np.ndarray]:
    return [np.full((batch, 3, 4, 4), value, np.float32) for value in values]


def test_a_stream_keeps_its_states_until_it_is_reset(tmp_path: Path) -> None:
    runner = open_exported(counter(tmp_path / "counter.onnx", STREAM), threads=1)
    assert runner.info == STREAM
    assert [runner.step(frame)[0].tolist() for frame in frames(1, 2, 3)] == [[1, 1], [3, 3], [6, 6]]
    with pytest.raises(ModelError, match=r"there are 1 streams, the frame is of 2: reset\(\) starts anew"):
        runner.step(frames(1, batch=2)[0])
    runner.reset()
    assert runner.step(frames(4, batch=2)[0]).tolist() == [[4, 4], [4, 4]]
    clip = np.stack(frames(1, 2, 3, 4), axis=1)
    assert runner.classify(clip).tolist() == [[5, 5]], "the mean of 1, 3, 6 and 10"
    with pytest.raises(ModelError, match=r"counter takes \(N, 3, 4, 4\) float32, got \(1, 3, 5, 4\) float32"):
        runner.step(np.zeros((1, 3, 5, 4), np.float32))
    with pytest.raises(ModelError, match=r"got \(1, 3, 4, 4\) float64"):
        runner.step(np.zeros((1, 3, 4, 4)))
    with pytest.raises(ModelError, match=r"counter takes \(N, T, 3, 4, 4\) float32, got \(1, 3, 4, 4\)"):
        runner.classify(frames(1)[0])


class Windows(Runner):
    """A clip model that answers with the values of its window."""

    def run_clip(self, clip: np.ndarray) -> np.ndarray:
        return clip[:, :, 0, 0, 0]


def test_a_clip_model_sees_a_window_that_its_first_frame_fills() -> None:
    runner = Windows(ModelInfo(**{**vars(INFO), "kind": "clip"}))
    seen = [runner.step(frame)[0].tolist() for frame in frames(1, 2, 3, 4, 5)]
    assert seen == [[1, 1, 1, 1], [1, 1, 1, 2], [1, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5]]
    with pytest.raises(ModelError, match="there are 1 streams, the frame is of 3"):
        runner.step(frames(1, batch=3)[0])
    runner.reset()
    assert runner.step(frames(7)[0])[0].tolist() == [7, 7, 7, 7]
    with pytest.raises(ModelError, match=r"takes \(N, 4, 3, 4, 4\)"):
        runner.classify(np.zeros((1, 5, 3, 4, 4), np.float32))


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"there is no file .*missing.onnx"):
        open_exported(tmp_path / "missing.onnx")
    with pytest.raises(GestureZooError, match="threads is a number of cores of at least 1, got -1"):
        open_exported(tmp_path / "model.onnx", threads=-1)
    with pytest.raises(WeightsError, match=r"cannot run .*model.bin: expected a file .onnx \(ONNX Runtime\) or"):
        open_exported(tmp_path / "model.bin")
    for suffix in (".onnx", ".xml", ".pt2"):
        (tmp_path / f"garbage{suffix}").write_bytes(b"garbage" * 10)
        with pytest.raises(WeightsError, match=rf"cannot read .*garbage{suffix}: .+") as caught:
            open_exported(tmp_path / f"garbage{suffix}")
        assert "\n" not in str(caught.value)
    with pytest.raises(WeightsError, match=r"foreign.onnx does not say what it is: expected a file from 'gesture-zoo"):
        open_exported(counter(tmp_path / "foreign.onnx", None))


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        "{}",
        '{"kind": "clip"}',
        INFO.to_json().replace('"stream"', '"film"'),
        INFO.to_json().replace('["a", "b"]', "[]"),
        INFO.to_json().replace('["a", "b"]', '"ab"'),
        INFO.to_json().replace("[3, 4, 4]", "5"),
        INFO.to_json().replace("[3, 4, 4]", "[3, 4, 0]"),
    ],
)
def test_a_description_that_is_none(text: str) -> None:
    with pytest.raises(WeightsError, match=r"^here does not describe a model of gesture_zoo: .+"):
        ModelInfo.from_json(text, where="here")


def test_a_missing_runtime_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = counter(tmp_path / "counter.onnx", STREAM)
    for name, suffix, extra in (("onnxruntime", ".onnx", "export"), ("openvino", ".xml", "openvino")):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(GestureZooError, match=rf'{name} is not installed: pip install "gesture-zoo\[{extra}\]"'):
            open_exported(path.rename(path.with_suffix(suffix)) if suffix != path.suffix else path)


def test_a_frame_is_cropped_about_its_centre_and_checked() -> None:
    assert centre_box(240, 320, INFO) == (55, 15, 265, 225)
    assert centre_box(100, 50, INFO) == (3, 28, 47, 72)
    white = np.full((9, 12, 3), 255, np.uint8)
    np.testing.assert_allclose(preprocess(white, INFO), np.full((1, 3, 4, 4), 2, np.float32))
    with pytest.raises(DataError, match=r"a frame is \(H, W, 3\) uint8, got \(9, 12\) uint8"):
        preprocess(white[..., 0], INFO)
    with pytest.raises(DataError, match="the model sees 4 channels"):
        preprocess(white, ModelInfo(**{**vars(INFO), "input_size": (4, 8, 8)}))
    with pytest.raises(DataError, match="resized by 'random'"):
        preprocess(white, ModelInfo(**{**vars(INFO), "interpolation": "random"}))


def test_an_exported_file_runs_without_torch(tmp_path: Path) -> None:
    path = counter(tmp_path / "counter.onnx", STREAM)
    code = (
        "import sys, numpy; from gesture_zoo.runtime import open_exported, preprocess\n"
        f"runner = open_exported({str(path)!r})\n"
        "runner.step(preprocess(numpy.zeros((9, 9, 3), numpy.uint8), runner.info))\n"
        "assert not {'torch', 'timm', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_hands_out_its_names_late() -> None:
    assert set(gesture_zoo.__all__) <= set(dir(gesture_zoo))
    assert gesture_zoo.streaming.to_streaming is gesture_zoo.to_streaming
    with pytest.raises(AttributeError, match="module 'gesture_zoo' has no attribute 'create_modle'"):
        _ = gesture_zoo.create_modle
