"""Any 2-D CNN takes temporal modules and decoders: timm's, torchvision's and people's own."""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from own_cnn import OwnBlock, OwnCNN
from timm.optim import create_optimizer_v2
from torch import Tensor, nn

import gesture_zoo
from gesture_zoo import strip_msd, with_msd, with_temporal
from gesture_zoo.errors import ArgumentError, ModelError, TapError
from gesture_zoo.layers import Action, TemporalModule, TemporalShift, insert_temporal, insertion_points
from gesture_zoo.layers.branches import residual_branches

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from coverage import attempt

T = 2
FAMILIES = (
    "convnext_atto",
    "dla46_c",
    "ese_vovnet19b_slim_dw",
    "ghostnet_050",
    "hrnet_w18_small",
    "mobilenetv4_conv_small_050",
    "mobileone_s0",
    "resnest14d",
    "resnext26ts",
    "skresnet18",
    "test_byobnet",
    "test_nfnet",
    "tinynet_e",
)
TORCHVISION = (
    "densenet121",
    "efficientnet_b0",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
)
TRIED = [("timm", name) for name in FAMILIES] + [("torchvision", name) for name in TORCHVISION]


def clip(side: int = 64, channels: int = 3) -> Tensor:
    return torch.rand(2, T, channels, side, side)


@pytest.mark.parametrize(("library", "name"), TRIED)
def test_families_train_with_depth_and_strip_to_themselves(library: str, name: str) -> None:
    """A part of benchmarks/coverage.py, by the same code."""
    row = attempt((library, name, "tsm"))
    assert row["cnn"] and row["ok"], f"{row['step']}: {row['why']}"


# Where modules go.


