"""The page prepares pictures as Python does."""

from __future__ import annotations

import numpy as np
import pytest
from web_node import run_node

from gesture_zoo.runtime import ModelInfo, centre_box, preprocess

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def an_info(**values: object) -> ModelInfo:
    fields = {
        "architecture": "any",
        "kind": "clip",
        "labels": ("a",),
        "input_size": (3, 56, 56),
        "mean": MEAN,
        "std": STD,
    }
    return ModelInfo(**{**fields, **values})


def description(info: ModelInfo) -> dict:
    return {name: getattr(info, name) for name in ("input_size", "crop_pct", "interpolation", "mean", "std")}


def test_the_same_part_of_a_picture_is_seen() -> None:
    rng = np.random.default_rng(0)
    cases = []
    for _ in range(500):
        size = (3, *(int(side) for side in rng.integers(16, 300, 2)))
        info = an_info(input_size=size, crop_pct=float(rng.choice([0.5, 0.875, 0.9, 0.95, 1.0])))
        cases.append((*(int(side) for side in rng.integers(16, 2200, 2)), info))
    data = [{"height": height, "width": width, "info": description(info)} for height, width, info in cases]
    boxes = run_node(
        """
        const { centreBox } = await load("resize.js");
        print(data.map(({ height, width, info }) => centreBox(height, width, info)));
        """,
        data,
    )
    for (height, width, info), box in zip(cases, boxes, strict=True):
        left, top, right, bottom = centre_box(height, width, info)
        assert box == {"left": left, "top": top, "width": right - left, "height": bottom - top}


def difference(rgb: np.ndarray, info: ModelInfo) -> np.ndarray:
    """How many levels of a colour, of 255, the page and Pillow are apart in every number of the model's input."""
    left, top, right, bottom = centre_box(*rgb.shape[:2], info)
    opaque = np.full((*rgb.shape[:2], 1), 255, np.uint8)
    crop = np.concatenate((rgb, opaque), axis=2)[top:bottom, left:right]
    answer = run_node(
        """
        const { normalise, resize } = await load("resize.js");
        const [, rows, columns] = data.info.input_size;
        const pixels = Uint8ClampedArray.from(data.rgba);
        const resized = resize(pixels, data.height, data.width, rows, columns, data.info.interpolation);
        print([...normalise(resized, data.info)]);
        """,
        {"info": description(info), "rgba": crop.ravel().tolist(), "height": bottom - top, "width": right - left},
    )
    return (np.array(answer).reshape(info.input_size) - preprocess(rgb, info)[0]) * np.array(STD)[:, None, None] * 255


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(3, 56, 56), (3, 40, 72)])
def test_pixels_are_those_of_pillow(interpolation: str, size: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    info = an_info(input_size=size, interpolation=interpolation)
    for shape in ((120, 160, 3), (33, 47, 3)):  # made smaller, and made larger
        rgb = rng.integers(0, 256, shape, dtype=np.uint8)
        levels = difference(rgb, info)
        assert np.abs(levels).max() < 1.01
        assert np.abs(levels).mean() < 0.02


def test_the_nearest_pixel_is_pillows_where_two_are_as_near() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (111, 78, 3), dtype=np.uint8)  # cut to 97 x 68
    assert np.abs(difference(rgb, an_info(input_size=(3, 43, 30), interpolation="nearest"))).max() < 0.01
