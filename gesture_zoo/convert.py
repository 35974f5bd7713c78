"""convert_checkpoint: a checkpoint file of another project as a folder that ``create_model`` reads."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from .errors import WeightsError, one_line
from .factory import create_model
from .files import file_sha256, user_path
from .labels import check_names, read_labels
from .model_arguments import accepted_arguments
from .model_folder import CHECKPOINT_NAME, CONFIG_NAME, WEIGHTS_NAME
from .models import ClipModel
from .models.published import published_file
from .official import Recognised, check_no_decoders, faults, keys_for, misfit, recognise, stem_channels
from .pickles import read_checkpoint
from .pretrained import PretrainedCfg
from .registry import get_entry, get_pretrained_cfg, split_name
from .saving import save_pretrained
from .weights import load_backbone, load_portable

# What file names say where tensors do not: TSM's "..._shift8_..._segment16_...", mmaction2's "...-1x1x16-...".
NAME_SAYS = {"num_segments": (r"segment(\d+)", r"(?<!\d)1x1x(\d+)"), "shift_div": (r"_shift(\d+)_",)}
DEFAULT_SEGMENTS = 8
# mmaction2 counts in the order of a dataset's labels file.
OTHER_ORDER = {"jester": "jester_official", "something_v1": "something_v1_official"}


class Conversion(NamedTuple):
    """What was recognised in a checkpoint, and where the model is now."""

    directory: Path
    architecture: str
    layout: str
    num_keys: int
    num_classes: int
    num_segments: int
    label_names: tuple[str, ...] | None
    sha256: str
    notes: tuple[str, ...]


def convert_checkpoint(
    source: str | Path,
    arch: str,
    out: str | Path,
    *,
    labels: str | Path | Sequence[str] | None = None,
    num_segments: int | None = None,
    shift_div: int | None = None,
    num_classes: int | None = None,
    dataset: str | None = None,
    origin_url: str | None = None,
) -> Conversion:
    """Convert a .pth, .pth.tar or .safetensors file to a folder that ``create_model("local-dir:OUT")`` loads.

    ``source`` is a checkpoint of the official TSM, ACTION-Net or TEA, of mmaction2's TSN or TSM, or an image network
    of torchvision or timm; which one is detected. An image network fills the 2-D CNN of ``arch`` and temporal layers
    keep their published start. ``labels``: a text file (one name a line), a JSON list, a name from
    ``gesture_zoo.labels.LABEL_SETS``, or the names themselves. ``num_segments`` and ``shift_div``, which no tensor
    tells: by default what the file's name says, else 8. ``num_classes``: for an image network, the classes of its
    classifier, which is new unless the file's has as many. ``dataset`` and ``origin_url`` are written down; those,
    labels and preprocessing of a published file are known by its name. The model takes as many channels as the file's
    first convolution.

    A file that cannot be read, does not fit ``arch``, or has another number of classes than labels is a WeightsError,
    and so is a folder ``out`` with other things than a saved model, which would be overwritten, or with a training run.

    >>> import tempfile, torch, gesture_zoo
    >>> folder = Path(tempfile.mkdtemp())
    >>> model = gesture_zoo.create_model("tsm_resnet18", num_classes=3)
    >>> torch.save({f"module.{key}": value for key, value in model.state_dict().items()}, folder / "ckpt.pth.tar")
    >>> done = convert_checkpoint(folder / "ckpt.pth.tar", "tsm_resnet18", folder / "out", labels=["a", "b", "c"])
    >>> done.layout, done.num_classes, gesture_zoo.create_model(f"local-dir:{done.directory}").num_segments
    ('official TSM', 3, 8)
    """
    source = user_path(source)
    architecture, _ = split_name(arch)
    get_entry(architecture)  # an unknown name is the first thing to say
    check_no_decoders(architecture)
    out = user_path(out)
    _check_free(out)
    found = _recognise(source)
    known = _known(source, arch, found)
    names = _names(labels, known)
    classes = _count_classes(source, found, num_classes, names)
    given = {"num_segments": num_segments, "shift_div": shift_div}
    arguments, notes = _arguments(architecture, source, found, known, given)
    model, more = _build(architecture, classes, arguments, found)
    notes = [*found.notes, *notes, *more]
    notes += _load(model, architecture, found, source)
    if found.layout == "mmaction2" and str(labels) in OTHER_ORDER:
        notes.append(f"mmaction2 counts in the order of {OTHER_ORDER[str(labels)]}, not of {labels}")

    url = origin_url or (known.origin_url if known else None)
    cfg = _cfg(architecture, found, known)
    facts: dict[str, Any] = {"num_classes": classes, "label_names": names, "num_segments": model.num_segments}
    for size in ("input_size", "test_input_size"):
        if getattr(cfg, size):
            facts[size] = (model.in_chans, *getattr(cfg, size)[1:])
    cfg = replace(cfg, **facts, dataset=dataset or (known.dataset if known else None))
    model.pretrained_cfg = model.default_cfg = {**cfg.to_dict(), "model_args": model.pretrained_cfg["model_args"]}
    digest = file_sha256(source)
    origin = {
        "layout": found.layout,
        "source_file": source.name,
        "source_sha256": digest,
        "source_url": known.url if known else None,
        "origin_url": url,
        "license": known.license if known else None,
    }
    directory = save_pretrained(
        model,
        out,
        checkpoint=f"converted from {source.name} ({found.layout}, SHA-256 {digest})",
        origin={key: value for key, value in origin.items() if value is not None},
    )
    return Conversion(
        directory,
        architecture,
        found.layout,
        len(found.state),
        classes,
        model.num_segments,
        names,
        digest,
        tuple(notes),
    )


def _check_free(out: Path) -> None:
    """A WeightsError for a folder with things in it that are no saved model: its README.md may be somebody's own.

    That of a training run holds a saved model too, but one that took hours, and that belongs to the checkpoint beside.
    """
    try:
        if not out.exists() or (out.is_dir() and not any(out.iterdir())):
            return
    except OSError as error:
        raise WeightsError(f"{out} cannot be written to ({error.strerror}): name a new folder") from error
    if os.path.isfile(out / CHECKPOINT_NAME):
        raise WeightsError(f"{out} holds a training run, and is left as it is: name a new or empty folder")
    try:
        if (out / WEIGHTS_NAME).is_file() and "gesture_zoo" in json.loads((out / CONFIG_NAME).read_bytes()):
            return
    except (OSError, ValueError, TypeError, RecursionError):
        pass  # no config.json, or not ours
    what = "is not empty and holds no saved model of gesture_zoo" if out.is_dir() else "is a file"
    raise WeightsError(f"{out} {what}, and is left as it is: name a new or empty folder")


def _recognise(source: Path) -> Recognised:
    checkpoint = read_checkpoint(source)
    try:
        found = recognise(checkpoint)
    except WeightsError as error:
        raise WeightsError(one_line(f"{source}: {error}")) from error
    if found.num_classes is None and not found.is_image:
        raise WeightsError(f"{source} ({found.layout}) has no classifier among its {len(found.state)} keys")
    return found


def _known(source: Path, arch: str, found: Recognised) -> PretrainedCfg | None:
    """What is known of a published clip model: by the tag that was named, or by the file's name."""
    cfg = get_pretrained_cfg(arch) if split_name(arch)[1] else published_file(source.name)
    is_it = cfg is not None and not cfg.backbone_only and not found.is_image and cfg.num_classes == found.num_classes
    return cfg if is_it else None


