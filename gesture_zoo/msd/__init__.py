"""Multi-Scale-Decoder: depth supervision through forward hooks, for training only."""

from .decoder import Decoder
from .loss import MSDLoss
from .taps import Tap
from .wrapper import MSDModel, MSDOutput, strip_msd, with_msd

__all__ = ["Decoder", "MSDLoss", "MSDModel", "MSDOutput", "Tap", "strip_msd", "with_msd"]
