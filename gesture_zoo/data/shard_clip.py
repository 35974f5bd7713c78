"""One clip on its way into a shard and out of it: JPEG frames, PNG depth, and what the clip is."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torchvision.io import encode_png

from ..errors import DataError
from .base import ClipDataset
from .depth import DepthEncoding, check_size
from .images import decode, read_bytes
from .listing import ClipRecord, Listing
from .media import FrameFolder, Media, NumberedFrames
from .sample import ClipSample
from .sampling import sample_generator, segment_indices
from .shard_index import ShardClip, ShardIndex

_JPEG = b"\xff\xd8\xff"
SUBSAMPLING = "4:4:4"  # a quarter more bytes than 4:2:0 at quality 95, and half the largest error
_FIRST_FRAMES = 8
_MEMORY = 1 << 27  # bytes of decoded frames at a time
# A higher level takes twice to ten times as long for five per cent.
_PNG_LEVEL = 4


class Encoded(NamedTuple):
    """A clip as a shard holds it: its entry in the index, and its members by name."""

    clip: ShardClip
    members: dict[str, bytes]


def encode_clip(dataset: ClipDataset, ordinal: int, quality: int) -> Encoded:
    """The members of a clip; one that cannot be read is a DataError.

    Every frame is decoded, also those that are copied: a damaged one must not wait for the training to find it.
    """
    record = dataset.records[ordinal]
    length = dataset.length(ordinal)
    if length < 1:
        raise DataError(f"{record.rgb.path} has no frames")
    clip = ShardClip(clip_key(ordinal), record.id, record.label, length, 0)
    members: dict[str, bytes] = {}
    shape: Any = None
    for index, data, frame in _color(record.rgb, length, quality):
        shape = shape or frame.shape[-2:]
        if frame.shape[-2:] != shape:
            raise DataError(f"frame {index} of {record.rgb.path} is {_size(frame.shape)}, frame 0 is {_size(shape)}")
        members[clip.color_pattern.format(index)] = data
    levels = None
    for index, raw in _levels(record.depth, length) if record.depth else ():
        levels = levels or raw.dtype
        check_size(raw, shape)
        if raw.dtype != levels:
            raise DataError(f"depth frame {index} of {record.rgb.path} is {raw.dtype}, frame 0 is {levels}")
        members[clip.depth_pattern.format(index)] = encode_depth(raw)
    clip = clip._replace(depth_bits=0 if levels is None else 8 if levels == torch.uint8 else 16)
    members[clip.json_name] = json.dumps(describe(clip, dataset.class_names)).encode()
    return Encoded(clip, members)


def clip_key(ordinal: int) -> str:
    """What the names of a clip's members begin with, by its place in the dataset."""
    return f"{ordinal:08d}"


def describe(clip: ShardClip, class_names: list[str]) -> dict[str, Any]:
    """What the JSON member of a clip says."""
    name = class_names[clip.label] if clip.label >= 0 else None
    return {"id": clip.id, "label": clip.label, "class_name": name, "num_frames": clip.frames}


def encode_depth(raw: Tensor) -> bytes:
    """Raw levels (1, H, W) of 8 or 16 bits as a grey PNG."""
    if raw.dtype == torch.uint8:
        return encode_png(raw, _PNG_LEVEL).numpy().tobytes()
    file = io.BytesIO()
    Image.fromarray(raw[0].numpy()).save(file, "PNG", compress_level=_PNG_LEVEL)
    return file.getvalue()


def encodings(dataset: ClipDataset) -> dict[int, DepthEncoding]:
    """How a dataset's depth of 8 and of 16 bits is to be understood; none for RGB only.

    A reader that decodes depth in a way that no encoding says is a DataError.
    """
    if not any(record.depth for record in dataset.records):
        return {}
    found: dict[int, Any] = {bits: getattr(dataset, f"depth{bits}", dataset.depth) for bits in (8, 16)}
    for bits, dtype in ((8, torch.uint8), (16, torch.uint16)):
        raw = torch.arange(2**bits, dtype=torch.int32).to(dtype)
        same = [a.equal(b) for a, b in zip(found[bits].decode(raw), dataset.decode_depth(raw), strict=True)]
        if not all(same):
            raise DataError(f"{dataset.name} decodes {bits}-bit depth in a way of its own, which shards cannot say")
    return found


