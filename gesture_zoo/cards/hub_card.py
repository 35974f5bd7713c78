"""The README.md of a saved model: what the Hugging Face Hub shows, and what its programs read at the top of it."""

from __future__ import annotations

import json
import re
from numbers import Integral, Real
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from torch import nn

from ..errors import one_line
from ..model_folder import CARD_MARK, HERE
from ..registry import get_entry, is_model
from .catalogue import is_zoo_model, model_rows
from .facts import FAMILIES, MSD, ONLINE, PAPER, PAPER_ROWS, family_of, find_dataset, paper_accuracy

TASK = "video-classification"
# What save_pretrained is told of weights of others, as the card calls it.
_ORIGIN = {"source_url": "the file", "origin_url": "its authors", "license": "licence stated there"}
# By input channels: what the model sees, and how the depth of it is scaled.
_SCALED = "depth in [0, 1], nearer = larger, by the averages of those"
_SEES = {
    3: ("RGB video alone", ""),
    1: ("depth alone", f"; this model sees {_SCALED} and no RGB"),
    4: ("RGB video and its depth", f", then {_SCALED}"),
}
_SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
# Of names in lower case without signs; the Hub's name of a top-1 accuracy is "accuracy".
_METRICS = {"top1": "accuracy", "accuracy": "accuracy", "top5": "top_5_accuracy", "macro": "macro_accuracy"}


def model_card(model: nn.Module, config: dict[str, Any], *, repo_id: str | None = None) -> str:
    """A README.md for the Hub: what the model is, how to load it, its classes, preprocessing, terms and limits.

    ``config`` is that of ``saving.model_config``, with ``metrics`` (name -> value) where there are some: its numbers
    become the evaluation index (``ModelCard(text).data.eval_results``), on the dataset the config names; what is no
    number stands in the text alone. ``model.pretrained_cfg["base_model"]`` names the Hub repository the weights
    started from, where it is not one that ``create_model`` has just loaded.

    >>> import gesture_zoo
    >>> from gesture_zoo.saving import model_config
    >>> from huggingface_hub import ModelCard
    >>> model = gesture_zoo.create_model("tsm_test_resnet", num_classes=25)
    >>> model.pretrained_cfg["dataset"] = "nvgesture"
    >>> config = model_config(model) | {"metrics": {"top-1 (test)": 0.5}}
    >>> result = ModelCard(model_card(model, config)).data.eval_results[0]
    >>> result.dataset_name, result.dataset_split, result.metric_type, result.metric_value
    ('NVGesture', 'test', 'accuracy', 0.5)
    """
    cfg, name = config["pretrained_cfg"], config["architecture"]
    own = config["gesture_zoo"]
    # The weights of a converted file are that file's, whatever the model was built to start from.
    dataset, base = _name(own["dataset"]), None if "source_file" in own else base_model(model)
    metrics = {one_line(key): plain_number(value) for key, value in (config.get("metrics") or {}).items()}
    # What is measured after an ImageNet start was loaded is not measured on ImageNet.
    measured_on = None if _start_of(model) else dataset
    front = front_matter(name, repo_id=repo_id, dataset=dataset, base=base, results=evaluations(metrics, measured_on))
    shape = f"(N, {own['num_segments']}, {', '.join(map(str, cfg['input_size']))})"
    channels = cfg["input_size"][0]
    sees, scaled = _SEES.get(channels, (f"video of {channels} channels", ""))
    source = f"hf-hub:{repo_id}" if repo_id else HERE
    parameters = sum(parameter.numel() for parameter in model.parameters())
    facts = [
        f"parameters: {parameters / 1e6:.3f} M"
        + (" (decoders for training included)" if name.endswith("_msd") else ""),
        f"clip: {own['num_segments']} frames, {' x '.join(map(str, cfg['input_size']))}, "
        f"RGB in [0, 1] minus mean {cfg['mean']}, divided by std {cfg['std']}{scaled}",
        f"trained on: {dataset or 'not stated'}",
        *([f"started from: {base}"] if base else []),
        *([f"checkpoint: {one_line(own['checkpoint'])}"] if "checkpoint" in own else []),
        *(f"{words}: {one_line(own[key])}" for key, words in _ORIGIN.items() if key in own),
        *(f"{key}: {one_line(value)}" for key, value in metrics.items()),
    ]
    about = find_dataset(dataset)
    parts = [
        f"---\n{front.to_yaml()}\n---",
        f"# {name}",
        f"A gesture recognition model of gesture_zoo. Its input is {sees}.",
        *_what_it_is(name),
        _list(facts),
        f"```python\nimport gesture_zoo\n\nmodel = gesture_zoo.create_model({source!r}).eval()\n"
        f"logits = model(clip)  # clip: {shape}\n```",
        f"Classes: {json.dumps(config.get('label_names') or config['num_classes'])}",
        *([f"Terms of the data: {about.name}, {about.terms}."] if about else []),
        *_limits(name),
        'Built on Fan et al. 2021, "Multi-Task and Multi-Modal Learning for RGB Dynamic Gesture Recognition" '
        "(arXiv 2110.15639).",
        CARD_MARK,
    ]
    return "\n\n".join(parts) + "\n"


