"""The Multi-Scale-Decoder: there in training, gone at inference, and never silently without effect."""

from __future__ import annotations

import copy
import pickle

import pytest
import timm
import torch
from timm.optim import create_optimizer_v2
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

import gesture_zoo
from gesture_zoo import MSDLoss, Tap, strip_msd, with_msd
from gesture_zoo.errors import TapError
from gesture_zoo.msd.taps import TapHook

T, SIDE = 2, 32


def small_model(name: str = "tsm_resnet18", **kwargs) -> nn.Module:
    return gesture_zoo.create_model(name, num_classes=5, num_segments=T, **kwargs)


def clip(n: int = 2) -> Tensor:
    return torch.rand(n, T, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def depth(n: int = 2) -> Tensor:
    return torch.rand(n, T, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(2))


def freeze_norm(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def train_step(model: nn.Module, *, with_depth: bool = True) -> None:
    loss = MSDLoss()(model.train()(clip()), torch.tensor([0, 1]), depth() if with_depth else None)
    loss.backward()


# What it costs, and what is left of it.


def test_decoders_of_the_paper_on_resnet50() -> None:
    plain = gesture_zoo.create_model("tsn_resnet50", num_classes=83)
    model = with_msd(copy.deepcopy(plain))
    convolutions = [m for m in model.decoders.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert sum(m.weight.numel() for m in convolutions) == 8_553_472

    def multiply_adds(network: nn.Module) -> int:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network.to("meta").train()(torch.empty(1, 8, 3, 224, 224, device="meta"))
        return counter.get_total_flops() // 2

    assert multiply_adds(model) - multiply_adds(plain) == 4_370_530_304


def test_masks_have_the_shapes_of_the_paper() -> None:
    model = small_model("tsm_resnet18_msd").train()
    out = model(torch.rand(1, T, 3, 224, 224))
    assert out.logits.shape == (1, 5)
    assert out.masks["res1"].shape == (1, T, 1, 224, 224)
    assert out.masks["layer4"].shape == (1, T, 1, 56, 56)
    assert out.weights == {"res1": 1.0, "layer4": 0.01}
    logits, masks = out
    assert logits is out.logits
    assert masks is out.masks


@pytest.mark.parametrize("name", ["tsm_resnet18", "tea_res2net50_26w_4s", "action_mobilenetv2_100"])
def test_stripped_equals_never_wrapped(name: str) -> None:
    plain = small_model(name).eval()
    expected = plain(clip())
    model = with_msd(copy.deepcopy(plain))
    assert torch.equal(model.eval()(clip()), expected)

    stripped = strip_msd(model)
    assert torch.equal(stripped.eval()(clip()), expected)
    assert list(stripped.state_dict()) == list(plain.state_dict())
    assert not any(m._forward_hooks for m in stripped.modules())
    assert any(m._forward_hooks for m in model.modules()), "the wrapped model stays ready to train on"
    train_step(model)


def test_strip_keeps_the_users_own_hooks_and_other_wrappers() -> None:
    inner = small_model()
    fired: list[str] = []
    inner.base_model.layer4[-1].register_forward_hook(lambda *_: fired.append("user"))
    outer = with_msd(with_msd(inner, taps=["layer2"]), taps=["layer4"])
    stripped = strip_msd(outer)
    assert isinstance(stripped, gesture_zoo.MSDModel)
    assert stripped.train()(clip()).masks.keys() == {"layer2"}
    assert sum(len(m._forward_hooks) for m in stripped.modules()) == 2
    fired.clear()
    bare = strip_msd(stripped).eval()
    bare(clip())
    assert fired == ["user"]


def test_strip_refuses_a_bare_model() -> None:
    with pytest.raises(TapError, match="nothing to strip"):
        strip_msd(small_model())


def test_eval_records_nothing_and_runs_no_decoder() -> None:
    model = small_model("tsm_resnet18_msd").eval()
    calls: list[nn.Module] = []
    for decoder in model.decoders.values():
        decoder.register_forward_hook(lambda module, *_: calls.append(module))
    assert isinstance(model(clip()), Tensor)
    assert not calls
    assert all(hook.calls == 0 and hook.output is None for hook in model.hooks.values())


def test_the_inner_model_alone_records_nothing() -> None:
    model = small_model("tsm_resnet18_msd").train()
    model.model(clip())
    assert all(hook.calls == 0 and hook.output is None for hook in model.hooks.values())


def test_predict_masks_in_eval_are_those_of_training() -> None:
    model = small_model("tsm_resnet18_msd").train()
    freeze_norm(model)
    with torch.no_grad():
        trained = model(clip()).masks
        asked = model.eval().predict_masks(clip())
    assert all(torch.equal(trained[name], asked[name]) for name in trained)


# Gradients.


def test_gradients_reach_the_backbone_through_each_tap() -> None:
    for tap, layer in (("res1", "conv1"), ("layer4", "layer4.0.downsample.0")):
        model = with_msd(small_model(), taps=[tap]).train()
        model(clip()).masks[tap].square().mean().backward()
        gradient = model.model.base_model.get_submodule(layer).weight.grad
        assert gradient is not None
        assert gradient.abs().sum() > 0


def test_without_depth_every_parameter_gets_a_gradient() -> None:
    model = small_model("tsm_resnet18_msd")
    train_step(model, with_depth=False)
    assert all(p.grad is not None for p in model.parameters())
    assert all(p.grad.abs().sum() == 0 for p in model.decoders.parameters())


@pytest.mark.parametrize("name", ["tsm_resnet18", "action_mobilenetv2_100", "tea_res2net50_26w_4s"])
def test_gradient_checkpointing_changes_nothing(name: str) -> None:
    model = with_msd(small_model(name))
    again = copy.deepcopy(model)
    again.set_grad_checkpointing()
    train_step(model)
    train_step(again)
    for (key, one), two in zip(model.named_parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, msg=lambda text, key=key: f"{key}: {text}")


# What may happen to a model on the way.


def test_deepcopy_pickle_and_ema_are_independent_and_complete() -> None:
    model = small_model("tsm_resnet18_msd")
    train_step(model)  # leaves nothing behind that cannot be copied
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), ModelEmaV3(model).module):
        assert not {id(h) for h in twin.hooks.values()} & {id(h) for h in model.hooks.values()}
        model.zero_grad()
        train_step(twin)
        assert all(p.grad is None for p in model.parameters())
        assert torch.equal(strip_msd(twin).eval()(clip()), twin.eval()(clip()))


def test_bf16_autocast() -> None:
    model = small_model("tsm_resnet18_msd").train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(clip())
    assert out.masks["res1"].dtype == torch.bfloat16
    loss = MSDLoss()(out, torch.tensor([0, 1]), depth())
    assert loss.dtype == torch.float32
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tsm_resnet18", "action_resnet18", "tea_res2net50_26w_4s"])
def test_compiles_to_one_graph_in_training_and_eval(name: str) -> None:
    model = with_msd(small_model(name))
    compiled = torch.compile(copy.deepcopy(model), fullgraph=True)
    for mode in (True, False):
        # Statistics over the four values of a 1 x 1 map would multiply rounding differences.
        freeze_norm(model.train(mode))
        freeze_norm(compiled.train(mode))
        expected, got = model(clip()), compiled(clip())
        if mode:
            assert got.masks.keys() == {"res1", "layer4"}
            torch.testing.assert_close(got.masks["res1"], expected.masks["res1"], rtol=1e-3, atol=1e-3)
            expected, got = expected.logits, got.logits
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)
    stripped = strip_msd(compiled)
    assert torch.equal(stripped.eval()(clip()), compiled._orig_mod.eval()(clip()))


