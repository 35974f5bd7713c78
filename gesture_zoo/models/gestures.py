"""The gesture tags of the models in Fan et al. 2021 (arXiv 2110.15639): announced, not yet published."""

from __future__ import annotations

from ..pretrained import PretrainedCfg, gesture_cfg

# By model and tag, the Hub repository of its weights ("owner/name"). A row is added on the day they are uploaded; until
# then asking for them is an error that says so.
REPOSITORIES: dict[str, dict[str, str]] = {}

# By tag, the dataset and its number of classes.
DATASETS = {"egogesture_8f": ("EgoGesture", 83), "nvgesture_8f": ("NVGesture", 25), "isogd_8f": ("IsoGD", 249)}


def gesture_cfgs(model: str) -> dict[str, PretrainedCfg]:
    """The gesture tags of one model.

    >>> list(gesture_cfgs("tsm_resnet50"))
    ['egogesture_8f', 'nvgesture_8f', 'isogd_8f']
    """
    there = REPOSITORIES.get(model, {})
    return {tag: gesture_cfg(*dataset, hf_hub_id=there.get(tag)) for tag, dataset in DATASETS.items()}
