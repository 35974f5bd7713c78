"""register_with_timm: the zoo's models under timm's own create_model, for those who ask for it."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from types import ModuleType
from typing import Any

import timm
import timm.models
from timm.models import DefaultCfg

from .factory import SAVED, create_model
from .registry import get_entry, list_models
from .saved_config import mapping

TIMM_MODULE = "gesture_zoo.timm_models"


def register_with_timm() -> None:
    """Make every listed model of the zoo known to timm: ``timm.create_model("action_resnet50_msd")`` then builds it.

    Opt-in, because it changes timm's registry; a second call does nothing for names that are there already. timm knows
    no names but those in its list: of ``list_models``, not those that only follow the rule ("tsm_convnext_atto"), which
    ``gesture_zoo.create_model`` builds, or which ``register_family("tsm", ["convnext_atto"])`` lists before.

    >>> import timm
    >>> register_with_timm()
    >>> timm.create_model("tsm_resnet18_msd", num_classes=5).num_classes
    5
    """
    # timm looks for __all__ and default_cfgs in the module of a registered function, and adds to the first.
    module = sys.modules.setdefault(TIMM_MODULE, ModuleType(TIMM_MODULE, "The zoo's models, as timm sees them."))
    names = [name for name in list_models() if not timm.is_model(name)]
    module.__dict__.setdefault("default_cfgs", {}).update({name: _default_cfg(name) for name in names})
    for name in names:
        setattr(module, name, timm.models.register_model(_entrypoint(name)))


def _default_cfg(name: str) -> DefaultCfg:
    entry = get_entry(name)
    cfgs: dict[str, timm.models.PretrainedCfg] = {**entry.cfgs}
    cfgs = cfgs or {"": entry.default or timm.models.PretrainedCfg()}
    return DefaultCfg(tags=deque(cfgs), cfgs=cfgs)


def _entrypoint(name: str) -> Callable[..., Any]:
    def build(pretrained: bool = False, pretrained_cfg: Any = None, **kwargs: Any) -> Any:
        kwargs.pop("pretrained_model_args", None)  # timm's note of what a saved model was built with
        if isinstance(pretrained_cfg, dict) and pretrained_cfg.get("source") in SAVED:
            # Where timm saved a model that it did not build, only this says what it was built with.
            kwargs = {**mapping(pretrained_cfg, "model_args", name), **kwargs}
        return create_model(name, pretrained, pretrained_cfg=pretrained_cfg, **kwargs)

    build.__name__ = build.__qualname__ = name
    build.__module__ = TIMM_MODULE
    return build
