"""What is special of the other systems of the paper's tables; tests/test_models.py has what they share."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torchvision.models.video import r2plus1d_18

import gesture_zoo
from gesture_zoo import factory
from gesture_zoo.cli import main
from gesture_zoo.data import write_video
from gesture_zoo.engine import Recipe
from gesture_zoo.engine.optim import set_layout
from gesture_zoo.errors import ModelError, WeightsError
from gesture_zoo.models.baselines.conv_lstm import ConvLSTM
from gesture_zoo.msd import AlignmentLoss, StreamsOutput

SMALL = {"c3d": {"width": 4}, "resnext3d_101": {"width": 16}, "cnn_lstm": {"width": 8}, "i3d": {"width": 8}}
SMALL["mtut"] = SMALL["i3d"]
SIDE, CLASSES = 32, 3


def create(name: str, **kwargs):
    arguments = {"num_classes": CLASSES, "num_segments": 4, **SMALL.get(name, {}), **kwargs}
    return gesture_zoo.create_model(name, **arguments)


def clip(n: int = 2, t: int = 4, c: int = 3) -> torch.Tensor:
    return torch.rand(n, t, c, SIDE, SIDE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two clips of each of two classes, one of them with depth."""
    rng = np.random.default_rng(0)
    for name in ("wave", "fist"):
        (tmp_path / "clips" / name).mkdir(parents=True)
        for number in range(2):
            frames = rng.integers(0, 255, (6, SIDE, SIDE, 3), dtype=np.uint8)
            write_video(frames, tmp_path / "clips" / name / f"{number}.mp4")
    write_video(frames[..., :1].repeat(3, -1), tmp_path / "clips" / "fist" / "0.depth.mkv")
    return tmp_path / "clips"


def train(name: str, folder: Path, out: Path, *options: str) -> None:
    data = ("--data", "folder", "--data-dir", str(folder), "--workers", "0")
    small = ("--size", str(SIDE), "--num-segments", "4", "--epochs", "1", "--batch-size", "2")
    assert main(["train", "--model", name, *small, *data, "--val-split", "none", "--out", str(out), *options]) == 0


@pytest.mark.parametrize("name", ["r2plus1d", "cnn_lstm", "seg_lstm_msd"])
def test_train_eval_predict_from_a_folder(
    name: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    train(name, folder, out)
    data = ("--data", "folder", "--data-dir", str(folder), "--workers", "0", "--split", "train")
    assert main(["eval", "--checkpoint", str(out), *data]) == 0
    assert main(["predict", str(folder / "wave" / "0.mp4"), "--checkpoint", str(out)]) == 0
    assert "wave" in capsys.readouterr().out
    assert main(["info", f"local-dir:{out}"]) == 0
    loaded = gesture_zoo.create_model(f"local-dir:{out}")
    assert (loaded.num_classes, loaded.num_segments) == (2, 4)
    assert loaded.pretrained_cfg["input_size"] == (3, SIDE, SIDE)


def test_the_papers_sizes_are_the_defaults() -> None:
    expected = {
        "c3d": (16, 112),
        "r2plus1d": (16, 112),
        "res_c3d": (32, 112),
        "resnext3d_101": (32, 112),
        "cnn_lstm": (32, 112),
    }
    for name, (segments, side) in expected.items():
        with torch.device("meta"):
            model = gesture_zoo.create_model(name, num_classes=CLASSES)
        assert model.num_segments == segments
        assert model.pretrained_cfg["input_size"] == (3, side, side)
        config = gesture_zoo.resolve_data_config(model=model)
        assert (config["num_segments"], config["input_size"][-1]) == (segments, side)


def test_c3d_is_the_network_of_its_paper() -> None:
    with torch.device("meta"):
        model = gesture_zoo.create_model("c3d", num_classes=487)
        features = model.forward_features(torch.empty(1, 16, 3, 112, 112))
    assert features.shape == (1, 1, 512, 4, 4)
    assert model.fc6.in_features == 8192 and model.num_features == 4096
    convolutions = sum(p.numel() for name, p in model.named_parameters() if name.startswith("conv"))
    assert convolutions == 27_655_936
    assert sum(p.numel() for p in model.parameters()) == convolutions + 8193 * 4096 + 4097 * 4096 + 4097 * 487


def test_resnext_has_the_papers_parameters() -> None:
    with torch.device("meta"):
        model = gesture_zoo.create_model("resnext3d_101", num_classes=83)
        features = model.forward_features(torch.empty(1, 32, 3, 112, 112))
    assert features.shape == (1, 2, 2048, 4, 4)
    assert f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f}" == "47.7"


