"""The weights that the authors of TSM publish, as tags: where they are and how their networks see a clip.

Lin, Gan and Han, "TSM: Temporal Shift Module for Efficient Video Understanding", ICCV 2019, arXiv 1811.08383. Files,
class orders and accuracies as github.com/mit-han-lab/temporal-shift-module (MIT) states them; none was measured here.
"""

from __future__ import annotations

from typing import Any

from ..labels import label_names
from ..pretrained import PretrainedCfg

MODELS = "https://hanlab18.mit.edu/projects/tsm/models/"
REPOSITORY = "https://github.com/mit-han-lab/temporal-shift-module"


def tsm_cfg(file: str, dataset: str, labels: str, accuracy: str, *, terms: str, num_segments: int = 8) -> PretrainedCfg:
    """A tag for one file of TSM's authors; ``labels`` is one of ``LABEL_SETS``.

    >>> tsm_cfg("a.pth", "Jester", "jester", "not stated", terms="Jester: research").num_classes
    27
    """
    names: Any = label_names(labels)
    return PretrainedCfg(
        url=MODELS + file,
        num_classes=len(names),
        label_names=names,
        input_size=(3, 224, 224),
        test_input_size=(3, 256, 256),
        crop_pct=224 / 256,
        interpolation="bilinear",
        num_segments=num_segments,
        dataset=dataset,
        license=f"code MIT; {terms}",
        description=f"published accuracy: {accuracy}",
        origin_url=REPOSITORY,
        paper_ids="arXiv:1811.08383",
    )


KINETICS: dict[str, Any] = {
    "dataset": "Kinetics-400",
    "labels": "kinetics400",
    "terms": "Kinetics-400: videos under their owners' terms, for research",
}
SOMETHING: dict[str, Any] = {"terms": "Something-Something: for research only"}
JESTER: dict[str, Any] = {"dataset": "Jester", "labels": "jester", "terms": "Jester: for research only"}

# By backbone ("_online": the uni-directional network of the live demo), the tags of its weights.
TSM_CFGS: dict[str, dict[str, PretrainedCfg]] = {
    "resnet50": {
        "k400_8f": tsm_cfg(
            "TSM_kinetics_RGB_resnet50_shift8_blockres_avg_segment8_e50.pth",
            accuracy="top-1 71.2 % with 1 crop, 72.8 % with 10",
            **KINETICS,
        ),
        "k400_16f": tsm_cfg(
            "TSM_kinetics_RGB_resnet50_shift8_blockres_avg_segment16_e50.pth",
            accuracy="top-1 72.6 % with 1 crop, 73.7 % with 10",
            num_segments=16,
            **KINETICS,
        ),
        "k400_8f_dense": tsm_cfg(
            "TSM_kinetics_RGB_resnet50_shift8_blockres_avg_segment8_e100_dense.pth",
            accuracy="top-1 74.1 % with 10 dense clips at full resolution",
            **KINETICS,
        ),
        "sthv1_8f": tsm_cfg(
            "TSM_something_RGB_resnet50_shift8_blockres_avg_segment8_e45.pth",
            "Something-Something V1",
            "something_v1",
            "top-1 45.6 % with 1 crop, 47.2 % with 2 clips at full resolution",
            **SOMETHING,
        ),
        "sthv2_8f": tsm_cfg(
            "TSM_somethingv2_RGB_resnet50_shift8_blockres_avg_segment8_e45.pth",
            "Something-Something V2",
            "something_v2",
            "top-1 61.2 % with 2 clips at full resolution",
            **SOMETHING,
        ),
    },
    "mobilenetv2_100": {
        "k400_8f_dense": tsm_cfg(
            "TSM_kinetics_RGB_mobilenetv2_shift8_blockres_avg_segment8_e100_dense.pth",
            accuracy="top-1 69.5 % with 10 dense clips at full resolution",
            **KINETICS,
        ),
    },
    "mobilenetv2_100_online": {
        "jester_8f": tsm_cfg("mobilenetv2_jester_online.pth.tar", accuracy="not stated", **JESTER),
    },
}


def published_file(name: str) -> PretrainedCfg | None:
    """The cfg of a published file of that name; None if there is none.

    >>> published_file("mobilenetv2_jester_online.pth.tar").label_names[1]
    'Drumming Fingers'
    """
    cfgs = [cfg for tags in TSM_CFGS.values() for cfg in tags.values()]
    return next((cfg for cfg in cfgs if str(cfg.url).endswith(f"/{name}")), None)