@pytest.mark.parametrize(
    ("cnn", "expected"),
    [
        (timm.create_model("mobilenetv4_conv_small_050"), "blocks.2.1.pw_exp.conv"),
        (timm.create_model("convnext_atto"), "stages.0.blocks.0.mlp.fc1"),
        (timm.create_model("ghostnet_050"), "blocks.0.0.ghost1.primary_conv.0"),
        (timm.create_model("test_nfnet"), "stages.0.0.conv1"),
        (torchvision.models.densenet121(), "features.denseblock1.denselayer1.conv1"),
        (torchvision.models.mobilenet_v2(), "features.3.conv.0.0"),
        (torchvision.models.regnet_y_400mf(), "trunk_output.block1.block1-0.f.a.0"),
        (torchvision.models.convnext_tiny(), "features.1.0.block.0"),
        (OwnCNN(), "blocks.0.squeeze"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_the_first_place_of_a_family(cnn: nn.Module, expected: str) -> None:
    assert insertion_points(cnn)[0] == expected


def test_a_branch_is_what_something_goes_past() -> None:
    """Branches written without modules of their own, one within the other: the outer one counts."""

    class Inline(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c, self.d = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(4))
            self.gate = nn.Conv2d(4, 4, 1)
            self.bias = nn.Parameter(torch.zeros(1, 4, 8, 8))

        def forward(self, x: Tensor) -> Tensor:
            x = self.a(x) + self.bias  # a parameter goes past nothing
            y = self.b(x)
            y = y + self.c(y)
            y = y * self.gate(y.mean((2, 3), keepdim=True))
            return self.d(x + y).mean((2, 3))

    branches = residual_branches(Inline(), torch.zeros(2, 4, 8, 8))
    assert [branch.convs for branch in branches] == [("b", "c")]


def test_every_second_block_of_a_deep_network() -> None:
    assert len(insertion_points(torchvision.models.resnet101())) == 18
    assert len(insertion_points(timm.create_model("densenet121"))) == 58, "layers of a dense block are no blocks"


@pytest.mark.parametrize("temporal", ["tsm", "me", "action"])
def test_time_enters_a_network_of_ones_own(temporal: str) -> None:
    cnn = OwnCNN()
    video = with_temporal(cnn, temporal, num_segments=4).eval()
    assert sum(isinstance(module, TemporalModule) for module in cnn.modules()) >= 4
    frames = torch.rand(1, 4, 3, 64, 64)
    assert not torch.allclose(video(frames), video(frames.flip(1)), rtol=1e-5, atol=1e-7)
    assert set(OwnCNN().state_dict()) == {
        key.replace(".net.", ".") for key in video.base_model.state_dict() if ".me." not in key and "action_" not in key
    }


def test_insert_at_names_modules_or_patterns() -> None:
    video = with_temporal(torchvision.models.vgg11(num_classes=5), "tsm", num_segments=T, insert_at="features.1[168]")
    places = [name for name, module in video.base_model.named_modules() if isinstance(module, TemporalShift)]
    assert places == ["features.11", "features.16", "features.18"]
    assert video(clip()).shape == (2, 5)
    cnn = timm.create_model("resnet18")
    with_temporal(cnn, "action", num_segments=T, insert_at=["layer4.1.conv2", "layer3.0"])
    assert isinstance(cnn.layer3[0], Action), "a whole block can be wrapped"
    assert cnn.layer3[0].action_p2_squeeze.in_channels == 128


def test_a_temporal_module_of_ones_own() -> None:
    class Mean(TemporalModule):
        def __init__(self, net: nn.Module, num_segments: int = 8, *, share: float = 0.5) -> None:
            super().__init__(num_segments)
            self.net, self.share = net, share

        def forward(self, frames: Tensor) -> Tensor:
            clips = frames.view(-1, self.num_segments, *frames.shape[1:])
            return self.net(frames.lerp(clips.mean(1, keepdim=True).expand_as(clips).flatten(0, 1), self.share))

    video = with_temporal(timm.create_model("resnet18"), Mean, num_segments=T, share=0.25)
    assert video.base_model.layer1[0].conv1.share == 0.25
    video.num_segments = 4
    assert video.base_model.layer1[0].conv1.num_segments == 4


def test_new_layers_have_the_networks_type_and_mode() -> None:
    cnn = timm.create_model("resnet18").double().eval()
    video = with_temporal(cnn, "action", num_segments=T)
    assert {parameter.dtype for parameter in video.parameters()} == {torch.float64}
    assert not any(module.training for module in cnn.modules())


# The classifier.


@pytest.mark.parametrize(
    ("cnn", "name", "features"),
    [
        (OwnCNN(), "answer", 20),
        (torchvision.models.mobilenet_v3_small(), "classifier.3", 1024),
        (torchvision.models.squeezenet1_1(), "classifier.1", 512),
        (torchvision.models.densenet121(), "classifier", 1024),
        (torchvision.models.googlenet(init_weights=False), "fc", 1024),
    ],
    ids=lambda value: value if isinstance(value, (str, int)) else type(value).__name__,
)
def test_the_classifier_is_found(cnn: nn.Module, name: str, features: int) -> None:
    video = with_temporal(cnn, "tsm", num_classes=5, num_segments=T)
    assert video.classifier.name == name
    assert (video.num_classes, video.num_features) == (5, features)
    assert video.eval()(clip()).shape == (2, 5)
    video.reset_classifier(0)
    assert video.num_classes == 0
    video.reset_classifier(3)
    assert video(clip()).shape == (2, 3)


def test_of_two_heads_the_one_that_answers_is_found() -> None:
    class TwoHeads(OwnCNN):
        def __init__(self) -> None:
            super().__init__(num_classes=10)
            self.second = nn.Linear(20, 10)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            answer, features = super().forward(x)
            return self.combine(answer), self.second(features)

        def combine(self, answer: Tensor) -> Tensor:
            return answer

    class Softened(TwoHeads):
        def combine(self, answer: Tensor) -> Tensor:
            return answer.softmax(-1)

    video = with_temporal(TwoHeads(), "tsm", num_classes=5, num_segments=T)
    assert video.classifier.name == "answer"
    assert video(clip()).shape == (2, 5)
    cnn = Softened()
    with pytest.raises(
        ModelError, match=r"with 'second' for 5 classes Softened answers with 10 values: name the layer"
    ):
        with_temporal(cnn, "tsm", num_classes=5)
    assert cnn.second.out_features == 10 and not any(isinstance(module, TemporalModule) for module in cnn.modules())


def test_the_classifier_can_be_named() -> None:
    class Hidden(OwnCNN):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)[0].softmax(-1).repeat(1, 2)

    with pytest.raises(ModelError, match=r"found no classifier in Hidden: name it with classifier='...'"):
        with_temporal(Hidden(), "tsm", num_classes=5)
    video = with_temporal(Hidden(), "tsm", num_classes=5, num_segments=T, classifier="answer")
    assert video(clip()).shape == (2, 10)
    with pytest.raises(ModelError, match=r"classifier 'stem2' is no linear layer.*its last ones are .*project, answer"):
        with_temporal(Hidden(), "tsm", classifier="stem2")


def test_timms_contract_as_far_as_another_cnn_goes() -> None:
    video = with_temporal(torchvision.models.resnet18(num_classes=5), "tsm", num_segments=T)
    assert video.head_hidden_size == 512
    groups = video.group_matcher()
    assert groups("base_model.conv1.weight") == 0
    assert groups("base_model.fc.weight") > groups("base_model.layer4.0.conv1.net.weight")
    optimizer = create_optimizer_v2(video, opt="adamw", lr=1e-3, layer_decay=0.7)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(video.parameters()))
    with pytest.raises(ModelError, match="no timm model: it has no forward_features"):
        video.forward_features(clip())
    with pytest.raises(ModelError, match="pooling cannot be changed"):
        video.reset_classifier(5, "max")


def test_auxiliary_answers_do_not_disturb() -> None:
    """In training torchvision's Inceptions answer with the logits of two more classifiers beside their own."""
    video = with_temporal(torchvision.models.googlenet(num_classes=5, init_weights=False), "tsm", num_segments=T)
    model = with_msd(video).train()
    assert isinstance(model.model.base_model(clip().flatten(0, 1)), tuple)
    out = model(torch.rand(1, T, 3, 96, 128))
    assert out.logits.shape == (1, 5)
    assert out.masks["layer4"].shape == (1, T, 1, 24, 32)


# What cannot be done.


def test_errors_say_what_to_pass_and_leave_the_network_as_it_was() -> None:
    vgg = torchvision.models.vgg11(num_classes=5)
    keys = list(vgg.state_dict())
    for arguments, message in (
        ({}, r"'tsm' found no place in VGG: .*insert_at=\[...\]\): its convolutions are 'features.0', .* and 2 more"),
        ({"insert_at": "layer9"}, r"insert_at: VGG has no module 'layer9'; its convolutions are 'features.0'"),
        ({"insert_at": ["features", "features.0"]}, r"'features.0' lies inside another module it names"),
        ({"insert_at": []}, "names no module"),
        ({"insert_at": "classifier.0"}, "could not run VGG once"),
        (
            {"insert_at": "features.0", "example_input": torch.zeros(3, 64, 64)},
            r"example_input is frames \(B, C, H, W\)",
        ),
        ({"temporal": "lstm"}, "unknown temporal module 'lstm'; choose one of tsn, tsm"),
        ({"temporal": 3}, "a name or a class, got 3"),
        (
            {"temporal": "tea", "insert_at": "features.0"},
            "'tea' does not go around a Conv2d: it goes into the Res2Net",
        ),
        ({"temporal": "action", "insert_at": "features.1"}, "a ReLU does not say how many channels"),
    ):
        with pytest.raises(ModelError, match=message):
            with_temporal(vgg, **{"temporal": "tsm", **arguments})
        assert list(vgg.state_dict()) == keys
    with pytest.raises(ModelError, match="residual branches, and this network has none; name the modules to wrap"):
        with_temporal(timm.create_model("test_efficientnet"))  # every one of its blocks strides
    with pytest.raises(ModelError, match="'tea' found no place in ResNet: it goes into the Res2Net blocks of timm"):
        with_temporal(timm.create_model("resnet18"), "tea")
    with pytest.raises(ModelError, match="has no 2-D convolution"):
        with_temporal(nn.Sequential(nn.Flatten(), nn.Linear(12, 3)))
    with pytest.raises(TypeError, match="'tsn' inserts no module and takes no options, got insert_at"):
        with_temporal(vgg, "tsn", insert_at="features.0")
    with pytest.raises(ModelError, match="could not run FixedSize once on an empty input.*pass an example_input"):
        with_temporal(FixedSize(), "tsm")


class Answers(TemporalModule):
    """Answers ``answer`` of what it wraps."""

    def __init__(self, net: nn.Module, num_segments: int = 8, *, answer: Callable[[Tensor], object]) -> None:
        super().__init__(num_segments)
        self.net, self.answer = net, answer

    def forward(self, frames: Tensor) -> object:
        return self.answer(self.net(frames))


def raises(maps: Tensor) -> Tensor:
    raise RuntimeError("no such kernel")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda maps: maps[::2], r"answered \(2, 64, 56, 56\) where \(4, 64, 56, 56\) is needed"),
        (lambda maps: maps[:, :5], r"answered \(4, 5, 56, 56\) where \(4, 64, 56, 56\) is needed"),
        (lambda maps: maps.mean(0, keepdim=True), r"answered \(1, 64, 56, 56\) where \(4, 64, 56, 56\) is needed"),
        (lambda maps: maps.unflatten(0, (2, 2)), r"answered \(2, 2, 64, 56, 56\) where \(4, 64, 56, 56\) is needed"),
        (lambda maps: (maps, None), r"answered a tuple where \(4, 64, 56, 56\) is needed"),
        (lambda maps: None, r"answered None where \(4, 64, 56, 56\) is needed"),
        (raises, "which fails itself: RuntimeError: no such kernel"),
    ],
)
def test_a_module_that_answers_wrongly_is_blamed_for_it(answer: Callable[[Tensor], object], message: str) -> None:
    cnn = timm.create_model("resnet18")
    with pytest.raises(ModelError, match=f"'Answers' at layer1.0.conv1,? {message}") as caught:
        with_temporal(cnn, Answers, num_segments=T, answer=answer)
    assert "example_input" not in str(caught.value)
    assert isinstance(cnn.layer1[0].conv1, nn.Conv2d), "the network is as it was"
    assert with_temporal(cnn, "tsm", num_segments=T).num_classes == 1000


