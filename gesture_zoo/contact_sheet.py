"""The contact sheet of a dataset: a frame of every class over its depth, on one page."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from .data import ClipSample
from .errors import DataError, GestureZooError
from .visualize.fonts import every_script, naming_missing_letters

__all__ = ["save_contact_sheet"]

# In pixels: a picture of a tile, the text over it, the space between tiles, and the head of the page.
WIDTH, HEIGHT, TEXT, GAP, HEAD = 160, 120, 30, 8, 42
SEAM = 2  # between a frame and its depth
DPI = 100
GREY = 153  # where depth was not measured
NAME, ID = 25, 27  # characters of them over a tile
UNLABELLED_CLIPS = 24  # drawn of a split without labels


def save_contact_sheet(
    dataset: Any,
    path: str | Path,
    *,
    per_class: int = 1,
    max_classes: int = 256,
    title: str = "",
    progress: bool = False,
) -> Path:
    """Draw ``per_class`` clips of every class as a PNG: the middle frame over its depth, with class name and id.

    ``dataset`` has ``class_names``, ``labels`` and yields untransformed ``ClipSample``; made with
    ``num_segments=1`` it reads one frame per clip. A clip that cannot be read gives way to the next of its class.
    Of more than ``max_classes`` the first are drawn. Depth is bright where near and grey where it was not measured.

    >>> import tempfile
    >>> from gesture_zoo.data import create_dataset
    >>> data = create_dataset("synthetic", split="val", num_segments=1, size=64)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_contact_sheet(data, Path(folder) / "sheet.png").name
    'sheet.png'
    """
    if per_class < 1 or max_classes < 1:
        raise DataError(f"per_class and max_classes must be at least 1, got {per_class} and {max_classes}")
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise DataError(f"pictures are PNG files, got the name {path}")
    members: dict[int, list[int]] = defaultdict(list)
    for index, label in enumerate(dataset.labels):
        members[label].append(index)
    labels = sorted(members, key=lambda label: (label < 0, label))[:max_classes]
    tiles = []
    for label in tqdm(labels, desc="contact sheet", unit="class", disable=None if progress else True, leave=False):
        wanted = per_class if label >= 0 else max(per_class, UNLABELLED_CLIPS)
        tiles += _tiles(dataset, label, members[label], wanted)
    if not any(sample for _, sample in tiles):
        raise DataError(f"none of the {len(dataset)} clips can be read: there is nothing to draw")
    shown = f"{len(labels)} of {len(dataset.class_names)} classes"
    return _draw(tiles, path, ", ".join(part for part in (title, shown) if part))


def _tiles(dataset: Any, label: int, members: Sequence[int], per_class: int) -> list[tuple[str, ClipSample | None]]:
    """The first clips of a class that can be read; none stands for a class without any."""
    name = dataset.class_names[label] if label >= 0 else "no label"
    found: list[tuple[str, ClipSample | None]] = []
    for index in members:
        try:
            found.append((name, dataset[index]))
        except (GestureZooError, OSError):
            continue
        if len(found) == per_class:
            break
    return found or [(name, None)]


@every_script
def _draw(tiles: Sequence[tuple[str, ClipSample | None]], path: Path, title: str) -> Path:
    from matplotlib.figure import Figure  # late, as it takes a second to import

    with_depth = any(sample is not None and sample.depth is not None for _, sample in tiles)
    tall = TEXT + HEIGHT + (SEAM + HEIGHT if with_depth else 0)
    # About as many as make the page 4 to 3, but room for the title.
    columns = max(3, min(len(tiles), round(math.sqrt(len(tiles) * tall / WIDTH * 4 / 3))))
    rows = math.ceil(len(tiles) / columns)
    page = np.full((HEAD + rows * (tall + GAP), GAP + columns * (WIDTH + GAP), 3), 255, np.uint8)
    figure = Figure(figsize=(page.shape[1] / DPI, page.shape[0] / DPI), dpi=DPI)

    def write(x: float, y: float, text: str, size: float, **style: Any) -> None:
        place = x / page.shape[1], 1 - y / page.shape[0]
        figure.text(*place, text, fontsize=size, va="center", parse_math=False, **style)

    write(GAP, 14, title, 9)
    if with_depth:  # on a line of its own: the page of a few clips is not wide
        write(GAP, 30, "depth below: bright is near, grey not measured", 6.5, color="0.35")
    for place, (name, sample) in enumerate(tiles):
        x, y = GAP + place % columns * (WIDTH + GAP), HEAD + place // columns * (tall + GAP)
        write(x, y + 7, _short(name, NAME), 7.5, weight="bold")
        if sample is None:
            write(x, y + 21, "no clip can be read", 6.5, color="firebrick")
            continue
        write(x, y + 21, _short(sample.id, ID, end=True), 6.5, color="0.35")
        y += TEXT
        page[y : y + HEIGHT, x : x + WIDTH] = _fit(_middle(sample.frames).float())
        if with_depth:
            y += HEIGHT + SEAM
            page[y : y + HEIGHT, x : x + WIDTH] = _fit(_depth_picture(sample))
    figure.figimage(page, origin="upper")
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming_missing_letters():
        figure.savefig(path, dpi=DPI)
    return path


def _middle(clip: Tensor) -> Tensor:
    """The middle frame of a clip, or of the first of its views."""
    while clip.ndim > 4:
        clip = clip[0]
    return clip[len(clip) // 2]


def _depth_picture(sample: ClipSample) -> Tensor:
    """Depth in colours, (3, H, W) in 0 to 255."""
    from matplotlib import colormaps

    if sample.depth is None:
        return torch.full((3, HEIGHT, WIDTH), float(GREY))
    depth = _middle(sample.depth)[0]
    picture = torch.from_numpy(colormaps["magma"](depth.numpy())[..., :3] * 255).float().permute(2, 0, 1)
    if sample.valid is not None:
        picture = picture.where(_middle(sample.valid), torch.tensor(float(GREY)))
    return picture


def _fit(picture: Tensor) -> np.ndarray:
    """A picture (3, H, W) scaled to a tile, with the page's white where its shape is another."""
    scale = min(HEIGHT / picture.shape[-2], WIDTH / picture.shape[-1])
    height, width = (max(1, round(side * scale)) for side in picture.shape[-2:])
    small = F.interpolate(picture[None], (height, width), mode="bilinear", antialias=True)[0]
    tile = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    tile[:height, :width] = small.clamp(0, 255).byte().permute(1, 2, 0).numpy()
    return tile


def _short(text: str, limit: int, *, end: bool = False) -> str:
    """Text of at most ``limit`` characters; the ``end`` of an id tells more than its beginning."""
    if len(text) <= limit:
        return text
    dots = "\N{HORIZONTAL ELLIPSIS}"
    return dots + text[1 - limit :] if end else text[: limit - 1] + dots
