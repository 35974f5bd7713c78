"""The shards of one split, written one after the other; what is finished survives whatever stops the rest.

While a split is being written, progress.jsonl takes the place of its index: the settings in the first line, then a
line for every shard that is on the disk.
"""

from __future__ import annotations

import importlib
import json
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from ..errors import DataError
from ..files import file_sha256, sync_folder
from .base import ClipDataset
from .frame_rate import clip_rate
from .shard_clip import Encoded, clip_key, encode_clip
from .shard_files import TEMPORARY, HashingFile, replace_file, sync, webdataset
from .shard_index import INDEX, Shard, ShardClip, ShardIndex, SkippedClip, parse_index

PROGRESS = "progress.jsonl"
_MTIME = 0  # a fixed time, owner and mode: the same clips make the same file


class PreparedSplit(NamedTuple):
    """What became of a split: clips and shards in all, how many of these this run wrote, bytes, what is left out.

    >>> split = PreparedSplit("val", clips=240, shards=3, written=0, bytes=9_000_000, skipped=())
    >>> split.written  # everything was there already
    0
    """

    name: str
    clips: int
    shards: int
    written: int
    bytes: int
    skipped: tuple[SkippedClip, ...]


class _Done(NamedTuple):
    """A finished shard: its file, unless none of its clips could be read, and its clips."""

    shard: Shard | None
    clips: list[ShardClip]
    skipped: list[SkippedClip]


