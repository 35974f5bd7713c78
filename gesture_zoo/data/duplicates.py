"""Clips that are in a dataset twice: by their ids, by their stretch of a recording, or byte for byte."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from ..errors import DataError
from .listing import ClipRecord, Problem
from .media import FrameFolder, Media, NumberedFrames, VideoFile

# Videos of one size can be thousands in a dataset of short clips. Their tails, where the index is, hardly ever agree.
TAIL = 4096
# So many are read in seconds.
MAX_FILES = 5000
KINDS = (VideoFile, NumberedFrames, FrameFolder)


class _Use(NamedTuple):
    """A clip that uses a recording, and the frames of it that are the clip."""

    split: str
    id: str
    start: int
    stop: float

    def __str__(self) -> str:
        return f"{self.split} clip {self.id}"


def find_duplicates(
    splits: Mapping[str, Sequence[ClipRecord]], *, full: bool = False, progress: bool = False
) -> Iterator[Problem]:
    """What is there twice: a fatal problem across splits, another within one.

    The contents of videos are compared where they and their depth have the same sizes, of ``MAX_FILES`` at most.
    ``full`` compares all of one size, and folders by their first and last frames.
    """
    recordings: dict[Path, list[_Use]] = defaultdict(list)
    pairs: dict[Path, tuple[Media, Media | None]] = {}
    by_id: dict[str, list[_Use]] = defaultdict(list)
    for split, records in splits.items():
        for record in records:
            use = _Use(split, record.id, *frame_range(record.rgb))
            by_id[record.id].append(use)
            if not isinstance(record.rgb, KINDS):
                continue  # a path then does not say which frames
            recordings[record.rgb.path].append(use)
            pairs[record.rgb.path] = record.rgb, record.depth
    said: set[frozenset[_Use]] = set()
    for path, uses in recordings.items():
        for first, second in _overlapping(uses):
            same, across = first[2:] == second[2:], first.split != second.split
            if same or across:
                said.add(frozenset((first, second)))
                what = "the same frames" if same else "some of the same frames"
                yield Problem("duplicate", str(second), f"{what} of {path} as {first}", across)
    for first, *others in by_id.values():
        for other in others:
            if frozenset((first, other)) not in said:
                yield Problem("duplicate", str(other), f"the same id as {first}", first.split != other.split)
    yield from _same_content(recordings, pairs, full=full, progress=progress)


def frame_range(media: Media) -> tuple[int, float]:
    """First frame of a clip in its recording and the frame after its last; infinity stands for the end.

    >>> frame_range(NumberedFrames(Path("rgb1"), "{:06d}.jpg", first=5, count=40))
    (5, 45)
    >>> frame_range(VideoFile(Path("a.avi")))
    (0, inf)
    """
    if isinstance(media, NumberedFrames):
        return media.first, float("inf") if media.count is None else media.first + media.count
    start, stop = getattr(media, "start", 0), getattr(media, "stop", None)
    return start, float("inf") if stop is None else stop


def _overlapping(uses: Sequence[_Use]) -> Iterator[tuple[_Use, _Use]]:
    """Pairs of clips of one recording that share frames."""
    running: list[_Use] = []
    for use in sorted(uses, key=lambda use: use.start):  # stable: the first split comes first
        running = [earlier for earlier in running if earlier.stop > use.start]
        yield from ((earlier, use) for earlier in running)
        running.append(use)


def _same_content(
    recordings: Mapping[Path, Sequence[_Use]],
    pairs: Mapping[Path, tuple[Media, Media | None]],
    *,
    full: bool,
    progress: bool,
) -> Iterator[Problem]:
    files: dict[Path, list[Path]] = {}
    sizes: dict[Path, list[int]] = {}
    for path in tqdm(recordings, desc="sizes", disable=None if progress else True, leave=False):
        rgb, depth = pairs[path]
        if not full and not isinstance(rgb, VideoFile):
            continue
        try:
            files[path] = content_files(rgb)
            # The depth's size tells nearly all apart without reading any; all the same, full does not rest on it.
            beside = [depth.path] if depth and not full else []
            sizes[path] = [file.stat().st_size for file in files[path] + beside]
        except (OSError, DataError):
            continue  # what is missing or unreadable is told of elsewhere
    groups = _alike([path for path, own in sizes.items() if own and all(own)], lambda path: tuple(sizes[path]))
    # A clip in two splits spoils a result, one that is twice in a split does not.
    groups.sort(key=lambda group: len({use.split for path in group for use in recordings[path]}) < 2)
    candidates = [path for group in groups for path in group]
    if not full and len(candidates) > MAX_FILES:
        what = f"{len(candidates):,} videos share their size with others; the contents of {MAX_FILES:,} were compared"
        yield Problem("not compared", "contents", f"{what} (--full compares all)", False)
        kept = set(candidates[:MAX_FILES])
        groups = [[path for path in group if path in kept] for group in groups]
    bar = tqdm(groups, desc="contents", disable=None if progress else True, leave=False)
    for group in bar:
        for tails in _alike(group, lambda path: tuple(_tail(file) for file in files[path])):
            for first, *others in _alike(tails, lambda path: tuple(_digest(file) for file in files[path])):
                for other in others:
                    a, b = recordings[first][0], recordings[other][0]
                    fatal = {use.split for use in recordings[first]} != {use.split for use in recordings[other]}
                    what = "first and last frames" if len(files[other]) > 1 else "file"
                    yield Problem(
                        "duplicate", str(b), f"the same {what}, byte for byte, as {a} ({other}, {first})", fatal
                    )


def content_files(media: Media) -> list[Path]:
    """The files that tell a recording: the video, or the first and last images of a folder."""
    if isinstance(media, VideoFile):
        return [media.path]
    names = FrameFolder(media.path).names()
    return [media.path / names[0], media.path / names[-1]] if names else []


def _alike(paths: Sequence[Path], key: Callable[[Path], Hashable]) -> list[list[Path]]:
    """The paths with the same key, where there are several."""
    if len(paths) < 2:
        return []
    groups: dict[Hashable, list[Path]] = defaultdict(list)
    for path in paths:
        try:
            groups[key(path)].append(path)
        except OSError:
            continue
    return [group for group in groups.values() if len(group) > 1]


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        return hashlib.blake2b(file.read()).digest()


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        digest = hashlib.blake2b()
        while block := file.read(1 << 20):
            digest.update(block)
        return digest.digest()