@pytest.mark.parametrize("gates", ["conv", "pooled", "attention"])
def test_conv_lstm_is_its_formula(gates: str) -> None:
    """Step by step, a state at a time, against the equations."""
    layer, maps = ConvLSTM(3, 4, gates=gates), torch.rand(2, 3, 3, 5, 6)
    hidden = cell = torch.zeros(2, 4, 5, 6)
    states = layer(maps)
    for t in range(3):
        step = maps[:, t]
        if gates == "attention":
            score = layer.attend(torch.cat((step, hidden), 1))
            step = step * score.exp() / score.exp().mean((2, 3), keepdim=True)
        both = torch.cat((step, hidden), 1)
        if gates == "pooled":
            values = (both.mean((2, 3)) @ layer.gate.weight.T + layer.gate.bias)[..., None, None]
        else:
            values = layer.gate(both)
        enter, forget, leave = (part.sigmoid() for part in values.split(4, 1))
        cell = forget * cell + enter * torch.tanh(layer.candidate(both))
        hidden = leave * torch.tanh(cell)
        torch.testing.assert_close(states[:, t], hidden)


def test_gates_are_a_setting_that_is_saved(tmp_path: Path) -> None:
    path = gesture_zoo.save_pretrained(create("cnn_lstm", gates="attention"), tmp_path)
    assert gesture_zoo.create_model(f"local-dir:{path}").lstm[0].gates == "attention"
    with pytest.raises(ModelError, match="gates is one of conv, pooled, attention, not 'none'"):
        create("cnn_lstm", gates="none")


@pytest.mark.parametrize("name", ["c3d", "r2plus1d", "resnext3d_101", "cnn_lstm", "seg_lstm", "i3d", "mtut"])
def test_a_whole_clip_is_seen(name: str) -> None:
    model, frames = create(name).eval(), clip()
    assert not torch.allclose(model(frames), model(frames.flip(1)), atol=1e-6)
    with pytest.raises(ModelError, match="it has 6 frames: sample 4, or set model.num_segments = 6"):
        model(clip(t=6))
    model.num_segments = 6
    assert model(clip(t=6)).shape == (2, CLASSES)
    with pytest.raises(ModelError, match="pass clip.transpose"):
        create(name)(frames.transpose(1, 2))


def test_torchvisions_weights_are_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = r2plus1d_18(num_classes=400).eval()
    path = tmp_path / "r2plus1d_18.pth"
    torch.save(net.state_dict(), path)
    monkeypatch.setattr(factory, "download_url", lambda url, **_: path)
    model = gesture_zoo.create_model("r2plus1d", True, num_segments=4).eval()
    frames = clip()
    torch.testing.assert_close(model(frames), net(frames.transpose(1, 2)))
    assert model.pretrained_cfg["label_names"][0] == "abseiling"
    grey = gesture_zoo.create_model("r2plus1d", True, num_segments=4, in_chans=1)
    torch.testing.assert_close(grey.stem[0].weight, net.stem[0].weight.sum(1, keepdim=True))
    assert torch.equal(grey.layer4[1].conv1[0][0].weight, net.layer4[1].conv1[0][0].weight)
    fewer = gesture_zoo.create_model("r2plus1d", True, num_classes=5)
    assert fewer.fc.out_features == 5 and torch.equal(
        fewer.layer1[0].conv1[0][0].weight, net.layer1[0].conv1[0][0].weight
    )


