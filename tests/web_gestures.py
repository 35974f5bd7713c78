"""For the tests of the page: a rendered hand that swipes, and models made by hand that say which way it went.

The models are no trained networks: they follow the mean column of what is bright, which suffices for a lit hand before
a dark wall, runs in no time and gives the same answer everywhere. What they share with exported networks is all that
the page knows of one: inputs, outputs, states, window of frames, metadata.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from gesture_zoo.data.hand import Canvas, hand_solids
from gesture_zoo.data.synthetic import SYNTHETIC_CLASSES, gesture_poses
from gesture_zoo.runtime.info import METADATA_KEY, ModelInfo, StateInfo

LABELS = ("swipe_left", "swipe_right", "no_gesture")
SIDE = 32  # of the models' input
FRAMES = 8  # of the clips
RATE = 10.0  # frames a second that the models expect
_GREY_LEVEL = 0.25  # of what is bright, in [0, 1]
_MEAN, _STD = 0.5, 0.25


def render_swipe(label: str, *, fps: int = 30, seconds: float = 1.2, pause: float = 1.0) -> np.ndarray:
    """A hand that appears, swipes as ``label`` says, and is gone for a while: (T, 240, 320, 3) uint8."""
    poses, shape = gesture_poses(SYNTHETIC_CLASSES.index(label), seed=6, num_frames=round(fps * seconds))
    canvas = Canvas(np.full((len(poses), 240, 320), 2.4, np.float32))
    for i, pose in enumerate(poses):
        canvas.draw(i, hand_solids(pose, shape._replace(sleeve=0.15), skin=1, sleeve=2), centre=(160.0, 120.0))
    pixels, material, brightness = canvas.shade(light=(0.0, -0.6, -0.8), ambient=0.5)
    palette = np.array([(0, 0, 0), (236, 188, 148), (24, 30, 48)], np.float32)
    frames = np.full((len(poses), 240, 320, 3), (12, 14, 18), np.uint8)
    frames.reshape(-1, 3)[pixels] = palette[material] * brightness[:, None]
    dark = np.full((round(fps * pause), 240, 320, 3), (12, 14, 18), np.uint8)
    return np.concatenate([dark[: len(dark) // 2], frames, dark[len(dark) // 2 :]])


def write_frames(frames: np.ndarray, path: Path, codec: str, *, fps: int = 30) -> Path:
    """A video that a browser takes: ``wrapped_avframe`` in .y4m is raw, as a camera's; ``libvpx`` in .webm is VP8."""
    with av.open(str(path), "w", format="yuv4mpegpipe" if path.suffix == ".y4m" else None) as container:
        stream = container.add_stream(codec, rate=Fraction(fps))
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p")))
        container.mux(stream.encode())
    return path


