"""The 2-D CNNs that a family may stand on: any of timm's, and one of our own."""

from __future__ import annotations

from typing import Any

import timm
from torch import nn

# timm starts every residual branch at zero, torchvision and the official networks do not. Time enters through
# these branches: from zero, a network without pretrained weights takes epochs to notice it.
ARGUMENTS: dict[str, dict[str, Any]] = {
    name: {"zero_init_last": False}
    for name in ("resnet18", "resnet34", "resnet50", "resnet101", "res2net50_26w_4s", "test_resnet")
}
# Networks of our own, by name: one of timm's, built otherwise. resnet28_nano is test_resnet with six more blocks,
# most of them where maps are small; a frame costs a third more, and shifts reach ten frames instead of four.
OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet28_nano": ("test_resnet", {"layers": (1, 2, 4, 3), **ARGUMENTS["test_resnet"]})
}


def create_backbone(name: str, **options: Any) -> nn.Module:
    """Build the 2-D CNN called ``name``, without pretrained weights; ``options`` are those of ``timm.create_model``.

    >>> sum(parameter.numel() for parameter in create_backbone("resnet28_nano", num_classes=16).parameters())
    867680
    """
    base, arguments = OURS.get(name, (name, ARGUMENTS.get(name, {})))
    cnn: nn.Module = timm.create_model(base, **arguments, **options)
    return cnn


def is_backbone(name: str) -> bool:
    """Whether there is a 2-D CNN called ``name``.

    >>> is_backbone("resnet28_nano"), is_backbone("convnext_atto"), is_backbone("convnext_at")
    (True, True, False)
    """
    return name in OURS or timm.is_model(name)
