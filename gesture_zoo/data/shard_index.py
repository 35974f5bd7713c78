"""index.json: what a folder of shards holds, so that a reader knows every clip before it opens a shard."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from ..errors import DataError
from .depth import DepthEncoding
from .listing import UNLABELLED, inside

INDEX = "index.json"
FORMAT = "gesture_zoo shards 1"
DEPTH_BITS = (0, 8, 16)
_MOST_FRAMES = 1 << 30
_MOST_MARGIN = 100  # pixels
_MOST_LEVELS = 1 << 20  # of depth; a level need not occur in an image of 16 bits
# Clips a second; a file that says less or more than this of its clip says nothing of its times.
CLIP_RATES = (1e-3, 1e2)
_COLUMNS = ("keys", "ids", "labels", "frames", "depth_bits")


class Shard(NamedTuple):
    """A tar file: its name, how many clips it holds, its size in bytes and its SHA-256."""

    name: str
    clips: int
    size: int
    sha256: str


class ShardClip(NamedTuple):
    """A clip of a shard: the key of its members, id, class index (-1 unknown), frames, bits of its depth (0: none)."""

    key: str
    id: str
    label: int
    frames: int
    depth_bits: int

    @property
    def color_pattern(self) -> str:
        """Names of the frames, with a place for their number."""
        return f"{self.key}.{{:04d}}.jpg"

    @property
    def depth_pattern(self) -> str:
        """Names of the depth images, with a place for their number."""
        return f"{self.key}.d{{:04d}}.png"

    @property
    def json_name(self) -> str:
        """Name of the member that says what the clip is."""
        return f"{self.key}.json"


class SkippedClip(NamedTuple):
    """A clip that could not be read: its place in the dataset, its id and why."""

    ordinal: int
    id: str
    error: str


@dataclass(frozen=True)
class ShardIndex:
    """The contents of an index.json; ``settings`` is what a second run must share to continue the first.

    ``clip_rate``: 1 over the seconds that a clip lasts, the median; None where it is not known.
    """

    settings: dict[str, Any]
    shards: tuple[Shard, ...]
    clips: tuple[ShardClip, ...]
    skipped: tuple[SkippedClip, ...] = ()
    clip_rate: float | None = None

    @property
    def depth(self) -> dict[int, DepthEncoding]:
        """How depth of 8 and of 16 bits is to be understood, of those that occur."""
        return {int(bits): encoding_from_json(values) for bits, values in self.settings["depth"].items()}

    def dumps(self, version: str) -> str:
        """The text of index.json; ``version`` is that of the library."""
        bits = {str(clip.depth_bits) for clip in self.clips}
        depth = {name: values for name, values in self.settings["depth"].items() if name in bits}
        contents = {
            "format": FORMAT,
            "gesture_zoo": version,
            **self.settings,
            "depth": depth,
            "clip_rate": self.clip_rate,
            "shards": [shard._asdict() for shard in self.shards],
            "skipped": [clip._asdict() for clip in self.skipped],
            **{name: [clip[column] for clip in self.clips] for column, name in enumerate(_COLUMNS)},
        }
        # A line per entry: readable, and a hundred thousand labels do not make as many lines.
        lines = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in contents.items())
        return "{\n" + ",\n".join(lines) + "\n}\n"


def encoding_to_json(encoding: DepthEncoding) -> dict[str, Any]:
    """A depth encoding as JSON has it."""
    values = {**asdict(encoding), "valid": list(encoding.valid)}
    if not encoding.margin:
        del values["margin"]  # which older folders of shards lack: they are to be gone on with
    return values


def encoding_from_json(values: Mapping[str, Any]) -> DepthEncoding:
    """The depth encoding that ``encoding_to_json`` wrote."""
    valid = values["valid"][0], values["valid"][1]
    return DepthEncoding(values["near"], values["far"], valid, values["aligned"], values.get("margin", 0))


def parse_index(data: bytes, where: str) -> ShardIndex:
    """The index of a file's contents; ``where`` is for the error. Anything that does not add up is a DataError."""
    try:
        contents = json.loads(data)
        # JSON can hold halves of characters, which are no text to any file system or terminal.
        json.dumps(contents, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise DataError(f"{where} is not JSON: it is damaged, or no index of shards") from None
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise DataError(f"{where} is no index that this version of 'gesture-zoo prepare' wrote ({FORMAT!r})")
    fault = _fault(contents)
    if fault:
        raise DataError(f"{where} is damaged: {fault}")
    shards = tuple(Shard(*(entry[field] for field in Shard._fields)) for entry in contents["shards"])
    clips = tuple(ShardClip(*row) for row in zip(*(contents[name] for name in _COLUMNS), strict=True))
    skipped = tuple(SkippedClip(*(entry[field] for field in SkippedClip._fields)) for entry in contents["skipped"])
    derived = {"format", "gesture_zoo", "clip_rate", "shards", "skipped", *_COLUMNS}
    settings = {key: value for key, value in contents.items() if key not in derived}
    return ShardIndex(settings, shards, clips, skipped, contents.get("clip_rate"))


def _fault(contents: dict[str, Any]) -> str:
    """What is wrong with an index, or nothing; it may come from anywhere, so nothing of it is taken on trust."""
    names: Any = contents.get("class_names")
    flips, depth = contents.get("flips"), contents.get("depth")
    if not _list_of(names, str) or len(set(names)) < len(names):
        return "class_names has to be a list of different names"
    if not isinstance(flips, dict) or not _list_of([*flips.values()], str):
        return "flips has to map class names to class names"
    if not isinstance(depth, dict) or not all(bits in ("8", "16") and _is_encoding(v) for bits, v in depth.items()):
        return "depth has to map 8 and 16 to near, far, valid and aligned, and may say a margin"
    rate = contents.get("clip_rate")  # which older ones lack
    if rate is not None and not (_is_number(rate) and CLIP_RATES[0] <= rate <= CLIP_RATES[1]):
        return f"clip_rate has to be null, or clips a second in {CLIP_RATES[0]:g} to {CLIP_RATES[1]:g}"
    for key, fields in (("shards", Shard.__annotations__), ("skipped", SkippedClip.__annotations__)):
        rows: Any = contents.get(key)
        if not _list_of(rows, dict) or not all(_has_fields(row, fields) for row in rows):
            return f"{key} has to be a list of {', '.join(fields)}"
    for shard in contents["shards"]:
        if inside(shard["name"]) is None or shard["clips"] < 1 or shard["size"] < 0:
            return f"the shard {shard['name'][:80]!r} is no file inside the folder, or has no clips"
    return _clips_fault(contents)


def _clips_fault(contents: dict[str, Any]) -> str:
    columns: list[Any] = [contents.get(name) for name in _COLUMNS]
    count = sum(shard["clips"] for shard in contents["shards"])
    if not all(_list_of(column, kind) for column, kind in zip(columns, (str, str, int, int, int), strict=True)):
        return f"{', '.join(_COLUMNS)} have to be lists of text and of whole numbers"
    keys, ids, labels, frames, bits = columns
    if any(len(column) != count for column in columns):
        return f"its shards hold {count} clips, and {len(ids)} are listed"
    if len(set(keys)) < count or not all(re.fullmatch(r"[0-9]{1,12}", key) for key in keys):
        return "keys have to be different numbers"
    if not all(UNLABELLED <= label < len(contents["class_names"]) for label in labels):
        return f"a label is not in 0 to {len(contents['class_names']) - 1}"
    if not all(1 <= number <= _MOST_FRAMES for number in frames):
        return f"a clip has no frames, or more than {_MOST_FRAMES}"
    if not all(number in DEPTH_BITS and (not number or str(number) in contents["depth"]) for number in bits):
        return "the depth of a clip has bits whose encoding is not given"
    names = [shard["name"] for shard in contents["shards"]]
    return "two shards have the same name" if len(set(names)) < len(names) else ""


def _list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) and not isinstance(item, bool) for item in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _has_fields(row: dict[str, Any], fields: Mapping[str, Any]) -> bool:
    kinds = {"str": str, "int": int}
    return all(
        _list_of([row.get(name)], kinds[str(getattr(kind, "__forward_arg__", kind))]) for name, kind in fields.items()
    )


def _is_encoding(values: Any) -> bool:
    if not isinstance(values, dict) or not isinstance(values.get("valid"), list) or len(values["valid"]) != 2:
        return False
    numbers = [values.get("near"), values.get("far"), *values["valid"]]
    if not all(_is_number(n) and abs(n) <= _MOST_LEVELS for n in numbers):
        return False
    margin = values.get("margin", 0)
    if not isinstance(margin, int) or isinstance(margin, bool) or not 0 <= margin <= _MOST_MARGIN:
        return False
    return values["near"] != values["far"] and isinstance(values.get("aligned"), bool)
