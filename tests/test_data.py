"""Clips from files: sampling, decoding, the readers' formats, and one geometry for RGB and depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import gesture_zoo
from gesture_zoo.data import (
    ClipSample,
    collate,
    count_frames,
    create_dataset,
    create_transform,
    holdout_indices,
    read_frames,
    segment_indices,
    write_video,
)
from gesture_zoo.data.factory import available_splits
from gesture_zoo.errors import DataError

CONFIG = {"input_size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3, "crop_pct": 1.0, "num_segments": 4}


def gray_video(path: Path, levels: list[int], size: tuple[int, int] = (48, 64)) -> Path:
    """A video whose frames are flat grey levels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = np.stack([np.full((*size, 3), level, dtype=np.uint8) for level in levels])
    write_video(frames, path)
    return path


# Sampling.


@pytest.mark.parametrize("num_frames", [1, 3, 8, 9, 80])
def test_segments_cover_the_video_in_order(num_frames: int) -> None:
    for random in (False, True):
        indices = segment_indices(num_frames, 8, random=random)
        assert indices == sorted(indices)
        assert all(t * num_frames // 8 <= i <= (t + 1) * num_frames / 8 for t, i in enumerate(indices))
        assert max(indices) < num_frames


def test_random_segments_follow_their_generator() -> None:
    draws = [segment_indices(80, 8, random=True, generator=torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_no_frames_is_an_error() -> None:
    with pytest.raises(DataError, match="from a video of 0"):
        segment_indices(0, 8)


# Decoding.


def test_frames_by_index_in_any_order(tmp_path: Path) -> None:
    video = gray_video(tmp_path / "v.mp4", list(range(10, 250, 20)))
    assert count_frames(video) == 12
    frames = read_frames(video, [11, 0, 0, 5])
    assert frames.shape == (4, 3, 48, 64)
    assert frames.dtype == torch.uint8
    levels = frames.float().mean((1, 2, 3)).round().tolist()
    assert np.allclose(levels, [230, 10, 10, 110], atol=3)
    assert read_frames(video, [3], gray=True).shape == (1, 1, 48, 64)


def test_unreadable_videos_are_named(tmp_path: Path) -> None:
    good = gray_video(tmp_path / "good.mp4", [10, 20, 30])
    empty, text = tmp_path / "empty.avi", tmp_path / "text.mp4"
    empty.write_bytes(b"")
    text.write_text("not a video")
    for path in (empty, text):
        with pytest.raises(DataError, match=f"cannot read video .*{path.name}"):
            count_frames(path)
        with pytest.raises(DataError, match=f"cannot read video .*{path.name}"):
            read_frames(path, [0])
    with pytest.raises(DataError, match="there is no file .*none.mp4"):
        count_frames(tmp_path / "none.mp4")
    with pytest.raises(DataError, match="ends before frame 3: it is truncated"):
        read_frames(good, [0, 3])


def test_a_truncated_video_is_named(tmp_path: Path) -> None:
    whole = gray_video(tmp_path / "whole.avi", list(range(0, 250, 5)))
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])
    with pytest.raises(DataError, match=r"cut\.avi"):
        read_frames(cut, segment_indices(50, 8))


# Readers.


@pytest.fixture
def isogd(tmp_path: Path) -> Path:
    """Two clips in IsoGD's layout: depth is far = brighter, 0 shadow, 255 border, and a frame shorter than RGB."""
    for number in (1, 2):
        gray_video(tmp_path / f"train/001/M_0000{number}.avi", [40 * number] * 9)
        frames = np.full((8, 48, 64, 3), 100, dtype=np.uint8)
        frames[:, :16], frames[:, 32:] = 0, 255
        write_video(frames, tmp_path / f"train/001/K_0000{number}.avi")
    (tmp_path / "train_list.txt").write_text(
        "train/001/M_00001.avi train/001/K_00001.avi 26\ntrain/001/M_00002.avi train/001/K_00002.avi 249\n"
    )
    return tmp_path


def test_isogd(isogd: Path) -> None:
    data = create_dataset("isogd", isogd, split="train", num_segments=4)
    assert len(data) == 2
    assert len(data.class_names) == 249
    assert data.labels == [25, 248]
    sample = data[0]
    assert sample.frames.shape == (4, 3, 48, 64)
    assert sample.id == "train/001/M_00001.avi"
    middle = sample.depth[:, :, 20:28]
    torch.testing.assert_close(middle, torch.full_like(middle, 1 - 100 / 255), atol=0.02, rtol=0)
    assert sample.valid[:, :, 20:28].all()
    assert not sample.valid[:, :, :12].any()
    assert not sample.valid[:, :, 36:].any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("test/001/M_1.avi test/001/K_1.avi\n", "line 1: no label; this list is the unlabelled one"),
        ("a b 26\na b 250\n", "line 2: expected .* label 1 to 249"),
        ("a b x\n", "line 1: expected"),
        ("a b 0\n", "line 1: expected"),
        ("", "lists no clips"),
    ],
)
def test_isogd_lists_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "train_list.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        create_dataset("isogd", tmp_path)