def test_the_tags_are_torchvisions() -> None:
    cfg = gesture_zoo.get_pretrained_cfg("r2plus1d.k400_16f")
    assert cfg.url == "https://download.pytorch.org/models/r2plus1d_18-91a641e6.pth"
    assert cfg.num_classes == 400 and cfg.num_segments == 16
    assert "r2plus1d.k400_16f" in gesture_zoo.list_pretrained()


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(WeightsError, match="'c3d' are not published yet"):
        gesture_zoo.create_model("c3d", pretrained=True)
    with pytest.raises(WeightsError, match="no 2-D CNN that an image network could fill"):
        gesture_zoo.create_model(
            "c3d", True, width=4, pretrained_cfg_overlay={"state_dict": {"a": torch.zeros(1)}, "backbone_only": True}
        )
    with pytest.raises(ModelError, match="width must be an integer of at least 1"):
        create("c3d", width=0)


def test_saved_and_loaded(tmp_path: Path) -> None:
    model = create("c3d", in_chans=4, drop_rate=0.2).eval()
    path = gesture_zoo.save_pretrained(model, tmp_path)
    again = gesture_zoo.create_model(f"local-dir:{path}").eval()
    frames = clip(c=4)
    assert torch.equal(again(frames), model(frames))
    assert (again.num_segments, again.in_chans, again.drop_rate, again.num_features) == (4, 4, 0.2, 256)
    assert "C3D: eight 3-D convolutions" in (path / "README.md").read_text()


def test_recomputed_activations_give_the_same_gradient() -> None:
    model, frames = create("c3d", drop_rate=0.0), clip()
    gradients = []
    for enable in (False, True):
        model.zero_grad()
        model.set_grad_checkpointing(enable)
        model.train()(frames).square().sum().backward()
        gradients.append(model.conv1[0].weight.grad.clone())
    torch.testing.assert_close(*gradients)


def test_decoders_and_streams_take_them() -> None:
    model, frames = create("c3d"), clip()
    masks = gesture_zoo.with_msd(model, taps=["res1", "layer4"]).train()(frames).masks
    assert all(mask.shape[:3] == (2, 4, 1) for mask in masks.values())
    stream = gesture_zoo.to_streaming(model)
    for t in range(4):
        scores = stream.step(frames[:, t])
    torch.testing.assert_close(scores, model.eval()(frames))


@pytest.mark.parametrize("name", ["c3d", "i3d"])
def test_exported(name: str, tmp_path: Path) -> None:
    report = gesture_zoo.export_model(create(name), tmp_path / "model.onnx", size=(SIDE, SIDE))
    assert report.max_error < 1e-4


def test_weights_of_three_dimensions_keep_their_layout() -> None:
    model = create("c3d")
    set_layout(model, channels_last=Recipe().channels_last)
    assert model.conv1[0].weight.is_contiguous()


