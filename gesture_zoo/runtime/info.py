"""ModelInfo: what a user of an exported file must know of it; it travels inside the file as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import WeightsError

METADATA_KEY = "gesture_zoo"
KINDS = ("clip", "stream")


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
            info = cls(**values)
            sizes = [isinstance(side, int) and side > 0 for side in info.input_size]
            if info.kind not in KINDS or not isinstance(info.labels, tuple) or not info.labels or sizes != [True] * 3:
                raise ValueError("kind, labels or input_size is wrong")
        except (ValueError, TypeError, AttributeError) as error:
            raise WeightsError(f"{where} does not describe a model of gesture_zoo: {error}") from error
        return info

    @property
    def input_name(self) -> str:
        """What the input with the pictures is called: "clip" or "frame"."""
        return "clip" if self.kind == "clip" else "frame"


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(part) for part in value)
    return {key: _tuples(part) for key, part in value.items()} if isinstance(value, dict) else value
