"""Pictures: the paper's Figure 5, the same as a video, the confusion matrix and the curves of a training."""

from .confusion import confusion_figure, save_confusion
from .curves import curves_figure, save_curves
from .figure5 import figure5, save_figure5
from .masks_video import save_masks_video
from .picture import check_name, denormalize, png, save_png

__all__ = [
    "check_name",
    "confusion_figure",
    "curves_figure",
    "denormalize",
    "figure5",
    "png",
    "save_confusion",
    "save_curves",
    "save_figure5",
    "save_masks_video",
    "save_png",
]
