"""ModelInfo: what a user of an exported file must know of it; it travels inside the file as JSON."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import WeightsError, one_line

METADATA_KEY = "gesture_zoo"
KINDS = ("clip", "stream")
_LEAST = 1e-6  # of what is divided by, which in float32 must not be 0
_MOST_NUMBERS = 1 << 28  # of a clip, or of all states: a gigabyte


@dataclass(frozen=True)
class StateInfo:
    """One tensor that a stream keeps between frames: where it enters and leaves the graph, and its shape.

    ``shape`` is without the batch axis. A state is float32, and zero before the first frame.

    >>> StateInfo("state_layer1", "next_layer1", (1, 4, 16, 16)).shape
    (1, 4, 16, 16)
    """

    input: str
    output: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelInfo:
    """What an exported model is and wants.

    ``kind`` is "clip" (takes clips (N, T, C, H, W)) or "stream" (takes a frame (N, C, H, W) and its states).
    Frames are RGB in [0, 1], less ``mean`` and over ``std``; before that a centre crop of ``crop_pct`` of the largest
    box of the input's aspect ratio, resized to ``input_size`` (C, H, W). ``num_segments`` is the T it was trained on,
    ``frame_rate`` how many frames a second it expects (None: those of the source), ``version`` that of gesture_zoo,
    ``precision`` that of the arithmetic ("float32", "int8").

    >>> info = ModelInfo("tsm_resnet18", "clip", ("a", "b"), (3, 224, 224), (0.5,) * 3, (0.5,) * 3)
    >>> ModelInfo.from_json(info.to_json()) == info
    True
    """

    architecture: str
    kind: str
    labels: tuple[str, ...]
    input_size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bilinear"
    crop_pct: float = 0.875
    num_segments: int = 8
    frame_rate: float | None = None
    version: str = ""
    precision: str = "float32"
    states: tuple[StateInfo, ...] = ()

    def to_json(self) -> str:
        """The description as one line of JSON."""
        return json.dumps(asdict(self))

    @property
    def how_to_use(self) -> str:
        """What to do with the file where this package is not at hand, in a few sentences.

        >>> info = ModelInfo("tsm_resnet18", "clip", ("a", "b"), (3, 224, 224), (0.5,) * 3, (0.5,) * 3)
        >>> info.how_to_use.splitlines()[0]
        'Of every frame, in RGB: cut the largest 224:224 box out of the middle, 0.875 of its height and width.'
        """
        channels, rows, columns = self.input_size
        seen = {1: "in depth", 3: "in RGB"}.get(channels, "in RGB and depth")
        size = f"{channels}, {rows}, {columns}"
        if self.kind == "clip":
            takes = [
                f'The input "clip" is (N, T, {size}): N clips of T = {self.num_segments} frames.',
                "Of a longer video, these are the middle frames of T equal parts.",
            ]
        else:
            rate = "" if self.frame_rate is None else f", {self.frame_rate:g} of them a second"
            takes = [
                f'The input "frame" is (N, {size}): the next frame of N streams{rate}.',
                'Every "state_..." is zero at first, and then the "next_..." of the frame before.',
            ]
        sentences = (
            f"Of every frame, {seen}: cut the largest {columns}:{rows} box out of the middle, {self.crop_pct:g} of its "
            "height and width.",
            f"Resize it to {rows} rows and {columns} columns, {self.interpolation} as in Pillow (with antialiasing).",
            "Divide by 255, subtract the mean of the channel, and divide by its std.",
            *takes,
            f'The output "logits" is (N, {len(self.labels)}); their softmax are the scores of the labels.',
            f'Mean, std and labels are in the metadata, under "{METADATA_KEY}", as JSON.',
        )
        return "\n".join(sentences)

    @classmethod
    def from_json(cls, text: str, where: str = "the metadata") -> ModelInfo:
        """The description that ``to_json`` wrote; another text is a WeightsError that names ``where``.

        Fields that a later version added are left aside.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            known = {field.name for field in fields(cls)}
            values = {key: _tuples(value) for key, value in values.items() if key in known}
            values["states"] = tuple(StateInfo(**state) for state in values.get("states", ()))
            # JSON can hold halves of characters, which are no text to any file system or terminal.
            json.dumps(values, ensure_ascii=False, default=asdict).encode()
            info = cls(**values)
            fault = _fault(info)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            fault = one_line(error)[:200]
        if fault:
            raise WeightsError(f"{where} does not describe a model of gesture_zoo: {fault}")
        return info

    @property
    def input_name(self) -> str:
        """What the input with the pictures is called: "clip" or "frame"."""
        return "clip" if self.kind == "clip" else "frame"


def _fault(info: ModelInfo) -> str:
    """What has to be otherwise, or nothing; a file may come from anywhere, so nothing of it is taken on trust."""
    texts = (info.architecture, info.interpolation, info.version, info.precision)
    if info.kind not in KINDS:
        return f"kind is one of {', '.join(KINDS)}, not {info.kind!r:.80}"
    if not isinstance(info.labels, tuple) or not info.labels:
        return "labels have to be a list with a name at least"
    if wrong := [text for text in (*info.labels, *texts) if not _is_text(text)]:
        return f"labels, architecture, interpolation, version and precision have to be plain text, not {wrong[0]!r:.80}"
    if not _is_shape((info.num_segments,)) or not _is_shape(info.input_size, info.num_segments):
        return f"no clip can be {info.num_segments!r:.80} frames of {info.input_size!r:.80}"
    if len(info.input_size) != 3:
        return f"input_size is channels, height and width, not {info.input_size!r:.80}"
    for name, numbers in (("mean", info.mean), ("std", info.std)):
        lowest = _LEAST if name == "std" else -math.inf
        right = isinstance(numbers, tuple) and all(_is_number(number) and number > lowest for number in numbers)
        if not right or len(numbers) not in (1, 3, info.input_size[0]):
            return f"{name} has to be a number of each channel, not {numbers!r:.80}"
    if not _is_number(info.crop_pct) or not 0 < info.crop_pct <= 1:
        return f"crop_pct is a share, not {info.crop_pct!r:.80}"
    if info.frame_rate is not None and not (_is_number(info.frame_rate) and info.frame_rate > _LEAST):
        return f"frame_rate is frames a second, not {info.frame_rate!r:.80}"
    for state in info.states:
        if not _is_text(state.input) or not _is_text(state.output) or not _is_shape(state.shape):
            return f"no state can be {state!r:.200}"
    if sum(math.prod(state.shape) for state in info.states) > _MOST_NUMBERS:
        return "its states are too large"
    return ""


def _is_text(value: Any) -> bool:
    """Whether a value is text that a terminal shows and does not obey."""
    return isinstance(value, str) and not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", value)


def _is_shape(sizes: Any, frames: int = 1) -> bool:
    """Whether these are the sizes of an array that fits in memory, ``frames`` of them."""
    if not isinstance(sizes, tuple) or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in sizes):
        return False
    return len(sizes) <= 8 and math.prod(sizes) * frames <= _MOST_NUMBERS


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e6


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(part) for part in value)
    return {key: _tuples(part) for key, part in value.items()} if isinstance(value, dict) else value