def test_compile_traces_one_graph() -> None:
    """The same as above without code generation, which takes minutes: the graph is whole in both modes.

    In float64: compiled convolutions may see another memory format, whose rounding turns ReLUs over in float32.
    """
    model = small_model("tsm_resnet18_msd").double().train()
    compiled = torch.compile(copy.deepcopy(model), fullgraph=True, backend="eager")
    for net in (compiled, model):
        MSDLoss()(net(clip().double()), torch.tensor([0, 1]), depth().double()).backward()
    for one, two in zip(model.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad)
    assert isinstance(compiled.eval()(clip().double()), Tensor)


# Taps.


def test_tap_options_of_the_papers_ablations() -> None:
    """Table VII: a local target of 56 x 56 takes plain convolutions, a global one of 224 x 224 five steps up."""
    model = with_msd(
        small_model(), taps=[Tap("res1", scale=1 / 4, weight=0.1), Tap("layer4", scale=1.0, widths=(64, 48, 32, 16))]
    ).train()
    assert not any(isinstance(m, nn.ConvTranspose2d) for m in model.decoders["res1"].modules())
    assert sum(isinstance(m, nn.ConvTranspose2d) for m in model.decoders["layer4"].modules()) == 5
    out = model(clip())
    assert out.masks["res1"].shape[-1] == SIDE // 4
    assert out.masks["layer4"].shape[-1] == SIDE
    assert out.weights == {"res1": 0.1, "layer4": 0.01}