def write_model(path: Path, kind: str, *, frame_rate: float | None = RATE) -> Path:
    """An ONNX file as ``export_model`` writes it, that tells swipes to the left from swipes to the right."""
    states = (StateInfo("state_0", "next_0", (3,)),) if kind == "stream" else ()
    info = ModelInfo(
        architecture="moving_column",
        kind=kind,
        labels=LABELS,
        input_size=(3, SIDE, SIDE),
        mean=(_MEAN,) * 3,
        std=(_STD,) * 3,
        num_segments=FRAMES,
        frame_rate=frame_rate,
        states=states,
    )
    frames = ("frame", ("N", 3, SIDE, SIDE)) if kind == "stream" else ("clip", ("N", FRAMES, 3, SIDE, SIDE))
    nodes = [*_place(frames[0], clips=kind == "clip"), *(_stream() if states else _clip()), *_logits()]
    graph = helper.make_graph(
        nodes,
        "moving_column",
        [_tensor(*frames), *(_tensor(state.input, ("N", *state.shape)) for state in states)],
        [_tensor("logits", ("N", 3)), *(_tensor(state.output, ("N", *state.shape)) for state in states)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in _constants().items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {METADATA_KEY: info.to_json()})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def _tensor(name: str, shape: tuple) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _constants() -> dict[str, np.ndarray | list]:
    f = np.float32
    return {
        "level": f((_GREY_LEVEL - _MEAN) / _STD),
        "columns": np.linspace(-1, 1, SIDE, dtype=f)[:, None],
        "rows": [-2],
        "last": [-1],
        "little": f(1e-3),
        "much": f(10),
        "keep": f(0.5),
        "gain": f(20),
        "left": f(-6),
        "right": f(6),
        "nothing": f(0),
        "idle": f(2),
        "from_0": [0],
        "from_1": [1],
        "to_last": [-1],
        "to_end": [FRAMES],
        "per_step": f(2 / (FRAMES - 1)),
    }


def _place(frames: str, *, clips: bool) -> list[onnx.NodeProto]:
    """``centre``, the mean column in [-1, 1] of what is bright, and ``seen``, whether anything is; (N, T or 1)."""
    node = helper.make_node
    return [
        node("ReduceMean", [frames], ["grey"], axes=[2 if clips else 1], keepdims=0),
        node("Sub", ["grey", "level"], ["above"]),
        node("Relu", ["above"], ["bright"]),
        node("ReduceSum", ["bright", "rows"], ["column"], keepdims=0),
        node("ReduceSum", ["column", "last"], ["total"], keepdims=0 if clips else 1),
        node("MatMul", ["column", "columns"], ["moments"]),
        node("Squeeze", ["moments", "last"], ["moment"]) if clips else node("Identity", ["moments"], ["moment"]),
        node("Add", ["total", "little"], ["weight"]),
        node("Div", ["moment", "weight"], ["centre"]),
        node("Greater", ["total", "much"], ["is_seen"]),
        node("Cast", ["is_seen"], ["seen"], to=TensorProto.FLOAT),
    ]


def _stream() -> list[onnx.NodeProto]:
    """``speed`` from the centre of the frame before, which the state holds beside ``seen`` and the last speed."""
    node = helper.make_node
    return [
        node("Split", ["state_0"], ["old_centre", "old_seen", "old_speed"], axis=1),
        node("Sub", ["centre", "old_centre"], ["moved"]),
        node("Mul", ["moved", "old_seen"], ["moved_seen"]),
        node("Mul", ["old_speed", "keep"], ["kept"]),
        node("Add", ["moved_seen", "kept"], ["any_speed"]),
        node("Mul", ["any_speed", "seen"], ["speed"]),
        node("Concat", ["centre", "seen", "speed"], ["next_0"], axis=1),
    ]


def _clip() -> list[onnx.NodeProto]:
    """``speed``, of the frames of a clip on average."""
    node = helper.make_node
    before, after = ["from_0", "to_last", "from_1"], ["from_1", "to_end", "from_1"]
    return [
        node("Slice", ["centre", *before], ["centre_0"]),
        node("Slice", ["centre", *after], ["centre_1"]),
        node("Slice", ["seen", *before], ["seen_0"]),
        node("Slice", ["seen", *after], ["seen_1"]),
        node("Sub", ["centre_1", "centre_0"], ["moved"]),
        node("Mul", ["moved", "seen_0"], ["moved_0"]),
        node("Mul", ["moved_0", "seen_1"], ["moved_1"]),
        node("ReduceSum", ["moved_1", "from_1"], ["way"], keepdims=1),
        node("Mul", ["way", "per_step"], ["speed"]),
    ]


def _logits() -> list[onnx.NodeProto]:
    node = helper.make_node
    return [
        node("Mul", ["speed", "gain"], ["fast"]),
        node("Tanh", ["fast"], ["side"]),
        node("Mul", ["side", "left"], ["left_logit"]),
        node("Mul", ["side", "right"], ["right_logit"]),
        node("Mul", ["side", "nothing"], ["zero"]),
        node("Add", ["zero", "idle"], ["idle_logit"]),
        node("Concat", ["left_logit", "right_logit", "idle_logit"], ["logits"], axis=-1),
    ]
