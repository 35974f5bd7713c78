"""Stored depth: holes that lossy coding smears, and pictures that only look like depth."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from layouts import WRITERS, save_frames, save_video
from PIL import Image
from torchvision.io import ImageReadMode, decode_image

from gesture_zoo.data import create_dataset
from gesture_zoo.data.check import check_dataset
from gesture_zoo.data.depth import NEARER_BRIGHTER, DepthEncoding
from gesture_zoo.data.images import decode, is_coloured
from gesture_zoo.data.isogd import IsoGD
from gesture_zoo.data.prepare import prepare_dataset
from gesture_zoo.data.shard_index import INDEX, encoding_from_json, encoding_to_json, parse_index
from gesture_zoo.errors import DataError

# The margin of what was not measured.


@pytest.mark.parametrize("margin", [0, 1, 2, 3, 40])
def test_pixels_near_a_hole_are_not_valid(margin: int) -> None:
    raw = torch.full((2, 1, 20, 30), 100, dtype=torch.uint8)
    raw[0, 0, 5, 7], raw[0, 0, 19, 29], raw[1, 0, 0, 15] = 0, 255, 3
    depth, valid = DepthEncoding(near=0, far=255, valid=(9, 250), margin=margin).decode(raw)
    expected = torch.ones_like(valid)
    for frame, row, column in ((0, 5, 7), (0, 19, 29), (1, 0, 15)):
        rows, columns = (slice(max(0, at - margin), at + margin + 1) for at in (row, column))
        expected[frame, 0, rows, columns] = False
    assert torch.equal(valid, expected)
    assert not depth[~valid].any() and depth[valid].allclose(torch.tensor(155 / 255))


def test_levels_that_are_no_picture_have_no_margin() -> None:
    encoding = DepthEncoding(near=0, far=255, valid=(9, 250), margin=2)
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(encoding.decode(levels)[1], replace(encoding, margin=0).decode(levels)[1])
    assert NEARER_BRIGHTER.margin == 0 and IsoGD.depth.margin == 2


def test_smear_of_a_hole_is_no_near_depth(tmp_path: Path) -> None:
    root = WRITERS["isogd"](tmp_path)
    raw = np.full((9, 48, 64), 200, np.uint8)  # far
    for level, size in ((150, 2), (60, 1), (0, 0)):  # as JPEG smears it
        raw[:, 20 - size : 28 + size, 30 - size : 40 + size] = level
    save_video(raw, root / "train" / "001" / "K_00001.avi")
    sample = create_dataset("isogd", root, num_segments=2)[0]
    assert sample.valid.float().mean() > 0.9
    measured = sample.depth[sample.valid]
    assert float(measured.max()) < 55 / 255 + 0.05, "all that is said to be measured is far"


def test_shards_remember_the_margin(tmp_path: Path) -> None:
    root = WRITERS["isogd"](tmp_path / "isogd")
    prepare_dataset("isogd", root, tmp_path / "shards", splits=["train"])
    files, shards = (
        create_dataset(*which, num_segments=2) for which in (("isogd", root), ("shards", tmp_path / "shards"))
    )
    assert torch.equal(next(iter(shards)).valid, files[0].valid)
    text = (tmp_path / "shards" / "train" / INDEX).read_text()
    assert parse_index(text.encode(), "x").depth[8] == IsoGD.depth
    for wrong in ("-1", "2.5", "true", '"2"', "1000000"):
        with pytest.raises(DataError, match="depth has to map 8 and 16 to near"):
            parse_index(text.replace('"margin": 2', f'"margin": {wrong}').encode(), "x")


def test_shards_of_before_have_none() -> None:
    values = encoding_to_json(NEARER_BRIGHTER)
    assert "margin" not in values, "a folder of shards that was begun before is gone on with"
    assert encoding_from_json(values) == NEARER_BRIGHTER
    assert encoding_from_json(encoding_to_json(IsoGD.depth)) == IsoGD.depth


# Pictures in colours.


def picture(kind: str) -> Image.Image:
    """A ramp of depth with noise, kept in one of the ways that pictures are kept."""
    rng = np.random.default_rng(0)
    gray = np.clip(np.linspace(40, 220, 64)[None] + rng.normal(0, 8, (48, 64)), 0, 255).astype(np.uint8)
    if kind == "mapped":
        far = gray.astype(float) / 255
        colors = np.stack([1.5 - abs(4 * far - centre) for centre in (3, 2, 1)], -1)  # jet
        return Image.fromarray((255 * colors.clip(0, 1)).astype(np.uint8))
    return Image.fromarray(gray).convert(kind)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("quality", [5, 50, 95])
@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
@pytest.mark.parametrize("kind", ["L", "RGB"])
def test_grey_that_lossy_coding_changed_is_grey(kind: str, form: str, quality: int) -> None:
    data = encoded(picture(kind), form, quality=quality)
    frame = decode(data, "x", gray=True)
    assert frame.shape == (1, 48, 64)
    if form == "JPEG":
        assert torch.equal(frame, decode_image(torch.tensor(list(data), dtype=torch.uint8), ImageReadMode.GRAY))


@pytest.mark.parametrize("kind", ["L", "LA", "P", "RGB", "RGBA", "1"])
def test_grey_pngs_of_every_kind_are_grey(kind: str) -> None:
    data = encoded(picture(kind), "PNG")
    frame = decode(data, "x", gray=True)
    assert torch.equal(frame, decode_image(torch.tensor(list(data), dtype=torch.uint8), ImageReadMode.GRAY))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "palette"])
def test_a_colour_map_is_no_depth(form: str) -> None:
    image = picture("mapped")
    data = encoded(image.convert("P") if form == "palette" else image, "PNG" if form == "palette" else form)
    with pytest.raises(DataError, match="the depth x.png is in colours: depth is stored as grey levels"):
        decode(data, "x.png", gray=True)
    assert decode(data, "x.png").shape == (3, 48, 64), "as colour it is what it is"


def test_a_little_colour_is_no_colour_map() -> None:
    gray = torch.full((3, 100, 100), 90, dtype=torch.uint8)
    gray[0, :10, :9] = 250  # a mark of 90 pixels
    assert not is_coloured(gray)
    gray[0, :10, :20] = 250
    assert is_coloured(gray)
    assert is_coloured(gray.to(torch.int32).mul(257).to(torch.uint16))


def test_training_and_check_data_refuse_colour_maps(tmp_path: Path) -> None:
    mapped = np.broadcast_to(np.asarray(picture("mapped")), (9, 48, 64, 3))
    root = WRITERS["folder"](tmp_path)
    for path in root.glob("train/wave/b.depth/*.png"):
        path.unlink()
    save_frames(mapped, root / "train" / "wave" / "b.depth", "{:d}.png")
    data = create_dataset("folder", root, num_segments=2)
    place = [record.id for record in data.records].index("train/wave/b")
    with pytest.raises(DataError, match=r"clip train/wave/b of folder train: the depth .*b.depth.\d.png is in colours"):
        _ = data[place]
    save_video(mapped, root / "val" / "wave" / "a.depth.mkv")
    val = create_dataset("folder", root, split="val", num_segments=2)
    with pytest.raises(DataError, match=r"clip val/wave/a.mp4 of folder val: the depth .*a.depth.mkv is in colours"):
        _ = val[[record.id for record in val.records].index("val/wave/a.mp4")]
    found = {p.where for p in check_dataset("folder", root).problems if "is in colours" in p.message}
    assert found == {"train clip train/wave/b", "val clip val/wave/a.mp4"}
