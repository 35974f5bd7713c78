"""TSN: frames classified one by one and averaged; the plain baseline.

Wang et al., "Temporal Segment Networks: Towards Good Practices for Deep Action Recognition", ECCV 2016,
arXiv 1608.00859.
"""

from .family import register_family

BACKBONES = ("resnet18", "resnet34", "resnet50", "resnet101", "mobilenetv2_100", "test_resnet", "res2net50_26w_4s")

register_family("tsn", BACKBONES)