def front_matter(
    name: str, *, repo_id: str | None, dataset: str | None, base: str | None, results: list[EvalResult]
) -> ModelCardData:
    """What the Hub's programs read: library, task, tags, licence, data, base model, and the evaluation index.

    >>> data = front_matter("tsm_resnet18", repo_id=None, dataset="Jester", base="timm/resnet18.tv_in1k", results=[])
    >>> data.license, data.license_name, data.datasets
    ('other', 'research-only', ['jester'])
    """
    facts = find_dataset(_name(dataset))
    family = _family(name)
    tags = ["gesture-recognition", *([family] if family else []), *(["depth-supervision"] if _msd(name) else [])]
    research = facts is not None and facts.research_only
    return ModelCardData(
        library_name="gesture_zoo",
        pipeline_tag=TASK,
        tags=tags,
        license="other" if research else None,
        license_name="research-only" if research else None,
        datasets=[facts.slug] if facts and facts.slug != "synthetic" else None,  # rendered clips are nowhere to link to
        base_model=base,
        # The name belongs to the index: without one the Hub would show it as a field of its own.
        model_name=(repo_id or name).rpartition("/")[2] if results else None,
        eval_results=results or None,
    )


def evaluations(metrics: dict[str, Any], dataset: str | None) -> list[EvalResult]:
    """The numbers among ``metrics`` (name -> value) as results on a dataset, whose split is read from the name.

    NumPy's and PyTorch's numbers are numbers too.

    >>> found = evaluations({"top-1 (validation)": 0.91, "note": "three seeds"}, "egogesture")
    >>> [(result.metric_type, result.metric_name, result.dataset_split) for result in found]
    [('accuracy', 'top-1 (validation)', 'validation')]
    """
    name = _name(dataset)
    facts = find_dataset(name)
    plain = {one_line(key): plain_number(value) for key, value in metrics.items()}
    return [
        EvalResult(
            task_type=TASK,
            dataset_type=facts.slug if facts else _slug(name) if name else "unknown",
            dataset_name=facts.name if facts else name or "not stated",
            dataset_split=_split(key),
            metric_type=_metric_type(key),
            metric_name=key,
            metric_value=value,
        )
        for key, value in plain.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    ]


def plain_number(value: Any) -> Any:
    """A number of NumPy or PyTorch as Python's own, which JSON and YAML write as a number; other values as they are.

    >>> import numpy
    >>> plain_number(numpy.float64(0.5)), plain_number("three seeds")
    (0.5, 'three seeds')
    """
    if getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def base_model(model: nn.Module) -> str | None:
    """The Hub repository whose weights a model started from; None where that is not certain.

    ``pretrained_cfg["base_model"]`` says it. Else it is what ``create_model`` loaded: a cfg alone says only where
    weights would be. A commit is left out.
    """
    cfg = getattr(model, "pretrained_cfg", None) or {}
    source = str(cfg.get("hf_hub_id") or "")
    # A model read from the Hub has a commit in its source and no tag; create_model forgets the dataset of a start
    # that it did not load.
    from_hub = "@" in source and not cfg.get("tag")
    loaded = source if from_hub or _start_of(model) else ""
    return one_line(cfg.get("base_model") or "") or loaded.partition("@")[0] or None


def _start_of(model: nn.Module) -> str | None:
    """The dataset of the image weights that ``create_model`` put into the 2-D CNN, if nothing was trained on since."""
    cfg = getattr(model, "pretrained_cfg", None) or {}
    name, tag = str(cfg.get("architecture", "")), cfg.get("tag")
    registered = get_entry(name).cfgs.get(str(tag)) if is_model(name) else None
    is_start = registered is not None and registered.backbone_only and registered.dataset == cfg.get("dataset")
    return registered.dataset if registered is not None and is_start else None


def _what_it_is(name: str) -> list[str]:
    """The family, the endings of the name, and the paper's numbers, of a model of the zoo."""
    if _family(name) is None:
        return []
    row = model_rows([name])[0]
    family = FAMILIES[row.family]
    lines = [
        f"{family.title}{f' on `{row.backbone}`' if row.backbone else ''}: {family.what} ({family.paper}). "
        f"Temporal module: {family.temporal_module}."
    ]
    lines += [ONLINE] if row.online else []
    lines += [MSD] if _msd(name) else []
    paper = PAPER_ROWS.get(row.name)
    if paper:
        numbers = ", ".join(f"{dataset} {paper_accuracy(paper, dataset)}" for dataset in paper.accuracy)
        lines.append(
            f"The paper's top-1 in % for this network, without -> with MSD ({PAPER}): {numbers}. "
            "They are not measurements of these weights."
        )
    return lines


def _limits(name: str) -> list[str]:
    """What a model of the zoo cannot do."""
    family = FAMILIES.get(_family(name) or "")
    general = (
        "It answers with one of its classes, also where nobody gestures; measure it on the people it is meant for."
    )
    return [f"Limits: {f'{family.limits} ' if family else ''}{general}"]


def _family(name: str) -> str | None:
    """The family of a model that gesture_zoo builds; None for one of a plugin, or with a plugin's temporal module."""
    family = family_of(name)
    return family if family in FAMILIES and is_zoo_model(name) else None


def _msd(name: str) -> bool:
    return name.endswith("_msd")


def _split(metric: str) -> str | None:
    words = re.findall(r"[a-z]+", metric.lower())
    return next((_SPLITS[word] for word in words if word in _SPLITS), None)


def _metric_type(metric: str) -> str:
    plain = re.sub(r"[^a-z0-9]", "", metric.lower())
    return next((kind for start, kind in _METRICS.items() if plain.startswith(start)), _slug(metric))


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "unknown"


def _name(dataset: Any) -> str | None:
    """A dataset's name as one line of text; None without one."""
    return None if dataset is None else one_line(dataset) or None


def _list(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
