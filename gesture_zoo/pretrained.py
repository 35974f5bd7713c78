"""Where weights, labels and preprocessing come from: one ``PretrainedCfg`` per ``architecture.tag``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from timm.models import PretrainedCfg as TimmPretrainedCfg

from .errors import ModelError


@dataclass
class PretrainedCfg(TimmPretrainedCfg):
    """timm's description of a set of weights, with what a clip model needs besides.

    ``backbone_only``: the file holds an image network; it fills the 2-D CNN and temporal layers keep their published
    initialisation. ``dataset`` names what the weights were trained on. ``file`` is a path, or "package:NAME" for a file
    that comes with gesture_zoo. ``sha256`` is the checksum that the file at ``url``, or such a one, must have, where it
    is known. A cfg without ``hf_hub_id``, ``url`` or ``file`` announces weights that nobody has published yet.
    ``frame_rate`` is how many frames a second the clips of its training had.

    >>> cfg = PretrainedCfg(hf_hub_id="you/model", num_classes=3, num_segments=16, frame_rate=12.0)
    >>> cfg.input_size, cfg.num_segments, bool(cfg.has_weights)
    ((3, 224, 224), 16, True)
    """

    num_segments: int = 8
    backbone_only: bool = False
    dataset: str | None = None
    sha256: str | None = None
    frame_rate: float | None = None

    def timm_dict(self) -> dict[str, Any]:
        """The fields that timm knows: a timm of today answers an unknown one with a TypeError."""
        known = {field.name for field in fields(TimmPretrainedCfg)}
        return {key: value for key, value in self.to_dict(remove_source=True).items() if key in known}


# The papers start from torchvision's first ImageNet weights; timm's default tags are newer recipes.
IMAGENET_TAGS = {
    "resnet18": "tv_in1k",
    "resnet34": "tv_in1k",
    "resnet50": "tv_in1k",
    "resnet101": "tv_in1k",
    "mobilenetv2_050": "lamb_in1k",
    "mobilenetv2_100": "ra_in1k",
    "res2net50_26w_4s": "in1k",
    "test_resnet": "r160_in1k",
}


def imagenet_cfg(backbone: str) -> PretrainedCfg | None:
    """The start of a backbone, mostly from ImageNet: the real timm repository on the Hub, None where there is none.

    >>> imagenet_cfg("resnet50").hf_hub_id
    'timm/resnet50.tv_in1k'
    """
    from timm.models import get_pretrained_cfg

    name = f"{backbone}.{IMAGENET_TAGS[backbone]}" if backbone in IMAGENET_TAGS else backbone
    timm_cfg = get_pretrained_cfg(name, allow_unregistered=False)
    if not timm_cfg or not timm_cfg.hf_hub_id:
        return None
    known = {field.name: getattr(timm_cfg, field.name) for field in fields(TimmPretrainedCfg)}
    # timm writes "timm/" where the repository is called as the weights are.
    repository = timm_cfg.hf_hub_id + (f"{backbone}.{timm_cfg.tag}" if timm_cfg.hf_hub_id.endswith("/") else "")
    known.update(url=None, hf_hub_id=repository)
    if backbone in IMAGENET_TAGS:
        known.update(crop_pct=0.875, test_input_size=(3, 256, 256))  # as the papers test
    # Some networks of timm learned from other pictures, or from captions.
    dataset = "ImageNet-1k" if "in1k" in str(timm_cfg.tag) else None
    return PretrainedCfg(**known, backbone_only=True, dataset=dataset)


def gesture_cfg(dataset: str, num_classes: int, **overrides: Any) -> PretrainedCfg:
    """A tag for weights trained on a gesture dataset, at the paper's input sizes.

    >>> gesture_cfg("EgoGesture", 83).has_weights is None
    True
    """
    return PretrainedCfg(
        num_classes=num_classes,
        dataset=dataset,
        paper_ids="arXiv:2110.15639",
        test_input_size=(3, 256, 256),
        interpolation="bilinear",
        **overrides,
    )


def overlay_cfg(cfg: PretrainedCfg, overlay: dict[str, Any]) -> PretrainedCfg:
    """A copy of ``cfg`` with the fields in ``overlay`` replaced; an unknown field is a ModelError."""
    known = [field.name for field in fields(PretrainedCfg)]
    unknown = sorted(set(overlay) - set(known))
    if unknown:
        raise ModelError(f"pretrained_cfg has no field {unknown[0]!r}; it has {', '.join(known)}")
    merged = {name: getattr(cfg, name) for name in known} | overlay
    if {"file", "url", "hf_hub_id"} & set(overlay):
        # A new source replaces the old one, whichever kind that was.
        merged.update({key: overlay.get(key) for key in ("file", "url", "hf_hub_id", "sha256")})
    return PretrainedCfg(**merged)