def _names(labels: str | Path | Sequence[str] | None, known: PretrainedCfg | None) -> tuple[str, ...] | None:
    if labels is None:
        return tuple(known.label_names) if known and known.label_names else None
    return read_labels(labels) if isinstance(labels, (str, Path)) else check_names(labels, source="labels")


def _count_classes(source: Path, found: Recognised, wanted: int | None, names: tuple[str, ...] | None) -> int:
    """The classes of the model: those of the file's classifier, or for an image network as many as are wanted."""
    if wanted is not None and not found.is_image and wanted != found.num_classes:
        raise WeightsError(
            f"{source} ({found.layout}) has {found.num_classes} classes, not num_classes = {wanted}: "
            "convert it as it is, and give the model a new classifier when you train it"
        )
    headless = len(names) if names else PretrainedCfg.num_classes
    classes = wanted if wanted is not None else found.num_classes or headless
    if names is not None and len(names) != classes:
        hint = f"; num_classes = {len(names)} makes a new classifier" if found.is_image and wanted is None else ""
        raise WeightsError(f"{len(names)} labels do not name the {classes} classes of {source}{hint}")
    return classes


def _arguments(
    architecture: str,
    source: Path,
    found: Recognised,
    known: PretrainedCfg | None,
    given: dict[str, int | None],
) -> tuple[dict[str, Any], list[str]]:
    """num_segments and shift_div as given, as published, as the file's name says, or the default; and which it was."""
    accepted = accepted_arguments(get_entry(architecture).factory) or ()
    arguments: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    notes = []
    for name, patterns in NAME_SAYS.items():
        # The shift of ACTION-Net is learned, and an image network has none.
        told = name == "shift_div" and (found.is_image or found.layout == "official ACTION-Net")
        if name in arguments or name not in accepted or told:
            continue
        said = next((int(m[1]) for p in patterns if (m := re.search(p, source.name))), None)
        whence = "as the file's name says"
        if name == "num_segments" and known:
            said, whence = known.num_segments, "as published"
        if said:
            arguments[name] = said
            notes.append(f"{name} {said}: {whence}")
        else:
            notes.append(f"{name}: the default, no tensor tells it")
    arguments.setdefault("num_segments", DEFAULT_SEGMENTS)
    return arguments, notes


