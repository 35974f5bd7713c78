"""The paper's Figure 5: RGB, depth, local mask, global mask (Fan et al. 2021, arXiv 2110.15639)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..data import ClipSample
from ..errors import ModelError
from ..msd import MSDModel
from .fonts import every_script
from .picture import check_name, denormalize, save_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure5(
    model: MSDModel,
    samples: Sequence[ClipSample],
    path: str | Path,
    *,
    class_names: Sequence[str] | None = None,
    frame: int | None = None,
) -> Path:
    """Draw ``figure5`` as a PNG.

    >>> import gesture_zoo, tempfile
    >>> from gesture_zoo.engine import make_test_dataset
    >>> model = gesture_zoo.create_model("tsm_test_resnet_msd", num_classes=12, num_segments=2)
    >>> data = make_test_dataset("synthetic", None, model, split="val", size=32)
    >>> folder = Path(tempfile.mkdtemp())
    >>> save_figure5(model, [data[0]], folder / "figure5.png", class_names=data.class_names).name
    'figure5.png'
    """
    check_name(path)
    return save_png(figure5(model, samples, class_names=class_names, frame=frame), path)


def figure5(
    model: MSDModel,
    samples: Sequence[ClipSample],
    *,
    class_names: Sequence[str] | None = None,
    frame: int | None = None,
) -> Figure:
    """One row per clip: its RGB frame, its depth if any clip has some, and the mask of every tap at that frame.

    ``samples`` are transformed for ``model``; ``frame`` is an index into the T frames, the middle one by default.
    Depth and masks share one scale, 0 (far) to 1 (near); grey is where depth is not valid. A row is named by its
    class, or by its id where the class is not known. The model is left in eval mode. One without decoders, no clip or
    a frame that there is not is a ModelError.

    >>> import gesture_zoo
    >>> from gesture_zoo.data import create_dataset
    >>> model = gesture_zoo.create_model("tsm_test_resnet_msd", num_classes=12, num_segments=2)
    >>> transform = gesture_zoo.create_transform(gesture_zoo.resolve_data_config(model=model))
    >>> data = create_dataset("synthetic", split="val", num_segments=2, size=32, transform=transform)
    >>> [axis.get_title() for axis in figure5(model, [data[0]]).axes[:3]]
    ['RGB', 'depth', 'mask of res1 (160 x 160)']
    """
    masks = depth_masks(model, samples)
    frame = model.num_segments // 2 if frame is None else frame
    if not 0 <= frame < model.num_segments:
        raise ModelError(f"there is no frame {frame} in a clip: they are 0 to {model.num_segments - 1}")
    return draw(model, samples, masks, frame, class_names=class_names)


@torch.inference_mode()
def depth_masks(model: MSDModel, samples: Sequence[ClipSample]) -> dict[str, Tensor]:
    """Masks of every tap for some clips, (N, T, 1, h, w) on the CPU."""
    if not isinstance(model, MSDModel):
        raise ModelError("a picture of depth masks needs a model with decoders (a name ending in _msd)")
    if not samples:
        raise ModelError("a picture of depth masks needs at least one clip")
    device = next(model.parameters()).device
    masks = model.eval().predict_masks(torch.stack([sample.frames for sample in samples]).to(device))
    return {name: mask.float().cpu() for name, mask in masks.items()}


@every_script
def draw(
    model: MSDModel,
    samples: Sequence[ClipSample],
    masks: Mapping[str, Tensor],
    frame: int,
    *,
    class_names: Sequence[str] | None = None,
    side: float = 2.3,
) -> Figure:
    """The grid of one frame: a row per clip, panels of ``side`` inches."""
    with_depth = any(sample.depth is not None for sample in samples)
    titles = [f"mask of {name} ({mask.shape[-2]} x {mask.shape[-1]})" for name, mask in masks.items()]
    columns = [
        "depth, as seen" if samples[0].frames.shape[-3] == 1 else "RGB",
        *(["depth"] if with_depth else []),
        *titles,
    ]
    from matplotlib.figure import Figure  # late, as it takes a second to import

    figure = Figure(figsize=(side * len(columns) + 1.2, side * len(samples) + 0.5), layout="constrained")
    axes = figure.subplots(len(samples), len(columns), squeeze=False)
    images = []
    for row, sample in enumerate(samples):
        maps = [_depth_map(sample, frame)] if with_depth else []
        maps += [mask[row, frame, 0] for mask in masks.values()]
        axes[row][0].imshow(denormalize(sample.frames[frame], model.pretrained_cfg).permute(1, 2, 0).numpy())
        axes[row][0].set_ylabel(row_name(sample, class_names), fontsize=9, parse_math=False)
        for column, values in enumerate(maps, start=1):
            axes[row][column].set_facecolor("0.6")
            if values is not None:
                images.append(axes[row][column].imshow(values.numpy(), cmap="magma", vmin=0, vmax=1))
        for column, axis in enumerate(axes[row]):
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_box_aspect(sample.frames.shape[-2] / sample.frames.shape[-1])
            if row == 0:
                axis.set_title(columns[column], fontsize=9)
    depths = [_depth_map(sample, frame) for sample in samples] if with_depth else []
    holes = any(values is None or values.isnan().any() for values in depths)
    label = f"depth, far to near{' (grey: not measured)' if holes else ''}"
    figure.colorbar(images[-1], ax=axes, shrink=0.8, label=label, pad=0.01)
    return figure


def row_name(sample: ClipSample, class_names: Sequence[str] | None) -> str:
    """What a row is called: the class, or where the clip came from."""
    if sample.label < 0:
        return Path(sample.id).name
    return class_names[sample.label] if class_names else str(sample.label)


def _depth_map(sample: ClipSample, frame: int) -> Tensor | None:
    if sample.depth is None:
        return None
    values = sample.depth[frame, 0]
    return values if sample.valid is None else values.where(sample.valid[frame, 0], torch.nan)