class SplitWriter:
    """Writes the shards of one split that are not there yet."""

    def __init__(self, dataset: ClipDataset, folder: Path, settings: dict[str, Any], *, workers: int) -> None:
        self.dataset = dataset
        self.folder = folder
        self.settings = settings
        self.workers = workers
        self.size = settings["clips_per_shard"]
        self.count = -(-len(dataset) // self.size)

    def run(self, *, skip_bad: bool, progress: bool) -> PreparedSplit:
        """Bring the split to its end."""
        try:
            return self.write(skip_bad=skip_bad, progress=progress)
        except OSError as error:
            raise DataError(f"cannot write {error.filename or self.folder}: {error.strerror or error}") from error

    def write(self, *, skip_bad: bool, progress: bool) -> PreparedSplit:
        """The same; a disk that refuses is an OSError."""
        found = self.load()
        bad = {number: self.still_bad(part) for number, part in found.items()}
        skipped = [clip for clips in bad.values() for clip in clips]
        if skipped and not skip_bad:
            what = f"{len(skipped)} clips are left out of {self.folder} and still cannot be read"
            raise DataError(f"{what}, the first: {skipped[0].error}; mend them, or pass skip_bad (--skip-bad) again")
        # A shard is written anew once a clip that was left out of it can be read.
        done = {
            number: part._replace(skipped=bad[number])
            for number, part in found.items()
            if len(bad[number]) == len(part.skipped)
        }
        missing = [number for number in range(self.count) if number not in done]
        if missing or done != found:
            self.start(done)
        with tqdm(
            total=len(self.dataset),
            initial=sum(len(part.clips) + len(part.skipped) for part in done.values()),
            desc=self.dataset.split,
            unit="clip",
            disable=None if progress else True,
        ) as bar:
            for number in missing:
                done[number] = self.write_shard(number, bar, skip_bad=skip_bad)
                with open(self.folder / PROGRESS, "ab") as file:
                    file.write(_line(number, done[number]))
                    sync(file)
        return self.finish(done, len(missing))

    def load(self) -> dict[int, _Done]:
        """The shards that are already there; files of other settings, or of another origin, are a DataError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        index, log = self.folder / INDEX, self.folder / PROGRESS
        if log.is_file():
            found, done = _read_progress(log)
            self.compare(found)
        elif index.is_file():
            contents = parse_index(index.read_bytes(), str(index))
            self.compare(contents.settings)
            done = _by_shard(contents, self.size)
        elif set(self.folder.iterdir()) - set(self.leftovers()):
            raise DataError(f"{self.folder} holds files that 'gesture-zoo prepare' did not write: give another folder")
        else:
            return {}
        done = {number: part for number, part in done.items() if self.is_whole(number, part)}
        self.compare_depth(done)
        return done

    def leftovers(self) -> list[Path]:
        """Files that a killed run had not finished."""
        names = (INDEX, PROGRESS, "shard-*.tar")
        return [path for name in names for path in self.folder.glob(f"{name}{TEMPORARY}")]

    def compare(self, found: dict[str, Any]) -> None:
        """Raise where the settings of an earlier run are others."""
        for key, wanted in self.settings.items():
            had = found.get(key)
            if key == "depth":  # an index knows only what occurred; which clips have depth is compared clip by clip
                had = {bits: values for bits, values in (had or {}).items() if bits in wanted}
                wanted = {bits: wanted[bits] for bits in had}
            if had != wanted:
                plain = isinstance(wanted, (str, int)) and key != "listing_sha256"
                what = f"{key} {had!r}, not {wanted!r}" if plain else f"another {key}"
                raise DataError(f"{self.folder} was prepared with {what}: give another folder, or delete this one")

    def compare_depth(self, done: dict[int, _Done]) -> None:
        """Raise where finished clips are without the depth that the dataset has of them, or the other way round."""
        clips = [clip for part in done.values() for clip in part.clips]
        other = [clip for clip in clips if bool(clip.depth_bits) != bool(self.dataset.records[int(clip.key)].depth)]
        if other:
            what = "with depth that they do not have" if other[0].depth_bits else "without the depth that they have"
            raise DataError(
                f"{self.folder} holds {len(other)} clips {what} now, the first: {other[0].id}; give another folder, or "
                "delete this one"
            )

    def still_bad(self, part: _Done) -> list[SkippedClip]:
        """The left-out clips of a shard that cannot be read to this day, and why."""
        tried = zip(part.skipped, self.encode([clip.ordinal for clip in part.skipped]), strict=True)
        return [clip._replace(error=str(fault)) for clip, fault in tried if isinstance(fault, DataError)]

    def ordinals(self, number: int) -> range:
        """The places in the dataset of the clips of a shard."""
        return range(number * self.size, min((number + 1) * self.size, len(self.dataset)))

    def is_whole(self, number: int, part: _Done) -> bool:
        """Whether a shard has its clips, and its file is there with all its bytes, and these are what they were."""
        keys = [clip.key for clip in part.clips] + [clip_key(clip.ordinal) for clip in part.skipped]
        wanted = [clip_key(ordinal) for ordinal in self.ordinals(number)]
        if number not in range(self.count) or sorted(keys) != wanted:
            return False
        if part.shard is None:
            return True
        path = self.folder / part.shard.name
        return path.is_file() and path.stat().st_size == part.shard.size and file_sha256(path) == part.shard.sha256

    def start(self, done: dict[int, _Done]) -> None:
        """Note what is there, so that the next run knows it, and take away what a killed run left behind."""
        for path in self.leftovers():
            path.unlink()
        header = json.dumps(self.settings).encode() + b"\n"
        replace_file(self.folder / PROGRESS, header + b"".join(_line(number, done[number]) for number in sorted(done)))
        # From here on the split is not whole, and must not look so.
        (self.folder / INDEX).unlink(missing_ok=True)

    def write_shard(self, number: int, bar: Any, *, skip_bad: bool) -> _Done:
        """Write one shard, all of it or nothing."""
        name = f"shard-{number:06d}.tar"
        temporary = self.folder / f"{name}{TEMPORARY}"
        clips: list[ShardClip] = []
        skipped: list[SkippedClip] = []
        ordinals = self.ordinals(number)
        try:
            with open(temporary, "wb") as file:
                hashing = HashingFile(file)
                options = {"mtime": _MTIME, "user": "", "group": "", "mode": 0o644, "encoder": False}
                with webdataset().TarWriter(hashing, **options) as tar:
                    for ordinal, encoded in zip(ordinals, self.encode(ordinals), strict=True):
                        if isinstance(encoded, Encoded):
                            key = encoded.clip.key
                            members = {name.removeprefix(f"{key}."): data for name, data in encoded.members.items()}
                            tar.write({"__key__": key, **members})
                            clips.append(encoded.clip)
                        elif skip_bad:
                            skipped.append(SkippedClip(ordinal, self.dataset.records[ordinal].id, str(encoded)))
                        else:
                            raise encoded
                        bar.update()
                sync(file)
            if not clips:
                return _Done(None, [], skipped)
            os.replace(temporary, self.folder / name)
            sync_folder(self.folder)
        finally:
            temporary.unlink(missing_ok=True)
        return _Done(Shard(name, len(clips), hashing.size, hashing.sha256.hexdigest()), clips, skipped)

    def encode(self, ordinals: Sequence[int]) -> Iterator[Encoded | DataError]:
        """The members of clips in order, or what is wrong with them, from as many threads as there are workers."""
        waiting: deque[Future[Encoded | DataError]] = deque()
        pool = ThreadPoolExecutor(self.workers)  # decoders and encoders do not hold Python's lock
        try:
            for ordinal in ordinals:
                waiting.append(pool.submit(self.encode_one, ordinal))
                # Not all at once: what is encoded waits in memory.
                if len(waiting) > self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def encode_one(self, ordinal: int) -> Encoded | DataError:
        """The members of a clip, or what is wrong with it."""
        try:
            return encode_clip(self.dataset, ordinal, self.settings["quality"])
        except DataError as error:
            where = f"clip {self.dataset.records[ordinal].id} of {self.dataset.name} {self.dataset.split}"
            return DataError(f"{where}: {error}")

    def finish(self, done: dict[int, _Done], written: int) -> PreparedSplit:
        """Write the index, which says that all is there."""
        parts = [done[number] for number in sorted(done)]
        shards = tuple(part.shard for part in parts if part.shard is not None)
        clips = tuple(clip for part in parts for clip in part.clips)
        skipped = tuple(clip for part in parts for clip in part.skipped)
        if not clips:
            raise DataError(f"none of the {len(skipped)} clips can be read, the first: {skipped[0].error}")
        if (self.folder / PROGRESS).is_file():
            # data/ does not import the package above it, which imports data/.
            version = importlib.import_module(__name__.partition(".")[0]).__version__
            index = ShardIndex(self.settings, shards, clips, skipped, clip_rate(self.dataset))
            replace_file(self.folder / INDEX, index.dumps(version).encode())
            (self.folder / PROGRESS).unlink()
        size = sum(shard.size for shard in shards)
        return PreparedSplit(self.dataset.split, len(clips), len(shards), written, size, skipped)


def _line(number: int, part: _Done) -> bytes:
    return json.dumps([number, *part]).encode() + b"\n"


def _read_progress(path: Path) -> tuple[dict[str, Any], dict[int, _Done]]:
    """Settings and finished shards; a last line that is cut short was never finished."""
    lines = path.read_bytes().split(b"\n")[:-1]
    try:
        settings, *parts = [json.loads(line) for line in lines]
        done = {
            int(number): _Done(
                Shard(*shard) if shard else None,
                [ShardClip(*clip) for clip in clips],
                [SkippedClip(*clip) for clip in skipped],
            )
            for number, shard, clips, skipped in parts
        }
        return dict(settings), done
    except (ValueError, TypeError):
        raise DataError(f"{path} is damaged: delete the folder {path.parent} and start anew") from None


def _by_shard(index: ShardIndex, size: int) -> dict[int, _Done]:
    """The contents of an index as the shards they came from."""
    done: dict[int, _Done] = {}
    clips = iter(index.clips)
    for shard in index.shards:
        part = list(islice(clips, shard.clips))
        done[int(part[0].key) // size] = _Done(shard, part, [])
    for bad in index.skipped:
        done.setdefault(bad.ordinal // size, _Done(None, [], [])).skipped.append(bad)
    return done