def _build(
    architecture: str, classes: int, arguments: dict[str, Any], found: Recognised
) -> tuple[ClipModel, list[str]]:
    """The model for a file's classes and channels, and what is worth knowing."""
    model = create_model(architecture, num_classes=classes, **arguments)
    if not isinstance(model, ClipModel):
        raise WeightsError(f"{architecture} is a {type(model).__name__}: checkpoints are converted for a ClipModel")
    channels = stem_channels(model, found)
    if channels == model.in_chans:
        return model, []
    model = create_model(architecture, num_classes=classes, in_chans=channels, **arguments)
    return model, [f"in_chans {channels}: as the file's first convolution"]


def _load(model: ClipModel, architecture: str, found: Recognised, source: Path) -> list[str]:
    """Fill the model, or say what does not fit; returns what is worth knowing."""
    problem = misfit(architecture, found, faults(model, found))
    if problem:
        raise WeightsError(one_line(f"{source} does not fit {architecture!r} {problem}"))
    state = keys_for(model, found)
    if not found.is_image:
        load_portable(model, state, source=str(source))
        if not architecture.endswith("_online"):
            return []
        both = "" if found.layout == "official TSM" else f"; as published, a network of {found.layout} looks both ways"
        return ["the file does not tell whether its network was trained to look back only, as this one does" + both]
    if not load_backbone(model, state, source=str(source)):
        return []
    model.init_classifier()
    had = f"the file's has {found.num_classes} classes" if found.num_classes else "the file has none"
    return [f"the classifier of {model.num_classes} classes is new: {had}"]


def _cfg(architecture: str, found: Recognised, known: PretrainedCfg | None) -> PretrainedCfg:
    """How the network wants its frames: an image network as its own weights here, a clip model as its authors test."""
    if known:
        return replace(known, architecture=architecture, url=None)
    registered = get_pretrained_cfg(architecture) if found.is_image else None
    if registered:
        return replace(registered, hf_hub_id=None, url=None, tag=None, backbone_only=False)
    return PretrainedCfg(architecture=architecture, interpolation="bilinear", test_input_size=(3, 256, 256))
