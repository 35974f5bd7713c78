"""Colour and depth of a clip of images: frames that belong together have the same number, whatever was dropped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layouts import save_frames

import gesture_zoo
from gesture_zoo.data import create_dataset
from gesture_zoo.data.check import check_dataset
from gesture_zoo.data.media import FrameFolder, VideoFile
from gesture_zoo.data.pairs import PairedFrames, match, pair
from gesture_zoo.data.prepare import prepare_dataset
from gesture_zoo.engine.clips import video_clip
from gesture_zoo.errors import DataError

COUNT = 12


def numbered(count: int = COUNT) -> np.ndarray:
    """Grey pictures whose level is 10 times their number."""
    return np.broadcast_to((10 * np.arange(count, dtype=np.uint8))[:, None, None], (count, 48, 64)).copy()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """root/train/wave/1 and its depth, of which frame i shows 10 i."""
    folder = tmp_path / "train" / "wave" / "1"
    save_frames(np.repeat(numbered()[..., None], 3, -1), folder, "color_{:04d}.png", first=0)
    save_frames(numbered(), folder.with_name("1.depth"), "depth_{:04d}.png", first=0)
    return folder


def drop(clip: Path, color: tuple[int, ...] = (), depth: tuple[int, ...] = ()) -> None:
    for number in color:
        (clip / f"color_{number:04d}.png").unlink()
    for number in depth:
        (clip.with_name("1.depth") / f"depth_{number:04d}.png").unlink()


def shown(root: Path, **options: object) -> tuple[list[int], list[int]]:
    """The numbers of the frames of colour and of depth that make the first clip, in as many segments as it has."""
    data = create_dataset("folder", root, **options)
    data.num_segments = data.length(0)
    sample = data[0]
    color = [round(float(frame.float().mean()) / 10) for frame in sample.frames]
    return color, [round(float(frame.mean()) * 25.5) for frame in sample.depth]


def test_nothing_is_dropped(clip: Path) -> None:
    assert shown(clip.parents[2]) == (list(range(12)), list(range(12)))


def test_as_many_frames_without_gaps_are_paired_by_place(clip: Path) -> None:
    """One folder may count from 0 and the other from 1."""
    for number in reversed(range(COUNT)):
        frame = clip.with_name("1.depth") / f"depth_{number:04d}.png"
        frame.rename(frame.with_name(f"depth_{number + 1:04d}.png"))
    assert shown(clip.parents[2]) == (list(range(12)), list(range(12)))


def test_frames_dropped_at_different_places(clip: Path) -> None:
    drop(clip, color=(2,), depth=(10,))
    both = [0, 1, 3, 4, 5, 6, 7, 8, 9, 11]
    assert shown(clip.parents[2]) == (both, both)


@pytest.mark.parametrize(("color", "depth"), [((), (0,)), ((0, 1), ()), ((0, 1), (10, 11))])
def test_frames_dropped_at_the_ends(color: tuple[int, ...], depth: tuple[int, ...], clip: Path) -> None:
    drop(clip, color, depth)
    both = [number for number in range(12) if number not in color + depth]
    assert shown(clip.parents[2]) == (both, both)


def test_a_slower_camera(clip: Path) -> None:
    drop(clip, depth=tuple(number for number in range(12) if number % 3))
    assert shown(clip.parents[2]) == ([0, 3, 6, 9], [0, 3, 6, 9])


def test_a_stretch_counts_the_frames_of_the_colour(clip: Path) -> None:
    root = clip.parents[2]
    drop(clip, color=(2,), depth=(1, 4))
    table = "path,label,start,end,depth_path\ntrain/wave/1,wave,{},{},train/wave/1.depth\n"
    (root / "train.csv").write_text(table.format(2, 8))  # frames 3 to 8 of the colour
    assert shown(root) == ([3, 5, 6, 7, 8], [3, 5, 6, 7, 8])
    (root / "train.csv").write_text(table.format(8, ""))
    assert shown(root) == ([9, 10, 11], [9, 10, 11])
    (root / "train.csv").write_text(table.format(8, 12))
    with pytest.raises(DataError, match="wave/1 does not hold frames 8 to 11"):
        create_dataset("folder", root)[0]


def test_numbers_that_say_nothing_are_places() -> None:
    assert match(["a.jpg", "b.jpg"], ["1.png", "2.png"]) is None
    assert match(["1.jpg", "2.jpg"], ["3.png", "4.png"]) is None, "clocks of their own"
    assert match(["1_0.jpg", "1_1.jpg"], ["0_7.png", "1_7.png"]) is None, "the last numbers of one do not rise"
    whole = match(["001.jpg", "002.jpg"], ["1.png", "2.png"])
    assert whole is not None and whole.color_alone == whole.depth_alone == []


def test_what_is_no_pair_of_folders_stays_as_it_is() -> None:
    folder, video = FrameFolder(Path("a")), VideoFile(Path("a.mp4"))
    assert pair(folder, None) == (folder, None)
    assert pair(video, folder) == (video, folder)
    assert pair(folder, folder) == (folder, folder), "for check-data to tell of"
    color, depth = pair(folder, FrameFolder(Path("b")))
    assert isinstance(color, PairedFrames) and isinstance(depth, PairedFrames) and depth.is_depth


def test_folders_that_have_hardly_a_number_in_common(clip: Path) -> None:
    drop(clip, color=tuple(range(0, 5)), depth=tuple(range(7, 12)))
    with pytest.raises(DataError, match="2 frames of .*1 and .*1.depth have a number in common, and 5 of either have"):
        create_dataset("folder", clip.parents[2])[0]


def test_check_data_says_which_frames_lack_a_partner(clip: Path) -> None:
    root = clip.parents[2]
    assert not [p for p in check_dataset("folder", root).notes if p.kind == "partners"]
    drop(clip, color=(2,), depth=(10,))
    report = check_dataset("folder", root, sample=None)
    assert report.ok
    (note,) = (p for p in report.notes if p.kind == "partners")
    said = (
        "1 of colour have no depth (color_0010.png) and 1 of depth have no colour (depth_0002.png): they are left out"
    )
    assert note.message.endswith(said)
    drop(clip, depth=(0, 3, 4, 5, 6))
    report = check_dataset("folder", root)
    assert [p.kind for p in report.problems] == ["partners"]
    assert "6 of colour have no depth (color_0000.png, color_0003.png, color_0004.png, " in report.problems[0].message
    assert "color_0005.png, ...)" in report.problems[0].message


def test_shards_and_single_clips_have_the_same_pairs(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    root, out = clip.parents[2], tmp_path_factory.mktemp("shards")
    drop(clip, color=(2,), depth=(10,))
    prepare_dataset("folder", root, out)
    sample = next(iter(create_dataset("shards", out, num_segments=10)))
    color = [round(float(frame.float().mean()) / 10) for frame in sample.frames]
    assert color == [round(float(frame.mean()) * 25.5) for frame in sample.depth] == [0, 1, 3, 4, 5, 6, 7, 8, 9, 11]
    model = gesture_zoo.create_model("tsm_test_resnet", num_segments=10, in_chans=4)
    model.pretrained_cfg.update(input_size=(4, 32, 32), mean=(0.0,) * 3, std=(1.0,) * 3)
    seen = video_clip(model, clip).frames.mean((-1, -2))
    assert (seen[:, 0] * 25.5).round().tolist() == (seen[:, 3] * 25.5).round().tolist() == color
