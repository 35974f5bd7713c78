"""Property tests: whatever bytes an annotation holds and whatever a sampler is asked, the answer is in order."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from layouts import WRITERS

from gesture_zoo.data import create_dataset, holdout_indices, isogd, segment_indices
from gesture_zoo.data.listing import inside, numbered_lines, whole_number
from gesture_zoo.errors import DataError

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from fuzz_data import ANNOTATIONS

quick = settings(max_examples=120, deadline=None)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders to write annotations into; EgoGesture's reader lists frames too."""
    made = {name: tmp_path_factory.mktemp(name) for name in ANNOTATIONS}
    WRITERS["egogesture"](made["egogesture"])
    # A file that only other examples of its folder hold would be listed as well.
    for folder in ("Subject01", "Subject02"):
        shutil.rmtree(made["egogesture"] / folder)
    return made


def read(name: str, root: Path, content: bytes) -> None:
    """List a dataset with this annotation: it works, or the library's own error names the file and the line."""
    file, _ = ANNOTATIONS[name]
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)  # a list may lie in a folder of its own
    path.write_bytes(content)
    listed = create_dataset(name, root, strict=False)
    fatal = [problem for problem in listed.problems if problem.fatal]
    lines = list(numbered_lines(path))  # none where there are only blanks or a byte order mark
    for problem in fatal:
        assert re.fullmatch(re.escape(str(path)) + r", line [0-9]+", problem.where) or not lines
    try:
        data = create_dataset(name, root)
    except DataError as error:
        message = str(error)
        assert "\n" not in message
        assert len(message) < 2000
        assert message == f"{fatal[0].where}: {fatal[0].message}" if fatal else "lists no clips" in message
    else:
        assert not fatal
        assert data.labels == listed.labels
        assert len(data) > 0
        assert all(-1 <= label < len(data.class_names) for label in data.labels)
        for record in data.records:
            for media in (record.rgb, record.depth):
                assert media is None or (".." not in media.path.parts and media.path.is_relative_to(root))


@pytest.mark.parametrize("name", sorted(ANNOTATIONS))
@given(content=st.binary(max_size=200))
@quick
def test_arbitrary_bytes(name: str, roots: dict[str, Path], content: bytes) -> None:
    read(name, roots[name], content)


@pytest.mark.parametrize("name", sorted(ANNOTATIONS))
@given(data=st.data())
@quick
def test_lines_with_damage(name: str, roots: dict[str, Path], data: st.DataObject) -> None:
    text = bytearray(ANNOTATIONS[name][1].encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        stop = data.draw(st.integers(start, min(len(text), start + 6)))
        text[start:stop] = data.draw(
            st.one_of(st.binary(max_size=6), st.sampled_from([b"..", b"/", b"-1", b"9" * 300, b'"']))
        )
    read(name, roots[name], bytes(text))


def test_a_list_may_lie_in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(isogd.LISTS, "train", "lists/train_list.txt")
    monkeypatch.setitem(ANNOTATIONS, "isogd", (f"lists/{ANNOTATIONS['isogd'][0]}", ANNOTATIONS["isogd"][1]))
    read("isogd", tmp_path, ANNOTATIONS["isogd"][1].encode())


@given(st.integers(1, 10**6), st.integers(1, 300), st.booleans())
@settings(max_examples=200, deadline=None)
def test_one_frame_from_each_segment(num_frames: int, num_segments: int, random: bool) -> None:
    indices = segment_indices(num_frames, num_segments, random=random)
    assert len(indices) == num_segments
    assert indices == sorted(indices)
    for segment, index in enumerate(indices):
        assert 0 <= index < num_frames
        # The frame lasts from index to index + 1, the segment from segment to segment + 1 of num_segments.
        assert index * num_segments <= (segment + 1) * num_frames
        assert (index + 1) * num_segments >= segment * num_frames
    if not random and num_frames >= num_segments:
        assert len(set(indices)) == num_segments


@pytest.mark.parametrize(("num_frames", "num_segments"), [(40, 4), (7, 1), (8, 8), (3, 6), (10, 4)])
def test_random_frames_are_uniform(num_frames: int, num_segments: int) -> None:
    generator, draws = torch.Generator().manual_seed(0), 3000
    drawn = [segment_indices(num_frames, num_segments, random=True, generator=generator) for _ in range(draws)]
    for segment, column in enumerate(zip(*drawn, strict=True)):
        for index in range(num_frames):
            # The share of the segment that this frame covers is how often it is drawn.
            begin, end = (max(index * num_segments, segment * num_frames), (segment + 1) * num_frames)
            share = max(0, min((index + 1) * num_segments, end) - begin) / num_frames
            deviation = (share * (1 - share) / draws) ** 0.5
            assert abs(column.count(index) / draws - share) <= 5 * deviation


@given(st.integers(-5, 0), st.integers(-5, 5))
def test_no_frames_are_an_error(num_frames: int, num_segments: int) -> None:
    with pytest.raises(DataError, match="cannot sample"):
        segment_indices(num_frames, num_segments)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=80), st.floats(0.01, 0.99), st.integers(0, 1000))
@settings(deadline=None)
def test_a_held_out_part_is_a_partition(labels: list[int], fraction: float, seed: int) -> None:
    kept, held = holdout_indices(labels, fraction, seed=seed)
    assert sorted(kept + held) == list(range(len(labels)))
    assert {labels[index] for index in kept} == set(labels), "every class keeps a clip"


@given(st.text(max_size=40))
def test_paths_stay_inside(text: str) -> None:
    path = inside(text)
    if path is not None:
        assert (Path("/root") / path).resolve().is_relative_to("/root")


@given(st.text(max_size=12))
@example("0\x1f")  # blank to strip and int, not to float
def test_whole_numbers_are_whole_numbers(text: str) -> None:
    number = whole_number(text)
    assert number is None or (number >= 0 and float(text.strip()) == number)
