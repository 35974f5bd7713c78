"""Exported files answer as the model does, say what they are, and are whole or not there."""

from __future__ import annotations

import json
import os
import zipfile
from copy import deepcopy
from pathlib import Path

import numpy as np
import onnx
import pytest
import timm
import torch
from torch import nn

import gesture_zoo
from gesture_zoo.data import create_transform, write_video
from gesture_zoo.data.synthetic import render_clip
from gesture_zoo.errors import GestureZooError, ModelError, WeightsError
from gesture_zoo.export import ExportError, export_model, quantize_model
from gesture_zoo.export.constants import fold_constants
from gesture_zoo.export.fold import fold_batch_norm
from gesture_zoo.export.trace import trace
from gesture_zoo.runtime import ModelInfo, open_exported, preprocess
from gesture_zoo.runtime.torch_runner import TorchRunner

SIDE, T, CLASSES = 64, 8, ("wave", "fist", "point", "no gesture")


def create(name: str = "tsm_test_resnet_online") -> nn.Module:
    """A small model whose BatchNorm has something to fold, and the statistics of its own maps.

    With statistics that do not fit, deep models saturate, and rounding moves logits by tenths of a percent.
    """
    torch.manual_seed(0)
    model = gesture_zoo.create_model(name, num_classes=len(CLASSES))
    model.pretrained_cfg["label_names"] = CLASSES
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.normal_(norm.bias, std=0.1)
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.from_numpy(clip(2)))
    return model.eval()


def clip(batch: int = 1, frames: int = T) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((batch, frames, 3, SIDE, SIDE), np.float32)


def clip_logits(model: nn.Module, frames: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return model.eval()(torch.from_numpy(frames)).numpy()


@pytest.mark.parametrize("suffix", [".onnx", ".xml", ".pt2", ".pte"])
@pytest.mark.parametrize("stream", [False, True], ids=["clip", "stream"])
def test_a_file_answers_as_the_model(tmp_path: Path, suffix: str, stream: bool) -> None:
    pytest.importorskip({".onnx": "onnxruntime", ".xml": "openvino", ".pte": "executorch"}.get(suffix, "torch"))
    model = create("tsm_test_resnet_online_msd")
    report = export_model(model, tmp_path / f"model{suffix}", stream=stream, size=(SIDE, SIDE))
    assert report.max_error < 1e-5
    assert {file.suffix for file in tmp_path.iterdir()} == ({".xml", ".bin"} if suffix == ".xml" else {suffix})
    runner = open_exported(report.path)
    assert runner.info == report.info
    assert runner.info.labels == CLASSES and runner.info.kind == ("stream" if stream else "clip")
    np.testing.assert_allclose(runner.classify(clip()), clip_logits(model, clip()), rtol=1e-4, atol=1e-5)
    if suffix == ".xml":
        report.path.rename(tmp_path / "moved.xml")
        with pytest.raises(WeightsError, match=r"cannot read .*moved.xml: there is no moved.bin beside it"):
            open_exported(tmp_path / "moved.xml")


@pytest.mark.parametrize(
    ("name", "stream", "suffix"),
    [
        ("action_test_resnet_online", True, ".onnx"),
        ("action_test_resnet", False, ".pt2"),
        ("me_test_resnet_online", True, ".pt2"),
        ("tsm_test_resnet", True, ".onnx"),
        ("tsn_test_resnet", False, ".pt2"),
    ],
)
def test_every_kind_of_model(tmp_path: Path, name: str, stream: bool, suffix: str) -> None:
    report = export_model(create(name), tmp_path / f"model{suffix}", stream=stream, size=(SIDE, SIDE))
    assert max(row.relative for row in report.compared) < 5e-5, "float32 itself is some 1e-6 off float64"
    assert all(row.same_class for row in report.compared)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in gesture_zoo.list_models() if not name.endswith("_msd")])
def test_every_listed_model(tmp_path: Path, name: str) -> None:
    for stream in (False, True):
        assert export_model(create(name), tmp_path / "model.onnx", stream=stream, size=(SIDE, SIDE)).max_error < 1e-4


