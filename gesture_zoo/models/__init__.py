"""The models of the zoo; importing this package registers them."""

from . import action, tea, tsm, tsn
from .clip_model import ClipModel
from .temporal import with_temporal

__all__ = ["ClipModel", "action", "tea", "tsm", "tsn", "with_temporal"]
