"""TEA: Res2Net with motion excitation and temporal convolutions in its hierarchy.

Li et al., "TEA: Temporal Excitation and Aggregation for Action Recognition", CVPR 2020, arXiv 2004.01398.
The official repository carries no licence; ours is written from the paper.
"""

from .family import register_family

BACKBONES = ("res2net50_26w_4s",)

register_family("tea", BACKBONES)
register_family("tea", BACKBONES, online=True)
