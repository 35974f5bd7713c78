"""ShardedClips: the samples of a prepared dataset, from a folder or an http(s) URL, in one pass over its shards."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch.distributed as dist
from torch.utils.data import IterableDataset, get_worker_info

from ..errors import DataError
from ..files import no_folder
from .base import Transform
from .listing import SPLITS, ClipRecord
from .sample import ClipSample
from .shard_clip import ClipDecoder, describe
from .shard_files import webdataset
from .shard_index import INDEX, Shard, parse_index
from .shard_stream import exists, is_url, locate, open_stream, read_index_bytes, shown

# Clips that wait in random order; of each only the frames that were drawn.
SHUFFLE_BUFFER = 128

_Plan = list[tuple[Shard, list[int]]]


class _RawClip(NamedTuple):
    """A clip whose images are not decoded yet: its place in the index, its frames, and its members by name."""

    ordinal: int
    views: list[list[int]]
    members: dict[str, bytes]


class ShardedClips(IterableDataset[ClipSample]):
    """The clips that ``prepare_dataset`` wrote to ``root``, a folder or an http(s) URL, as a stream of samples.

    ``num_segments``, ``random_segments``, ``num_views``, ``seed`` and ``with_depth`` mean what they mean for every
    dataset, and the samples are the same. With ``random_segments`` (training) shards, and clips in a buffer, come in
    an order of their own for every ``(seed, epoch)``; otherwise in the order of the index. Every clip comes once,
    however many worker processes and nodes share the work. In training and from a URL, whole shards are shared out if
    there are enough of them, so that each is read once; the clips of several workers then alternate.

    A shard that is missing or damaged is a DataError that names it. A clip that cannot be decoded is one too; with
    ``errors="yield"`` that error is yielded in place of the sample, and the stream goes on.

    >>> ShardedClips("nowhere")
    Traceback (most recent call last):
        ...
    gesture_zoo.errors.DataError: there is no folder nowhere (shards are in a folder or behind an http(s) URL)
    """

    name = "shards"
    title = "shards of any dataset, written by 'gesture-zoo prepare'"

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
        errors: str = "raise",
        with_depth: bool = True,
    ) -> None:
        if errors not in ("raise", "yield"):
            raise DataError(f"errors is 'raise' or 'yield', not {errors!r}")
        self.root = str(root)
        self.split = split
        self.transform = transform
        self.random_segments = random_segments
        self.num_segments = num_segments
        self.num_views = num_views
        self.errors = errors
        self.seed = seed
        self.epoch = 0
        self.share_nodes = True  # False: this process yields all, whatever process group it is in
        self._remembered_node = (0, 1)
        where = _index_of(self.root, split)
        webdataset()
        self.index = parse_index(read_index_bytes(where), shown(where))
        options: dict[str, Any] = {"num_segments": num_segments, "num_views": num_views, "seed": seed}
        self._decoder = ClipDecoder(self.index, shown(self.root), split, with_depth=with_depth, **options)
        self.class_names = self._decoder.class_names
        self._selected: Sequence[int] = range(len(self.index.clips))

    @classmethod
    def available_splits(cls, root: str | Path) -> list[str]:
        """The splits under ``root``; of a URL, which cannot be listed, those of train, val and test."""
        if is_url(root):
            return [split for split in SPLITS if exists(locate(root, split, INDEX))]
        there = sorted(path.parent.name for path in Path(root).glob(f"*/{INDEX}"))
        return [split for split in SPLITS if split in there] + [split for split in there if split not in SPLITS]

    @property
    def records(self) -> list[ClipRecord]:
        """Every clip of the index, with its depth where samples have some."""
        return self._decoder.records

    @property
    def source(self) -> str:
        """Name of the dataset that the shards were made of; "shards" where the index does not say."""
        name = self.index.settings.get("dataset")
        return name if isinstance(name, str) else self.name

    @property
    def labels(self) -> list[int]:
        """Class index of every clip (-1 unknown), in the order of the index."""
        return [self.index.clips[ordinal].label for ordinal in self._selected]

    @property
    def flip_labels(self) -> dict[int, int]:
        """Class index after a horizontal flip, for the classes that have one."""
        place, flips = {name: label for label, name in enumerate(self.class_names)}, self.index.settings["flips"]
        return {place[a]: place[b] for a, b in flips.items() if a in place and b in place}

    def __len__(self) -> int:
        return len(self._selected)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass; workers hear of it when they start."""
        self.epoch = epoch

    def subset(self, indices: Sequence[int]) -> ShardedClips:
        """A copy that yields only the clips at these places of ``labels``, in the order of the index."""
        if len(set(indices)) < len(indices) or not all(0 <= index < len(self) for index in indices):
            raise DataError(f"a subset takes different indices in 0 to {len(self) - 1}")
        part = copy.copy(self)
        part._selected = [self._selected[index] for index in sorted(indices)]
        return part

    def __iter__(self) -> Iterator[ClipSample]:
        decoder = copy.copy(self._decoder)
        # They may have been set after the dataset was made.
        decoder.random_segments, decoder.num_segments = self.random_segments, self.num_segments
        decoder.num_views, decoder.seed = self.num_views, self.seed
        # Text, because Python hashes it to all the bits of its seed, the same way everywhere.
        rng = random.Random(f"{self.seed}/{self.epoch}")
        clips = self._clips(decoder, rng)
        if self.random_segments:
            clips = iter(webdataset().shuffle(SHUFFLE_BUFFER, initial=SHUFFLE_BUFFER // 2, rng=rng)(clips))
        for raw in clips:
            try:
                sample = decoder.decode(*raw)
            except DataError as error:
                fault = DataError(f"clip {self.index.clips[raw.ordinal].id} of shards {self.split}: {error}")
                if self.errors == "raise":
                    raise fault from error
                yield fault  # type: ignore[misc]
                continue
            yield self.transform(sample) if self.transform else sample

    def _clips(self, decoder: ClipDecoder, rng: random.Random) -> Iterator[_RawClip]:
        """The undecoded clips of this process."""
        for shard, ordinals in self._plan(rng):
            yield from self._read_shard(shard, {ordinal: decoder.draw(ordinal) for ordinal in ordinals})

    def _plan(self, rng: random.Random) -> _Plan:
        """Shards in order, each with those of its clips that are this process's to yield."""
        (node, nodes), info = self._node(), get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        selected = set(self._selected)
        plan: _Plan = []
        first = 0
        for shard in self.index.shards:
            ordinals = [ordinal for ordinal in range(first, first + shard.clips) if ordinal in selected]
            first += shard.clips
            if ordinals:
                plan.append((shard, ordinals))
        if self.random_segments:
            rng.shuffle(plan)
        plan = _share(plan, node, nodes, whole=len(plan) >= nodes)
        unordered = self.random_segments or is_url(self.root)
        return _share(plan, worker, workers, whole=unordered and len(plan) >= workers)

    def _node(self) -> tuple[int, int]:
        """Rank and size of the process group, if there is one."""
        if not self.share_nodes:
            return 0, 1
        if dist.is_available() and dist.is_initialized():
            return dist.get_rank(), dist.get_world_size()
        return self._remembered_node

    def __getstate__(self) -> dict[str, Any]:
        # A worker that is spawned knows nothing of the process group.
        return {**self.__dict__, "_remembered_node": self._node()}

    def _read_shard(self, shard: Shard, views: dict[int, list[list[int]]]) -> Iterator[_RawClip]:
        """The clips of one shard with the members that their views need; anything less is a DataError."""
        where = locate(self.root, self.split, shard.name)
        clips = {self.index.clips[ordinal].key: ordinal for ordinal in views}
        wanted = {ordinal: self._members(ordinal, drawn) for ordinal, drawn in views.items()}
        names = {name for members in wanted.values() for name in members}
        from webdataset.tariterators import group_by_keys, tar_file_expander

        stream = open_stream(where, shard.size)
        source = [{"url": shown(where), "stream": stream}]
        try:
            groups = group_by_keys(tar_file_expander(source, select_files=names.__contains__))
            while (group := _next(groups, where)) is not None:
                key = group["__key__"]
                ordinal = clips.pop(key, None)
                members = {f"{key}.{part}": data for part, data in group.items() if isinstance(data, bytes)}
                if ordinal is None or not wanted[ordinal] <= members.keys():
                    raise DataError(f"{shown(where)} is damaged: clip {key} is not in one piece")
                if not self._is_described(ordinal, members):
                    raise DataError(f"{shown(where)} is not the shard that its index describes: clip {key} is another")
                yield _RawClip(ordinal, views[ordinal], members)
            if clips:
                raise DataError(f"{shown(where)} is damaged: it ends before clip {min(clips)}")
        finally:
            stream.close()

    def _members(self, ordinal: int, views: list[list[int]]) -> set[str]:
        """Names of the members that some views of a clip need."""
        clip = self.index.clips[ordinal]
        patterns = [clip.color_pattern] + ([clip.depth_pattern] if self.records[ordinal].depth else [])
        return {clip.json_name} | {pattern.format(index) for pattern in patterns for view in views for index in view}

    def _is_described(self, ordinal: int, members: dict[str, bytes]) -> bool:
        """Whether a clip is the one that the index has at this place."""
        clip = self.index.clips[ordinal]
        try:
            return json.loads(members[clip.json_name]) == describe(clip, self.class_names)
        except (ValueError, RecursionError):
            return False


def _next(groups: Iterator[dict[str, Any]], where: str) -> dict[str, Any] | None:
    """The next clip of a shard, None at the end."""
    try:
        return next(groups, None)
    except DataError as error:
        # webdataset appends where it was to the arguments of any error that passes.
        raise type(error)(str(error.args[0]).partition(" @ ")[0]) from error
    except Exception as error:  # of tarfile, of whatever decompresses, of webdataset's own checks
        reason = str(error.args[0] if error.args else error).partition(" @ ")[0]
        raise DataError(f"{shown(where)} is damaged: {reason}") from error


def _share(plan: _Plan, place: int, count: int, *, whole: bool) -> _Plan:
    """The part of a plan of one of ``count`` processes: ``whole`` shards, or some clips of every shard.

    The latter suits any number of shards, and a DataLoader puts the clips back in order. Not webdataset's split_by_node
    and split_by_worker: these believe the environment (RANK, WORLD_SIZE, WORKER, NUM_WORKERS), also where no other
    process takes the rest.
    """
    if whole:
        return plan[place::count]
    mine = set([ordinal for _, ordinals in plan for ordinal in ordinals][place::count])
    shares = [(shard, [ordinal for ordinal in ordinals if ordinal in mine]) for shard, ordinals in plan]
    return [(shard, ordinals) for shard, ordinals in shares if ordinals]


def _index_of(root: str, split: str) -> str:
    """Where the index of a split is; a folder or split that is not there is a DataError."""
    if is_url(root):
        return locate(root, split, INDEX)
    if not os.path.isdir(root):
        raise DataError(f"{no_folder(root)} (shards are in a folder or behind an http(s) URL)")
    where = locate(root, split, INDEX)
    if not os.path.isfile(where):
        there = ShardedClips.available_splits(root)
        hint = f"it has the splits {', '.join(there)}" if there else "'gesture-zoo prepare' writes it when it is done"
        raise DataError(f"no shards of the split {split!r} in {root}: there is no file {where}; {hint}")
    return where
