"""The registry: model name -> factory, and the tags of the weights that exist for it.

The shape of torchvision's ``models/_api.py`` with timm's names and call signatures.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import lru_cache, partial, wraps
from importlib import import_module
from importlib.metadata import entry_points
from inspect import signature
from typing import Any, NamedTuple, overload

from timm.models import PretrainedCfg as TimmPretrainedCfg
from timm.utils import natural_key
from torch import nn

from .errors import ModelError, one_line
from .plugins import load, record
from .pretrained import PretrainedCfg

_logger = logging.getLogger(__name__)

Factory = Callable[..., nn.Module]


class Entry(NamedTuple):
    """A registered model: the function that builds it and its pretrained cfgs by tag, the default first.

    ``default``: what the clips of a model without any weights look like; None where it is as with all others.
    ``owner``: the module, or the entry point "module:function", that registered it.
    """

    factory: Factory
    cfgs: dict[str, PretrainedCfg]
    default: PretrainedCfg | None = None
    owner: str = ""


# Finds the entry of a name that follows a rule instead of being listed, or None.
Resolver = Callable[[str], "Entry | None"]

_REGISTRY: dict[str, Entry] = {}
_RESOLVERS: list[Resolver] = []
_PLUGINS: set[str] = set()

# Packages that add models declare an entry point of this group: a module that registers them when it is imported, or
# a function "module:function" that does when it is called.
PLUGIN_GROUP = "gesture_zoo.models"


@overload
def register_model(factory: Factory, /) -> Factory: ...
@overload
def register_model(
    *,
    name: str | None = None,
    cfgs: dict[str, PretrainedCfg] | None = None,
    default_cfg: PretrainedCfg | None = None,
) -> Callable[[Factory], Factory]: ...
def register_model(
    factory: Factory | None = None,
    /,
    *,
    name: str | None = None,
    cfgs: dict[str, PretrainedCfg] | None = None,
    default_cfg: PretrainedCfg | None = None,
) -> Any:
    """Register a function that builds a model, under its own name or ``name``; usable as a decorator.

    The function takes keyword arguments (at least ``num_classes``) and returns the model without pretrained
    weights. ``cfgs`` maps tags to where weights are, the default tag first; ``default_cfg`` says what clips look like
    (size, T, statistics) where there are none. A name that is taken is a ModelError that says by whom.

    >>> @register_model
    ... def my_gesture_net(*, num_classes: int = 10) -> nn.Module:
    ...     return nn.Linear(4, num_classes)
    >>> is_model("my_gesture_net")
    True
    """
    if factory is not None and not callable(factory):
        raise ModelError(
            f"register_model takes the function that builds a model, got {factory!r:.80}; another name than the "
            "function's is @register_model(name=...)"
        )
    if factory is None:
        return partial(_register, name=name, cfgs=cfgs, default_cfg=default_cfg)
    return _register(factory, name=name, cfgs=cfgs, default_cfg=default_cfg)


def _register(
    factory: Factory,
    *,
    name: str | None,
    cfgs: dict[str, PretrainedCfg] | None,
    default_cfg: PretrainedCfg | None,
) -> Factory:
    name = name or getattr(factory, "__name__", None)
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise ModelError(f"model name {name!r} may hold letters, digits and underscores only: give one with name='...'")
    if name in _REGISTRY:
        by = f", by {_REGISTRY[name].owner}" if _REGISTRY[name].owner else ""
        raise ModelError(f"model {name!r} is registered already{by}; choose another name")
    own = {tag: _own_cfg(cfg, f"model {name!r}: cfgs[{tag!r}]") for tag, cfg in (cfgs or {}).items()}
    start = None if default_cfg is None else _own_cfg(default_cfg, f"model {name!r}: default_cfg")
    default = None if start is None else replace(start, architecture=name)
    registered = name
    owner = record(lambda: _REGISTRY.pop(registered, None))
    _REGISTRY[name] = Entry(factory, _tagged(name, own), default, owner)
    return factory


def _own_cfg(cfg: Any, where: str) -> PretrainedCfg:
    """A cfg as one of ours; timm's is one with less in it."""
    if isinstance(cfg, PretrainedCfg):
        return cfg
    if isinstance(cfg, TimmPretrainedCfg):
        return PretrainedCfg(**{field.name: getattr(cfg, field.name) for field in fields(TimmPretrainedCfg)})
    raise ModelError(f"{where} is a gesture_zoo.PretrainedCfg(...), not a {type(cfg).__name__}")


def register_resolver(resolver: Resolver) -> Resolver:
    """Let a function find the entries of names that are not listed; the first that knows a name wins."""
    _RESOLVERS.append(resolver)
    record(lambda: _RESOLVERS.remove(resolver))
    return resolver


def load_plugins() -> None:
    """Import the zoo's own models and what other packages declare under the entry points ``gesture_zoo.models``, once.

    A package that fails is named in a warning and left out, with all that it has registered: its fault is not the
    other models', nor that of packages which it imports. A function that an entry point names is called.
    """
    import_module(".models", __package__)
    for point in entry_points(group=PLUGIN_GROUP):
        if point.value in _PLUGINS:
            continue
        _PLUGINS.add(point.value)
        try:
            load(point, is_known=_is_factory)
        except (Exception, SystemExit) as error:
            what = f"{type(error).__name__}: {one_line(error)}"
            _logger.warning("the models of entry point %s = %s are left out: %s", point.name, point.value, what)
        except BaseException:  # Ctrl-C, say: nobody's fault, so the next call tries again
            _PLUGINS.discard(point.value)
            raise


