"""The base test of every registered model: a new model gets all of this without a line of its own."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.models import group_parameters
from timm.optim import create_optimizer_v2
from torch import Tensor, nn

import gesture_zoo
from gesture_zoo import MSDLoss, MSDModel, strip_msd
from gesture_zoo.errors import ModelError

T, SIDE, CLASSES = 2, 32, 5
NAMES = gesture_zoo.list_models()
VIDEO = [name for name in NAMES if not name.endswith("_msd") and f"{name}_msd" not in NAMES]  # no 2-D CNN inside
PLAIN = [name for name in NAMES if not name.endswith("_msd")]
# CNNs of README with layers between pooling and classifier, by the rule alone: what is pooled has another size there.
UNLISTED = ["tsm_mobilenetv3_small_050", "tsm_ghostnet_100_msd"]
# Enough for what does not depend on depth or width; the rest is marked slow.
SMALL = [name for name in PLAIN if "test_resnet" in name or "tea_" in name or "mobilenet" in name]


def create(name: str, **kwargs) -> nn.Module:
    return gesture_zoo.create_model(name, num_classes=CLASSES, num_segments=T, **kwargs)


def clip(n: int = 2, **shape) -> Tensor:
    return torch.rand(n, shape.get("t", T), shape.get("c", 3), SIDE, SIDE)


def loss_of(model: nn.Module, frames: Tensor, labels: Tensor, depth: Tensor) -> Tensor:
    """A training step's loss, as the trainer computes it."""
    output = model(frames, depth) if getattr(model, "takes_depth", False) else model(frames)
    return getattr(model, "make_loss", MSDLoss)()(output, labels, depth)


@pytest.mark.parametrize("name", NAMES)
def test_forward_backward_state_dict_and_strip(name: str) -> None:
    model, frames = create(name), clip()
    with torch.inference_mode():
        logits = model.eval()(frames)
    assert logits.shape == (2, CLASSES)
    assert logits.isfinite().all()

    loss = loss_of(model.train(), frames, torch.tensor([0, 1]), torch.rand(2, T, 1, SIDE, SIDE))
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())

    twin = create(name)
    twin.load_state_dict(model.state_dict())
    with torch.inference_mode():
        expected = model.eval()(frames)
        assert torch.equal(twin.eval()(frames), expected)
        if isinstance(model, MSDModel):
            bare = strip_msd(model)
            assert torch.equal(bare(frames), expected)
            assert list(bare.state_dict()) == list(create(name.removesuffix("_msd")).state_dict())


@pytest.mark.parametrize("name", [*NAMES, *UNLISTED])
def test_timm_contract(name: str) -> None:
    model = create(name, drop_rate=0.3).eval()
    frames = clip(1)
    with torch.inference_mode():
        features = model.forward_features(frames)
        assert features.shape[0] == 1 and features.dim() == 5
        assert name in VIDEO or features.shape[1:3] == (T, model.num_features)
        pooled = model.forward_head(features, pre_logits=True)
        assert pooled.shape == (1, model.head_hidden_size)
        assert (model.num_features == model.head_hidden_size) == (name not in UNLISTED)
        logits = model(frames)
        torch.testing.assert_close(model.forward_head(features), logits, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(model.get_classifier()(pooled), logits, rtol=1e-4, atol=1e-4)
    assert model.drop_rate == 0.3
    assert model.num_classes == CLASSES
    assert model.pretrained_cfg["architecture"] == name
    assert model.default_cfg is model.pretrained_cfg
    infos = getattr(model.feature_info, "info", model.feature_info)
    assert name in VIDEO or infos[-1]["reduction"] == 32

    groups = group_parameters(model, model.group_matcher(), reverse=True)
    stem = next(f"{key}.weight" for key, module in model.named_modules() if isinstance(module, (nn.Conv2d, nn.Conv3d)))
    assert groups[stem] == 0
    assert max(groups.values()) >= (2 if name in VIDEO else 5)
    assert set(groups) == dict(model.named_parameters()).keys()
    assert model.no_weight_decay() <= dict(model.named_parameters()).keys()
    optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-3, layer_decay=0.7)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))

    model.set_grad_checkpointing()
    model.reset_classifier(3)
    assert model(frames).shape == (1, 3)
    model.reset_classifier(0)
    assert model(frames).shape == (1, model.head_hidden_size)


@pytest.mark.parametrize("name", SMALL)
def test_exports_after_strip(name: str) -> None:
    # In double precision: some networks answer the least rounding with a thousand times as much.
    model = strip_msd(create(f"{name}_msd")).double().eval()
    batch = torch.export.Dim("n", min=1, max=64)
    exported = torch.export.export(model, (clip(2).double(),), dynamic_shapes=({0: batch},)).module()
    frames = clip(3).double()
    torch.testing.assert_close(exported(frames), model(frames))


@pytest.mark.parametrize("name", SMALL)
def test_clip_length_is_a_setting(name: str) -> None:
    model = create(name).eval()
    with pytest.raises(ModelError, match=r"got \(2, 4, 3, 32, 32\); it has 4 frames: sample 2, or set model.num_seg"):
        model(clip(t=4))
    model.num_segments = 4
    assert model(clip(t=4)).shape == (2, CLASSES)
    with pytest.raises(ModelError, match="positive integer, got 0"):
        model.num_segments = 0


@pytest.mark.parametrize("name", SMALL)
def test_other_channels(name: str) -> None:
    assert create(name, in_chans=4)(clip(c=4)).shape == (2, CLASSES)


@pytest.mark.parametrize("name", ["tsm_test_resnet", "tsm_test_resnet_msd"])
def test_a_wrong_clip_says_what_is_wrong(name: str) -> None:
    model = create(name).eval()
    for frames, message in (
        (clip()[0], r"expected a clip \(N, T, C, H, W\) = \(N, 2, 3, H, W\), got a tensor of 4 dimensions"),
        (clip().transpose(1, 2), r"channels come before time there: pass clip.transpose\(1, 2\)"),
        (clip(c=1), "it has 1 channels"),
    ):
        with pytest.raises(ModelError, match=message):
            model(frames)


def test_frames_of_a_clip_see_each_other() -> None:
    """What distinguishes a temporal model from its plain baseline: the order of frames matters."""
    frames = clip(1, t=4)
    for name in ("tsn", "tsm", "action"):
        model = gesture_zoo.create_model(f"{name}_test_resnet", num_classes=CLASSES, num_segments=4).eval()
        model.get_classifier().reset_parameters()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.ones_(module.weight)
        forward, backward = model(frames), model(frames.flip(1))
        same = torch.allclose(forward, backward, rtol=1e-4, atol=1e-6)
        assert same == (name == "tsn")


def test_with_temporal_wraps_models_of_others() -> None:
    import torchvision

    video = gesture_zoo.with_temporal(torchvision.models.resnet18(num_classes=7), "tsm", num_segments=T)
    assert video(clip()).shape == (2, 7)
    video = gesture_zoo.with_temporal(timm.create_model("efficientnet_b0"), "action", num_classes=25, num_segments=T)
    masks = gesture_zoo.with_msd(video, taps=["res1", "layer4"]).train()(clip()).masks
    assert masks["res1"].shape == (2, T, 1, SIDE, SIDE)
