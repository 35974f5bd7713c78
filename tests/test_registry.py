"""Names, tags and the arguments of create_model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

import gesture_zoo
from gesture_zoo.errors import ModelError, WeightsError
from gesture_zoo.layers import TemporalShift

BACKBONES = ["resnet18", "resnet34", "resnet50", "resnet101", "mobilenetv2_100"]


def test_every_model_of_the_zoo_is_there() -> None:
    for temporal in ("tsn", "tsm", "action"):
        for backbone in BACKBONES:
            assert gesture_zoo.is_model(f"{temporal}_{backbone}")
            assert gesture_zoo.is_model(f"{temporal}_{backbone}_msd")
    assert gesture_zoo.list_models("*res2net*") == [
        "tea_res2net50_26w_4s",
        "tea_res2net50_26w_4s_msd",
        "tea_res2net50_26w_4s_online",
        "tea_res2net50_26w_4s_online_msd",
        "tsn_res2net50_26w_4s",
        "tsn_res2net50_26w_4s_msd",
    ]


def test_list_models_filters_like_timm() -> None:
    assert gesture_zoo.list_models("tsm_resnet*", exclude_filters=["*_msd", "*_online"]) == [
        f"tsm_resnet{depth}" for depth in ("18", "28_nano", "34", "50", "101")
    ]
    assert gesture_zoo.list_models(["tsm_resnet18", "tea_*"], exclude_filters=["*_msd", "*_online"]) == [
        "tea_res2net50_26w_4s",
        "tsm_resnet18",
    ]
    assert gesture_zoo.list_models("nothing*") == []
    assert "tsm_resnet50.egogesture_8f" in gesture_zoo.list_models("tsm_resnet50", include_tags=True)


def test_list_pretrained_names_only_weights_that_exist() -> None:
    assert gesture_zoo.list_pretrained("action_resnet50.*") == ["action_resnet50.in1k"]
    assert gesture_zoo.list_pretrained("*.egogesture_8f") == []
    cfgs = [gesture_zoo.get_pretrained_cfg(name) for name in gesture_zoo.list_pretrained()]
    assert all(cfg.hf_hub_id or cfg.url or cfg.file for cfg in cfgs)


def test_default_tags_are_the_papers_imagenet_start() -> None:
    assert gesture_zoo.get_pretrained_cfg("tsm_resnet50").hf_hub_id == "timm/resnet50.tv_in1k"
    assert gesture_zoo.get_pretrained_cfg("tea_res2net50_26w_4s_msd").hf_hub_id == "timm/res2net50_26w_4s.in1k"
    assert gesture_zoo.get_pretrained_cfg("action_mobilenetv2_100").hf_hub_id == "timm/mobilenetv2_100.ra_in1k"
    for name in gesture_zoo.list_pretrained("*.in1k"):
        cfg = gesture_zoo.get_pretrained_cfg(name)
        assert cfg.hf_hub_id.removeprefix("timm/") in timm.list_pretrained()
        assert cfg.backbone_only


def test_get_pretrained_cfg_is_a_copy() -> None:
    gesture_zoo.get_pretrained_cfg("tsm_resnet50").num_classes = 3
    assert gesture_zoo.get_pretrained_cfg("tsm_resnet50").num_classes == 1000


def test_unknown_names_and_tags_say_what_there_is() -> None:
    with pytest.raises(ModelError, match="unknown model 'tsm_resnet5'; did you mean tsm_resnet50"):
        gesture_zoo.create_model("tsm_resnet5")
    with pytest.raises(ModelError, match="unknown model 'xyz'"):
        gesture_zoo.model_entrypoint("xyz")
    with pytest.raises(ModelError, match="no weights tagged 'x'; its tags: in1k, egogesture_8f, nvgesture_8f"):
        gesture_zoo.create_model("tsm_resnet50.x")
    with pytest.raises(ModelError, match="write hf-hub:owner/name or local-dir:/path"):
        gesture_zoo.create_model("owner/name")


def test_unpublished_weights_are_an_honest_error() -> None:
    with pytest.raises(
        WeightsError,
        match=r"'action_resnet50_msd.egogesture_8f' are not published yet; with weights: "
        r"action_resnet50_msd.in1k. Train your own.*convert",
    ):
        gesture_zoo.create_model("action_resnet50_msd.egogesture_8f", pretrained=True)
    model = gesture_zoo.create_model("tsm_resnet50.nvgesture_8f")
    assert model.num_classes == 25, "without weights the tag still says how many classes"


def test_arguments_that_no_model_takes() -> None:
    with pytest.raises(TypeError, match=r"tsm_resnet18 takes no argument 'shiftdiv'; it takes num_classes.*shift_div"):
        gesture_zoo.create_model("tsm_resnet18", shiftdiv=4)
    with pytest.raises(TypeError, match="tsn_resnet18 takes no argument 'shift_div'"):
        gesture_zoo.create_model("tsn_resnet18", shift_div=4)
    with pytest.raises(ModelError, match="num_classes must be an integer of at least 0, got 'x'"):
        gesture_zoo.create_model("tsm_resnet18", num_classes="x")
    with pytest.raises(ModelError, match="num_segments must be an integer of at least 1, got 0"):
        gesture_zoo.create_model("tsm_resnet18", num_segments=0)


def test_none_means_the_default() -> None:
    model = gesture_zoo.create_model("tsm_resnet18", num_classes=None, drop_rate=None)
    assert (model.num_classes, model.drop_rate) == (1000, 0.0)


def test_register_model(own_registry: None) -> None:
    @gesture_zoo.register_model
    def my_net(*, num_classes: int = 7) -> torch.nn.Module:
        return gesture_zoo.create_model("tsm_test_resnet", num_classes=num_classes)

    assert gesture_zoo.create_model("my_net", num_classes=3).num_classes == 3
    assert gesture_zoo.get_pretrained_cfg("my_net") is None
    with pytest.raises(TypeError, match="my_net takes no argument 'num_segments'; it takes num_classes"):
        gesture_zoo.create_model("my_net", num_segments=3)
    with pytest.raises(ModelError, match="'my_net' is registered already, by .+; choose another name"):
        gesture_zoo.register_model(my_net)
    with pytest.raises(ModelError, match="letters, digits and underscores"):
        gesture_zoo.register_model(name="my.net")(my_net)


def test_register_model_says_what_it_takes(own_registry: None) -> None:
    for arguments, message in (
        ({"name": "my_net", "default_cfg": {"num_classes": 3}}, "'my_net': default_cfg is a gesture_zoo.PretrainedCfg"),
        (
            {"name": "my_net", "cfgs": {"a": "b"}},
            r"'my_net': cfgs\['a'\] is a gesture_zoo.PretrainedCfg\(...\), not a str",
        ),
        ({}, "give one with name='...'"),
    ):
        with pytest.raises(ModelError, match=message):
            gesture_zoo.register_model(**arguments)(partial(torch.nn.Linear, 4))
    with pytest.raises(ModelError, match=r"got 'my_net'; another name .* is @register_model\(name=...\)"):
        gesture_zoo.register_model("my_net")
    for returned, shown in ((None, "nothing"), (3, "3")):
        gesture_zoo.register_model(name=f"my_{shown}")(lambda returned=returned: returned)
        with pytest.raises(ModelError, match=f"registered as 'my_{shown}' returns {shown}: a model is an nn.Module"):
            gesture_zoo.create_model(f"my_{shown}")


def test_a_cfg_of_timm_is_one_of_ours(own_registry: None) -> None:
    start = timm.models.PretrainedCfg(num_classes=7, hf_hub_id="you/weights")
    gesture_zoo.register_model(name="my_net", cfgs={"mine": start})(own_net)
    cfg = gesture_zoo.get_pretrained_cfg("my_net.mine")
    assert (cfg.hf_hub_id, cfg.num_segments, cfg.architecture) == ("you/weights", 8, "my_net")
    assert gesture_zoo.create_model("my_net").num_classes == 7


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("tsm", ["resnet26", "resnet19"]), {}, "'tsm': timm has no CNN 'resnet19'; did you mean resnet18"),
        (("tsm", "resnet19"), {}, "'tsm': timm has no CNN 'resnet19'; did you mean resnet18"),
        (("tsm", [50]), {}, r"'tsm': timm has no CNN 50; timm.list_models\(\) names them"),
        (("tsx", ["resnet26"]), {}, "unknown temporal module 'tsx'; choose one of tsn, tsm"),
        ((TemporalShift, ["resnet26"]), {}, "a family is called by the name that register_temporal gave"),
        (
            ("tsn", ["resnet26"]),
            {"online": True},
            "'tsn' has no online models: its temporal module takes no .*'causal'",
        ),
        (("tsm", ["resnet26"], {"resnet62": {}}), {}, r"gesture_cfgs has 'resnet62', which is none of \['resnet26'\]"),
    ],
)
def test_a_family_that_cannot_be(
    own_registry: None, arguments: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    names = gesture_zoo.list_models()
    with pytest.raises(ModelError, match=message):
        gesture_zoo.register_family(*arguments, **options)
    assert gesture_zoo.list_models() == names, "all of it, or nothing"


def test_a_family_of_one(own_registry: None) -> None:
    gesture_zoo.list_models()
    gesture_zoo.register_family("tsm", "resnet26")
    assert gesture_zoo.list_models("tsm_resnet26*") == ["tsm_resnet26", "tsm_resnet26_msd"]


@pytest.mark.parametrize(
    "three", [np.int64(3), np.array([0, 1, 2]).max() + 1, np.uint8(3), torch.tensor([1, 2]).max() + 1]
)
def test_whole_numbers_of_others(three: Any, tmp_path: Path) -> None:
    model = gesture_zoo.create_model("tsm_test_resnet", num_classes=three, num_segments=three, in_chans=three)
    assert (type(model.num_classes), type(model.num_segments), type(model.in_chans)) == (int, int, int)
    folder = gesture_zoo.save_pretrained(model, tmp_path)
    again = gesture_zoo.create_model(f"local-dir:{folder}")
    assert (again.num_classes, again.num_segments, again.in_chans) == (3, 3, 3)


@pytest.mark.parametrize("what", [True, np.bool_(True), torch.tensor(True), 3.0, np.float64(3), torch.ones(2)])
def test_what_is_no_whole_number(what: Any) -> None:
    with pytest.raises(ModelError, match="num_classes must be an integer of at least 0, got "):
        gesture_zoo.create_model("tsm_test_resnet", num_classes=what)


def test_arguments_of_timm_that_ask_for_nothing() -> None:
    nothing = {"drop_path_rate": 0.0, "drop_block_rate": 0, "features_only": False}
    for name in ("tsm_test_resnet", "c3d"):
        model = gesture_zoo.create_model(name, num_classes=3, **nothing)
        assert model.num_classes == 3 and not nothing.keys() & model.pretrained_cfg["model_args"].keys()
    for name, value, way in (
        ("drop_path_rate", 0.1, r"with_temporal\(timm.create_model\(..., drop_path_rate=...\)\) makes a model"),
        ("drop_block_rate", np.ones(2), r"with_temporal\(timm.create_model\(..., drop_block_rate=...\)\)"),
        ("features_only", True, r"forward_features\(clip\) of the model gives its maps"),
    ):
        with pytest.raises(TypeError, match=f"takes no argument '{name}'; it takes num_classes, .*; {way}"):
            gesture_zoo.create_model("tsm_test_resnet", **{name: value})
    cnn = timm.create_model("test_resnet", drop_path_rate=0.1)
    assert gesture_zoo.with_temporal(cnn, "tsm", num_classes=3).num_classes == 3, "the way that is named"


def test_no_filter_may_be_none_as_in_timm() -> None:
    assert gesture_zoo.list_models(None, exclude_filters=None) == gesture_zoo.list_models()
    assert gesture_zoo.list_pretrained(None, exclude_filters=None) == gesture_zoo.list_pretrained()


def test_resolve_data_config() -> None:
    model = gesture_zoo.create_model("tsm_resnet18", num_segments=4)
    config = gesture_zoo.resolve_data_config(model=model)
    assert config["input_size"] == (3, 224, 224)
    assert config["num_segments"] == 4
    assert gesture_zoo.resolve_data_config(model=model, use_test_size=True)["input_size"] == (3, 256, 256)
    assert gesture_zoo.resolve_data_config({"input_size": (3, 64, 64)}, model=model)["input_size"] == (3, 64, 64)


def test_register_with_timm_is_opt_in(own_registry: None) -> None:
    gesture_zoo.register_with_timm()
    assert gesture_zoo.is_model("tsm_resnet10t") and not timm.is_model("tsm_resnet10t"), "a name of the rule alone"
    gesture_zoo.register_family("tsm", ["resnet10t"])
    gesture_zoo.register_with_timm()
    assert timm.create_model("tsm_resnet10t", num_classes=5, num_segments=2).num_classes == 5
    gesture_zoo.register_with_timm()
    model = timm.create_model("action_resnet18_msd", num_classes=5, num_segments=2)
    assert isinstance(model, gesture_zoo.MSDModel)
    assert "tsm_resnet50.in1k" in timm.list_pretrained("tsm_resnet50*")
    with pytest.raises(WeightsError, match="not published yet"):
        timm.create_model("tsm_resnet50.egogesture_8f", pretrained=True)


def test_a_registered_model_keeps_its_own_defaults(own_registry: None, tmp_path: Path) -> None:
    @gesture_zoo.register_model
    def my_net(*, num_classes: int = 7) -> torch.nn.Module:
        return gesture_zoo.create_model("tsm_test_resnet", num_classes=num_classes)

    @gesture_zoo.register_model
    def my_fixed() -> torch.nn.Module:
        return torch.nn.Linear(4, 2)

    assert gesture_zoo.create_model("my_net").num_classes == 7
    assert gesture_zoo.create_model("my_fixed").out_features == 2
    for name in ("my_net", "my_fixed"):
        folder = gesture_zoo.save_pretrained(gesture_zoo.create_model(name), tmp_path / name)
        assert type(gesture_zoo.create_model(f"local-dir:{folder}")) is type(gesture_zoo.create_model(name))


def test_only_the_filter_of_a_list_is_positional() -> None:
    with pytest.raises(TypeError, match="positional"):
        gesture_zoo.list_models("*nano*", "tsm")  # timm's second is a module, which is none of our filters


def test_names_that_are_no_strings_are_no_models() -> None:
    assert not gesture_zoo.is_model(None)


def test_entrypoints_take_timms_pretrained(own_registry: None) -> None:
    @gesture_zoo.register_model
    def my_net(pretrained: bool = False, *, num_classes: int = 7) -> torch.nn.Module:
        return torch.nn.Linear(1 + pretrained, num_classes)

    build = gesture_zoo.model_entrypoint("tsm_test_resnet")
    assert build(pretrained=False, num_classes=3).num_classes == 3
    with pytest.raises(ModelError, match="pretrained=True is for create_model"):
        build(pretrained=True)
    assert gesture_zoo.model_entrypoint("my_net")(pretrained=True).in_features == 2, "what takes it is given it"


def test_timms_layer_settings_reach_its_layers(own_registry: None) -> None:
    @gesture_zoo.register_model
    def my_net(*, num_classes: int = 7) -> torch.nn.Module:
        seen.append((timm.layers.is_scriptable(), timm.layers.is_exportable(), timm.layers.is_no_jit()))
        return torch.nn.Linear(4, num_classes)

    seen: list[tuple[bool, bool, bool]] = []
    gesture_zoo.create_model("my_net", scriptable=True, exportable=True, no_jit=True)
    gesture_zoo.create_model("my_net")
    assert seen == [(True, True, True), (False, False, False)]


def own_net(num_classes: int = 10, **options: Any) -> torch.nn.Module:
    cnn = timm.create_model("test_resnet", num_classes=num_classes, in_chans=options.pop("channels", 3))
    return gesture_zoo.with_temporal(cnn, "tsm", **options)


def fixed_net(num_classes: int = 10, **options: Any) -> torch.nn.Module:
    return own_net(num_classes, num_segments=6, **options)  # given again, T is a TypeError


@pytest.mark.parametrize(
    ("factory", "options"),
    [(own_net, {}), (own_net, {"num_segments": 4, "shift_div": 4}), (own_net, {"channels": 1}), (fixed_net, {})],
)
def test_a_factory_of_options_is_given_again_what_it_was_given(
    own_registry: None, tmp_path: Path, factory: Callable[..., torch.nn.Module], options: dict[str, Any]
) -> None:
    gesture_zoo.register_model(factory)
    model = gesture_zoo.create_model(factory.__name__, num_classes=4, **options)
    folder = gesture_zoo.save_pretrained(model, tmp_path / "as_built")
    again = gesture_zoo.create_model(f"local-dir:{folder}")
    assert (again.num_segments, again.in_chans) == (model.num_segments, model.in_chans)
    assert again.pretrained_cfg["model_args"] == model.pretrained_cfg["model_args"] == options
    model.num_segments = 12
    folder = gesture_zoo.save_pretrained(model, tmp_path / "changed")
    assert gesture_zoo.create_model(f"local-dir:{folder}").num_segments == 12
    again = gesture_zoo.save_pretrained(gesture_zoo.create_model(f"local-dir:{folder}"), tmp_path / "again")
    assert gesture_zoo.create_model(f"local-dir:{again}").num_segments == 12


def test_a_factory_of_decoders_is_registered_under_their_name(own_registry: None, tmp_path: Path) -> None:
    def build(num_classes: int = 10, **options: Any) -> torch.nn.Module:
        return gesture_zoo.with_msd(own_net(num_classes, **options), taps=["layer4"])

    gesture_zoo.register_model(name="my_net")(build)
    with pytest.raises(WeightsError, match=r"register_model\(name='my_net_msd'\)"):
        gesture_zoo.save_pretrained(gesture_zoo.create_model("my_net"), tmp_path / "run")
    gesture_zoo.register_model(name="my_net_msd")(build)
    folder = gesture_zoo.save_pretrained(gesture_zoo.create_model("my_net_msd"), tmp_path / "run")
    assert list(gesture_zoo.create_model(f"local-dir:{folder}").taps) == ["layer4"]
    bare = gesture_zoo.strip_msd(gesture_zoo.create_model("my_net_msd"))
    folder = gesture_zoo.save_pretrained(gesture_zoo.with_msd(bare, taps=["res1"]), tmp_path / "tapped")
    assert list(gesture_zoo.create_model(f"local-dir:{folder}").taps) == ["res1"]


def test_a_factory_without_arguments_is_given_none(own_registry: None, tmp_path: Path) -> None:
    gesture_zoo.register_model(name="my_fixed")(lambda: own_net(3, num_segments=4))
    model = gesture_zoo.create_model("my_fixed")
    model.num_segments = 6
    folder = gesture_zoo.save_pretrained(model, tmp_path / "run")
    assert gesture_zoo.create_model(f"local-dir:{folder}").num_segments == 6
