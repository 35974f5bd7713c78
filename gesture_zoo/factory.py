"""create_model: resolve a name, build the model, load its weights."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from timm.layers import set_layer_config
from timm.models import PretrainedCfg as TimmPretrainedCfg
from torch import Tensor, nn

from . import hub
from ._url import download_url
from .errors import ModelError, WeightsError
from .files import user_path
from .layers import TEMPORAL
from .model_arguments import accepted_arguments, check_arguments, check_built
from .model_folder import CONFIG_NAME, WEIGHTS_NAME, load_safetensors, read_config
from .models import ClipModel, VideoModel
from .msd import MSDModel, strip_msd, with_msd
from .msd.taps import as_tap
from .official import keys_for, network_state, recognise
from .packaged import PREFIX, packaged_file
from .pickles import read_checkpoint
from .pretrained import PretrainedCfg, overlay_cfg
from .registry import get_entry, get_pretrained_cfg, is_model, list_pretrained, split_name
from .saved_config import cfg_from_config, checked_overlay, mapping
from .weights import holds_clip_model, load_backbone, load_portable

_logger = logging.getLogger(__name__)

# What a model can be given after it was built, and is saved with.
CHANGED_LATER = ("num_segments", "taps")
SAVED = ("hf-hub", "local-dir")  # where whole models are, also in the "source" of a cfg that timm read
OF_WEIGHTS = {"dataset", "frame_rate", "label_names"}  # fields that say what weights learned from


def create_model(
    model_name: str,
    pretrained: bool = False,
    *,
    pretrained_cfg: str | dict[str, Any] | TimmPretrainedCfg | None = None,
    pretrained_cfg_overlay: dict[str, Any] | None = None,
    checkpoint_path: str | Path | None = None,
    cache_dir: str | Path | None = None,
    scriptable: bool | None = None,
    exportable: bool | None = None,
    no_jit: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Build a model of the zoo, with timm's habits.

    ``model_name``: "architecture", "architecture.tag", "hf-hub:owner/name[@revision]" or "local-dir:/path" (both bring
    their own architecture, classes and weights). ``pretrained`` loads the weights of the tag, by default an ImageNet
    start; with another ``num_classes`` than theirs the backbone is kept and a new classifier starts at random (of
    weights for clips a warning says so), and with other ``in_chans`` than 3 (1 for depth alone, 4 for RGB and depth)
    the first convolution is made of theirs. ``pretrained_cfg``: another tag, or a cfg of your own (``hf_hub_id``,
    ``file`` or ``url`` says where the weights are; the file "package:NAME" comes with gesture_zoo);
    ``pretrained_cfg_overlay``: fields to replace in it. ``checkpoint_path``: a .safetensors file of the same classes to
    load last. ``scriptable``, ``exportable`` and ``no_jit`` say which layers timm builds, as in timm. Other arguments
    go to the model: ``num_classes``, ``num_segments`` (T), ``in_chans``, ``drop_rate``, and what its temporal module
    takes; those that are None are left out, and timm's that ask for nothing (``drop_path_rate=0.0``). The models take
    clips (N, T, C, H, W).

    An unknown name or a bad value is a ModelError, an unknown argument a TypeError, weights that are missing
    or do not fit a WeightsError.

    >>> model = create_model("tsm_resnet18", num_classes=25, num_segments=4)
    >>> model.num_classes, model.num_segments
    (25, 4)
    """
    if not isinstance(model_name, str):
        raise ModelError(f"a model name is a string, got {model_name!r}")
    source, _, location = model_name.partition(":")
    saved_args: dict[str, Any] = {}
    cfg: PretrainedCfg | None
    if source in SAVED:
        if pretrained_cfg is not None:
            raise ModelError(f"{source} models bring their own pretrained_cfg; use pretrained_cfg_overlay")
        architecture, cfg, saved_args = read_saved_model(source, location, cache_dir)
        pretrained = True
    elif location or "/" in model_name:
        raise ModelError(f"{model_name!r} looks like a path or repository: write hf-hub:owner/name or local-dir:/path")
    else:
        architecture, tag = split_name(model_name)
        cfg = _registered_cfg(architecture, tag, pretrained_cfg)
    # Whose classes they are is said where a tag or a cfg is named.
    is_named = bool(split_name(model_name)[1] or pretrained_cfg)
    overlay = pretrained_cfg_overlay or {}
    kwargs = {key: value for key, value in kwargs.items() if value is not None}
    kwargs = check_arguments(architecture, kwargs)
    if overlay:
        cfg = checked_overlay(
            cfg or PretrainedCfg(architecture=architecture), overlay, num_classes=kwargs.get("num_classes")
        )
    kwargs = {**saved_args, **{key: overlay[key] for key in saved_args if key in overlay}, **kwargs}

    if pretrained:
        _check_published(architecture, cfg)
    factory = get_entry(architecture).factory
    known = accepted_arguments(factory)
    if cfg is not None and (known is None or "num_classes" in known):
        kwargs.setdefault("num_classes", cfg.num_classes)
    takes_segments = known is not None and "num_segments" in known
    # Of a saved model it is the model's own T, whatever it started from.
    is_saved = source in SAVED or (cfg is not None and cfg.source in SAVED)
    if cfg is not None and takes_segments and (is_saved or not cfg.backbone_only or "num_segments" in overlay):
        kwargs.setdefault("num_segments", cfg.num_segments)
    # A model was saved with these too where its factory does not take them; one of **options may not (model_config).
    left = [name for name in CHANGED_LATER if known is not None and name not in known]
    left += ["taps"] if known is None and "taps" in saved_args else []
    later = {name: kwargs.pop(name) for name in left if name in kwargs}
    if known is None and source in SAVED and cfg is not None and "num_segments" not in kwargs:
        later["num_segments"] = cfg.num_segments
    with set_layer_config(scriptable=scriptable, exportable=exportable, no_jit=no_jit):
        model: Any = _changed(check_built(factory(**kwargs), architecture), **later)
    if pretrained and cfg is not None:
        num_classes = kwargs.get("num_classes", cfg.num_classes)
        is_image = overlay.get("backbone_only") is True
        cfg = load_pretrained(model, cfg, num_classes=num_classes, cache_dir=cache_dir, is_image=is_image)
    if checkpoint_path:
        load_portable(model, load_safetensors(checkpoint_path), source=str(checkpoint_path))
    unlearned = set() if pretrained else OF_WEIGHTS - set(overlay) - ({"label_names"} if is_named else set())
    model.pretrained_cfg = model.default_cfg = _model_info(model, architecture, cfg, kwargs, left_out=unlearned)
    return model


