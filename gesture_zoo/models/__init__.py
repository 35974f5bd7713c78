"""The models of the zoo; importing this package registers them."""

from . import action, baselines, tea, tsm, tsn
from .clip_model import ClipModel
from .family import register_family
from .temporal import with_temporal
from .video_model import VideoModel

__all__ = ["ClipModel", "VideoModel", "action", "baselines", "register_family", "tea", "tsm", "tsn", "with_temporal"]
