"""Recipes: everything that decides how a model is trained, by name, from a YAML file, or field by field.

The first three are the paper's (section IV of Fan et al. 2021, arXiv 2110.15639); the next is ACTION-Net's own for
EgoGesture (Wang et al. 2021, arXiv 2103.07372, https://github.com/V-Sense/ACTION-Net).
"""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from ..errors import ModelError, one_line
from .protocol import parse_protocol

AMP = ("none", "bf16", "fp16")
NORMS = ("train", "partial", "frozen")
SCHEDULES = ("multistep", "cosine", "poly", "tanh")
# What a run does with one that is already in its folder.
RESUME = ("never", "auto")
# Those of our own recipes, which timm has.
_OUR_OPTIMIZERS = ("momentum", "adamw")


def _field(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Recipe:
    """How to train; the defaults are the paper's for EgoGesture.

    Every field can be set on the command line or in a YAML file. A value that makes no sense is a ModelError.

    >>> recipe = Recipe(batch_size=8)
    >>> recipe.scaled_lr(processes=4)
    0.005
    """

    epochs: int = _field(25, "passes over the training clips")
    batch_size: int = _field(16, "clips in a batch of one process")
    accumulate: int = _field(1, "batches whose gradients make one step")
    # timm's "sgd" is Nesterov's, this is the plain one of the paper.
    opt: str = _field("momentum", "optimiser, a name of timm's")
    lr: float = _field(0.0025, "learning rate for lr_batch clips; scales with batch x processes x accumulation")
    lr_batch: int = _field(16, "clips that lr is meant for")
    momentum: float = _field(0.9, "momentum of SGD and its like")
    weight_decay: float = _field(1e-5, "weight decay")
    clip_grad: float | None = _field(None, "largest norm of the gradient")
    sched: str = _field("multistep", f"learning-rate schedule: {', '.join(SCHEDULES)}")
    milestones: tuple[int, ...] = _field((10, 15, 20), "epochs after which multistep multiplies by decay_rate")
    decay_rate: float = _field(0.1, "factor at a milestone")
    warmup_epochs: int = _field(0, "epochs in which the learning rate rises from 0")
    label_smoothing: float = _field(0.0, "share of the target that is spread over all classes")
    binarize: float | None = _field(None, "threshold that makes depth 0 or 1 (the paper's ablation: 10 / 255)")
    drop_rate: float | None = _field(None, "dropout before the classifier (default: the model's)")
    norm: str = _field("train", "BatchNorm: train; partial (all of the CNN but the first frozen); frozen (all)")
    sync_bn: bool = _field(False, "BatchNorm over the clips of all processes; needs GPUs")
    ema_decay: float | None = _field(None, "decay of an average of the weights, which is then what is kept")
    hflip: float = _field(0.0, "share of clips that are mirrored, with their labels")
    num_segments: int | None = _field(None, "frames of a clip, T (default: the model's)")
    size: int | None = _field(None, "side of the square input in pixels (default: the model's)")
    train_split: str = _field("train", "clips to train on")
    val_split: str = _field("auto", "clips to choose a checkpoint by: auto (val, or a part held out), none, or a split")
    holdout: float | None = _field(None, "share of every class of train_split that is held out for validation")
    test_split: str | None = _field(None, "clips to evaluate the last checkpoint on, once, at the end")
    test_protocol: str = _field("1x1", "crops x clips of that test; the paper's is 3x10")
    val_every: int = _field(1, "epochs between validations")
    early_validation: bool = _field(True, "validate once before the first step")
    amp: str = _field("none", f"mixed precision: {', '.join(AMP)}")
    channels_last: bool = _field(True, "channels_last memory format")
    compile: bool = _field(False, "torch.compile")
    grad_checkpointing: bool = _field(
        False, "recompute activations in the backward pass, to save memory; BatchNorm then counts a batch twice"
    )
    workers: int = _field(2, "processes that read clips, of every training process")
    log_steps: int = _field(20, "steps between two lines of the log")
    checkpoint_steps: int = _field(500, "steps between two checkpoints; one is written after every epoch too")
    max_bad_steps: int = _field(10, "steps of an epoch that may be skipped for a loss that is not finite")
    seed: int = _field(0, "random seed, also of the held-out part")

    def __post_init__(self) -> None:
        object.__setattr__(self, "milestones", tuple(self.milestones))  # as a file has them
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and not (least <= value < math.inf):
                raise ModelError(f"{name} must be at least {least}, got {value}")
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not (0 < value < math.inf):
                raise ModelError(f"{name} must be positive, got {value}")
        for name in _SHARES:
            value = getattr(self, name)
            if value is not None and not (0 <= value <= 1):
                raise ModelError(f"{name} must be in [0, 1], got {value}")
        for name, choices in (("amp", AMP), ("norm", NORMS), ("sched", SCHEDULES)):
            if getattr(self, name) not in choices:
                raise ModelError(f"{name} is one of {', '.join(choices)}, not {getattr(self, name)!r}")
        if self.drop_rate == 1:
            raise ModelError("drop_rate must be below 1, got 1: nothing would be left to learn from")
        if self.warmup_epochs >= self.epochs:
            raise ModelError(
                f"warmup_epochs must be below epochs, {self.epochs}, got {self.warmup_epochs}: there would be no time "
                "after it"
            )
        if self.seed >= 2**63:
            raise ModelError(f"seed must be below 2^63, got {self.seed}")
        _check_optimizer(self.opt)
        parse_protocol(self.test_protocol)
        if self.holdout is not None and self.val_split != "auto":
            raise ModelError(
                f"holdout {self.holdout} and val_split {self.val_split!r} are two ways to validate: leave one out"
            )
        for use, split in (("validate", self.val_split), ("train", self.train_split)):
            if self.test_split is not None and overlap(self.test_split, split):
                raise ModelError(
                    f"test_split {self.test_split!r} is also the split to {use} on: a test says nothing about clips "
                    "that were used before (val_split none leaves validation out)"
                )

    def scaled_lr(self, processes: int = 1) -> float:
        """The learning rate for the clips of one step: ``lr`` / ``lr_batch`` of each."""
        return self.lr * self.batch_size * self.accumulate * processes / self.lr_batch

    def override(self, changes: Mapping[str, Any]) -> Recipe:
        """This recipe with other values; milestones and warm-up keep their share of the epochs unless they are given.

        An unknown field, or a value of another type, is a ModelError.

        >>> Recipe().override({"epochs": 50}).milestones
        (20, 30, 40)
        """
        values = {name: _cast(name, value) for name, value in changes.items()}
        if "epochs" in values:
            ratio = values["epochs"] / self.epochs
            values.setdefault("milestones", tuple(sorted({max(1, round(m * ratio)) for m in self.milestones})))
            values.setdefault("warmup_epochs", min(round(self.warmup_epochs * ratio), values["epochs"] - 1))
        return replace(self, **values)

    def to_yaml(self) -> str:
        """The recipe as YAML that ``load_recipe`` reads."""
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return yaml.safe_dump(values, sort_keys=False, default_flow_style=None)


def _check_optimizer(name: str) -> None:
    """Raise a ModelError unless timm has this optimiser."""
    if name in _OUR_OPTIMIZERS:
        return
    from timm.optim import list_optimizers  # late: a help text needs our recipes, and not the seconds this takes

    known = [str(name) for name in list_optimizers()]
    if name not in known:
        near = ", ".join(get_close_matches(name, known, n=3)) or "sgd, adamw, lion, ..."
        raise ModelError(f"timm has no optimiser {name!r}; it has {near}")


def parts_of(split: str) -> tuple[str, ...]:
    """The splits whose clips are in a split, itself among them.

    >>> parts_of("trainval"), parts_of("test")
    (('trainval', 'train', 'val'), ('test',))
    """
    return (split, "train", "val") if split == "trainval" else (split,)


def overlap(one: str, other: str) -> bool:
    """Whether two splits have clips in common.

    >>> overlap("val", "trainval"), overlap("trainval", "train"), overlap("train", "val")
    (True, True, False)
    """
    return not {*parts_of(one)}.isdisjoint(parts_of(other))


_LEAST = {
    "epochs": 1, "batch_size": 1, "accumulate": 1, "lr_batch": 1, "warmup_epochs": 0, "workers": 0, "log_steps": 1,
    "checkpoint_steps": 1, "max_bad_steps": 0, "val_every": 1, "num_segments": 1, "size": 32, "seed": 0,
    "weight_decay": 0, "momentum": 0,
}  # fmt: skip
_POSITIVE = ("lr", "clip_grad", "decay_rate")
_SHARES = ("label_smoothing", "binarize", "drop_rate", "ema_decay", "hflip", "holdout")

_PAPER = Recipe(test_protocol="3x10", val_split="none")

RECIPES: dict[str, Recipe] = {
    # From ImageNet.
    "egogesture": replace(_PAPER, train_split="trainval", test_split="test"),
    # From the model trained on EgoGesture: --model local-dir:runs/egogesture.
    "nvgesture": replace(_PAPER, epochs=80, milestones=(50, 60, 70), test_split="test"),
    # From the model trained on EgoGesture; tested on the valid split, as the field does.
    "isogd": replace(_PAPER, epochs=35, milestones=(15, 25, 30), test_split="val"),
    # Partial BatchNorm is off there; test frames are squashed to 224 x 224, where ours are cropped.
    "action_egogesture": Recipe(
        epochs=20, milestones=(5, 10, 15), batch_size=64, lr=0.01, lr_batch=64, weight_decay=5e-4, drop_rate=0.5,
        val_split="val", test_split="test",
    ),
    # For a folder of your own clips: an adaptive optimiser, a cosine, and some care against learning by heart.
    "finetune": Recipe(
        epochs=30, opt="adamw", lr=0.002, weight_decay=0.02, sched="cosine", warmup_epochs=2, clip_grad=5.0,
        label_smoothing=0.1,
    ),
}  # fmt: skip


def load_recipe(name: str | Path) -> Recipe:
    """A recipe by name, one of ``RECIPES``, or from a YAML file: fields, and ``base``, the recipe they change.

    An unknown name, a missing file, and a file that is no recipe are ModelErrors.

    >>> load_recipe("isogd").epochs
    35
    """
    if str(name) in RECIPES:
        return RECIPES[str(name)]
    path = Path(name)
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise ModelError(f"there is no recipe {str(name)!r}; choose one of {', '.join(RECIPES)}, or a .yaml file")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ModelError(f"the recipe {path} is not valid YAML: {one_line(error)}") from error
    if not isinstance(values, dict):
        raise ModelError(f"the recipe {path} must hold lines such as 'epochs: 30', not a {type(values).__name__}")
    base = values.pop("base", None)
    if base is not None and (not isinstance(base, str) or base not in RECIPES):
        raise ModelError(f"the recipe {path} has the base {_shown(base)}; choose one of {', '.join(RECIPES)}")
    try:
        return (RECIPES[base] if base else Recipe()).override(values)
    except ModelError as error:
        raise ModelError(f"the recipe {path}: {error}") from error


@functools.cache
def field_types() -> dict[str, tuple[type, bool]]:
    """For every field its type (that of the items, for a list of numbers) and whether it may be None."""
    found = {}
    for name, hint in get_type_hints(Recipe).items():
        options = get_args(hint) if get_origin(hint) is types.UnionType else (hint,)
        kind = next(option for option in options if option is not types.NoneType)
        found[name] = (int if get_origin(kind) is tuple else kind, types.NoneType in options)
    return found


def _cast(name: Any, value: Any) -> Any:
    """A value of a YAML file or the command line as the field's type."""
    kinds = field_types()
    if name not in kinds:
        near = get_close_matches(str(name), kinds, n=1)
        raise ModelError(f"a recipe has no field {name!r}{f'; is it {near[0]!r}?' if near else ''}")
    kind, optional = kinds[name]
    if optional and value in (None, "none"):  # the word, as on the command line
        return None
    if name == "val_split" and value is None:
        return "none"
    if name == "milestones":
        if not isinstance(value, (list, tuple)) or not all(type(item) is int and item > 0 for item in value):
            raise ModelError(f"milestones are epochs such as [10, 15, 20], got {_shown(value)}")
        return tuple(sorted(value))
    if kind is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-5 as text
        except (ValueError, OverflowError):
            pass
    if type(value) is not kind or (isinstance(value, int) and abs(value) >= 1 << 63):
        raise ModelError(f"{name} must be {_WORDS[kind]}, got {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    """A value for a message: references of YAML to itself make a few lines a list of billions."""
    flat = not isinstance(value, (dict, set)) and not (
        isinstance(value, (list, tuple)) and (len(value) > 20 or any(isinstance(v, (dict, list, set)) for v in value))
    )
    return f"{value!r:.80}" if flat else f"a {type(value).__name__}"


_WORDS = {int: "a whole number", float: "a number", str: "a word", bool: "true or false"}


def describe_fields() -> dict[str, str]:
    """What every field means, in a line."""
    return {entry.name: entry.metadata["help"] for entry in fields(Recipe)}
