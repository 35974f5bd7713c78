"""What is wrong with a single clip: its files, their lengths, its pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import av
import av.error
import torch
from torch import Tensor

from ..errors import DataError
from ..shown import video_stream
from .base import ClipDataset
from .duplicates import frame_range
from .images import check_images
from .listing import ClipRecord, Problem
from .media import FrameFolder, Media, NumberedFrames, VideoFile
from .pairs import Match, PairedFrames
from .polarity import nearer_share
from .sample import ClipSample
from .sampling import segment_indices
from .video import count_frames

SEGMENTS = 8
FIRST_NAMES = 4  # of frames in a message
# Of 255 levels: a frame that has no more is of one colour, but for what compression adds; black in video can be 16.
FLAT, BLACK = 6, 24


class MissingFiles:
    """Which recordings are not there. Every folder is listed once: a hundred thousand clips take seconds."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, bool]] = {}
        self._faults: dict[Path, str] = {}

    def fault(self, media: Media) -> str:
        """What is wrong with the place of a recording, or nothing."""
        path = media.path
        if path not in self._faults:
            self._faults[path] = self._look(path, not isinstance(media, (NumberedFrames, FrameFolder)))
        return self._faults[path]

    def _look(self, path: Path, is_file: bool) -> str:
        if path.parent not in self._folders:
            try:
                with os.scandir(path.parent) as entries:
                    self._folders[path.parent] = {entry.name: entry.is_dir() for entry in entries}
            except OSError:
                self._folders[path.parent] = {}
        is_folder = self._folders[path.parent].get(path.name)
        if is_folder is None:
            return "no such file" if is_file else "no such folder"
        if is_folder == is_file:
            return "a folder where a file is expected" if is_file else "a file where a folder of frames is expected"
        try:
            return "an empty file" if is_file and path.stat().st_size == 0 else ""
        except OSError as error:  # a link to nowhere, for one
            return f"a file that cannot be read: {error.strerror}"


class Damage(NamedTuple):
    """Of a video: ``frames`` that FFmpeg had to patch, how many were ``decoded``, and the ``reason`` why no more."""

    frames: list[int]
    decoded: int
    reason: str


