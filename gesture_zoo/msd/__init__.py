"""Multi-Scale-Decoder: depth supervision through forward hooks, for training only; a loss of two networks."""

from .alignment import AlignmentLoss, StreamsOutput
from .decoder import Decoder
from .loss import MSDLoss
from .taps import Tap
from .wrapper import MSDModel, MSDOutput, strip_msd, with_msd

__all__ = [
    "AlignmentLoss",
    "Decoder",
    "MSDLoss",
    "MSDModel",
    "MSDOutput",
    "StreamsOutput",
    "Tap",
    "strip_msd",
    "with_msd",
]