def test_isogd_without_lists(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no IsoGD list at .*train_list.txt: --data-dir is the folder that holds"):
        create_dataset("isogd", tmp_path)
    with pytest.raises(DataError, match="splits train, val, test, not 'valid'"):
        create_dataset("isogd", tmp_path, split="valid")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split in ("train", "val"):
        for name in ("wave", "fist"):
            for number in range(3):
                gray_video(tmp_path / split / name / f"{number}.mp4", [50, 100, 150])
        gray_video(tmp_path / split / "wave" / "0.depth.mkv", [200] * 3)
    (tmp_path / "train" / ".DS_Store").write_text("")
    return tmp_path


def test_clip_folder_with_splits_and_depth(folder: Path) -> None:
    data = create_dataset("folder", folder, split="val", num_segments=3)
    assert data.class_names == ["fist", "wave"]
    assert data.labels == [0, 0, 0, 1, 1, 1]
    assert data[0].depth is None
    torch.testing.assert_close(data[3].depth.mean(), torch.tensor(200 / 255), atol=0.02, rtol=0)
    batch = collate([data[0], data[3]])
    assert batch.depth.shape == (2, 3, 1, 48, 64)
    assert not batch.valid[0].any()
    assert batch.valid[1].all()
    assert available_splits("folder", folder) == ["train", "val"]


def test_clip_folder_without_splits(folder: Path) -> None:
    data = create_dataset("folder", folder / "val")
    assert data.class_names == ["fist", "wave"]
    assert available_splits("folder", folder / "val") == ["train"]
    with pytest.raises(DataError, match="it is one split, 'train'"):
        create_dataset("folder", folder / "val", split="test")


def test_clip_folder_errors(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no split folder 'test'"):
        create_dataset("folder", folder, split="test")
    (folder / "val" / "other").mkdir()
    with pytest.raises(DataError, match="the class 'other' is not in"):
        create_dataset("folder", folder, split="val")
    (tmp_path / "void").mkdir()
    with pytest.raises(DataError, match=r"no videos in .*expected .*<class>/<clip>.mp4"):
        create_dataset("folder", tmp_path / "void")
    with pytest.raises(DataError, match="there is no folder"):
        create_dataset("folder", tmp_path / "none")
    gray_video(folder / "train" / "fist" / "0.depth.mkv", [1] * 3, size=(32, 32))
    with pytest.raises(DataError, match=r"depth is \(32, 32\), its frames are \(48, 64\)"):
        create_dataset("folder", folder)[0]


def test_unknown_datasets(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unknown dataset 'imagenet'; choose one of folder, isogd, synthetic"):
        create_dataset("imagenet", tmp_path)
    with pytest.raises(DataError, match="needs the folder it is in"):
        create_dataset("folder")


def test_holdout_is_per_class_and_repeatable() -> None:
    labels = [0] * 10 + [1] * 2 + [2]
    kept, held = holdout_indices(labels, 0.2, seed=3)
    assert (kept, held) == holdout_indices(labels, 0.2, seed=3)
    assert sorted(kept + held) == list(range(13))
    assert [labels[i] for i in held] == [0, 0, 1]
    with pytest.raises(DataError, match="between 0 and 1"):
        holdout_indices(labels, 1.0)


# Transforms.


def picture() -> ClipSample:
    """A clip whose red channel is its depth, pixel by pixel, and whose validity marks the left half."""
    depth = torch.rand(4, 1, 40, 60, generator=torch.Generator().manual_seed(0)).round(decimals=2)
    depth = torch.nn.functional.interpolate(depth[:, :, ::8, ::12], (40, 60))  # flat patches survive resizing
    frames = (depth * 255).round().byte().expand(4, 3, 40, 60)
    valid = torch.zeros(4, 1, 40, 60, dtype=torch.bool)
    valid[..., :30] = True
    return ClipSample(frames, depth, valid, 1, "picture")


@pytest.mark.parametrize("is_training", [False, True])
def test_rgb_and_depth_share_every_crop(is_training: bool) -> None:
    transform = create_transform(CONFIG, is_training=is_training)
    transform.jitter = torch.nn.Identity()
    for _ in range(10):
        sample = transform(picture())
        assert sample.frames.shape == (4, 3, 32, 32)
        assert sample.depth.shape == sample.valid.shape == (4, 1, 32, 32)
        red = sample.frames[:, :1] * 0.5 + 0.5
        # Edges of patches are smoothed in RGB and not in depth: most pixels must agree.
        assert ((red - sample.depth).abs() < 0.02).float().mean() > 0.6
        assert sample.valid.dtype == torch.bool


def test_colour_jitter_leaves_depth_alone() -> None:
    transform = create_transform({**CONFIG, "crop_pct": 1.0}, is_training=True)
    depths, frames = set(), set()
    transform.crop_box = lambda *_: (0, 0, 40, 40)
    for _ in range(20):
        sample = transform(picture())
        depths.add(sample.depth.sum().item())
        frames.add(sample.frames.sum().item())
    assert len(depths) == 1
    assert 3 < len(frames) < 20, "in about 40 % of cases"


def test_other_aspect_ratios() -> None:
    sample = create_transform({**CONFIG, "input_size": (3, 16, 48)}, is_training=True)(picture())
    assert sample.frames.shape == (4, 3, 16, 48)


def test_synthetic_clips_feed_a_model() -> None:
    model = gesture_zoo.create_model("tsm_test_resnet_msd", num_classes=12, num_segments=4)
    config = gesture_zoo.resolve_data_config({"img_size": 32}, model=model)
    transform = create_transform(config)
    data = create_dataset("synthetic", num_segments=4, size=32, num_clips=2, transform=transform)
    batch = collate([data[0], data[1]])
    loss = gesture_zoo.MSDLoss()(model.train()(batch.frames), batch.labels, batch.depth, batch.valid)
    assert loss.isfinite()
