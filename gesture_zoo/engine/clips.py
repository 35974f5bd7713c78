"""Choosing clips of a dataset: by id, or spread evenly over it; and a clip that is no dataset's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ..data import ClipSample, create_transform, resolve_data_config, segment_indices
from ..data.base import ClipDataset
from ..data.depth import MILLIMETRES, NEARER_BRIGHTER, check_size, encoding_of
from ..data.folder import depth_beside
from ..data.listing import UNLABELLED
from ..data.media import Media, media
from ..data.pairs import pair
from ..data.shards import ShardedClips
from ..errors import DataError

_NAMED = 4  # ids in a message


def spread_clips(dataset: Any, count: int) -> list[ClipSample]:
    """``count`` clips spread evenly over a dataset (all of a smaller one), in its order.

    Of as many classes where the dataset says which clip has which: else a regular list could give one class alone.

    >>> from gesture_zoo.data import create_dataset
    >>> data = create_dataset("synthetic", split="val", num_segments=1, size=16, num_clips=9)
    >>> [clip.label for clip in spread_clips(data, 3)]  # clip 1 has class 1, ...
    [1, 4, 7]
    """
    if count < 1:
        raise DataError(f"the number of clips must be at least 1, got {count}")
    places: Sequence[int] = range(len(dataset))
    first: dict[int, int] = {}
    for place, label in enumerate(getattr(dataset, "labels", ())):
        first.setdefault(label, place)
    if len(first) >= count:
        places = [first[label] for label in sorted(first)]
    count = min(count, len(places))
    return read_clips(dataset, sorted(places[(2 * n + 1) * len(places) // (2 * count)] for n in range(count)))


def find_clips(dataset: Any, wanted: Sequence[str]) -> list[ClipSample]:
    """The clips with these ids, or of which an id ends in one of these texts.

    A text that no id ends in, or several do, is a DataError that names some ids.
    """
    ids = clip_ids(dataset)
    places = []
    for text in wanted:
        found = [i for i, name in enumerate(ids) if name == text] or [
            i for i, name in enumerate(ids) if name.endswith(text)
        ]
        if not found:
            raise DataError(f"no clip has the id {text}; there are {len(ids)}, such as {', '.join(ids[:_NAMED])}")
        if len(found) > 1:
            which = ", ".join(ids[i] for i in found[:_NAMED])
            raise DataError(f"{len(found)} clips have an id that ends in {text}: write more of one, such as {which}")
        places.append(found[0])
    return read_clips(dataset, places)


def read_clips(dataset: Any, places: Sequence[int]) -> list[ClipSample]:
    """The clips at these places; a stream is read only as far as it holds them."""
    if not hasattr(dataset, "subset"):
        return [dataset[place] for place in places]
    part = dataset.subset(sorted(set(places)))
    part.share_nodes = False  # whoever asks for clips gets all of them
    read = dict(zip(sorted(set(places)), part, strict=True))
    return [read[place] for place in places]


def clip_ids(dataset: Any) -> list[str]:
    """The id of every clip of a whole split, without reading any where the dataset lists them."""
    if isinstance(dataset, (ClipDataset, ShardedClips)):
        return [record.id for record in dataset.records]
    return [sample.id for sample in dataset]


def has_depth(dataset: Any) -> bool:
    """Whether a dataset has depth of any clip, without reading one where it lists them."""
    if isinstance(dataset, (ClipDataset, ShardedClips)):
        return any(record.depth is not None for record in dataset.records)
    return dataset[0].depth is not None


def without_depth(dataset: Any) -> list[str]:
    """Ids of the clips that have no depth, as far as a dataset lists them without reading any."""
    if isinstance(dataset, (ClipDataset, ShardedClips)):
        return [record.id for record in dataset.records if record.depth is None]
    return [] if dataset[0].depth is not None else [dataset[0].id]


def video_clip(model: nn.Module, path: str | Path) -> ClipSample:
    """A video file or folder of frames as ``model`` takes it: the middle frame of T equal segments; no label.

    A model that sees depth gets it from NAME.depth beside NAME, in the encodings of ``ClipFolder``. A file that cannot
    be read, or depth that is not there, is a DataError.
    """
    config = resolve_data_config(model=model)
    source: Media = media(Path(path))
    depth: Media | None = None
    if config["input_size"][0] != 3:
        depth = depth_beside(Path(path))
        if depth is None:
            raise DataError(
                f"the model sees depth: expected {Path(path).stem}.depth beside {path}, a video or a folder"
            )
        source, depth = pair(source, depth)
    length = min(part.length() for part in (source, depth) if part is not None)
    indices = segment_indices(length, config["num_segments"])
    clip = ClipSample(source.read(indices), None, None, UNLABELLED, str(path))
    if depth is not None:
        raw = depth.read(indices, gray=True)
        check_size(raw, clip.frames.shape[-2:], f"{path}: ")
        values, valid = encoding_of(raw, NEARER_BRIGHTER, MILLIMETRES).decode(raw)
        clip = clip._replace(depth=values, valid=valid)
    return create_transform(config)(clip)
