"""Training, evaluation and prediction on clips small enough to finish in seconds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import gesture_zoo
from gesture_zoo.complexity import complexity
from gesture_zoo.data import create_dataset, create_transform, resolve_data_config, write_video
from gesture_zoo.data.synthetic import render_clip
from gesture_zoo.demo import TransformedClips
from gesture_zoo.engine import Recipe, evaluate, evaluate_depth, make_loader, predict_video, train
from gesture_zoo.errors import DataError, ModelError, WeightsError
from gesture_zoo.visualize import save_confusion, save_figure5

T, SIDE = 4, 32
CLASSES = ("swipe_left", "swipe_right", "push", "pull")
QUICK = Recipe(epochs=2, batch_size=4, opt="adamw", lr=4e-3, sched="cosine", workers=0)


def make_model(name: str = "tsm_test_resnet_msd") -> nn.Module:
    model = gesture_zoo.create_model(name, num_classes=len(CLASSES), num_segments=T)
    model.pretrained_cfg.update(label_names=CLASSES, input_size=(3, SIDE, SIDE), crop_pct=1.0)
    return model


@pytest.fixture(scope="module")
def clips() -> TransformedClips:
    data = create_dataset("synthetic", num_segments=T, size=SIDE, num_clips=12, classes=CLASSES, sensor=False)
    return TransformedClips([data[i] for i in range(12)], create_transform(resolve_data_config(model=make_model())))


def test_training_learns_depth_and_writes_a_model(clips: TransformedClips, tmp_path: Path) -> None:
    model = make_model()
    result = train(model, clips, clips, recipe=replace(QUICK, epochs=12), out=tmp_path / "run")
    assert len(result.history) == 12
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert result.depth_after["res1"].rmse < result.depth_before["res1"].rmse
    assert result.depth_after["res1"].baseline > 0
    loaded = gesture_zoo.create_model(f"local-dir:{tmp_path / 'run'}").state_dict()
    assert all(torch.equal(loaded[key], value.cpu()) for key, value in model.state_dict().items())
    assert json.loads((tmp_path / "run" / "history.json").read_text())["recipe"]["epochs"] == 12


def test_an_epoch_is_told_with_the_learning_rate_it_had(clips: TransformedClips) -> None:
    recipe = replace(QUICK, epochs=3, sched="multistep", milestones=(2,), lr=1e-3, lr_batch=4)
    rates = [record["lr"] for record in train(make_model(), clips, recipe=recipe).history]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4])


def test_training_is_repeatable(clips: TransformedClips) -> None:
    weights = []
    for _ in range(2):
        torch.manual_seed(5)
        model = make_model()
        train(model, clips, recipe=QUICK)
        weights.append(model.state_dict())
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_training_without_decoders_or_depth(clips: TransformedClips) -> None:
    bare = [clip._replace(depth=None, valid=None) for clip in clips.clips]
    for name, data in (("tsm_test_resnet", clips), ("tsm_test_resnet_msd", TransformedClips(bare, clips.transform))):
        result = train(make_model(name), data, data, recipe=QUICK)
        assert result.depth_after == {}
        assert 0 <= result.history[-1]["val_top1"] <= 1


def test_a_folder_that_holds_a_model_is_not_overwritten(clips: TransformedClips, tmp_path: Path) -> None:
    gesture_zoo.save_pretrained(make_model(), tmp_path)
    with pytest.raises(WeightsError, match="already holds a model"):
        train(make_model(), clips, recipe=QUICK, out=tmp_path)


def test_a_diverging_loss_stops_training(clips: TransformedClips) -> None:
    model = make_model()
    nn.init.constant_(model.get_classifier().weight, torch.nan)
    with pytest.raises(ModelError, match=r"epoch 1, step 3: loss is nan, ce is nan \(one of clips .*at most 2 may be"):
        train(model, clips, recipe=replace(QUICK, max_bad_steps=2))


def test_evaluate_counts_what_is_right(clips: TransformedClips) -> None:
    class Oracle(nn.Module):
        """Answers swipe_left for everything, and the true class second."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))
            self.labels = iter([clip.label for clip in clips.clips])

        def forward(self, frames: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros(len(frames), len(CLASSES))
            for row in logits:
                row[next(self.labels)] = 1
                row[0] = 2
            return logits

    accuracy = evaluate(Oracle(), make_loader(clips, 5, workers=0))
    assert accuracy.count == 12
    assert accuracy.top1 == 0.25
    assert accuracy.top5 == 1.0
    assert accuracy.confusion.tolist() == [[3, 0, 0, 0]] * 4


def test_depth_error_of_a_perfect_and_of_a_flat_mask(clips: TransformedClips, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    loader = make_loader(clips, 12, workers=0)
    depth = next(iter(loader)).depth
    monkeypatch.setattr(model, "predict_masks", lambda frames: {"res1": depth, "layer4": depth.mean().expand_as(depth)})
    errors = evaluate_depth(model, loader)
    assert errors["res1"].rmse == 0
    assert errors["layer4"].rmse == pytest.approx(errors["layer4"].baseline)
    assert errors["layer4"].baseline == pytest.approx(depth.double().std(correction=0).item())


def test_predict_video(tmp_path: Path) -> None:
    frames, _ = render_clip(0, seed=1, num_frames=10, size=64)
    write_video(frames, tmp_path / "clip.mp4")
    predictions = predict_video(make_model(), tmp_path / "clip.mp4", topk=3)
    assert len(predictions) == 3
    assert {p.label for p in predictions} <= set(CLASSES)
    assert predictions == sorted(predictions, key=lambda p: -p.score)
    (tmp_path / "bad.mp4").write_bytes(b"\0" * 100)
    with pytest.raises(DataError, match=r"cannot read video .*bad\.mp4"):
        predict_video(make_model(), tmp_path / "bad.mp4")


def test_complexity_counts_decoders_in_training_only() -> None:
    model = make_model()
    shape = (1, T, 3, SIDE, SIDE)
    assert complexity(model, shape).multiply_adds < complexity(model, shape, training=True).multiply_adds
    assert complexity(gesture_zoo.strip_msd(model), shape).multiply_adds == complexity(model, shape).multiply_adds
    assert str(complexity(gesture_zoo.create_model("tsm_resnet50", num_classes=83), (1, 8, 3, 224, 224))) == (
        "23.678 M parameters, 32.698 G multiply-adds"
    )


def test_complexity_is_that_of_a_model_nobody_watches() -> None:
    model = gesture_zoo.create_model("action_test_resnet", num_classes=3, num_segments=T)
    alone = complexity(model, (1, T, 3, SIDE, SIDE)).multiply_adds
    for module in model.modules():
        module.register_forward_hook(lambda *_: None)
    assert alone < complexity(model, (1, T, 3, SIDE, SIDE)).multiply_adds  # squeezes maps, not their means


def test_pictures(clips: TransformedClips, tmp_path: Path) -> None:
    bare = clips[0]._replace(depth=None, valid=None)
    path = save_figure5(make_model(), [clips[0], bare], tmp_path / "new" / "figure5.png", class_names=CLASSES)
    assert path.read_bytes().startswith(b"\x89PNG")
    path = save_confusion(torch.eye(4, dtype=torch.long) * 3, CLASSES, tmp_path / "confusion.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ModelError, match="needs a model with decoders"):
        save_figure5(make_model("tsm_test_resnet"), [clips[0]], tmp_path / "x.png")
    with pytest.raises(ModelError, match="does not go with 2 class names"):
        save_confusion(torch.eye(4), ["a", "b"], tmp_path / "x.png")
