"""The models of the zoo; importing this package registers them."""

from . import action, baselines, tea, tsm, tsn  # noqa: F401
from .clip_model import ClipModel
from .family import register_family
from .temporal import with_temporal
from .video_model import VideoModel

__all__ = ["ClipModel", "VideoModel", "register_family", "with_temporal"]