def test_segmentation_then_recognition_then_both() -> None:
    model = create("seg_lstm_msd", stage="segmentation")
    frames, depth, labels = clip(), torch.rand(2, 4, 1, SIDE, SIDE), torch.tensor([0, 1])
    encoder, parts = model.model.base_model, ("base_model", "lstm", "fc")
    for stage, expected in (("segmentation", {"base_model"}), ("recognition", {"lstm", "fc"}), ("joint", set(parts))):
        model.zero_grad()
        model.model.stage = stage
        statistics = encoder.bn1.running_mean.clone()
        output = model.train()(frames)
        gesture_zoo.MSDLoss()(output, labels, depth).backward()
        learned = {name.split(".")[0] for name, p in model.model.named_parameters() if p.grad is not None}
        assert learned == expected
        assert torch.equal(statistics, encoder.bn1.running_mean) == (stage == "recognition")
        assert output.masks["layer4"].shape == (2, 4, 1, SIDE // 4, SIDE // 4)
    with pytest.raises(ModelError, match="stage is one of segmentation, recognition, joint, not 'all'"):
        model.model.stage = "all"


def test_segmentation_alone_is_of_the_masks_alone() -> None:
    """The encoder's gradient does not know the labels."""
    model = create("seg_lstm_msd", stage="segmentation").train()
    frames, depth, gradients = clip(), torch.rand(2, 4, 1, SIDE, SIDE), []
    for labels in ([0, 1], [2, 2]):
        model.zero_grad()
        gesture_zoo.MSDLoss()(model(frames), torch.tensor(labels), depth).backward()
        gradients.append(model.model.base_model.conv1.weight.grad.clone())
    torch.testing.assert_close(*gradients)


def test_an_image_network_fills_the_encoder() -> None:
    cnn = timm.create_model("resnet18")
    overlay = {"state_dict": dict(cnn.state_dict()), "backbone_only": True, "hf_hub_id": None}
    model = create("seg_lstm_msd", pretrained=True, pretrained_cfg_overlay=overlay)
    assert torch.equal(model.model.base_model.layer4[1].conv2.weight, cnn.layer4[1].conv2.weight)


def test_i3d_is_the_network_of_its_paper() -> None:
    with torch.device("meta"):
        model = gesture_zoo.create_model("i3d", num_classes=400)
        features = model.forward_features(torch.empty(1, 64, 3, 224, 224))
    assert features.shape == (1, 8, 1024, 7, 7)
    assert f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f}" == "12.7"


def aligned(output: StreamsOutput, labels: list[int], *, beta: float = 2.0) -> list[float]:
    """The alignment of every clip, place by place in plain Python."""
    found = []
    for n, label in enumerate(labels):
        losses = [-logits[n].log_softmax(0)[label].item() for logits in (output.logits, output.depth_logits)]
        matrices = []
        for maps in (output.maps[n], output.depth_maps[n]):
            places = [maps[t, :, y, x] for t in range(maps.shape[0]) for y in range(2) for x in range(2)]
            matrices.append([[(a @ b / a.norm() / b.norm()).item() for b in places] for a in places])
        differences = [(a - b) ** 2 for one, two in zip(*matrices, strict=True) for a, b in zip(one, two, strict=True)]
        distance = sum(differences) / len(differences)
        found.append((np.exp(beta * abs(losses[0] - losses[1])) - 1) * distance)
    return found


def streams(has_depth: list[bool]) -> StreamsOutput:
    parts = torch.randn(2, 5), torch.randn(2, 5), torch.randn(2, 3, 4, 2, 2), torch.randn(2, 3, 4, 2, 2)
    return StreamsOutput(*(part.requires_grad_() for part in parts), torch.tensor(has_depth))


def test_alignment_is_its_formula() -> None:
    output, labels = streams([True, True]), [1, 3]
    terms = AlignmentLoss().terms(output, torch.tensor(labels))
    assert terms["ssa"].item() == pytest.approx(np.mean(aligned(output, labels)), rel=1e-4)
    total = AlignmentLoss(weight=0.5).total(output, terms)
    torch.testing.assert_close(total, terms["ce"] + terms["depth_ce"] + 0.5 * terms["ssa"])


def test_only_the_network_that_knows_less_learns_from_the_other() -> None:
    output = streams([True, True])
    output.logits, output.depth_logits = (torch.eye(5)[[1, 3]] * scale for scale in (5.0, 0.0))
    AlignmentLoss().terms(output, torch.tensor([1, 3]))["ssa"].backward()
    assert output.depth_maps.grad.abs().sum() > 0
    assert output.maps.grad.abs().sum() == 0


def test_a_clip_without_depth_counts_in_its_labels_alone() -> None:
    output, labels = streams([True, False]), [1, 3]
    terms = AlignmentLoss().terms(output, torch.tensor(labels))
    assert terms["ssa"].item() == pytest.approx(aligned(output, labels)[0] / 2, rel=1e-4)
    sum(terms.values()).backward()
    assert output.depth_logits.grad[1].abs().sum() == 0 and output.logits.grad[1].abs().sum() > 0


