"""Recipes: the paper's numbers, overriding field by field, YAML, and values that make no sense."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
import timm.optim
import torch
from torch import nn

import gesture_zoo
from gesture_zoo.cli import build_parser, main
from gesture_zoo.cli.train import resolve_recipe
from gesture_zoo.engine import RECIPES, Recipe, load_recipe, train_val_datasets
from gesture_zoo.engine.checkpoint import save_checkpoint
from gesture_zoo.engine.optim import frozen_norms, make_optimizer, make_scheduler
from gesture_zoo.engine.recipes import _OUR_OPTIMIZERS
from gesture_zoo.errors import DataError, ModelError

CONFIG = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3, "num_segments": 2}


def from_command_line(*arguments: str) -> Recipe:
    return resolve_recipe(build_parser().parse_args(["train", "--model", "tsm_resnet18", *arguments]))


def test_a_run_that_goes_on_keeps_its_recipe_and_one_that_never_began_does_not(tmp_path: Path) -> None:
    arguments = "--data", "isogd", "--out", str(tmp_path), "--resume", "auto"
    (tmp_path / "recipe.yaml").write_text(Recipe(lr=9.0).to_yaml())
    assert from_command_line(*arguments) == RECIPES["isogd"]
    save_checkpoint(tmp_path / "checkpoint.safetensors", {})
    assert from_command_line(*arguments).lr == 9.0


# Section IV of arXiv 2110.15639.
@pytest.mark.parametrize(
    ("name", "epochs", "milestones", "splits"),
    [
        ("egogesture", 25, (10, 15, 20), ("trainval", "test")),
        ("nvgesture", 80, (50, 60, 70), ("train", "test")),
        ("isogd", 35, (15, 25, 30), ("train", "val")),
    ],
)
def test_the_papers_recipes(name: str, epochs: int, milestones: tuple[int, ...], splits: tuple[str, str]) -> None:
    recipe = RECIPES[name]
    assert (recipe.epochs, recipe.milestones, (recipe.train_split, recipe.test_split)) == (epochs, milestones, splits)
    assert (recipe.momentum, recipe.weight_decay) == (0.9, 1e-5)
    optimizer = make_optimizer(nn.Linear(2, 2), recipe)
    assert type(optimizer) is torch.optim.SGD and not optimizer.defaults["nesterov"]
    assert (recipe.batch_size, recipe.scaled_lr()) == (16, 0.0025)
    assert (recipe.test_protocol, recipe.val_split) == ("3x10", "none")


def test_action_nets_own_recipe() -> None:
    recipe = RECIPES["action_egogesture"]
    assert (recipe.batch_size, recipe.scaled_lr(), recipe.weight_decay, recipe.drop_rate) == (64, 0.01, 5e-4, 0.5)
    assert (recipe.epochs, recipe.milestones) == (20, (5, 10, 15))


def test_the_learning_rate_scales_with_the_clips_of_a_step() -> None:
    assert Recipe(batch_size=8, accumulate=4).scaled_lr(processes=2) == pytest.approx(0.0025 * 4)


def test_the_learning_rate_falls_at_its_milestones() -> None:
    recipe = Recipe(epochs=6, milestones=(2, 4), warmup_epochs=1, lr=1.0)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=recipe.scaled_lr())
    scheduler = make_scheduler(optimizer, recipe, updates=10)
    rates = []
    for update in range(60):
        scheduler.step_update(update)
        rates.append(round(optimizer.param_groups[0]["lr"], 6))
    assert rates[:10] == [round(0.1 * i, 6) for i in range(10)]
    assert rates[10:] == [1.0] * 10 + [0.1] * 20 + [0.01] * 20


def test_our_own_recipes_name_optimisers_that_timm_has() -> None:
    assert set(_OUR_OPTIMIZERS) <= {str(name) for name in timm.optim.list_optimizers()}
    assert {recipe.opt for recipe in RECIPES.values()} <= set(_OUR_OPTIMIZERS)  # else every help text waits for timm


def test_every_schedule_and_optimiser_of_timm_can_be_had() -> None:
    for sched in ("cosine", "poly", "tanh"):
        recipe = Recipe(epochs=4, sched=sched)
        optimizer = make_optimizer(nn.Linear(2, 2), recipe)
        make_scheduler(optimizer, recipe, updates=5).step_update(19)
        assert optimizer.param_groups[0]["lr"] < recipe.scaled_lr() / 10
    assert isinstance(make_optimizer(nn.Linear(2, 2), Recipe(opt="lion")), timm.optim.Lion)


def test_a_yaml_file_and_the_way_back(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("base: isogd\nlr: 1e-4\nclip_grad: 5\nmilestones: [3, 6]\nepochs: 8\ntest_split: null\n")
    recipe = load_recipe(path)
    assert recipe == replace(RECIPES["isogd"], lr=1e-4, clip_grad=5.0, milestones=(3, 6), epochs=8, test_split=None)
    path.write_text(recipe.to_yaml())
    assert load_recipe(path) == recipe


def test_the_command_line_has_the_last_word(tmp_path: Path) -> None:
    assert from_command_line("--data", "nvgesture") == RECIPES["nvgesture"]
    assert from_command_line("--data", "folder") == RECIPES["finetune"]
    path = tmp_path / "mine.yaml"
    path.write_text("epochs: 7\nlr: 0.5")
    recipe = from_command_line(
        "--data", "folder", "--recipe", str(path), "--lr", "0.1", "--compile", "--norm", "frozen"
    )
    assert (recipe.epochs, recipe.lr, recipe.compile, recipe.norm) == (7, 0.1, True, "frozen")
    recipe = from_command_line("--data", "isogd", "--test-split", "none", "--milestones", "4", "5", "--holdout", "0.1")
    assert (recipe.test_split, recipe.milestones, recipe.val_split) == (None, (4, 5), "auto")


def test_milestones_keep_their_share_of_the_epochs() -> None:
    assert RECIPES["nvgesture"].override({"epochs": 40}).milestones == (25, 30, 35)
    assert RECIPES["nvgesture"].override({"epochs": 1}).milestones == (1,)
    assert RECIPES["nvgesture"].override({"epochs": 40, "milestones": [9]}).milestones == (9,)


def test_every_field_is_an_option() -> None:
    text = next(action for action in build_parser()._actions if action.dest == "command").choices["train"].format_help()
    for field in fields(Recipe):
        assert f"--{field.name.replace('_', '-')}" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", "has no field 'epoch'; is it 'epochs'"),
        ("epochs: many", "epochs must be a whole number, got 'many'"),
        ("compile: 1", "compile must be true or false"),
        ("milestones: 3", "milestones are epochs such as"),
        ("base: mine", "has the base 'mine'; choose one of"),
        ("- epochs", "must hold lines such as"),
        ("epochs: [", "is not valid YAML"),
        ("epochs: !!python/object/apply:os.getcwd []", "is not valid YAML"),
        ("epochs: 0", "epochs must be at least 1, got 0"),
    ],
)
def test_files_that_are_no_recipe(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ModelError, match=message) as caught:
        load_recipe(path)
    assert "bad.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_recipes_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no recipe 'paper'; choose one of egogesture"):
        load_recipe("paper")
    with pytest.raises(ModelError, match="cannot read the recipe"):
        load_recipe(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lr": -1.0}, "lr must be positive"),
        ({"sched": "x"}, "sched is one of multistep"),
        ({"opt": "sgdd"}, "timm has no optimiser 'sgdd'; it has sgd"),
        ({"amp": "int8"}, "amp is one of none, bf16, fp16"),
        ({"norm": "off"}, "norm is one of train, partial, frozen"),
        ({"ema_decay": 1.5}, r"ema_decay must be in \[0, 1\]"),
        ({"size": 16}, "size must be at least 32"),
        ({"test_protocol": "10x3"}, "protocol"),
        ({"holdout": 0.1, "val_split": "val"}, "two ways to validate"),
        ({"train_split": "trainval", "test_split": "val"}, "is also the split to train on"),
        ({"val_split": "test", "test_split": "test"}, "a test says nothing about clips that were used before"),
    ],
)
def test_values_that_make_no_sense(values: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Recipe(**values)


def test_a_checkpoint_is_not_chosen_by_its_test(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["train", "--model", "tsm_test_resnet", "--data", "synthetic", "--size", "32", "--test-split", "val"]
    assert main([*arguments, "--out", str(tmp_path / "run")]) == 2
    assert "a checkpoint must not be chosen by its test" in capsys.readouterr().err
    with pytest.raises(DataError, match="the split 'val' cannot be trained and validated on"):
        train_val_datasets("synthetic", None, CONFIG, train_split="val", val_split="val")


@pytest.mark.parametrize(
    ("opt", "message"), [("adahessian", "second derivatives"), ("fusedadam", "cannot be used here")]
)
def test_optimisers_that_cannot_train_here(opt: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make_optimizer(nn.Linear(2, 2), Recipe(opt=opt))


def test_which_norms_are_frozen() -> None:
    model = gesture_zoo.create_model("tsm_test_resnet_msd", num_classes=2)
    every, cnn = (sum(isinstance(m, nn.BatchNorm2d) for m in part.modules()) for part in (model, model.model))
    assert frozen_norms(model, "train") == []
    assert len(frozen_norms(model, "partial")) == cnn - 1
    assert len(frozen_norms(model, "frozen")) == every > cnn


def test_a_warm_up_leaves_time_for_the_schedule() -> None:
    with pytest.raises(ModelError, match="warmup_epochs must be below epochs, 2, got 2"):
        Recipe(epochs=2, warmup_epochs=2, sched="tanh")
    assert Recipe(epochs=20, warmup_epochs=19).override({"epochs": 2}).warmup_epochs == 1


def test_no_milestone_counts_twice() -> None:
    assert Recipe().override({"epochs": 3}).milestones == (1, 2)
