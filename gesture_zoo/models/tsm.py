"""TSM: a 2-D CNN whose residual branches see a part of the neighbouring frames' channels.

Lin, Gan and Han, "TSM: Temporal Shift Module for Efficient Video Understanding", ICCV 2019, arXiv 1811.08383.
Official implementation: github.com/mit-han-lab/temporal-shift-module (MIT).
"""

from ..pretrained import PretrainedCfg
from .family import register_family
from .published import TSM_CFGS
from .rendered import RENDERED_CFGS

SMALL = ("test_resnet", "resnet28_nano")
BACKBONES = ("resnet18", "resnet34", "resnet50", "resnet101", "mobilenetv2_050", "mobilenetv2_100", *SMALL)
ONLINE = ("mobilenetv2_050", "mobilenetv2_100", "resnet50", *SMALL)


def tags(backbone: str, *, online: bool = False) -> dict[str, PretrainedCfg]:
    """The tags of one row's weights that are not in gestures.py."""
    name = f"{backbone}{'_online' * online}"
    return {**TSM_CFGS.get(name, {}), **RENDERED_CFGS.get(name, {})}


register_family("tsm", BACKBONES, {backbone: tags(backbone) for backbone in BACKBONES})
register_family("tsm", ONLINE, {backbone: tags(backbone, online=True) for backbone in ONLINE}, online=True)