def test_frames_that_get_lost_without_a_word() -> None:
    """Where nothing goes past the module the network runs, with fewer frames than it was given."""
    vgg = torchvision.models.vgg11(num_classes=5)
    with pytest.raises(ModelError, match=r"'Answers' at features.3 answered \(2, 128, 112, 112\) where \(4, 128, "):
        with_temporal(vgg, Answers, insert_at=["features.3", "features.6"], num_segments=T, answer=lambda x: x[::2])
    assert isinstance(vgg.features[3], nn.Conv2d)


def test_a_network_may_answer_as_it_likes() -> None:
    class Summed(OwnCNN):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)[0].sum(0)

    cnn = Summed()
    insert_temporal(cnn, "tsm", T)
    assert any(isinstance(module, TemporalShift) for module in cnn.modules())


def test_an_option_that_a_module_does_not_take() -> None:
    with pytest.raises(ArgumentError, match="'tsm' takes no option 'shift'; it takes shift_div, causal"):
        with_temporal(timm.create_model("resnet18"), "tsm", num_classes=3, shift=4)


class FixedSize(OwnCNN):
    """Takes 48 x 64 and nothing else, and has a branch that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(40 * 2 * 2, 20)
        self.unused = nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        state = (self.stem(x), [])
        for block in self.blocks:
            state = block(state)
        features = self.project(state[0].flatten(1))
        return self.answer(features), features


def test_an_example_input_tells_the_size() -> None:
    video = with_temporal(FixedSize(), "tsm", num_classes=5, num_segments=T, example_input=torch.zeros(1, 3, 48, 64))
    model = with_msd(video, taps=["res1", "layer4"]).train()
    assert model(torch.rand(1, T, 3, 48, 64)).masks["res1"].shape == (1, T, 1, 48, 64)
    with pytest.raises(ModelError, match="'unused' .*take no part|take no part in its forward, such as 'unused'"):
        with_temporal(FixedSize(), "tsm", insert_at="unused", example_input=torch.zeros(1, 3, 48, 64))


# Decoders.


def test_decoders_on_a_network_of_ones_own() -> None:
    video = with_temporal(OwnCNN(), "tsm", num_segments=T)
    plain = copy.deepcopy(video).eval()
    model = with_msd(video, taps=["res1", "layer4", "blocks.2"]).train()
    assert [model.decoders[name].layers[0].in_channels for name in ("res1", "layer4", "blocks_2")] == [16, 40, 32]
    masks = model(clip(50)).masks
    assert {name: tuple(mask.shape[-2:]) for name, mask in masks.items()} == {
        "res1": (50, 50),
        "layer4": (12, 12),
        "blocks.2": (12, 12),
    }
    assert torch.equal(strip_msd(model).eval()(clip(50).fill_(0.5)), plain(clip(50).fill_(0.5)))


def test_every_own_block_can_be_tapped_by_its_tuple() -> None:
    cnn = OwnCNN()
    model = with_msd(cnn, taps=[name for name, module in cnn.named_modules() if isinstance(module, OwnBlock)]).train()
    out = model(torch.rand(2, 3, 33, 47))
    assert out.logits.shape == (2, 7)
    assert [tuple(mask.shape) for mask in out.masks.values()] == [
        (2, 1, 33, 47),
        (2, 1, 8, 12),
        (2, 1, 8, 12),
        (2, 1, 8, 12),
    ]


def test_a_dry_run_leaves_nothing_behind() -> None:
    """A network that keeps something of its last run keeps nothing of ours, and the user's hooks are not called."""

    class Keeping(OwnCNN):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            self.last = x
            return super().forward(x)

    cnn, fired = Keeping().train(), []
    cnn.stem.register_forward_hook(lambda *_: fired.append(1))
    hooks = sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in cnn.modules())
    with_temporal(cnn, "tsm", num_segments=T)
    assert not hasattr(cnn, "last")
    assert not fired
    assert cnn.training and cnn.stem.training
    assert sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in cnn.modules()) == hooks