def decode_video(path: Path) -> Damage:
    """Decode all frames of a video, keeping none of them."""
    frames, decoded, reason = [], 0, "it is truncated or damaged"
    try:
        # PyAV whichever backend reads clips: torchcodec does not tell of damage.
        with av.open(os.path.abspath(path)) as container:
            stream = video_stream(container, path)
            stream.thread_count = 1
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    frames.append(decoded)
                decoded += 1
    except (av.error.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    return Damage(frames, decoded, reason)


@dataclass
class ClipCheck:
    """Checks clips one by one; what it found of recordings is remembered, because clips share them.

    ``full``: of every clip all frames are decoded, one by one, and not only those whose pixels are looked at.
    ``scores`` are ``nearer_share`` of the clips with depth; ``decoded`` counts the clips that could be read;
    ``declared`` says which levels their depth takes for near.
    """

    full: bool = False
    scores: list[float | None] = field(default_factory=list)
    decoded: int = 0
    declared: set[str] = field(default_factory=set)
    _counts: dict[Path, int] = field(default_factory=dict)
    _names: dict[Path, set[str]] = field(default_factory=dict)
    _shifted: dict[Path, str] = field(default_factory=dict)
    _damage: dict[Path, Damage] = field(default_factory=dict)

    def check(self, dataset: ClipDataset, record: ClipRecord) -> Iterator[Problem]:
        """Problems of one clip, decoding ``SEGMENTS`` frames of it or, where it is ``full``, all."""
        where = f"{dataset.split} clip {record.id}"
        try:
            faults = list(self._lengths(record, where))
            yield from faults
            if any(fault.fatal for fault in faults):
                return
            length = min(media.length() for media in (record.rgb, record.depth) if media)
            indices = segment_indices(length, SEGMENTS)
            try:
                sample = dataset.read(record, [indices])
                if record.depth is not None and len(self.declared) < 2:
                    self.declared.add(declared_polarity(dataset, record.depth.read(indices[:1], gray=True)))
            except DataError as error:
                yield Problem(self._why(record, indices), where, str(error))
                return
            if self.full:
                self._check_frames(record.rgb)
                if record.depth is not None:
                    self._check_frames(record.depth, gray=True)
        except (DataError, OSError) as error:
            yield Problem("unreadable", where, str(error))
            return
        yield from self.check_pixels(sample, where)

    def check_pixels(self, sample: ClipSample, where: str) -> Iterator[Problem]:
        """Notes on a clip that shows nothing."""
        self.decoded += 1
        frames, depth, valid = sample.frames, sample.depth, sample.valid
        if int(frames.max()) < BLACK:
            yield Problem("no picture", where, "its frames are black", False)
        elif all(_flat(frame) for frame in frames):
            yield Problem("no picture", where, "its frames are of one colour each", False)
        elif len(frames) > 1 and bool((frames == frames[:1]).all()):
            yield Problem("no picture", where, f"the {len(frames)} frames read of it are all the same", False)
        if depth is None or valid is None:
            return
        if not valid.any():
            yield Problem("no depth", where, "none of its depth is valid", False)
        elif float(depth[valid].max() - depth[valid].min()) * 255 < FLAT:
            yield Problem("no depth", where, "its valid depth is everywhere the same", False)
        self.scores.append(nearer_share(depth, valid))

    def _check_frames(self, media: Media, *, gray: bool = False) -> None:
        """A DataError if a frame cannot be decoded, or is a picture of another size than the first one."""
        if isinstance(media, FrameFolder):
            check_images([media.path / name for name in media.names()], gray=gray)
        elif isinstance(media, NumberedFrames):
            names = (media.pattern.format(media.first + index) for index in range(media.length()))
            check_images((media.path / name for name in names), gray=gray)
        elif isinstance(media, VideoFile):
            # A recording can hold hundreds of clips: it is decoded once, from start to end.
            if media.path not in self._damage:
                self._damage[media.path] = decode_video(media.path)
            start, stop = media.start, int(min(frame_range(media)[1], self._count(media)))
            damage = self._damage[media.path]
            if bad := [index for index in damage.frames if start <= index < stop]:
                more = f", and at {len(bad) - 1} more" if len(bad) > 1 else ""
                raise DataError(f"video {media.path} is damaged at frame {bad[0]}{more}")
            if damage.decoded < stop:
                raise DataError(f"video {media.path} cannot be decoded from frame {damage.decoded} on: {damage.reason}")
        else:  # of a reader outside this package
            for index in range(media.length()):
                media.read([index], gray=gray)

    def _lengths(self, record: ClipRecord, where: str) -> Iterator[Problem]:
        """Frames that are not there, and recordings or clips of a pair that are not of one length."""
        totals, lengths = [], []
        matched = record.rgb.match() if isinstance(record.rgb, PairedFrames) else None
        if matched is not None:
            yield from _partners(matched, record.rgb.path, where)
        for media in (record.rgb, record.depth):
            if media is None or (matched is not None and media is record.depth):
                continue
            total = self._count(media)
            totals.append(total)
            if isinstance(media, NumberedFrames):
                yield from self._missing_frames(media, where)
                lengths.append(media.length())
                continue
            start, stop = frame_range(media)
            if start >= total or (stop > total and stop != float("inf")):
                last = "on" if stop == float("inf") else f"to {int(stop) - 1}"
                what = f"frames {start} {last} (from 0) of {media.path}, which has {total} frames"
                yield Problem("window", where, what)
            lengths.append(int(min(stop, total)) - start)
        for what, numbers in (("clips", lengths), ("recordings", totals)):
            if len(numbers) == 2 and numbers[0] != numbers[1]:
                difference = abs(numbers[0] - numbers[1])
                text = f"the {what} have {numbers[0]} frames of colour and {numbers[1]} of depth"
                # NVGesture's recordings are known to differ by a frame.
                yield Problem("lengths", where, text, difference > 1)
                break

    def _count(self, media: Media) -> int:
        """Frames of a whole recording."""
        path = media.path
        if path not in self._counts:
            if isinstance(media, VideoFile):
                self._counts[path] = count_frames(path)
            elif isinstance(media, NumberedFrames):
                self._names[path] = media.numbered()
                self._counts[path] = len(self._names[path])
            elif isinstance(media, FrameFolder):
                self._counts[path] = len(FrameFolder(path).names())
            else:
                return media.length()
        return self._counts[path]

    def _missing_frames(self, media: NumberedFrames, where: str) -> Iterator[Problem]:
        """Gaps in a folder of numbered frames, of which the decoded ones would be a sample only."""
        path = media.path
        if path not in self._shifted:
            self._shifted[path] = media.shifted()
        wanted = [media.pattern.format(media.first + index) for index in range(media.length())]
        missing = [name for name in wanted if name not in self._names[path]]
        if self._shifted[path]:
            yield Problem("numbers", where, self._shifted[path])
        elif missing:
            what = f"{len(missing)} of {len(wanted)} frames are not in {path}, the first: {missing[0]}"
            yield Problem("missing", where, what)

    @staticmethod
    def _why(record: ClipRecord, indices: list[int]) -> str:
        """The kind of a clip that cannot be read: where both its parts can, they do not go together."""
        try:
            for media in (record.rgb, record.depth):
                if media is not None:
                    media.read(indices, gray=media is record.depth)
        except DataError:
            return "unreadable"
        return "sizes"


def declared_polarity(dataset: ClipDataset, raw: Tensor) -> str:
    """Which way the depth of raw levels like these is decoded, which can differ with their bits."""
    levels = torch.arange(torch.iinfo(raw.dtype).max + 1, dtype=torch.int32).to(raw.dtype)
    depth, valid = dataset.decode_depth(levels.view(1, 1, 1, -1))
    first, *_, last = depth[valid].tolist()
    return f"{'nearer' if first < last else 'farther'} is brighter"


def _flat(frame: Tensor) -> bool:
    low, high = torch.aminmax(frame.flatten(1).float(), dim=1)
    return float((high - low).max()) < FLAT


def _partners(found: Match, folder: Path, where: str) -> Iterator[Problem]:
    """Frames that are left out because there is no other of their number."""
    kinds = (("colour", found.color_alone, "depth"), ("depth", found.depth_alone, "colour"))
    lacking = [f"{len(names)} of {kind} have no {other} ({_some(names)})" for kind, names, other in kinds if names]
    if lacking:
        # As with recordings of other lengths, one is no fault.
        fatal = max(len(found.color_alone), len(found.depth_alone)) > 1
        what = f"of the frames of {folder} and its depth, {' and '.join(lacking)}: they are left out"
        yield Problem("partners", where, what, fatal)


def _some(names: list[str]) -> str:
    return ", ".join(names[:FIRST_NAMES]) + (", ..." if len(names) > FIRST_NAMES else "")
