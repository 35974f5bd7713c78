"""prepare_dataset: any dataset of files as WebDataset shards, which a disk or a web server delivers at full speed.

OUT/<split>/shard-000000.tar and so on hold the clips, OUT/<split>/index.json says which.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import DataError
from ..locks import sole_writer
from .base import ClipDataset
from .factory import available_splits, existing_root, get_reader
from .listing import SPLITS
from .names import CLIPS_PER_SHARD
from .shard_clip import SUBSAMPLING, encodings
from .shard_files import webdataset
from .shard_index import INDEX, encoding_to_json, parse_index
from .shard_writer import PreparedSplit, SplitWriter

__all__ = ["CLIPS_PER_SHARD", "PrepareResult", "PreparedSplit", "prepare_dataset"]


class PrepareResult(NamedTuple):
    """Where the shards are, and what became of every split.

    >>> split = PreparedSplit("val", clips=240, shards=3, written=3, bytes=9_000_000, skipped=())
    >>> PrepareResult(Path("shards"), (split,)).splits[0].shards
    3
    """

    out: Path
    splits: tuple[PreparedSplit, ...]


def prepare_dataset(
    name: str,
    root: str | Path,
    out: str | Path,
    *,
    splits: Sequence[str] | None = None,
    clips_per_shard: int = CLIPS_PER_SHARD,
    quality: int = 95,
    skip_bad: bool = False,
    workers: int = 2,
    progress: bool = False,
    **options: Any,
) -> PrepareResult:
    """Convert the dataset ``name`` under ``root`` to shards under ``out``; ``ShardedClips(out)`` reads them.

    ``splits``: by default train, val and test, as far as they are there. Frames that are JPEG are copied byte for byte,
    others are encoded with ``quality`` (1 to 100); depth becomes PNG of its raw levels. A run that was interrupted goes
    on where it was when it is started again with the same settings; the files are then those of an uninterrupted run.
    Other settings for the same ``out`` are a DataError. So is a clip that cannot be read: nothing is written of its
    shard, unless ``skip_bad`` leaves it out and lists it; the next run tries it again. ``workers``: threads that
    encode. ``options`` are those of the reader.

    >>> import tempfile
    >>> import numpy as np
    >>> from gesture_zoo.data import write_video
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("fist", "wave"):
    ...     (folder / "clips" / "train" / name).mkdir(parents=True)
    ...     write_video(np.zeros((4, 32, 32, 3), np.uint8), folder / "clips" / "train" / name / "1.mp4")
    >>> result = prepare_dataset("folder", folder / "clips", folder / "shards")
    >>> [(split.name, split.clips) for split in result.splits], (folder / "shards/train/shard-000000.tar").is_file()
    ([('train', 2)], True)
    """
    if not 1 <= quality <= 100:
        raise DataError(f"quality has to be in 1 to 100, got {quality}")
    if clips_per_shard < 1 or workers < 1:
        raise DataError(f"clips_per_shard and workers have to be at least 1, got {clips_per_shard} and {workers}")
    if name == "synthetic":
        raise DataError("synthetic clips are rendered when they are asked for: there are no files to prepare")
    reader, root = get_reader(name), existing_root(name, root)
    if splits is None:
        there = available_splits(name, root)
        # Other splits (trainval) hold the same clips once more.
        splits = [split for split in SPLITS if split in there] or there
    if not splits:
        raise DataError(f"there is no split of {name} in {root}")
    webdataset()  # what is not installed is said before anything is read
    # All lists are read before the first clip: a fault in the last split must not wait for a day.
    datasets = [reader(root, split, **options) for split in dict.fromkeys(splits)]
    out = Path(out)
    place, home = out.resolve(), root.resolve()
    if name == "folder" and home in (place, *place.parents):
        where = "the folder of the clips" if place == home else f"inside {root}"
        raise DataError(f"{out} is {where}, where shards may be taken for a part of the dataset: give another folder")
    result = []
    with sole_writer(out, DataError):
        for dataset in datasets:
            settings = _settings(dataset, clips_per_shard, quality, options)
            _check_neighbours(out, settings)
            writer = SplitWriter(dataset, out / dataset.split, settings, workers=workers)
            result.append(writer.run(skip_bad=skip_bad, progress=progress))
    return PrepareResult(out, tuple(result))


def _settings(dataset: ClipDataset, clips_per_shard: int, quality: int, options: dict[str, Any]) -> dict[str, Any]:
    """What two runs must have in common for one to go on with the other's work."""
    listing = json.dumps([[record.id, record.label] for record in dataset.records])
    settings = {
        "dataset": dataset.name,
        "split": dataset.split,
        "options": {key: options[key] for key in sorted(options)},
        "clips_per_shard": clips_per_shard,
        "quality": quality,
        "subsampling": SUBSAMPLING,
        "class_names": dataset.class_names,
        "flips": dict(dataset.flips),
        "depth": {str(bits): encoding_to_json(encoding) for bits, encoding in encodings(dataset).items()},
        "listed_clips": len(dataset.records),
        "listing_sha256": hashlib.sha256(listing.encode()).hexdigest(),
    }
    return json.loads(json.dumps(settings, default=_plain))


def _check_neighbours(out: Path, settings: dict[str, Any]) -> None:
    """Raise where other splits of the folder are those of another dataset: they would be trained on as one."""
    for path in sorted(out.glob(f"*/{INDEX}")):
        found = parse_index(path.read_bytes(), str(path)).settings
        for key in ("dataset", "options", "class_names"):
            if found.get(key) != settings[key] and path.parent.name != settings["split"]:
                raise DataError(f"{path.parent} was prepared with another {key}: give another folder than {out}")


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return dict(value) if isinstance(value, Mapping) else str(value)
