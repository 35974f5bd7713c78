"""TSM: a 2-D CNN whose residual branches see a part of the neighbouring frames' channels.

Lin, Gan and Han, "TSM: Temporal Shift Module for Efficient Video Understanding", ICCV 2019, arXiv 1811.08383.
Official implementation: github.com/mit-han-lab/temporal-shift-module (MIT).
"""

from .family import register_family
from .gestures import GESTURE_CFGS
from .published import TSM_CFGS

BACKBONES = ("resnet18", "resnet34", "resnet50", "resnet101", "mobilenetv2_100", "test_resnet")

register_family("tsm", BACKBONES, {**TSM_CFGS, "resnet50": {**GESTURE_CFGS, **TSM_CFGS["resnet50"]}})
register_family(
    "tsm",
    ("mobilenetv2_100", "resnet50", "test_resnet"),
    {"mobilenetv2_100": TSM_CFGS["mobilenetv2_100_online"]},
    online=True,
)