@pytest.mark.parametrize(
    ("tap", "channels"),
    [("res1", 64), ("res2", 64), ("layer1", 64), ("res3", 128), ("res4", 256), ("res5", 512), ("layer2.0.conv1", 128)],
)
def test_tap_names_on_a_resnet(tap: str, channels: int) -> None:
    assert with_msd(small_model(), taps=[tap]).decoders[tap.replace(".", "_")].layers[0].in_channels == channels


@pytest.mark.parametrize(
    ("tap", "channels"), [("res1", 24), ("res3", 32), ("res4", 96), ("layer4", 320), ("res5", 320)]
)
def test_aliases_go_by_stride_elsewhere(tap: str, channels: int) -> None:
    model = with_msd(small_model("tsm_mobilenetv2_100"), taps=[tap])
    assert model.decoders[tap].layers[0].in_channels == channels


def test_image_networks_without_a_clip_dimension() -> None:
    model = with_msd(timm.create_model("resnet18", num_classes=5)).train()
    out = model(torch.rand(2, 3, SIDE, SIDE))
    assert out.masks["res1"].shape == (2, 1, SIDE, SIDE)
    loss = MSDLoss()(out, torch.tensor([0, 1]), torch.rand(2, 1, SIDE, SIDE))
    loss.backward()


def test_frames_of_any_size() -> None:
    out = small_model("tsm_resnet18_msd").train()(torch.rand(2, T, 3, 50, 67))
    assert out.masks["res1"].shape == (2, T, 1, 50, 67)
    assert out.masks["layer4"].shape == (2, T, 1, 12, 17)


def test_tap_errors_name_the_tap_and_the_remedy() -> None:
    model = small_model()
    with pytest.raises(TapError, match=r"no tap 'layr4' in ClipModel; did you mean layer4.*Valid: res1"):
        with_msd(model, taps=["layr4"])
    with pytest.raises(TapError, match="tap 'bn1' is overwritten in place by the layer after it"):
        with_msd(model, taps=["bn1"])
    with pytest.raises(TapError, match=r"tap 'fc'.*has no feature map"):
        with_msd(model, taps=["fc"])
    with pytest.raises(TapError, match="given twice"):
        with_msd(model, taps=["res1", "res1"])
    with pytest.raises(TapError, match="at least one tap"):
        with_msd(model, taps=[])
    with pytest.raises(TapError, match="scale must be in"):
        Tap("res1", scale=2)
    with pytest.raises(TapError, match="weight must be a number of at least 0, got nan"):
        Tap("res1", weight=float("nan"))
    with pytest.raises(TapError, match=r"at stride 32 takes 3 steps to scale 0.25: 2 widths stand between them"):
        with_msd(model, taps=[Tap("layer4", widths=(64,))])
    with pytest.raises(TapError, match="taps is a list"):
        with_msd(model, taps={"res1": 1.0})
    with pytest.raises(TapError, match="could not run ClipModel once on an empty input of shape"):
        with_msd(model, example_input=torch.zeros(1, 3, 32, 32))
    assert not any(m._forward_hooks for m in model.modules()), "a refused tap leaves no hook behind"


