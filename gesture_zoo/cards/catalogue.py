"""What the registry knows of the zoo's own models, in the words of a card."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from ..errors import GestureZooError
from ..packaged import PREFIX
from ..pretrained import PretrainedCfg
from ..registry import get_entry, get_pretrained_cfg, is_model, list_models
from .facts import FAMILIES, DatasetFacts, family_of, find_dataset

_OWN_MODELS = "gesture_zoo.models."
_OWN_PARTS = (_OWN_MODELS, "gesture_zoo.layers.")


class ModelRow(NamedTuple):
    """A model without decoders: its parts by name, its twin with decoders if there is one, its weights by tag."""

    name: str
    family: str
    backbone: str
    online: bool
    twin: str | None
    cfgs: dict[str, PretrainedCfg]

    @property
    def cfg(self) -> PretrainedCfg:
        """The weights' default tag, or the model's own cfg without weights: it says what frames should look like."""
        return get_pretrained_cfg(self.name) or PretrainedCfg()


def zoo_models() -> list[str]:
    """Names of the models that gesture_zoo itself lists, sorted naturally; those of plugins are not among them.

    >>> zoo_models()[:2]
    ['action_mobilenetv2_100', 'action_mobilenetv2_100_msd']
    """
    return [name for name in list_models() if get_entry(name).owner.startswith(_OWN_MODELS)]


def is_zoo_model(name: str) -> bool:
    """Whether gesture_zoo itself builds a model, listed or with another backbone of timm, of parts of its own.

    >>> is_zoo_model("tsm_resnet50_msd"), is_zoo_model("my_model")
    (True, False)
    """
    return is_model(name) and str(get_entry(name).factory.__module__).startswith(_OWN_PARTS)


def model_rows(names: Iterable[str]) -> list[ModelRow]:
    """One row per model without decoders, in the order of ``names``; an unknown family is a GestureZooError.

    >>> row = model_rows(["tsm_resnet50", "tsm_resnet50_msd"])[0]
    >>> row.family, row.backbone, row.twin
    ('tsm', 'resnet50', 'tsm_resnet50_msd')
    """
    names = list(names)
    rows = []
    for name in dict.fromkeys(name.removesuffix("_msd") for name in names):
        family = family_of(name)
        rest = name.removeprefix(family).removeprefix("_")
        if family not in FAMILIES:
            raise GestureZooError(f"model {name!r} is of no family in FAMILIES of gesture_zoo/cards/facts.py: add one")
        backbone, twin = rest.removesuffix("_online"), f"{name}_msd"
        rows.append(
            ModelRow(name, family, backbone, rest != backbone, twin if twin in names else None, get_entry(name).cfgs)
        )
    return rows


def describe_input(cfg: PretrainedCfg) -> str:
    """Frames and sides of a clip, with the side to test at where it is another.

    >>> describe_input(PretrainedCfg(test_input_size=(3, 256, 256)))
    '8 x 224 x 224, test 256'
    """
    tested = cfg.test_input_size
    more = f", test {tested[-1]}" if tested and tested[-1] != cfg.input_size[-1] else ""
    return f"{cfg.num_segments} x {cfg.input_size[-2]} x {cfg.input_size[-1]}{more}"


def describe_statistics(cfg: PretrainedCfg) -> str:
    """The mean and standard deviation that frames are normalised by.

    >>> describe_statistics(PretrainedCfg()), describe_statistics(PretrainedCfg(mean=(0.5,) * 3, std=(0.5,) * 3))
    ('ImageNet', '0.5 / 0.5')
    """
    if (tuple(cfg.mean), tuple(cfg.std)) == (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD):
        return "ImageNet"
    return " / ".join(
        str(values[0]) if len(set(values)) == 1 else ", ".join(map(str, values)) for values in (cfg.mean, cfg.std)
    )


def describe_source(cfg: PretrainedCfg) -> str:
    """Where weights are, as a link where they are behind one; "not published yet" where they are nowhere.

    >>> describe_source(PretrainedCfg(hf_hub_id="owner/name")), describe_source(PretrainedCfg())
    ('[owner/name](https://huggingface.co/owner/name)', '**not published yet**')
    """
    if cfg.hf_hub_id:
        return f"[{cfg.hf_hub_id}](https://huggingface.co/{cfg.hf_hub_id.partition('@')[0]})"
    if cfg.file and cfg.file.startswith(PREFIX):
        return "in the package"
    return f"[{str(cfg.url).rpartition('/')[2]}]({cfg.url})" if cfg.url else "**not published yet**"


def describe_weights(cfg: PretrainedCfg) -> str:
    """What weights are, in a few words."""
    dataset = cfg.dataset or "not stated"
    if cfg.backbone_only:
        return f"{dataset} start of the 2-D CNN, temporal layers at their published initialisation"
    about = f"; {cfg.description}" if cfg.description else ""
    return f"trained on {dataset}: {cfg.num_classes} classes, {cfg.num_segments} frames{about}"


def describe_terms(cfg: PretrainedCfg) -> str:
    """The licence stated with weights, and the terms of the data they come from."""
    facts: DatasetFacts | None = find_dataset(cfg.dataset)
    stated = cfg.license if cfg.license and cfg.license != "unknown" else None
    if facts is None:
        return stated or "not stated"
    if stated and facts.name in stated:
        return stated
    if facts.research_only:
        return f"{facts.terms} ({facts.name})" + (f"; weights {stated}" if stated else "")
    return f"{stated or 'no licence stated'}; {facts.name}: {facts.terms}"
