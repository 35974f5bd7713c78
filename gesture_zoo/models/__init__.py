"""The models of the zoo; importing this package registers them."""

from . import action, tea, tsm, tsn
from .clip_model import ClipModel
from .family import register_family
from .temporal import with_temporal

__all__ = ["ClipModel", "action", "register_family", "tea", "tsm", "tsn", "with_temporal"]
