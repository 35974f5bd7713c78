"""Names, tags and the arguments of create_model."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch

import gesture_zoo
from gesture_zoo.errors import ModelError, WeightsError

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
    with pytest.raises(ModelError, match="'my_net' is registered already"):
        gesture_zoo.register_model(my_net)
    with pytest.raises(ModelError, match="letters, digits and underscores"):
        gesture_zoo.register_model(name="my.net")(my_net)


def test_resolve_data_config() -> None:
    model = gesture_zoo.create_model("tsm_resnet18", num_segments=4)
    config = gesture_zoo.resolve_data_config(model=model)
    assert config["input_size"] == (3, 224, 224)
    assert config["num_segments"] == 4
    assert gesture_zoo.resolve_data_config(model=model, use_test_size=True)["input_size"] == (3, 256, 256)
    assert gesture_zoo.resolve_data_config({"input_size": (3, 64, 64)}, model=model)["input_size"] == (3, 64, 64)


def test_register_with_timm_is_opt_in() -> None:
    gesture_zoo.register_with_timm()
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