def _changed(model: Any, num_segments: int | None = None, taps: list[Any] | None = None) -> Any:
    """A model that was built, with another T and other taps."""
    if num_segments is not None and getattr(model, "num_segments", num_segments) != num_segments:
        model.num_segments = num_segments
    if taps is not None and isinstance(model, MSDModel) and [as_tap(tap) for tap in taps] != [*model.taps.values()]:
        model = with_msd(strip_msd(model), taps=taps)
    return model


def _model_info(
    model: Any, architecture: str, cfg: PretrainedCfg | None, kwargs: dict[str, Any], *, left_out: set[str]
) -> dict[str, Any]:
    """The model's ``pretrained_cfg``: what its weights were made for, corrected by what it was built with."""
    info = (cfg or PretrainedCfg()).to_dict()
    info.pop("state_dict", None)  # the model has it
    num_classes = getattr(model, "num_classes", kwargs.get("num_classes", info["num_classes"]))
    if len(info.get("label_names") or ()) != num_classes:
        info.pop("label_names", None)  # names of other classes
    for key in left_out:
        info.pop(key, None)
    info |= {"architecture": architecture, "num_classes": num_classes}
    info["num_segments"] = getattr(model, "num_segments", info.get("num_segments"))
    info["model_args"] = {key: value for key, value in kwargs.items() if key != "num_classes"}
    for key in ("input_size", "test_input_size"):
        if info.get(key):
            info[key] = (getattr(model, "in_chans", 3), *tuple(info[key])[1:])
    return info


def _registered_cfg(
    architecture: str, tag: str, given: str | dict[str, Any] | TimmPretrainedCfg | None
) -> PretrainedCfg | None:
    get_entry(architecture)  # an unknown name is the first thing to say
    if isinstance(given, PretrainedCfg):
        return given
    if isinstance(given, TimmPretrainedCfg):
        given = asdict(given)
    if isinstance(given, dict):
        # A model's own pretrained_cfg holds its arguments too; they are not part of the weights' description.
        known = {key: value for key, value in given.items() if key != "model_args"}
        return overlay_cfg(PretrainedCfg(architecture=architecture), known)
    return get_pretrained_cfg(f"{architecture}.{given or tag}" if (given or tag) else architecture)


def _check_published(architecture: str, cfg: PretrainedCfg | None) -> None:
    if cfg is not None and (cfg.has_weights or cfg.state_dict is not None):
        return
    name = f"{architecture}.{cfg.tag}" if cfg is not None and cfg.tag else architecture
    others = ", ".join(list_pretrained(architecture)) or "none"
    own = f"Train your own with 'gesture-zoo train --model {architecture}'"
    if architecture.partition("_")[0] in TEMPORAL:
        bare = architecture.removesuffix("_msd")
        own += f", or convert a checkpoint with 'gesture-zoo convert FILE --arch {bare}'"
    raise WeightsError(f"the weights {name!r} are not published yet; with weights: {others}. {own}")


