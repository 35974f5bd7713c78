"""ClipDataset: what the readers share. A reader only lists its clips and says how its depth is encoded."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..errors import DataError
from ..files import no_folder
from .depth import DepthEncoding, check_size
from .listing import ClipRecord, Listing
from .pairs import looked_up, pair
from .sample import ClipSample
from .sampling import sample_generator, segment_indices

_logger = logging.getLogger(__name__)

Transform = Callable[[ClipSample], ClipSample]


class ClipDataset(Dataset[ClipSample]):
    """Clips of T frames sampled from files under ``root``; a subclass lists them.

    ``random_segments`` draws a random frame in each segment (training) instead of its middle. ``num_views`` above
    1 draws that many random clips of the same video (testing; the paper takes 10), the same ones every time:
    frames are then (num_views, T, 3, H, W). A list that cannot be used is a DataError that names file and line;
    without ``strict`` what is good of it is taken, and ``problems`` says what is not. Without ``with_depth`` no depth
    is looked for, and samples have none: the clips are then those of the colour alone, and may be a frame longer.

    A subclass declares ``name``, ``splits`` (split -> official number of clips or None), ``depth`` (its encoding,
    None for RGB only), ``flips`` (class -> class after a horizontal flip; a class that is absent has no mirror
    image among the classes), ``frame_rate`` (of the camera, frames a second; None: as each file says), and lists its
    clips in ``list_clips``.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    splits: ClassVar[Mapping[str, int | None]]
    depth: ClassVar[DepthEncoding | None] = None
    flips: ClassVar[Mapping[str, str]] = {}
    frame_rate: ClassVar[float | None] = None

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        *,
        num_segments: int = 8,
        transform: Transform | None = None,
        random_segments: bool = False,
        num_views: int = 1,
        seed: int = 0,
        strict: bool = True,
        with_depth: bool = True,
    ) -> None:
        if num_segments < 1 or num_views < 1:
            raise DataError(f"num_segments and num_views must be at least 1, got {num_segments} and {num_views}")
        self.root = Path(root)
        self.split = split
        listing = self.list_split(self.root, split)
        fatal = next((problem for problem in listing.problems if problem.fatal), None)
        if fatal and strict:
            raise DataError(f"{fatal.where}: {fatal.message}")
        if listing.problems and strict:
            notes, first = len(listing.problems), listing.problems[0]
            count = f"{notes} notes, the first" if notes > 1 else "a note"
            _logger.warning("%s %s: %s: %s: %s", self.name, split, count, first.where, first.message)
        if not listing.records and strict:
            raise DataError(f"the split {split!r} of {self.name} in {root} lists no clips")
        self.records = [_record(record, with_depth=with_depth) for record in listing.records]
        self.problems = listing.problems
        self.class_names = listing.class_names
        self.num_segments = num_segments
        self.transform = transform
        self.random_segments = random_segments
        self.num_views = num_views
        self.seed = seed
        self._lengths: dict[int, int] = {}

    def list_clips(self, root: Path, split: str) -> Listing:
        """The clips of a split and what is wrong with their annotation; a missing list is a DataError."""
        raise NotImplementedError

    def list_split(self, root: Path, split: str) -> Listing:
        """``list_clips`` of a split that exists; another is a DataError."""
        if split not in self.splits:
            raise DataError(f"{self.name} has the splits {', '.join(self.splits)}, not {split!r}")
        if not os.path.isdir(root):
            raise DataError(f"{no_folder(root)}: expected the one that dataset {self.name!r} is in")
        listing = self.list_clips(root, split)
        refuse_unreadable_names(listing)
        return listing

    @classmethod
    def available_splits(cls, root: Path) -> list[str]:
        """The splits that are there under ``root``."""
        raise NotImplementedError

    @property
    def labels(self) -> list[int]:
        """Class index of every sample (-1 unknown), without reading any video."""
        return [record.label for record in self.records]

    @property
    def flip_labels(self) -> dict[int, int]:
        """Class index after a horizontal flip, for the classes that have one."""
        index = {name: label for label, name in enumerate(self.class_names)}
        return {index[a]: index[b] for a, b in self.flips.items() if a in index and b in index}

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> ClipSample:
        record = self.records[index]
        try:
            sample = self.read(record, self.draw(index))
        except DataError as error:
            raise DataError(f"clip {record.id} of {self.name} {self.split}: {error}") from error
        return self.transform(sample) if self.transform else sample

    def length(self, index: int) -> int:
        """Frames of a clip that both its recordings have; remembered, because counting opens the file."""
        if index not in self._lengths:
            record = self.records[index]
            lengths = [record.rgb.length()] + ([record.depth.length()] if record.depth else [])
            # The two recordings of a pair can differ by a frame.
            self._lengths[index] = min(lengths)
        return self._lengths[index]

    def draw(self, index: int) -> list[list[int]]:
        """Frame indices of every view of a clip."""
        length = self.length(index)
        if self.num_views == 1:
            return [segment_indices(length, self.num_segments, random=self.random_segments)]
        generator = sample_generator(self.seed, index)
        return [
            segment_indices(length, self.num_segments, random=True, generator=generator) for _ in range(self.num_views)
        ]

    def read(self, record: ClipRecord, views: list[list[int]]) -> ClipSample:
        """The frames of the views and their depth, untransformed; a single view has no dimension of its own."""
        wanted = sorted({index for view in views for index in view})
        color, stored = looked_up(record.rgb, record.depth)
        frames, depth, valid = color.read(wanted), None, None
        if stored is not None:
            depth, valid = self.decode_depth(stored.read(wanted, gray=True))
            check_size(depth, frames.shape[-2:])
        if views == [wanted]:
            return ClipSample(frames, depth, valid, record.label, record.id)
        place = {index: row for row, index in enumerate(wanted)}
        rows = torch.tensor([[place[index] for index in view] for view in views])
        rows = rows[0] if self.num_views == 1 else rows
        parts = [part if part is None else part[rows] for part in (frames, depth, valid)]
        return ClipSample(parts[0], parts[1], parts[2], record.label, record.id)  # type: ignore[arg-type]

    def decode_depth(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Depth in [0, 1], nearer = larger, and validity, both (T, 1, H, W), from raw levels of that shape."""
        assert self.depth is not None, "a reader with depth declares its encoding"
        return self.depth.decode(raw)


def _record(record: ClipRecord, *, with_depth: bool) -> ClipRecord:
    rgb, depth = pair(record.rgb, record.depth if with_depth else None)
    return record if rgb is record.rgb and depth is record.depth else record._replace(rgb=rgb, depth=depth)


def refuse_unreadable_names(listing: Listing) -> None:
    """Problems instead of clips and classes whose names no text file can hold: bytes that are not UTF-8."""
    for name in listing.class_names:
        if shown := _not_text(name):
            listing.problem("name", shown, "the name of this class is not UTF-8: rename it")
    kept = []
    for record in listing.records:
        if shown := _not_text(record.id):
            listing.problem("name", shown, "the name of this clip is not UTF-8: rename it")
        else:
            kept.append(record)
    listing.records = kept


def _not_text(name: str) -> str:
    """A name that cannot be written as UTF-8, readable; nothing of one that can."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode(errors="backslashreplace").decode()
    return ""
