"""A PyTorch model behind the interface of the exported files."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .. import __version__
from ..data import resolve_data_config
from ..labels import labels_of
from ..streaming import CausalStream, Stream, to_streaming
from .info import ModelInfo, StateInfo
from .runner import Runner

__all__ = ["TorchRunner"]


def model_info(stream: Stream, *, kind: str, states: tuple[StateInfo, ...] = ()) -> ModelInfo:
    """What a model is and wants, from its configuration; ``kind`` is "clip" or "stream"."""
    model: Any = stream.model
    cfg = model.pretrained_cfg
    config = resolve_data_config(model=model)
    return ModelInfo(
        architecture=str(cfg.get("architecture") or type(getattr(model, "base_model", model)).__name__),
        kind=kind,
        labels=tuple(labels_of(model, model.num_classes)),
        input_size=(model.in_chans, *map(int, config["input_size"][-2:])),
        mean=tuple(map(float, config["mean"])),
        std=tuple(map(float, config["std"])),
        interpolation=config["interpolation"],
        crop_pct=float(config["crop_pct"]),
        num_segments=stream.num_segments,
        frame_rate=cfg.get("frame_rate"),
        version=__version__,
        states=states,
    )


class TorchRunner(Runner):
    """A model of the zoo, with or without decoders, on the device it is on.

    >>> import gesture_zoo
    >>> runner = TorchRunner(gesture_zoo.create_model("tsm_test_resnet_online", num_classes=5))
    >>> runner.info.kind, runner.step(np.zeros((1, *runner.info.input_size), np.float32)).shape
    ('stream', (1, 5))
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self.stream = to_streaming(model)
        self._state: dict[str, torch.Tensor] = {}
        parameter = next(self.stream.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        super().__init__(model_info(self.stream, kind="stream" if isinstance(self.stream, CausalStream) else "clip"))

    def advance(self, frame: np.ndarray) -> np.ndarray:
        logits, self._state = self.stream.step(self._tensor(frame), self._state)
        return self._array(logits)

    def run_clip(self, clip: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self._array(self.stream.model(self._tensor(clip)))

    def reset(self) -> None:
        super().reset()
        self._state = {}

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, self.dtype)

    def _array(self, tensor: torch.Tensor) -> np.ndarray:
        return tensor.float().cpu().numpy()
