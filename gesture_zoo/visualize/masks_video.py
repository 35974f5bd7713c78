"""Figure 5 in motion: what the decoders see, frame by frame of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..data import ClipSample, write_video
from ..media_names import WRITABLE_SUFFIXES
from ..msd import MSDModel
from .figure5 import depth_masks, draw
from .fonts import naming_missing_letters
from .picture import DPI, check_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_masks_video(
    model: MSDModel,
    samples: ClipSample | Sequence[ClipSample],
    path: str | Path,
    *,
    class_names: Sequence[str] | None = None,
    fps: int = 4,
    loops: int = 3,
) -> Path:
    """Write a video of ``figure5`` over the T frames of a clip, or of several below one another.

    ``fps``: frames of the clip a second, slow enough that eight of them can be watched; the clip is shown ``loops``
    times. The name says the container (.avi, .mkv, .mov, .mp4). The model is left in eval mode. One without decoders
    is a ModelError.

    >>> import gesture_zoo, tempfile
    >>> from gesture_zoo.engine import make_test_dataset
    >>> model = gesture_zoo.create_model("tsm_test_resnet_msd", num_classes=12, num_segments=2)
    >>> data = make_test_dataset("synthetic", None, model, split="val", size=32)
    >>> save_masks_video(model, data[0], Path(tempfile.mkdtemp()) / "masks.mp4", loops=1).name
    'masks.mp4'
    """
    path = check_name(path, WRITABLE_SUFFIXES)
    clips = [samples] if isinstance(samples, ClipSample) else list(samples)
    masks = depth_masks(model, clips)
    side = 2.9 if len(clips) == 1 else 2.3
    with naming_missing_letters():
        pictures = [
            pixels(draw(model, clips, masks, frame, class_names=class_names, side=side))
            for frame in range(len(clips[0].frames))
        ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(np.stack(pictures * loops), path, fps=fps)
    return path


def pixels(figure: Figure) -> np.ndarray:
    """A figure as an image (H, W, 3) of even size, which video needs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # late, as it takes a second to import

    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[..., :3]
    return image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2].copy()
