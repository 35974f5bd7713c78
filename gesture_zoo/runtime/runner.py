"""Runner: a model that answers frames and clips given as arrays."""

from __future__ import annotations

import copy

import numpy as np

from ..errors import ModelError
from .info import ModelInfo


class Runner:
    """Runs a model frame by frame or clip by clip; who does the arithmetic is a subclass's matter.

    A model of kind "stream" keeps its states from step to step; one of kind "clip" looks at a window of its last T
    frames, where the first frame stands for those before it until there are T.

    A runner follows one stream, or N that go in step; ``another()`` is for the next one. Threads take one each.

    >>> class Brightness(Runner):
    ...     def run_clip(self, clip):
    ...         return np.stack([clip.mean((1, 2, 3, 4)), -clip.mean((1, 2, 3, 4))], axis=1)
    >>> info = ModelInfo("mine", "clip", ("day", "night"), (3, 8, 8), (0.5,) * 3, (0.5,) * 3, num_segments=4)
    >>> runner = Brightness(info)
    >>> runner.classify(np.ones((2, 4, 3, 8, 8), np.float32)).tolist()  # two clips of four frames
    [[1.0, -1.0], [1.0, -1.0]]
    >>> runner.step(np.zeros((1, 3, 8, 8), np.float32)).shape  # one frame of one stream
    (1, 2)
    >>> runner.another().step(np.zeros((2, 3, 8, 8), np.float32)).shape  # and of two others
    (2, 2)
    """

    def __init__(self, info: ModelInfo) -> None:
        self.info = info
        self._window: np.ndarray | None = None

    def step(self, frame: np.ndarray) -> np.ndarray:
        """Logits (N, K) float32 after one more frame (N, C, H, W) float32 of each of N streams, normalised.

        A frame of another shape than the model takes, or of another N than before, is a ModelError; ``reset`` starts
        anew.
        """
        self._check(frame, ("N", *self.info.input_size))
        if self.info.kind == "stream":
            return self.advance(frame)
        if self._window is None:
            self._window = np.repeat(frame[:, None], self.info.num_segments, axis=1)
        elif len(self._window) != len(frame):
            raise other_streams(len(self._window), len(frame))
        else:
            self._window = np.concatenate((self._window[:, 1:], frame[:, None]), axis=1)
        return self.run_clip(self._window)

    def classify(self, clip: np.ndarray) -> np.ndarray:
        """Logits (N, K) of clips (N, T, C, H, W); of a "stream" the mean over its steps from a fresh start.

        ``step`` starts anew after it.
        """
        frames: int | str = self.info.num_segments if self.info.kind == "clip" else "T"
        self._check(clip, ("N", frames, *self.info.input_size))
        if self.info.kind == "clip":
            return self.run_clip(clip)
        self.reset()
        logits = np.mean([self.advance(np.ascontiguousarray(clip[:, t])) for t in range(clip.shape[1])], axis=0)
        self.reset()
        return logits

    def reset(self) -> None:
        """Forget the frames that came before."""
        self._window = None

    def another(self) -> Runner:
        """A runner of the same model in memory, before its first frame: for a stream beside this one."""
        runner = copy.copy(self)
        runner._part()
        runner.reset()
        return runner

    def _part(self) -> None:
        """Replace what a copy cannot share with its original."""

    def advance(self, frame: np.ndarray) -> np.ndarray:
        """Logits after a frame of a model of kind "stream", whose states move on."""
        raise NotImplementedError

    def run_clip(self, clip: np.ndarray) -> np.ndarray:
        """Logits of a clip of a model of kind "clip"."""
        raise NotImplementedError

    def _check(self, array: np.ndarray, expected: tuple[int | str, ...]) -> None:
        fits = array.ndim == len(expected) and all(
            isinstance(want, str) or want == size for want, size in zip(expected, array.shape, strict=True)
        )
        if not fits or array.dtype != np.float32 or 0 in array.shape:
            shape = ", ".join(map(str, expected))
            raise ModelError(f"{self.info.architecture} takes ({shape}) float32, got {array.shape} {array.dtype}")


class GraphRunner(Runner):
    """A Runner of a graph with named inputs and outputs; subclasses say how ``run`` computes it."""

    def __init__(self, info: ModelInfo) -> None:
        super().__init__(info)
        self._states: dict[str, np.ndarray] = {}

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All outputs of the graph by name."""
        raise NotImplementedError

    def initial_states(self, batch: int = 1) -> dict[str, np.ndarray]:
        """The states of ``batch`` streams before their first frame, by input name."""
        return {state.input: np.zeros((batch, *state.shape), np.float32) for state in self.info.states}

    def advance(self, frame: np.ndarray) -> np.ndarray:
        states = self._states or self.initial_states(len(frame))
        streams = {len(value) for value in states.values()} - {len(frame)}
        if streams:
            raise other_streams(streams.pop(), len(frame))
        outputs = self.run({"frame": frame, **states})
        self._states = {state.input: outputs[state.output] for state in self.info.states}
        return outputs["logits"]

    def run_clip(self, clip: np.ndarray) -> np.ndarray:
        return self.run({"clip": clip})["logits"]

    def reset(self) -> None:
        super().reset()
        self._states = {}


def other_streams(before: int, now: int) -> ModelError:
    """The error for a frame of another number of streams than those before."""
    return ModelError(f"there are {before} streams, the frame is of {now}: reset() starts anew")