def load_pretrained(
    model: nn.Module,
    cfg: PretrainedCfg,
    *,
    num_classes: int,
    cache_dir: str | Path | None = None,
    is_image: bool = False,
) -> PretrainedCfg:
    """Load the weights that ``cfg`` points to; with another number of classes the classifier stays random.

    Returns the cfg, which says ``backbone_only`` of an image network alone. ``is_image``: nothing else will do.
    """
    bare = model.model if isinstance(model, MSDModel) else model
    state, source = _fetch(cfg, bare, cache_dir)
    # timm saves a model beside the cfg of its start, and its overlay of a "file" replaces the place alone.
    if cfg.backbone_only and not is_image and hasattr(bare, "base_model") and holds_clip_model(state):
        cfg = replace(cfg, backbone_only=False)
    if cfg.backbone_only:
        new_head = load_backbone(model, state, source=source)
    else:
        new_head = load_portable(model, state, source=source, fit_head=num_classes != cfg.num_classes)
    if new_head:
        # After an image network that is what everybody expects.
        level = logging.INFO if cfg.backbone_only else logging.WARNING
        what = "the classifier starts anew" if num_classes else "there is no classifier"
        _logger.log(level, "%s is for other classes than these %d: %s, all else is kept", source, num_classes, what)
    if new_head and cfg.backbone_only and isinstance(bare, ClipModel):
        bare.init_classifier()
    return cfg


def _fetch(cfg: PretrainedCfg, model: nn.Module, cache_dir: str | Path | None) -> tuple[dict[str, Tensor], str]:
    """The tensors a cfg points to, under the keys of ``model`` (without decoders), and where they are from."""
    if cfg.state_dict is not None:
        return cfg.state_dict, "pretrained_cfg.state_dict"
    if cfg.file and str(cfg.file).startswith(PREFIX):
        with packaged_file(str(cfg.file).removeprefix(PREFIX), sha256=cfg.sha256) as path:
            return load_safetensors(path), str(cfg.file)
    if cfg.file:
        file = user_path(cfg.file)
        file = file / WEIGHTS_NAME if os.path.isdir(file) else file
        return load_safetensors(file), str(file)
    if cfg.hf_hub_id:
        repo_id, _, revision = cfg.hf_hub_id.partition("@")
        filename = cfg.hf_hub_filename or WEIGHTS_NAME
        path = hub.download(repo_id, filename, revision=revision or None, cache_dir=cache_dir)
        try:
            return load_safetensors(path), f"{cfg.hf_hub_id}/{filename}"
        except WeightsError as error:
            raise WeightsError(f"{error}: delete {os.path.realpath(path)}, and the next call fetches it") from error
    path = download_url(str(cfg.url), cache_dir=cache_dir, sha256=cfg.sha256)
    if path.suffix == ".safetensors":
        return load_safetensors(path), str(cfg.url)
    try:
        if isinstance(model, VideoModel):  # these keep the key names of whoever publishes their weights
            return network_state(read_checkpoint(path)), str(cfg.url)
        found = recognise(read_checkpoint(path))
        for note in found.notes:
            _logger.info("%s: %s", cfg.url, note)
        return keys_for(model, found), str(cfg.url)
    except WeightsError as error:
        raise WeightsError(f"cannot load weights from {cfg.url}: {error}") from error


def read_saved_model(
    source: str, location: str, cache_dir: str | Path | None = None
) -> tuple[str, PretrainedCfg, dict[str, Any]]:
    """Architecture, cfg and model arguments from the config.json of a Hub repository or a local directory."""
    where = f"{source}:{location}"
    if source == "hf-hub":
        repo_id, _, revision = location.partition("@")
        with hub.whole_model(repo_id, revision=revision or None, cache_dir=cache_dir):
            path = hub.download(repo_id, CONFIG_NAME, revision=revision or None, cache_dir=cache_dir)
            # The cache keeps a file in a folder named by its commit: weights come from the same one, whatever is
            # pushed to the branch in between.
            commit = path.parent.name
            found = _described(read_config(path), where, {"hf_hub_id": f"{repo_id}@{commit}"})
            hub.download(repo_id, WEIGHTS_NAME, revision=commit, cache_dir=cache_dir)
        return found
    directory = user_path(location)
    if not os.path.isdir(directory):
        is_file = os.path.isfile(directory)
        fault = f"it is a file, give the folder {directory.parent}" if is_file else "there is no such directory"
        raise WeightsError(f"{where}: {fault}")
    return _described(read_config(directory / CONFIG_NAME), where, {"file": str(directory / WEIGHTS_NAME)})


def _described(config: dict[str, Any], where: str, place: dict[str, str]) -> tuple[str, PretrainedCfg, dict[str, Any]]:
    """What a config.json says of a model whose weights are in a place: a name of a field of the cfg, and its value."""
    architecture = config.get("architecture")
    if not isinstance(architecture, str) or not is_model(architecture):
        raise WeightsError(
            f"{where}: config.json names the architecture {architecture!r}, which gesture_zoo does not know; a timm "
            "image model becomes a clip model with with_temporal(timm.create_model(...)), and a model of another "
            "package is known where that is installed"
        )
    cfg = cfg_from_config(config, architecture, where=where)
    for key, value in place.items():
        setattr(cfg, key, value)
    # timm's own save_for_hf keeps what create_model was given inside the cfg.
    given = mapping(mapping(config, "pretrained_cfg", where), "model_args", where)
    arguments = {**given, **mapping(config, "model_args", where)}
    arguments = {key: value for key, value in arguments.items() if value is not None}
    try:
        arguments = check_arguments(architecture, arguments, also=CHANGED_LATER)
    except ModelError as error:
        raise WeightsError(f"{where}: config.json has unusable model_args: {error}") from error
    return architecture, cfg, arguments