def _is_factory(function: Any) -> bool:
    """Whether a function builds a model that is registered: importing it was all there is to do."""
    return any(entry.factory is function for entry in _REGISTRY.values())


def _find(model_name: str) -> Entry | None:
    architecture, _ = split_name(model_name)
    if architecture not in _REGISTRY:
        load_plugins()
    if architecture in _REGISTRY:
        return _REGISTRY[architecture]
    for resolver in _RESOLVERS:
        entry = resolver(architecture)
        if entry is not None:
            return entry._replace(cfgs=_tagged(architecture, entry.cfgs))
    return None


def _tagged(name: str, cfgs: dict[str, PretrainedCfg] | None) -> dict[str, PretrainedCfg]:
    return {tag: replace(cfg, architecture=name, tag=tag) for tag, cfg in (cfgs or {}).items()}


def split_name(model_name: str) -> tuple[str, str]:
    """Split "architecture.tag" into its two parts; the tag may be empty.

    >>> split_name("tsm_resnet50.in1k")
    ('tsm_resnet50', 'in1k')
    """
    architecture, _, tag = model_name.partition(".")
    return architecture, tag


def is_model(model_name: Any) -> bool:
    """Whether there is an architecture of that name, with or without a tag: a listed one, or one of the rule.

    >>> is_model("tsm_resnet50"), is_model("tsm_resnet5")
    (True, False)
    """
    return isinstance(model_name, str) and _find(model_name) is not None


def get_entry(model_name: str) -> Entry:
    """The entry of a name, tag or not; an unknown name is a ModelError with the nearest ones."""
    architecture, _ = split_name(model_name)
    entry = _find(architecture)
    if entry is None:
        near = get_close_matches(architecture, _REGISTRY, n=3, cutoff=0.5)
        listed = "gesture-zoo list, or gesture_zoo.list_models(), names them all"
        hint = f"did you mean {', '.join(near)}?" if near else listed
        raise ModelError(f"unknown model {architecture!r}; {hint}")
    return entry


def model_entrypoint(model_name: str) -> Factory:
    """The function that builds a model, without weights; as timm's it takes ``pretrained=False``.

    >>> model_entrypoint("tsm_resnet18")(num_classes=5).num_classes
    5
    """
    return _without_weights(get_entry(model_name).factory)


@lru_cache(maxsize=1024)  # the same function every time
def _without_weights(factory: Factory) -> Factory:
    if "pretrained" in signature(factory).parameters:
        return factory

    @wraps(factory)
    def build(*args: Any, pretrained: bool = False, **kwargs: Any) -> nn.Module:
        if pretrained:
            raise ModelError("an entrypoint builds a model without weights: pretrained=True is for create_model")
        return factory(*args, **kwargs)

    return build


def get_pretrained_cfg(model_name: str) -> PretrainedCfg | None:
    """A copy of the pretrained cfg of "architecture.tag", of the default tag, or of a model without weights; else None.

    >>> get_pretrained_cfg("tsm_resnet50.in1k").hf_hub_id
    'timm/resnet50.tv_in1k'
    """
    architecture, tag = split_name(model_name)
    entry = get_entry(architecture)
    cfgs = entry.cfgs
    if not tag:
        first = next(iter(cfgs.values()), entry.default)
        return None if first is None else replace(first)
    if tag not in cfgs:
        tags = ", ".join(cfgs) or "none"
        raise ModelError(f"model {architecture!r} has no weights tagged {tag!r}; its tags: {tags}")
    return replace(cfgs[tag])


def _patterns(filters: str | Iterable[str] | None) -> list[str]:
    return [filters] if isinstance(filters, str) else list(filters or ())


def list_models(
    filter: str | Iterable[str] | None = "",
    *,
    pretrained: bool = False,
    exclude_filters: str | Iterable[str] | None = "",
    include_tags: bool | None = None,
) -> list[str]:
    """Registered names that match any of the fnmatch patterns in ``filter``, sorted naturally.

    ``pretrained``: only those with weights that can be fetched; ``include_tags``: as "architecture.tag"
    (default: as ``pretrained``). A pattern without a tag covers all tags of the models it matches, and tags that it
    matches itself.

    >>> list_models("action_resnet*_msd")[:2]
    ['action_resnet18_msd', 'action_resnet34_msd']
    """
    load_plugins()
    if include_tags is None:
        include_tags = pretrained
    names = []
    for architecture, entry in _REGISTRY.items():
        tags = [tag for tag, cfg in entry.cfgs.items() if cfg.has_weights or not pretrained]
        if include_tags and tags:
            names += [f"{architecture}.{tag}" for tag in tags]
        elif tags or not pretrained:
            names.append(architecture)

    def matches(name: str, patterns: list[str]) -> bool:
        architecture, _ = split_name(name)
        return any(fnmatchcase(name, p) or ("." not in p and fnmatchcase(architecture, p)) for p in patterns)

    include, exclude = _patterns(filter), _patterns(exclude_filters)
    kept = [n for n in names if include in ([], [""]) or matches(n, include)]
    return sorted((n for n in kept if not matches(n, exclude)), key=natural_key)


def list_pretrained(
    filter: str | Iterable[str] | None = "", *, exclude_filters: str | Iterable[str] | None = ""
) -> list[str]:
    """Names "architecture.tag" whose weights can be fetched, sorted naturally.

    >>> list_pretrained("action_resnet50")
    ['action_resnet50.in1k']
    """
    return list_models(filter, pretrained=True, exclude_filters=exclude_filters)