def _color(media: Media, length: int, quality: int) -> Iterator[tuple[int, bytes, Tensor]]:
    """Number, JPEG and pixels of every frame."""
    paths = _paths(media, length)
    if paths is None:
        for index, frame in _chunks(media, length):
            yield index, _jpeg(frame, quality), frame
        return
    for index, path in enumerate(paths):
        data = read_bytes(path)
        frame = decode(data, path)
        # By what it is and not by its name: the reader of a .jpg does not mind a PNG.
        yield index, data if data.startswith(_JPEG) else _jpeg(frame, quality), frame


def _paths(media: Media, length: int) -> list[Path] | None:
    """The image files of a clip, if it is made of such."""
    if isinstance(media, NumberedFrames):
        return [media.path / media.pattern.format(media.first + index) for index in range(length)]
    return [media.path / name for name in media.names()[:length]] if isinstance(media, FrameFolder) else None


def _levels(media: Media, length: int) -> Iterator[tuple[int, Tensor]]:
    paths = _paths(media, length)
    if paths is None:
        yield from _chunks(media, length, gray=True)
    else:
        for index, path in enumerate(paths):
            yield index, decode(read_bytes(path), path, gray=True)


def _chunks(media: Media, length: int, *, gray: bool = False) -> Iterator[tuple[int, Tensor]]:
    """Every frame of a clip, in pieces that fit into memory: a piece costs opening the file."""
    start, count = 0, _FIRST_FRAMES
    while start < length:
        frames = media.read(range(start, min(start + count, length)), gray=gray)
        yield from enumerate(frames, start)
        start += len(frames)
        count = max(1, _MEMORY // max(1, frames[0].nbytes))


def _jpeg(frame: Tensor, quality: int) -> bytes:
    file = io.BytesIO()
    picture = Image.fromarray(frame.permute(1, 2, 0).contiguous().numpy())
    picture.save(file, "JPEG", quality=quality, subsampling=SUBSAMPLING)
    return file.getvalue()


def _size(shape: torch.Size) -> str:
    return " x ".join(map(str, shape[-2:]))


@dataclass(frozen=True)
class MemberFrames:
    """Media: images among the members of a clip, of which only those asked for need be there."""

    path: Path
    pattern: str
    count: int
    members: Mapping[str, bytes] = field(default_factory=dict)

    def length(self) -> int:
        """Number of frames."""
        return self.count

    def read(self, indices: Sequence[int], *, gray: bool = False) -> Tensor:
        """Frames by index."""
        frames: list[Tensor] = []
        for index in indices:
            name = self.pattern.format(index)
            frames.append(decode(self.members[name], f"{name} of {self.path.as_posix()}", gray=gray))
            if frames[-1].shape != frames[0].shape or frames[-1].dtype != frames[0].dtype:
                raise DataError(
                    f"image {name} of {self.path.as_posix()} has another size or depth than the first of its clip"
                )
        return torch.stack(frames)


class ClipDecoder(ClipDataset):
    """Samples out of members: which frames make a clip, and what depth means, is the code of every other reader."""

    name = "shards"

    def __init__(self, index: ShardIndex, root: str, split: str, **options: Any) -> None:
        self.index = index
        self.encodings = index.depth
        super().__init__(root, split, **options)

    def list_split(self, root: Path, split: str) -> Listing:
        records = []
        shards = (shard.name for shard in self.index.shards for _ in range(shard.clips))
        for clip, shard in zip(self.index.clips, shards, strict=True):
            place = Path(split, shard)
            rgb = MemberFrames(place, clip.color_pattern, clip.frames)
            depth = MemberFrames(place, clip.depth_pattern, clip.frames) if clip.depth_bits else None
            records.append(ClipRecord(rgb, depth, clip.label, clip.id))
        return Listing(list(self.index.settings["class_names"]), records)

    def draw(self, index: int) -> list[list[int]]:
        if self.num_views == 1:
            return super().draw(index)
        # By the place in the dataset: a clip that was left out changes nothing for those behind it.
        generator = sample_generator(self.seed, int(self.index.clips[index].key))
        length = self.length(index)
        return [
            segment_indices(length, self.num_segments, random=True, generator=generator) for _ in range(self.num_views)
        ]

    def decode(self, ordinal: int, views: list[list[int]], members: Mapping[str, bytes]) -> ClipSample:
        """The sample of a clip whose members are there."""
        record = self.records[ordinal]
        parts = [replace(part, members=members) if isinstance(part, MemberFrames) else part for part in record[:2]]
        return self.read(ClipRecord(parts[0], parts[1], record.label, record.id), views)  # type: ignore[arg-type]

    def decode_depth(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        bits = 8 if raw.dtype == torch.uint8 else 16
        if bits not in self.encodings:
            raise DataError(f"the depth has {bits} bits, of which the index does not say the encoding")
        return self.encodings[bits].decode(raw)
