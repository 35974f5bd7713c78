"""The gesture tags of the models in Fan et al. 2021 (arXiv 2110.15639): announced, not yet published.

A row gets its ``hf_hub_id`` on the day its weights are uploaded; until then asking for it is an error that
says so.
"""

from ..pretrained import gesture_cfg

GESTURE_CFGS = {
    "egogesture_8f": gesture_cfg("EgoGesture", 83),
    "nvgesture_8f": gesture_cfg("NVGesture", 25),
    "isogd_8f": gesture_cfg("IsoGD", 249),
}
