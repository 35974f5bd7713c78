"""Which frames make a clip, what every reader shares, and datasets by name."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from gesture_zoo.data import create_dataset, holdout_indices, segment_indices, write_video
from gesture_zoo.data.base import ClipDataset
from gesture_zoo.data.listing import ClipRecord, Listing
from gesture_zoo.data.media import VideoFile
from gesture_zoo.data.sampling import sample_generator
from gesture_zoo.errors import DataError

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


class Counted(ClipDataset):
    """Videos whose frame number is their grey level times 10, with depth one frame shorter."""

    name = "counted"
    splits: ClassVar = {"train": None}

    def list_clips(self, root: Path, split: str) -> Listing:
        listing = Listing(["a", "b"])
        for name in ("one", "two"):
            listing.records.append(ClipRecord(VideoFile(root / f"{name}.mp4"), None, 0, name))
        listing.problem("blank", "list.txt, line 3", "a row without numbers", fatal=False)
        return listing


@pytest.fixture
def counted(tmp_path: Path) -> Path:
    for name in ("one", "two"):
        levels = np.arange(24, dtype=np.uint8)[:, None, None, None] * 10
        write_video(np.broadcast_to(levels, (24, 32, 32, 3)), tmp_path / f"{name}.mp4")
    return tmp_path


def shown(sample: torch.Tensor) -> list[int]:
    """Which frames of the video these are."""
    return (sample.float().mean((-3, -2, -1)) / 10).round().int().tolist()


def test_testing_takes_the_middle_of_every_segment(counted: Path) -> None:
    assert shown(Counted(counted, num_segments=8)[0].frames) == [1, 4, 7, 10, 13, 16, 19, 22]


def test_training_takes_any_frame_of_every_segment(counted: Path) -> None:
    data = Counted(counted, num_segments=8, random_segments=True)
    draws = [shown(data[0].frames) for _ in range(8)]
    assert all(3 * t <= frame < 3 * t + 3 for draw in draws for t, frame in enumerate(draw))
    assert len({tuple(draw) for draw in draws}) > 4


def test_views_are_random_clips_and_the_same_every_time(counted: Path) -> None:
    data = Counted(counted, num_segments=4, num_views=10)
    frames = data[0].frames
    assert frames.shape == (10, 4, 3, 32, 32)
    views = shown(frames)
    assert all(6 * t <= frame < 6 * t + 6 for view in views for t, frame in enumerate(view))
    assert len({tuple(view) for view in views}) > 5
    assert shown(data[0].frames) == shown(Counted(counted, num_segments=4, num_views=10)[0].frames) == views
    assert shown(data[1].frames) != views
    assert shown(Counted(counted, num_segments=4, num_views=10, seed=1)[0].frames) != views


def test_sample_generators_differ() -> None:
    draws = {
        torch.rand((), generator=sample_generator(seed, index)).item() for seed in range(20) for index in range(50)
    }
    assert len(draws) == 1000
    assert 0.45 < np.mean(list(draws)) < 0.55


def test_problems_that_cost_only_a_clip_are_logged(counted: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert len(Counted(counted).problems) == 1
    assert "counted train: a note: list.txt, line 3" in caplog.text


def test_a_clip_that_cannot_be_read_says_which_it_is(counted: Path) -> None:
    (counted / "two.mp4").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"clip two of counted train: cannot read video .*two\.mp4"):
        Counted(counted)[1]


def test_numbers_that_make_no_sense(counted: Path) -> None:
    with pytest.raises(DataError, match="num_segments and num_views must be at least 1"):
        Counted(counted, num_views=0)
    with pytest.raises(DataError, match="counted has the splits train, not 'test'"):
        Counted(counted, "test")


def test_unknown_datasets(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unknown dataset 'imagenet'; choose one of egogesture, folder, isogd, jester"):
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