def test_an_onnx_stream_has_named_states_a_free_batch_and_its_description(tmp_path: Path) -> None:
    model = create()
    path = export_model(model, tmp_path / "step.onnx", stream=True, size=(SIDE, SIDE)).path
    graph = onnx.load(str(path))
    onnx.checker.check_model(graph, full_check=True)
    assert [value.name for value in graph.graph.input][:2] == ["frame", "state_layer1_0_conv1_shifted"]
    assert [value.name for value in graph.graph.output][:2] == ["logits", "next_layer1_0_conv1_shifted"]
    for value in [*graph.graph.input, *graph.graph.output]:
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert not {node.op_type for node in graph.graph.node} & {"BatchNormalization"}
    description = json.loads({entry.key: entry.value for entry in graph.metadata_props}["gesture_zoo"])
    assert description["labels"] == list(CLASSES) and description["input_size"] == [3, SIDE, SIDE]
    assert description["mean"] == [0.5, 0.5, 0.5] and description["version"] == gesture_zoo.__version__
    assert description["num_segments"] == 8 and description["architecture"] == "tsm_test_resnet_online"

    assert graph.doc_string == ModelInfo.from_json(json.dumps(description)).how_to_use
    assert 'Every "state_..." is zero at first' in graph.doc_string

    frames = clip(3)
    runner, stream = open_exported(path), gesture_zoo.to_streaming(model)
    for t in range(T):
        expected = stream.step(torch.from_numpy(frames[:, t])).numpy()
        np.testing.assert_allclose(runner.step(frames[:, t]), expected, rtol=1e-4, atol=1e-5)
    runner.reset()
    stream.reset()
    alone = stream.step(torch.from_numpy(frames[1:2, 0])).numpy()  # another number of streams, from the start
    np.testing.assert_allclose(runner.step(frames[1:2, 0]), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("suffix", [".onnx", ".xml", ".pt2"])
def test_a_file_names_no_folder_of_who_exported_it(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip({".onnx": "onnxruntime", ".xml": "openvino"}.get(suffix, "torch"))
    export_model(create("tsm_test_resnet_online"), tmp_path / f"model{suffix}", size=(SIDE, SIDE))
    for file in tmp_path.iterdir():
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                content = b"".join(archive.read(name) for name in archive.namelist())
        else:
            content = file.read_bytes()
        for folder in (Path(torch.__file__).parent, Path(gesture_zoo.__file__).parent):
            assert str(folder).encode() not in content


def test_decoders_stay_out_of_the_file(tmp_path: Path) -> None:
    with_decoders = export_model(create("tsm_test_resnet_msd"), tmp_path / "msd.pt2", size=(SIDE, SIDE))
    without = export_model(create("tsm_test_resnet"), tmp_path / "bare.pt2", size=(SIDE, SIDE))
    assert with_decoders.size == pytest.approx(without.size, rel=0.01)


def test_the_model_stays_as_it_was(tmp_path: Path) -> None:
    model = create().half().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    cfg = dict(model.pretrained_cfg)
    export_model(model, tmp_path / "model.pt2", size=(SIDE, SIDE))
    assert model.training and model.pretrained_cfg == cfg and next(model.parameters()).requires_grad
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_real_clips_are_compared_too(tmp_path: Path) -> None:
    write_video(render_clip(0, seed=1, num_frames=12, size=96)[0], tmp_path / "swipe.mp4")
    report = export_model(create(), tmp_path / "model.onnx", clips=[tmp_path / "swipe.mp4"], size=(SIDE, SIDE))
    assert [row.clip for row in report.compared] == ["random", "rendered", str(tmp_path / "swipe.mp4")]


def test_networks_of_ones_own_and_of_depth(tmp_path: Path) -> None:
    own = gesture_zoo.with_temporal(timm.create_model("mobilenetv3_small_050", num_classes=3), "tsm", causal=True)
    assert export_model(own, tmp_path / "own.pt2", stream=True, size=(SIDE, SIDE)).info.labels == ("0", "1", "2")
    depth = gesture_zoo.create_model("tsm_test_resnet", num_classes=3, in_chans=4)
    assert export_model(depth, tmp_path / "depth.pt2", size=(SIDE, SIDE)).info.input_size == (4, SIDE, SIDE)


def test_a_file_that_answers_otherwise_is_not_left(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"what was there before")
    with pytest.raises(ExportError, match=r"was not written: on the clip '\w+' ONNX Runtime differs from PyTorch by"):
        export_model(create(), path, size=(SIDE, SIDE), tolerance=1e-12)
    assert path.read_bytes() == b"what was there before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("wrong", ["exported", "model"])
def test_no_number_is_never_near(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    class Broken(TorchRunner):
        def run_clip(self, clip: np.ndarray) -> np.ndarray:
            answer = super().run_clip(clip)
            return np.full_like(answer, np.nan) if len(clip) == 1 else answer  # the second clip, not the first

    model = create("tsm_test_resnet")
    if wrong == "model":
        monkeypatch.setattr("gesture_zoo.export.model.TorchRunner", Broken)
    else:
        bare = trace(model, size=(SIDE, SIDE)).model
        monkeypatch.setattr("gesture_zoo.export.model.open_exported", lambda path: Broken(bare))
    error, words = (
        (ModelError, "the model itself answers the clip 'rendered' with what is no number")
        if wrong == "model"
        else (ExportError, "on the clip 'rendered' PyTorch differs from PyTorch by inf")
    )
    with pytest.raises(error, match=words):
        export_model(model, tmp_path / "model.pt2", size=(SIDE, SIDE))
    assert not list(tmp_path.iterdir())


class Twins(nn.Module):
    """A CNN whose parts have names that are alike, and one that is none in Python."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.l_1, self.fc = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3), nn.Linear(4, 2)
        self.l = nn.ModuleDict({"1": nn.Conv2d(16, 16, 1), "stage-1": nn.Conv2d(16, 4, 1)})

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return self.fc(self.l["stage-1"](self.l["1"](self.l_1(self.stem(frames)).relu()).relu()).mean((2, 3)))


def test_names_that_are_alike_and_names_that_pt2_lacks(tmp_path: Path) -> None:
    places = ["l_1", "l.1"]
    model = gesture_zoo.with_temporal(Twins(), "tsm", num_segments=4, causal=True, insert_at=places, num_classes=2)
    report = export_model(model, tmp_path / "step.onnx", stream=True, size=(SIDE, SIDE))
    assert len({state.input for state in report.info.states}) == len(report.info.states) == 2
    with pytest.raises(ModelError, match=r"names in a .pt2 file .* and the model has '.*stage-1"):
        export_model(model, tmp_path / "step.pt2", stream=True, size=(SIDE, SIDE))


def test_capital_suffixes_and_files_that_would_replace_themselves(tmp_path: Path) -> None:
    report = export_model(create(), tmp_path / "MODEL.ONNX", size=(SIDE, SIDE))
    assert report.path == tmp_path / "MODEL.ONNX" and list(tmp_path.iterdir()) == [report.path]
    with pytest.raises(GestureZooError, match="cannot be replaced by its own int8 file"):
        quantize_model(report.path, report.path, clips=[np.zeros((8, SIDE, SIDE, 3), np.uint8)])
    assert open_exported(report.path).info.precision == "float32"


class Spectral(nn.Module):
    """A CNN with an operation that ONNX lacks."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.linalg.svdvals(self.conv(frames)).mean(-1))


class Undecided(nn.Module):
    """A CNN whose way depends on its values."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        features = self.conv(frames).mean((2, 3))
        return self.fc(features if features.sum() > 0 else -features)


def test_what_cannot_be_exported_is_said(tmp_path: Path) -> None:
    with pytest.raises(GestureZooError, match=r"cannot tell the format of .*model.bin: its name should end in .onnx"):
        export_model(create(), tmp_path / "model.bin")
    with pytest.raises(GestureZooError, match="unknown format 'tflite': choose one of onnx, openvino, pt2, executorch"):
        export_model(create(), tmp_path / "model.onnx", format="tflite")
    with pytest.raises(GestureZooError, match=r"model.onnx: a file of format openvino ends in .xml"):
        export_model(create(), tmp_path / "model.onnx", format="openvino")
    with pytest.raises(GestureZooError, match="there is no folder .*nowhere"):
        export_model(create(), tmp_path / "nowhere" / "model.onnx")
    with pytest.raises(ModelError, match="export takes a ClipModel .*, not a ResNet"):
        export_model(timm.create_model("test_resnet"), tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=r"torch.export cannot trace this model .*depends on the values"):
        export_model(gesture_zoo.ClipModel(Undecided()), tmp_path / "model.pt2", size=(SIDE, SIDE))
    with pytest.raises(ExportError, match=r"own.onnx was not written: onnx does not take this model") as caught:
        export_model(gesture_zoo.ClipModel(Spectral()), tmp_path / "own.onnx", size=(SIDE, SIDE))
    assert "\x1b" not in str(caught.value) and "\n" not in str(caught.value)
    for size in ((0, 64), (64, -5), (64.0, 64), 64):
        with pytest.raises(ModelError, match=r"size is \(H, W\), whole numbers of pixels of at least 1"):
            export_model(create(), tmp_path / "model.pt2", size=size)
    named = create()
    named.reset_classifier(2)
    with pytest.raises(ModelError, match="pretrained_cfg has 4 label_names and the model 2 classes"):
        export_model(named, tmp_path / "model.pt2", size=(SIDE, SIDE))
    named = create()
    named.pretrained_cfg["label_names"] = ("wave", "fi\tst", "point", "no gesture")
    with pytest.raises(GestureZooError, match=r"the model to export .*plain text, not 'fi\\tst'"):
        export_model(named, tmp_path / "model.pt2", size=(SIDE, SIDE))
    with pytest.raises(GestureZooError, match="its name is not UTF-8"):
        export_model(create(), os.fsdecode(bytes(tmp_path) + b"/caf\xe9.onnx"), size=(SIDE, SIDE))
    assert not list(tmp_path.iterdir())
    (tmp_path / "taken.bin").write_bytes(b"precious")
    with pytest.raises(GestureZooError, match="its weights would replace .*taken.bin, which is another's"):
        export_model(create(), tmp_path / "taken.xml", size=(SIDE, SIDE))


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_a_full_disk_is_said_and_leaves_the_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    older = tmp_path / f"model{suffix}"
    older.write_bytes(b"older")
    # Python alone may write: torch's own writer ends the process.
    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr("onnx_ir.save", full)
    with pytest.raises(GestureZooError, match=f"cannot write .*model{suffix}: No space left on device"):
        export_model(create(), older, size=(SIDE, SIDE))
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(older.name, b"older")]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a folder that nobody may write to is not at hand")
def test_a_folder_that_refuses_is_said_in_a_line() -> None:
    with pytest.raises(GestureZooError, match="cannot write /proc/model.pt2: "):
        export_model(create(), "/proc/model.pt2", size=(SIDE, SIDE))


class Norms(nn.Module):
    """BatchNorm in every place: after convolutions with and without bias, shared ones, and before one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, bias=False), nn.Conv2d(4, 4, 3, padding="same", groups=2)
        self.norms = nn.ModuleList([nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False), nn.BatchNorm2d(4)])
        self.line, self.line_norm = nn.Conv1d(4, 6, 3), nn.BatchNorm1d(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norms[0](self.first(x)).relu()
        before = self.second(x)
        x = self.norms[1](before) + before  # two look at it: its weights must stay
        x = self.norms[2](x)  # nothing to fold into
        return self.line_norm(self.line(x.flatten(2)))


def test_batch_norm_is_folded_wherever_it_stands() -> None:
    torch.manual_seed(0)
    model = Norms().eval()
    for norm in [*model.norms, model.line_norm]:
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        if norm.affine:
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    x = torch.rand(2, 3, 8, 8)
    traced = torch.export.export(model, (x,)).module()
    assert fold_batch_norm(traced) == 4
    targets = [str(node.target) for node in traced.graph.nodes]
    assert not any("batch_norm" in target for target in targets) and targets.count("aten.mul.Tensor") == 2
    torch.testing.assert_close(traced(x), model(x), rtol=1e-5, atol=1e-5)


class Weighed(nn.Module):
    """Things that depend on the weights alone, among things that do not."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(4, 3))
        self.large = nn.Parameter(torch.rand(1))
        self.calls: torch.Tensor
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before = self.calls * 1.5
        self.calls += 1
        taps = [tap.view(-1, 1) for tap in self.weight.to(x.dtype).unbind(1)]
        changed = self.weight.exp()
        changed.view(-1).add_(x.shape[0])  # in place: not to be added to again the next time
        noise = torch.bernoulli(self.weight, 0.5) * 0
        spread = self.large.expand(2**17)[:4].view(4, 1)
        return x * taps[0] + taps[1] + changed[:, :1] + noise[:, :1] + spread + before


def test_what_depends_on_the_weights_alone_is_computed_once() -> None:
    model, x = Weighed().eval().requires_grad_(False), torch.rand(4, 2)
    traced = torch.export.export(deepcopy(model), (x,)).module()  # it shares what the model counts
    assert fold_constants(traced) > 5
    targets = {str(node.target) for node in traced.graph.nodes}
    assert "aten.unbind.int" not in targets
    assert {"aten.bernoulli.p", "aten.exp.default"} <= targets  # another every time, and changed in place
    assert all(value.numel() < 2**17 for value in traced.state_dict().values())
    for _ in range(3):
        torch.testing.assert_close(traced(x), model(x))


@pytest.mark.parametrize("name", ["tsm_test_resnet_msd", "action_test_resnet_msd"])
def test_a_trace_holds_no_batch_norm_and_no_decoder(name: str) -> None:
    program = trace(create(name), size=(SIDE, SIDE)).program
    assert not any("batch_norm" in str(node.target) for node in program.graph.nodes)
    assert not any("decoder" in key or "running" in key for key in program.state_dict)


def test_preprocessing_without_torch_is_the_transform() -> None:
    rgb = render_clip(3, seed=5, num_frames=1, size=(90, 130))[0][0]
    info = TorchRunner(create()).info
    config = {key: getattr(info, key) for key in ("input_size", "mean", "std", "interpolation", "crop_pct")}
    sample = gesture_zoo.data.ClipSample(torch.from_numpy(rgb).permute(2, 0, 1)[None], None, None, 0, "")
    expected = create_transform(config)(sample).frames.numpy()
    # One level of 255 where the two libraries round otherwise.
    np.testing.assert_allclose(preprocess(rgb, info), expected, atol=1.01 / 255 / 0.5)


def test_int8_is_smaller_says_so_and_mostly_agrees(tmp_path: Path) -> None:
    source = export_model(create(), tmp_path / "float.onnx", stream=True, size=(SIDE, SIDE)).path
    clips = [render_clip(label, seed=label, num_frames=8, size=SIDE)[0] for label in range(4)]
    report = quantize_model(source, tmp_path / "int8.onnx", clips=clips)
    assert report.size < report.float_size / 2
    small, large = open_exported(report.path), open_exported(source)
    assert small.info.precision == "int8" and small.info.states == large.info.states
    frames = np.stack([preprocess(frame, small.info)[0] for frame in clips[0]])[None]
    a, b = small.classify(frames), large.classify(frames)
    assert 0 < np.abs(a - b).max() < 0.2 * np.abs(b).max()
    ops = {node.op_type for node in onnx.load(str(report.path)).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= ops

    with pytest.raises(GestureZooError, match="int8 needs calibration clips"):
        quantize_model(source, tmp_path / "none.onnx", clips=[])
    with pytest.raises(GestureZooError, match=r"int8.onnx is int8 already: quantise the float32 file"):
        quantize_model(report.path, tmp_path / "again.onnx", clips=clips)
    with pytest.raises(GestureZooError, match="an int8 file is an .onnx file, not .*again.xml"):
        quantize_model(source, tmp_path / "again.xml", clips=clips)
    with pytest.raises(GestureZooError, match="unknown calibration method 'best': choose one of minmax, entropy"):
        quantize_model(source, tmp_path / "best.onnx", clips=clips, method="best")
    assert {file.name for file in tmp_path.iterdir()} == {"float.onnx", "int8.onnx"}


def test_info_survives_json_and_later_fields() -> None:
    info = TorchRunner(create()).info
    later = json.dumps({**json.loads(info.to_json()), "from_the_future": 1})
    assert ModelInfo.from_json(later) == info
