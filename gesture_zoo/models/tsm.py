"""TSM: a 2-D CNN whose residual branches see a part of the neighbouring frames' channels.

Lin, Gan and Han, "TSM: Temporal Shift Module for Efficient Video Understanding", ICCV 2019, arXiv 1811.08383.
Official implementation: github.com/mit-han-lab/temporal-shift-module (MIT).
"""

from .family import register_family
from .gestures import GESTURE_CFGS

BACKBONES = ("resnet18", "resnet34", "resnet50", "resnet101", "mobilenetv2_100", "test_resnet")

register_family("tsm", BACKBONES, {"resnet50": GESTURE_CFGS})
