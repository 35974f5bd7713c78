"""ACTION-Net: a 2-D CNN excited in space-time, channels and motion.

Wang, She and Smolic, "ACTION-Net: Multipath Excitation for Action Recognition", CVPR 2021, arXiv 2103.07372.
Official implementation: github.com/V-Sense/ACTION-Net (MIT).
"""

from .family import register_family

BACKBONES = ("resnet18", "resnet34", "resnet50", "resnet101", "mobilenetv2_100", "test_resnet")

register_family("action", BACKBONES)
register_family("action", ("mobilenetv2_100", "resnet50", "test_resnet"), online=True)
