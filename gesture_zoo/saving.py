"""save_pretrained and push_to_hub: a model as a folder that ``create_model`` reads back.

model.safetensors + config.json (timm's layout, with labels, preprocessing and T) + a model card. The same
folder is a ``local-dir:`` and, uploaded, an ``hf-hub:`` model.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from timm.utils import unwrap_model
from torch import nn

from . import __version__, hub
from .cards import model_card, plain_number
from .errors import WeightsError
from .files import user_path
from .labels import check_names
from .model_arguments import accepted_arguments
from .model_folder import save_safetensors_dir
from .msd import MSDModel
from .pretrained import PretrainedCfg
from .registry import get_entry, is_model
from .weights import portable_state_dict


def save_pretrained(
    model: nn.Module,
    directory: str | Path,
    *,
    metrics: dict[str, Any] | None = None,
    repo_id: str | None = None,
    checkpoint: str | None = None,
    origin: dict[str, Any] | None = None,
) -> Path:
    """Write ``model`` to ``directory``: model.safetensors, config.json and README.md, each whole or not at all.

    The model must come from ``create_model``, so that its name can build it again. Class names are taken from
    ``model.pretrained_cfg["label_names"]``. ``metrics`` (name -> value) go into config.json and the card, numbers
    also into its evaluation index; ``repo_id`` into the card's example; ``checkpoint`` says which moment of its
    training this is; ``origin`` (file, checksum, terms, ...) where weights of others are from, for config.json.
    Returns the directory; ``create_model("local-dir:<directory>")`` loads it.

    >>> import gesture_zoo, tempfile
    >>> model = gesture_zoo.create_model("tsm_resnet18", num_classes=3)
    >>> path = save_pretrained(model, tempfile.mkdtemp())
    >>> gesture_zoo.create_model(f"local-dir:{path}").num_classes
    3
    """
    model = unwrap_model(model)
    plain = {str(name): plain_number(value) for name, value in (metrics or {}).items()}
    config = model_config(model) | ({"metrics": plain} if plain else {})
    if checkpoint is not None:
        config["gesture_zoo"]["checkpoint"] = checkpoint
    config["gesture_zoo"] |= origin or {}
    directory = user_path(directory)
    save_safetensors_dir(directory, portable_state_dict(model), config, model_card(model, config, repo_id=repo_id))
    return directory


def push_to_hub(
    model: nn.Module,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    commit_message: str = hub.COMMIT_MESSAGE,
    token: str | None = None,
    metrics: dict[str, Any] | None = None,
) -> str:
    """Upload ``model`` to the Hugging Face Hub repository ``repo_id`` ("owner/name") and return the commit's URL.

    The repository is made if it does not exist. ``create_model("hf-hub:owner/name", pretrained=True)`` loads it.
    A missing or too weak token is a HubError.

    >>> import gesture_zoo
    >>> model = gesture_zoo.create_model("tsm_resnet18", num_classes=3)
    >>> push_to_hub(model, "you/name", private=True)  # doctest: +SKIP
    'https://huggingface.co/you/name/commit/...'
    >>> push_to_hub(model, "a name with spaces")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    gesture_zoo.errors.HubError: 'a name with spaces' is not the id of a repository at ...
    """
    with tempfile.TemporaryDirectory() as directory:
        # A bare name gets its owner from the Hub, and a card cannot load a model without one.
        save_pretrained(model, directory, metrics=metrics, repo_id=repo_id if "/" in repo_id else None)
        return hub.push(
            directory, repo_id, private=private, revision=revision, commit_message=commit_message, token=token
        )


def architecture_of(model: nn.Module) -> str:
    """The registered name that builds ``model`` again, with "_msd" exactly if it has decoders."""
    cfg = getattr(model, "pretrained_cfg", None) or {}
    name = str(cfg.get("architecture", "")).removesuffix("_msd") + ("_msd" if isinstance(model, MSDModel) else "")
    if "model_args" not in cfg or not is_model(name):
        if "model_args" in cfg and isinstance(model, MSDModel) and is_model(name.removesuffix("_msd")):
            raise WeightsError(
                f"this {type(model).__name__} cannot be saved by name, there is no {name!r}: register the factory that "
                f"builds it with its decoders as gesture_zoo.register_model(name={name!r}); without its decoders it "
                "can be saved, after strip_msd"
            )
        raise WeightsError(
            f"this {type(model).__name__}, which create_model did not make, cannot be saved by name: register its "
            "factory with gesture_zoo.register_model and build it with create_model"
            + (f" (there is no {name!r})" if name.removesuffix("_msd") else "")
        )
    return name


def model_config(model: Any) -> dict[str, Any]:
    """The contents of config.json: timm's layout, and our own fields under "gesture_zoo".

    A model that cannot be saved by name is a WeightsError.
    """
    model = unwrap_model(model)
    cfg = model.pretrained_cfg if isinstance(getattr(model, "pretrained_cfg", None), dict) else {}
    architecture = architecture_of(model)
    arguments = {key: value for key, value in cfg["model_args"].items() if key != "taps"}
    accepted = accepted_arguments(get_entry(architecture).factory)
    bare = model.model if isinstance(model, MSDModel) else model
    if isinstance(bare, MSDModel):
        raise WeightsError("decoders around a model with decoders cannot be saved: give all taps to one with_msd")
    # What can be changed after a model was built. T is set, and taps are put on, where the factory does not take them.
    settings = tuple(getattr(bare, "settings", ()))
    for name in ("num_segments", "in_chans", *settings):
        # A factory of **options may hand them to what takes no such argument: it is given again what it was given.
        fits = name in arguments or name in settings if accepted is None else name in (*accepted, "num_segments")
        if hasattr(bare, name) and fits:
            arguments[name] = getattr(bare, name)
    if isinstance(model, MSDModel):
        arguments["taps"] = [asdict(tap) for tap in model.taps.values()]
    if getattr(bare, "repooled", False):
        raise WeightsError(
            f"reset_classifier changed the pooling of this model to {bare.pooling!r}; its factory could not build it "
            "again, so it cannot be saved by name"
        )
    known = {field.name for field in fields(PretrainedCfg)}
    saved = PretrainedCfg(**{key: value for key, value in cfg.items() if key in known})
    num_classes = getattr(model, "num_classes", saved.num_classes)
    saved.architecture, saved.num_classes, saved.backbone_only = architecture, num_classes, False
    # The tag, terms, accuracy and test size are those of the weights it started from.
    saved.tag = saved.license = saved.origin_url = saved.description = saved.state_dict = None
    if tuple(saved.input_size)[1:] != PretrainedCfg.input_size[1:]:
        saved.test_input_size = None
    given: Any = () if saved.label_names is None else saved.label_names
    labels = list(check_names(given, source="pretrained_cfg['label_names']")) if len(given) else []
    if labels and len(labels) != num_classes:
        raise WeightsError(
            f"label_names has {len(labels)} names for {num_classes} classes: model.pretrained_cfg['label_names'] names "
            "each, class 0 first, or is None"
        )
    config = {
        "architecture": architecture,
        "num_classes": num_classes,
        "num_features": getattr(model, "num_features", None),
        "label_names": labels or None,
        "pretrained_cfg": {key: value for key, value in saved.timm_dict().items() if key != "label_names"},
        "model_args": arguments,
        "gesture_zoo": {
            "version": __version__,
            "num_segments": getattr(bare, "num_segments", arguments.get("num_segments")),
            "dataset": saved.dataset,
        }
        | ({} if saved.frame_rate is None else {"frame_rate": saved.frame_rate}),
    }
    return {key: value for key, value in config.items() if value is not None}
