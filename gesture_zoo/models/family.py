"""A model family: one temporal module, a table of backbones, and a ``_msd`` twin for every row."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import partial
from typing import Any

import timm
from torch import nn

from ..errors import ModelError
from ..layers import TEMPORAL, Temporal, temporal_module
from ..msd import MSDModel, Tap, with_msd
from ..pretrained import PretrainedCfg, imagenet_cfg
from ..registry import Entry, register_model, register_resolver
from .backbones import OURS, create_backbone, is_backbone
from .clip_model import ClipModel
from .gestures import gesture_cfgs as announced_cfgs
from .temporal import with_temporal


def build(
    temporal: str,
    backbone: str,
    *,
    num_classes: int = 1000,
    num_segments: int = 8,
    in_chans: int = 3,
    drop_rate: float = 0.0,
    **options: Any,
) -> ClipModel:
    """Build ``<temporal>_<backbone>`` without pretrained weights; ``options`` go to the temporal module."""
    cnn = create_backbone(backbone, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate)
    return with_temporal(cnn, temporal, num_segments=num_segments, **options)


def build_msd(
    temporal: str, backbone: str, *, taps: Iterable[str | Tap | dict[str, Any]] = ("res1", "layer4"), **kwargs: Any
) -> MSDModel:
    """Build ``<temporal>_<backbone>_msd``: ``build``'s model with decoders on ``taps``."""
    return with_msd(build(temporal, backbone, **kwargs), taps=taps)


def register_family(
    temporal: str,
    backbones: str | Iterable[str],
    gesture_cfgs: Mapping[str, Mapping[str, PretrainedCfg]] | None = None,
    *,
    online: bool = False,
) -> None:
    """Register ``<temporal>_<backbone>`` and ``<temporal>_<backbone>_msd`` for every backbone.

    ``temporal`` is a name that ``register_temporal`` knows, a backbone any CNN of timm (or of backbones.py).
    ``gesture_cfgs``: by backbone, the tags of weights trained on clips. The default tag is the ImageNet start, from
    which the papers train. ``online``: the variants that look into the past only, with "_online" in their names; the
    temporal module takes ``causal``. A CNN that timm does not have and a name that is taken are a ModelError.

    >>> import gesture_zoo
    >>> gesture_zoo.register_family("me", ["resnet26"])
    >>> gesture_zoo.list_models("me_*")
    ['me_resnet26', 'me_resnet26_msd']
    """
    backbones = [backbones] if isinstance(backbones, str) else list(backbones)
    _check_family(temporal, backbones, gesture_cfgs or {}, online=online)
    for backbone in backbones:
        for msd in (False, True):
            name = _name(temporal, backbone, online=online, msd=msd)
            entry = family_member(temporal, backbone, online=online, msd=msd)
            register_model(name=name, cfgs={**entry.cfgs, **(gesture_cfgs or {}).get(backbone, {})})(entry.factory)


def _check_family(temporal: str, backbones: list[str], cfgs: Iterable[str], *, online: bool) -> None:
    if not isinstance(temporal, str):
        raise ModelError(f"a family is called by the name that register_temporal gave its module, got {temporal!r}")
    if online and not _takes_causal(temporal_module(temporal)):
        raise ModelError(f"family {temporal!r} has no online models: its temporal module takes no option 'causal'")
    for backbone in backbones:
        if not isinstance(backbone, str) or not is_backbone(backbone):
            near = get_close_matches(str(backbone), [*OURS, *timm.list_models()], n=3, cutoff=0.6)
            hint = f"did you mean {', '.join(near)}?" if near else "timm.list_models() names them"
            raise ModelError(f"family {temporal!r}: timm has no CNN {backbone!r}; {hint}")
    for backbone in cfgs:
        if backbone not in backbones:
            raise ModelError(f"family {temporal!r}: gesture_cfgs has {backbone!r}, which is none of {backbones}")


def _takes_causal(module: Temporal | None) -> bool:
    return module is not None and "causal" in inspect.signature(module).parameters


def _name(temporal: str, backbone: str, *, online: bool, msd: bool = False) -> str:
    return f"{temporal}_{backbone}{'_online' * online}{'_msd' * msd}"


def family_member(temporal: str, backbone: str, *, online: bool = False, msd: bool = False) -> Entry:
    """The factory of one row, with a signature that names every argument, and its start, mostly from ImageNet."""
    builder: Callable[..., nn.Module] = build_msd if msd else build
    factory = partial(builder, temporal, backbone, **({"causal": True} if online else {}))
    module = temporal_module(temporal)
    arguments = {
        name: parameter
        for source in (build, builder, *([module] if module else []))
        for name, parameter in inspect.signature(source).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name != "causal"  # the model's name says it
    }
    factory.__signature__ = inspect.Signature(list(arguments.values()), return_annotation=nn.Module)  # type: ignore[attr-defined]
    # A model is of the package that its temporal module is of, whoever calls this.
    factory.__module__ = str(getattr(module, "__module__", __name__)) if module else __name__
    start = None if backbone in OURS else imagenet_cfg(backbone)
    cfgs = {} if start is None else {"in1k" if start.dataset else start.tag or "timm": start}
    return Entry(factory, {**cfgs, **announced_cfgs(_name(temporal, backbone, online=online))})


@register_resolver
def resolve(name: str) -> Entry | None:
    """The entry behind a name that is not listed but follows the rule, with any CNN that there is as its backbone.

    >>> import gesture_zoo
    >>> gesture_zoo.is_model("tsm_convnext_atto_msd"), gesture_zoo.is_model("tsm_convnext_at")
    (True, False)
    """
    temporal, _, backbone = name.partition("_")
    bare = backbone.removesuffix("_msd")
    plain = bare.removesuffix("_online")
    online = bare != plain
    if temporal not in TEMPORAL or not is_backbone(plain):
        return None
    if online and not _takes_causal(TEMPORAL[temporal]):
        return None
    return family_member(temporal, plain, online=online, msd=bare != backbone)
