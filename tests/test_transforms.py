"""Clip transforms: one geometry for RGB and depth, colour for RGB alone, flips that swap labels, three crops."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import interpolate

import gesture_zoo
from gesture_zoo.data import ClipSample, collate, create_dataset, create_transform
from gesture_zoo.errors import DataError

CONFIG = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3, "crop_pct": 1.0, "num_segments": 4}


def picture(label: int = 1, views: int | None = None) -> ClipSample:
    """A clip whose channels are its depth, pixel by pixel, and whose validity marks the left half."""
    depth = torch.rand(4, 1, 40, 60, generator=torch.Generator().manual_seed(0)).round(decimals=2)
    depth = interpolate(depth[:, :, ::8, ::12], (40, 60))  # flat patches survive resizing
    valid = torch.zeros(4, 1, 40, 60, dtype=torch.bool)
    valid[..., :30] = True
    parts = (depth * 255).round().byte().expand(4, 3, 40, 60), depth, valid
    if views:
        parts = tuple(part.expand(views, *part.shape) for part in parts)
    return ClipSample(*parts, label, "picture")


def share_that_agrees(sample: ClipSample) -> float:
    """Share of pixels where RGB shows what depth says; edges of patches are smoothed in RGB and not in depth."""
    red = sample.frames[..., :1, :, :] * 0.5 + 0.5
    return ((red - sample.depth).abs() < 0.02).float().mean().item()


@pytest.mark.parametrize("is_training", [False, True])
def test_rgb_and_depth_share_every_crop(is_training: bool) -> None:
    options = {"hflip": 0.5, "flip_labels": {1: 2, 2: 1}} if is_training else {}
    transform = create_transform(CONFIG, is_training=is_training, **options)
    transform.jitter = torch.nn.Identity()
    flips = set()
    for _ in range(10):
        sample = transform(picture())
        assert sample.frames.shape == (4, 3, 32, 32)
        assert sample.depth.shape == sample.valid.shape == (4, 1, 32, 32)
        assert share_that_agrees(sample) > 0.6
        assert sample.valid.dtype == torch.bool
        # The marked half goes to the other side exactly where the label says that the clip is mirrored.
        left, right = (sample.valid[..., half].float().mean() for half in (slice(0, 16), slice(16, 32)))
        assert left >= right if sample.label == 1 else left <= right
        flips.add(sample.label)
    assert flips == ({1, 2} if is_training else {1})


def test_frames_of_a_clip_share_one_draw() -> None:
    still = picture()._replace(frames=picture().frames[:1].expand(4, 3, 40, 60))
    transform = create_transform(CONFIG, is_training=True, hflip=0.5, flip_labels={1: 1})
    for _ in range(10):
        frames = transform(still).frames
        assert torch.equal(frames, frames[:1].expand_as(frames))


def test_colour_jitter_leaves_depth_alone() -> None:
    transform = create_transform(CONFIG, is_training=True)
    depths, frames = set(), set()
    transform.box = lambda *_: (0, 0, 40, 40)
    for _ in range(20):
        sample = transform(picture())
        depths.add(sample.depth.sum().item())
        frames.add(sample.frames.sum().item())
    assert len(depths) == 1
    assert 3 < len(frames) < 20, "in about 40 % of cases"


def test_a_class_without_a_mirror_image_is_never_flipped() -> None:
    transform = create_transform(CONFIG, is_training=True, hflip=1.0, flip_labels={1: 2, 2: 1})
    transform.training_boxes = lambda frames: [(0, 0, 40, 60)]
    assert transform(picture(1)).label == 2
    assert transform(picture(1)).valid[..., 16:].all()
    assert transform(picture(7)).label == 7
    assert transform(picture(7)).valid[..., :16].all()


def test_flips_need_labels_that_swap() -> None:
    with pytest.raises(DataError, match="hflip needs to know which labels swap"):
        create_transform(CONFIG, is_training=True, hflip=0.5)
    with pytest.raises(DataError, match=r"hflip is a probability in \[0, 1\], got 2"):
        create_transform(CONFIG, is_training=True, hflip=2, flip_labels={0: 0})


def test_flipping_a_rendered_swipe_gives_the_other_swipe() -> None:
    data = create_dataset("synthetic", num_segments=8, size=32, num_clips=2)
    transform = create_transform(CONFIG, is_training=True, hflip=1.0, flip_labels=data.flip_labels)
    left = data.class_names.index("swipe_left")
    assert data.class_names[transform(data[left]).label] == "swipe_right"


def test_training_crops_are_the_papers() -> None:
    transform = create_transform({**CONFIG, "input_size": (3, 224, 224)}, is_training=True)
    frames = torch.zeros(1, 3, 240, 320, dtype=torch.uint8)
    boxes = {transform.training_boxes(frames)[0] for _ in range(300)}
    assert {height for _, _, height, _ in boxes} == {240, 210, 180, 160}
    assert all(height == width for _, _, height, width in boxes)
    assert {(top, left) for top, left, height, _ in boxes if height == 160} == {
        (0, 0), (0, 160), (80, 0), (80, 160), (40, 80),
    }  # fmt: skip


def test_three_crops_lie_along_the_longer_side() -> None:
    config = gesture_zoo.resolve_data_config(model=gesture_zoo.create_model("tsm_resnet18"), use_test_size=True)
    assert config["input_size"] == (3, 256, 256)
    transform = create_transform(config, num_crops=3)
    columns = torch.arange(320).expand(8, 3, 240, 320).to(torch.uint8)
    sample = transform(ClipSample(columns, columns[:, :1] / 255, None, 0, ""))
    assert sample.frames.shape == (3, 8, 3, 256, 256)
    assert sample.depth.shape == (3, 8, 1, 256, 256)
    assert transform.test_boxes(columns) == [(0, 0, 240, 240), (0, 40, 240, 240), (0, 80, 240, 240)]
    assert transform.test_boxes(columns.mT) == [(0, 0, 240, 240), (40, 0, 240, 240), (80, 0, 240, 240)]
    with pytest.raises(DataError, match="num_crops is 1, or 3 in testing, got 3"):
        create_transform(config, num_crops=3, is_training=True)


def test_crops_multiply_views() -> None:
    transform = create_transform(CONFIG, num_crops=3)
    sample = transform(picture(views=10))
    assert sample.frames.shape == (30, 4, 3, 32, 32)
    assert sample.valid.shape == (30, 4, 1, 32, 32)
    assert share_that_agrees(sample) > 0.6
    assert collate([sample, sample]).frames.shape == (2, 30, 4, 3, 32, 32)
    one = create_transform(CONFIG)(picture(views=10))
    assert one.frames.shape == (10, 4, 3, 32, 32)
    assert torch.equal(sample.frames[10:20], one.frames)


def test_entries_by_name_as_timm_takes_them() -> None:
    sample = picture()
    torch.testing.assert_close(create_transform(**CONFIG)(sample).frames, create_transform(CONFIG)(sample).frames)
    model = gesture_zoo.create_model("tsm_test_resnet")
    assert create_transform(**gesture_zoo.resolve_data_config(model=model)).size == (160, 160)
    for how, message in (
        ({"config": CONFIG, "crop": 1}, "takes no crop; of a configuration, input_size, mean"),
        ({**CONFIG, "crop": 1}, "takes no crop"),
        ({"mean": (0.5,) * 3}, "this has no input_size, std"),
        ({}, "needs a resolve_data_config dictionary"),
    ):
        with pytest.raises(TypeError, match=message):
            create_transform(**how)


def test_other_aspect_ratios() -> None:
    sample = create_transform({**CONFIG, "input_size": (3, 16, 48)}, is_training=True)(picture())
    assert sample.frames.shape == (4, 3, 16, 48)


def test_synthetic_clips_feed_a_model() -> None:
    model = gesture_zoo.create_model("tsm_test_resnet_msd", num_classes=12, num_segments=4)
    config = gesture_zoo.resolve_data_config({"img_size": 32}, model=model)
    data = create_dataset("synthetic", num_segments=4, size=32, num_clips=2, transform=create_transform(config))
    batch = collate([data[0], data[1]])
    loss = gesture_zoo.MSDLoss()(model.train()(batch.frames), batch.labels, batch.depth, batch.valid)
    assert loss.isfinite()