def test_the_stage_of_a_training_is_an_option_of_the_command(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("seg_lstm_msd", folder, tmp_path / "one", "--model-option", "stage=segmentation")
    assert "seg_lstm_msd does not learn: model.fc, model.lstm" in capsys.readouterr().err
    start = f"local-dir:{tmp_path / 'one'}"
    train(start, folder, tmp_path / "two", "--pretrained", "--model-option", "stage=recognition")
    assert f"{start} does not learn: model.base_model" in capsys.readouterr().err
    one, two = (gesture_zoo.create_model(f"local-dir:{tmp_path / name}").model for name in ("one", "two"))
    assert (one.stage, two.stage) == ("segmentation", "recognition")
    assert torch.equal(one.base_model.conv1.weight, two.base_model.conv1.weight)
    assert not torch.equal(one.lstm.weight_hh_l0, two.lstm.weight_hh_l0)


def test_mtut_sees_depth_in_training_alone(tmp_path: Path) -> None:
    model, frames = create("mtut", drop_rate=0.0), clip()
    depth, valid = torch.rand(2, 4, 1, SIDE, SIDE), torch.ones(2, 4, 1, SIDE, SIDE, dtype=torch.bool)
    valid[1] = False
    output = model.train()(frames, depth, valid)
    assert output.has_depth.tolist() == [True, False]
    assert model(frames).has_depth.tolist() == [False, False]
    loss = model.make_loss()
    loss(model(frames), torch.tensor([0, 1])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    alone = model.eval().rgb_stream()
    assert torch.equal(alone(frames), model(frames))
    path = gesture_zoo.save_pretrained(alone, tmp_path / "rgb")
    again = gesture_zoo.create_model(f"local-dir:{path}").eval()
    assert torch.equal(again(frames), model(frames)) and again.pretrained_cfg["architecture"] == "i3d"
    with pytest.raises(ModelError, match="leave binarize out"):
        model.make_loss(binarize=0.5)


def test_the_weight_of_the_alignment_is_an_option_and_is_saved(tmp_path: Path) -> None:
    model = create("mtut", alignment=0.5)
    assert model.make_loss().weight == 0.5
    model.alignment = 0
    again = gesture_zoo.create_model(f"local-dir:{gesture_zoo.save_pretrained(model, tmp_path / 'saved')}")
    assert again.alignment == again.make_loss().weight == 0
    with pytest.raises(ModelError, match="alignment is a weight of at least 0, got -1"):
        create("mtut", alignment=-1)


def test_mtut_trains_with_the_trainer(folder: Path, tmp_path: Path) -> None:
    """Its own terms are in the history, and RGB alone is evaluated."""
    train("mtut", folder, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "history.json").read_text())["history"][-1]
    assert {"ce", "depth_ce", "ssa", "loss"} <= record.keys() and record["depth_ce"] > 0
    model = gesture_zoo.create_model(f"local-dir:{tmp_path / 'run'}").eval()
    assert model(clip()).shape == (2, 2)


def test_two_streams_learn_together() -> None:
    """Labels that depth alone shows: the loss of both networks falls."""
    # BatchNorm over a batch of four with maps of one pixel makes every step a leap: it keeps its statistics here.
    model = create("mtut", drop_rate=0.0, num_classes=2).double().train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.eval()
    labels = torch.tensor([0, 1, 0, 1])
    depth = (0.2 + 0.6 * labels).view(4, 1, 1, 1, 1).expand(4, 4, 1, SIDE, SIDE).double()
    frames, loss = clip(4).double(), model.make_loss()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    history = []
    for _ in range(10):
        terms = loss.terms(model(frames, depth), labels)
        optimizer.zero_grad()
        loss.total(None, terms).backward()
        optimizer.step()
        history.append({name: term.item() for name, term in terms.items()})
    for name in ("ce", "depth_ce"):
        assert history[-1][name] < 0.7 * history[0][name]
    assert all(np.isfinite(list(row.values())).all() for row in history)