def test_a_tap_that_never_fired_is_an_error() -> None:
    model = small_model("tsm_resnet18_msd").train()
    model.model.base_model.maxpool = nn.MaxPool2d(3, 2, 1)
    with pytest.raises(TapError, match="tap 'res1' never fired"):
        model(clip())
    assert not any(hook.is_open for hook in model.hooks.values())


def test_a_tap_overwritten_in_place_later_is_an_error() -> None:
    model = with_msd(small_model(), taps=["layer4"]).train()
    model.model.base_model.global_pool = nn.Sequential(nn.ReLU(inplace=True), model.model.base_model.global_pool)
    with pytest.raises(TapError, match="tap 'layer4' is overwritten in place"):
        model(clip())


def test_reentrant_checkpointing_is_an_error_not_a_silent_zero() -> None:
    class Reentrant(nn.Module):
        def __init__(self, block: nn.Module) -> None:
            super().__init__()
            self.block = block

        def forward(self, x: Tensor) -> Tensor:
            return checkpoint(self.block, x, use_reentrant=True)

    base = timm.create_model("resnet18", num_classes=5)
    base.layer4 = Reentrant(base.layer4)
    model = with_msd(base, taps=["layer4.block"]).train()
    with pytest.raises(TapError, match="use_reentrant=False"):
        model(torch.rand(2, 3, SIDE, SIDE))


class OwnNet(nn.Module):
    """A CNN of strides 2, 4, 8 with a tensor that is neither parameter nor buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(c, 2 * c, 3, 2, 1) for c in (3, 6, 12))
        self.scale = torch.ones(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.third(self.second(self.first(x * self.scale))).mean((2, 3))


def test_a_network_of_ones_own() -> None:
    model = with_msd(OwnNet(), taps=["res1", "layer4", "first"]).train()
    masks = model(torch.rand(2, 3, SIDE, SIDE)).masks
    assert model.decoders["res1"].layers[0].in_channels == 12
    assert model.decoders["layer4"].layers[0].in_channels == 24, "the deepest stage"
    assert masks["first"].shape == (2, 1, SIDE, SIDE)
    assert create_optimizer_v2(model, opt="sgd", lr=0.1)


def test_decoders_take_the_models_type() -> None:
    model = with_msd(small_model("tsm_test_resnet").double()).train()
    assert model(clip().double()).masks["res1"].dtype == torch.float64


def test_hooks_are_ours_and_picklable() -> None:
    model = small_model("tsm_resnet18_msd")
    hooks = [h for m in model.modules() for h in m._forward_hooks.values()]
    assert len(hooks) == 2
    assert all(isinstance(hook, TapHook) for hook in hooks)


def test_an_lstm_behind_a_3d_stem_has_its_channels_last() -> None:
    model = gesture_zoo.with_msd(gesture_zoo.create_model("cnn_lstm", num_classes=3, num_segments=8, width=16))
    # One decoder at the LSTM, one at the network on its states.
    assert [decoder.layers[0].in_channels for decoder in model.decoders.values()] == [64, 256]
    masks = model.train()(torch.rand(1, 8, 3, 64, 64)).masks
    assert {name: tuple(mask.shape) for name, mask in masks.items()} == {
        "res1": (1, 8, 1, 64, 64),
        "layer4": (1, 8, 1, 16, 16),
    }