def test_layers_without_a_shape_yet_are_named() -> None:
    net = nn.Sequential(nn.LazyConv2d(8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(5))
    with pytest.raises(ModelError, match="0.weight of Sequential has no shape before its first run"):
        gesture_zoo.with_temporal(net, "tsm")


@pytest.mark.parametrize("temporal", ["tsm", "action"])
def test_torch_jit_trace_sees_plain_operations(temporal: str) -> None:
    model = gesture_zoo.create_model(f"{temporal}_test_resnet", num_classes=3).eval()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls it deprecated, and shapes become constants
        traced = torch.jit.trace(model, torch.rand(1, 8, 3, 64, 64))
        clips = torch.rand(2, 8, 3, 64, 64)
        torch.testing.assert_close(traced(clips), model(clips), rtol=1e-4, atol=1e-5)


def test_names_of_the_rule_reach_every_cnn_of_timm() -> None:
    model = gesture_zoo.create_model("me_mobilenetv3_small_050_msd", num_classes=5, num_segments=T).train()
    assert model(clip(32)).masks["res1"].shape == (2, T, 1, 32, 32)
    assert gesture_zoo.is_model("tsm_efficientnet_b0_online")
    assert gesture_zoo.is_model("action_efficientnet_b0_online")
    assert not gesture_zoo.is_model("tsn_efficientnet_b0_online"), "nothing in it looks ahead"
    assert "tsm_efficientnet_b0" not in gesture_zoo.list_models()
    assert gesture_zoo.get_pretrained_cfg("tsm_efficientnet_b0").hf_hub_id == "timm/efficientnet_b0.ra_in1k"


def test_a_three_dimensional_cnn() -> None:
    model = with_msd(torchvision.models.video.r3d_18(num_classes=5), taps=["layer1", "layer4"]).train()
    out = model(torch.rand(1, 3, 8, 48, 56))
    assert out.logits.shape == (1, 5)
    assert out.masks["layer1"].shape == (1, 8, 1, 48, 56)
    assert out.masks["layer4"].shape == (1, 8, 1, 12, 14)
    assert type(strip_msd(model)) is torchvision.models.video.resnet.VideoResNet


def test_two_wrappers_around_one_another_answer_together() -> None:
    cnn = OwnCNN()
    inner = with_msd(cnn, taps=["res1"])
    outer = with_msd(inner, taps=["layer4"]).train()
    out = outer(torch.rand(2, 3, 64, 64))
    assert list(out.masks) == ["res1", "layer4"]
    assert out.weights == {"res1": 1.0, "layer4": 0.01}
    loss = gesture_zoo.MSDLoss()(out, torch.tensor([0, 1]), torch.rand(2, 1, 64, 64))
    loss.backward()
    assert all(parameter.grad is not None for name, parameter in outer.named_parameters() if "unit" not in name)
    assert list(outer.eval().predict_masks(torch.rand(1, 3, 64, 64))) == ["res1", "layer4"]
    with pytest.raises(TapError, match="tap 'res1' is given twice"):
        with_msd(inner, taps=["res1"])
    assert type(strip_msd(strip_msd(outer))) is OwnCNN


def test_two_wrappers_side_by_side_do_not_disturb_each_other() -> None:
    cnn = OwnCNN()
    first, second = with_msd(cnn, taps=["layer4"]).train(), with_msd(cnn, taps=["layer4", "res1"]).train()
    assert list(first(torch.rand(2, 3, 64, 64)).masks) == ["layer4"]
    assert list(second(torch.rand(2, 3, 64, 64)).masks) == ["layer4", "res1"]
    left = [name for name, module in strip_msd(second).named_modules() if module._forward_hooks]
    assert left == ["blocks.3"], "the first wrapper's hook is not the second's to take"
    assert list(first(torch.rand(2, 3, 64, 64)).masks) == ["layer4"], "the other wrapper is as it was"


def test_a_users_hook_on_the_same_layer_keeps_working() -> None:
    cnn, seen = OwnCNN(), []
    cnn.blocks[0].register_forward_hook(lambda _module, _args, output: seen.append(output[0].shape))
    model = with_msd(cnn, taps=["blocks.0"]).train()
    model(torch.rand(2, 3, 64, 64))
    strip_msd(model)(torch.rand(2, 3, 32, 32))
    assert seen == [(2, 16, 16, 16), (2, 16, 8, 8)]


@pytest.mark.parametrize(
    ("cnn", "channels"),
    [
        (timm.create_model("convnext_atto"), {"res1": 40, "res3": 80, "res4": 160, "layer4": 320}),
        (torchvision.models.shufflenet_v2_x0_5(), {"res1": 24, "res3": 48, "res4": 96, "layer4": 1024}),
        (torchvision.models.squeezenet1_1(), {"res1": 128, "res3": 256, "layer4": 512}),
        (torchvision.models.vgg11(), {"res1": 256, "res3": 512, "layer4": 512}),
        (torchvision.models.densenet121(), {"res1": 256, "res3": 512, "res4": 1024, "layer4": 1024}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_aliases_are_the_stages_of_other_families(cnn: nn.Module, channels: dict[str, int]) -> None:
    model = with_msd(cnn, taps=list(channels))
    assert {name: model.decoders[name].layers[0].in_channels for name in channels} == channels


def test_an_alias_without_its_stride_is_the_nearest() -> None:
    shallow = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    model = with_msd(shallow, taps=["res1", "layer4"]).train()
    assert {name: mask.shape[-1] for name, mask in model(torch.rand(1, 3, 64, 64)).masks.items()} == {
        "res1": 64,
        "layer4": 64,
    }


def test_a_layer_that_runs_twice_cannot_be_tapped() -> None:
    class Twice(OwnCNN):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            self.stem(x)
            return super().forward(x)

    with pytest.raises(TapError, match="tap 'stem': module 'stem' runs 2 times in one forward"):
        with_msd(Twice(), taps=["stem"])


@pytest.mark.parametrize(
    ("name", "channels"), [("mambaout_femto", (48, 288)), ("swin_tiny_patch4_window7_224", (96, 768))]
)
def test_maps_with_their_channels_last(name: str, channels: tuple[int, int]) -> None:
    model = with_msd(timm.create_model(name, num_classes=5), taps=["res1", "layer4"]).train()
    assert tuple(model.decoders[tap].layers[0].in_channels for tap in ("res1", "layer4")) == channels
    out = model(torch.rand(1, 3, 224, 224))
    assert out.masks["res1"].shape == (1, 1, 224, 224)
    assert out.masks["layer4"].shape == (1, 1, 56, 56)


# What a second reader found.


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet_v2"])
def test_the_places_do_not_depend_on_the_size_of_the_frames(name: str) -> None:
    """At 32 px the last maps are single values, which are no gates for that."""
    cnn = torchvision.models.get_model(name)
    assert insertion_points(cnn, torch.zeros(2, 3, 32, 32)) == insertion_points(cnn)


def test_gates_and_the_stem_are_no_places() -> None:
    points = insertion_points(timm.create_model("seresnet18"), torch.zeros(2, 3, 32, 32))
    assert points and all(point.endswith("conv1") for point in points)
    assert not any(point.startswith("stem") for point in insertion_points(timm.create_model("repvgg_a0")))


def test_every_second_block_counts_blocks() -> None:
    traced = nn.Sequential(*(Two() for _ in range(24)))
    assert insertion_points(nn.Sequential(nn.Conv2d(3, 4, 1), traced)) == [
        f"1.{block}.{conv}" for block in range(0, 24, 2) for conv in ("a", "b")
    ]


class Two(nn.Module):
    """Two residual branches, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.a(x)
        return x + self.b(x)


def test_a_convolution_with_two_names_is_wrapped_once_at_both() -> None:
    cnn = nn.Sequential(nn.Conv2d(3, 4, 1), Two(), Two())
    cnn[2].a = cnn[1].a
    with_temporal(cnn, "tsm", num_segments=T)
    assert cnn[2].a is cnn[1].a and isinstance(cnn[1].a, TemporalShift)
    assert isinstance(cnn[1].a.net, nn.Conv2d)


def test_a_forward_of_ones_own_and_pre_hooks_see_nothing_of_the_dry_run() -> None:
    cnn, seen = torchvision.models.resnet18().train(), []
    plain = cnn.forward
    cnn.forward = lambda x: plain(x) * 1.0
    cnn.layer1.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape))
    before = {key: value.clone() for key, value in cnn.state_dict().items()}
    with_temporal(cnn, "tsm", num_segments=T)
    assert not seen and cnn.training and cnn.layer1.training
    after = {key.replace(".net.", "."): value for key, value in cnn.state_dict().items()}
    assert all(torch.equal(after[key], value) for key, value in before.items())
    cnn(torch.rand(T, 3, 64, 64))
    assert len(seen) == 1


def test_networks_that_keep_graphs_are_wrapped_and_stripped() -> None:
    class Keeping(OwnCNN):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            answer, self.last = super().forward(x)
            return answer, self.last

    cnn = Keeping().train()
    cnn(torch.rand(2, 3, 64, 64))
    cnn.answer = torch.nn.utils.weight_norm(cnn.answer)
    model = with_msd(with_temporal(cnn, "tsm", num_segments=T)).train()
    model(clip())
    stripped = strip_msd(model).eval()
    assert torch.equal(stripped(clip().fill_(0.5)), model.eval()(clip().fill_(0.5)))


def test_networks_on_the_meta_device() -> None:
    with torch.device("meta"):
        cnn = timm.create_model("resnet18")
    for temporal in ("action", "me"):
        video = with_temporal(copy.deepcopy(cnn), temporal, num_segments=T)
        assert {parameter.device.type for parameter in video.parameters()} == {"meta"}


def test_the_input_is_not_always_the_first_convolutions() -> None:
    assert with_temporal(timm.create_model("tresnet_m"), "tsm").in_chans == 3
    folded = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4, 8, 1), Two8(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    video = with_temporal(folded, "tsm", num_segments=T, example_input=torch.zeros(1, 1, 32, 32))
    assert video.in_chans == 1 and video(torch.rand(1, T, 1, 32, 32)).shape == (1, 8)


class Two8(Two):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)


def test_what_is_wrapped_twice_or_wrongly_is_refused() -> None:
    cnn = timm.create_model("resnet18")
    keys = list(cnn.state_dict())
    for arguments, message in (
        ({"num_classes": "5"}, "num_classes must be an integer of at least 0, got '5'"),
        ({"num_classes": -1}, "num_classes must be"),
        ({"num_segments": True}, "num_segments must be a positive integer, got True"),
        ({"num_segments": "8"}, "num_segments must be a positive integer, got '8'"),
        ({"shift_div": 0}, "shift_div must be an integer of at least 1, got 0"),
        ({"temporal": "action", "reduction": 0}, "reduction must be an integer of at least 1, got 0"),
        ({"temporal": nn.Identity}, "'Identity' is no temporal module: derive it from gesture_zoo.TemporalModule"),
        ({"classifier": "layer1.0.conv1"}, "leave classifier out"),
        ({"example_input": [1]}, r"example_input is frames \(B, C, H, W\), got \[1\]"),
    ):
        with pytest.raises((ModelError, TypeError), match=message):
            with_temporal(cnn, **{"temporal": "tsm", **arguments})
        assert list(cnn.state_dict()) == keys
    with pytest.raises(ModelError, match="not a MSDModel: with_temporal first, with_msd after it"):
        with_temporal(with_msd(cnn), "tsm")
    with pytest.raises(ModelError, match="not a ClipModel"):
        with_temporal(with_temporal(cnn, "tsm"), "action")
    with pytest.raises(TapError, match="with_msd goes around the plain one, compile its result"):
        with_msd(torch.compile(timm.create_model("resnet18"), backend="eager"))


def test_maps_of_clips_and_of_video_transformers() -> None:
    class Clips(nn.Module):
        """Takes clips, and hands them on as clips from block to block."""

        def __init__(self) -> None:
            super().__init__()
            self.cnn = Frames()
            self.head = nn.Linear(8, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.cnn(x).mean((1, 3, 4)))

    class Frames(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    model = with_msd(Clips(), taps=["cnn"], example_input=torch.zeros(1, 4, 3, 64, 64)).train()
    assert model.decoders["cnn"].layers[0].in_channels == 8
    assert model(torch.rand(2, 4, 3, 64, 64)).masks["cnn"].shape == (2, 4, 1, 64, 64)
    swin = torchvision.models.video.swin3d_t(num_classes=5)
    out = with_msd(swin, taps=["norm"], example_input=torch.zeros(1, 3, 8, 64, 64)).train()(torch.rand(1, 3, 8, 64, 64))
    assert out.masks["norm"].shape == (1, 8, 1, 16, 16)


def test_parts_of_frames_are_no_stages() -> None:
    model = with_msd(torchvision.models.maxvit_t(num_classes=5), taps=["res5"])
    (hooked,) = [name for name, module in model.model.named_modules() if module._forward_hooks]
    assert hooked.startswith("blocks.3")


def test_a_tap_may_be_called_like_a_method() -> None:
    class Named(OwnCNN):
        def __init__(self) -> None:
            super().__init__()
            self.values = nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return super().forward(self.values(x))

    assert list(with_msd(Named(), taps=["values"]).train()(torch.rand(1, 3, 64, 64)).masks) == ["values"]
