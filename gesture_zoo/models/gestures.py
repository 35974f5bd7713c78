"""The gesture tags of the models in Fan et al. 2021 (arXiv 2110.15639): announced, not yet published."""

from __future__ import annotations

from ..errors import ModelError
from ..pretrained import PretrainedCfg, gesture_cfg

# By model of a family (without "_msd": its twin has the same tags) and tag, the Hub repository of its weights
# ("owner/name"). A row is added on the day they are uploaded; until then asking for them is an error that says so.
REPOSITORIES: dict[str, dict[str, str]] = {}

# The paper's models, whose tags are there before their weights.
ANNOUNCED = ("tsm_resnet50", "tea_res2net50_26w_4s", "action_resnet50")

# By tag, the dataset and its number of classes.
DATASETS = {"egogesture_8f": ("EgoGesture", 83), "nvgesture_8f": ("NVGesture", 25), "isogd_8f": ("IsoGD", 249)}


def gesture_cfgs(model: str) -> dict[str, PretrainedCfg]:
    """The gesture tags of one model: all of them where they are announced, else those that have a repository.

    A repository of a tag that ``DATASETS`` does not know is a ModelError.

    >>> list(gesture_cfgs("tsm_resnet50")), list(gesture_cfgs("tsm_resnet18"))
    (['egogesture_8f', 'nvgesture_8f', 'isogd_8f'], [])
    """
    there = REPOSITORIES.get(model, {})
    unknown = [tag for tag in there if tag not in DATASETS]
    if unknown:
        raise ModelError(
            f"REPOSITORIES of models/gestures.py: {model!r} has a row for {unknown[0]!r}, a tag that DATASETS does not "
            f"know; it knows {', '.join(DATASETS)}"
        )
    tags = [tag for tag in DATASETS if tag in there or model in ANNOUNCED]
    return {tag: gesture_cfg(*DATASETS[tag], hf_hub_id=there.get(tag)) for tag in tags}
