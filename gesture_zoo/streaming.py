"""to_streaming: a clip model that takes its frames one by one.

A causal model (a name with "_online") computes every frame once and keeps in its state what later frames need of
it: the answer to a frame is the clip forward's at that frame. Any other model looks at a sliding window of its last
T frames. The idea of caching a shift is TSM's (Lin et al. 2019, arXiv 1811.08383, section 4.3).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from .copies import copy_of
from .dryrun import example_frames
from .errors import ModelError, one_line
from .layers import TemporalModule
from .layers.base import Memory
from .models import ClipModel, VideoModel
from .msd import MSDModel, strip_msd
from .outputs import logits_of

__all__ = ["Stream", "to_streaming"]

State = dict[str, Tensor]


class Turn:
    """A lock for what one thread does at a time; a copy of it is another lock."""

    def __init__(self) -> None:
        self.lock = Lock()

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lock.release()

    def __reduce__(self) -> tuple[type[Turn], tuple[()]]:
        return Turn, ()


class Stream(nn.Module):
    """A model that answers every frame; made by ``to_streaming``.

    ``step(frame)`` keeps the state itself; ``step(frame, state)`` takes one and returns the next, and keeps nothing.
    A frame is (N, C, H, W), N independent streams; logits are (N, K). A state is a dictionary of tensors whose first
    axis is the stream. Threads may share a Stream where each has a state of its own.

    >>> import gesture_zoo
    >>> stream = to_streaming(gesture_zoo.create_model("tsm_test_resnet_online", num_classes=5))
    >>> logits = [stream.step(torch.zeros(2, 3, 64, 64)) for _ in range(3)]  # two streams
    >>> stream.reset(1)  # the second one starts anew
    >>> logits, state = stream.step(torch.zeros(1, 3, 64, 64), stream.initial_state(1, (64, 64)))
    >>> logits.shape
    torch.Size([1, 5])
    """

    turn: AbstractContextManager[None] = nullcontext()  # of the threads that compute a frame

    def __init__(self, model: ClipModel | VideoModel) -> None:
        super().__init__()
        self.model: Any = model
        self.num_segments = model.num_segments
        self.state: State | None = None
        self.size: tuple[int, ...] = ()  # (H, W) of the frames before; states of pooled maps do not show it

    def advance(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits of a frame after those that ``state`` knows of, and the state after it; {} is the start."""
        raise NotImplementedError

    @torch.inference_mode()
    def step(self, frame: Tensor, state: State | None = None) -> Any:
        """Logits (N, K) of the next frame (N, C, H, W) of every stream; with a ``state``, also the next state.

        A frame of other channels, size or number of streams than the last is a ModelError; with a ``state`` of your
        own, a frame of another size is one where a tensor of the state has that size.
        """
        if frame.dim() != 4 or frame.shape[1] != self.model.in_chans:
            raise ModelError(f"expected a frame (N, {self.model.in_chans}, H, W), got {tuple(frame.shape)}")
        given = self.state or {} if state is None else state
        streams = {len(value) for value in given.values()} - {len(frame)}
        if streams:
            raise ModelError(f"the state is of {streams.pop()} streams, the frame of {len(frame)}: reset() starts anew")
        if state is None and self.state and frame.shape[2:] != self.size:
            sizes = " x ".join(map(str, self.size)), " x ".join(map(str, frame.shape[2:]))
            raise ModelError("the frames before were {}, this one is {}: reset() starts anew".format(*sizes))
        try:
            with self.turn:
                logits, after = self.advance(frame, given)
        except RuntimeError as error:
            if given:
                what = one_line(error)
                raise ModelError(f"the frame does not go with those before it ({what}): reset() starts anew") from error
            raise
        if state is not None:
            return logits, after
        self.state, self.size = after, tuple(frame.shape[2:])
        return logits

    def initial_state(self, batch: int = 1, size: tuple[int, int] | None = None) -> State:
        """The state of ``batch`` streams before their first frame of ``size`` (H, W): zeros, named and shaped."""
        like = next(parameter for parameter in self.parameters() if parameter.is_floating_point())
        with torch.inference_mode():
            with self.turn:
                meta = copy_of(self).to("meta")
            frame = example_frames(meta.model, batch, size, self.model.in_chans)
            try:
                shapes = meta.advance(frame, {})[1]
            except (RuntimeError, NotImplementedError):  # it holds other tensors than its own, or looks at values
                with self.turn:
                    shapes = self.advance(torch.zeros(frame.shape, dtype=frame.dtype, device=like.device), {})[1]
        return {name: torch.zeros(value.shape, dtype=value.dtype, device=like.device) for name, value in shapes.items()}

    def reset(self, stream: int | None = None) -> None:
        """Forget what came before, in one of the streams or in all."""
        if stream is None or not self.state:
            self.state = None
            return
        streams = len(next(iter(self.state.values())))
        if not 0 <= stream < streams:
            raise ModelError(f"there is no stream {stream}: they are 0 to {streams - 1}")
        forgotten = torch.arange(streams) == stream
        self.state = {
            name: value.masked_fill(forgotten.to(value.device).view(-1, *[1] * (value.dim() - 1)), 0)
            for name, value in self.state.items()
        }


class CausalStream(Stream):
    """Every frame is computed once; the state holds what the temporal modules need of the frames before."""

    def __init__(self, model: ClipModel) -> None:
        super().__init__(model)
        self.turn = Turn()  # the modules hold the state of the frame that is computed
        model.num_segments = 1

    def advance(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """See ``Stream``: keys are "<module>|<what it keeps>"."""
        modules = {name: m for name, m in self.model.named_modules() if isinstance(m, TemporalModule)}
        for name, module in modules.items():
            mine = {key.partition("|")[2]: value for key, value in state.items() if key.partition("|")[0] == name}
            module.memory = Memory(mine, {})
        try:
            logits = logits_of(self.model.base_model(frame))
            after = dict(state)
            for name, module in modules.items():
                assert module.memory is not None
                after.update({f"{name}|{key}": value for key, value in module.memory.after.items()})
        finally:
            for module in modules.values():
                module.memory = None
        return logits, after


class SlidingStream(Stream):
    """Every step is a forward of the last T frames; before there are T, the first stands for those before it."""

    def advance(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """See ``Stream``: the state holds the frames, and which streams have begun."""
        first = frame[:, None].expand(-1, self.num_segments, -1, -1, -1)
        if not state:
            frames = first
        else:
            began = state["began"].view(-1, 1, 1, 1, 1) > 0
            frames = torch.where(began, torch.cat((state["frames"][:, 1:], frame[:, None]), dim=1), first)
        return self.model(frames), {"frames": frames, "began": torch.ones_like(frame[:, 0, 0, 0])}


def is_causal(model: nn.Module) -> bool:
    """Whether it is a clip model whose temporal modules, of which there is one at least, look into the past only.

    >>> import gesture_zoo
    >>> [is_causal(gesture_zoo.create_model(name)) for name in ("tsm_test_resnet_online", "tsn_test_resnet")]
    [True, False]
    """
    temporal = [module for module in model.modules() if isinstance(module, TemporalModule)]
    return isinstance(model, ClipModel) and bool(temporal) and all(module.causal for module in temporal)


def to_streaming(model: nn.Module) -> Stream:
    """A copy of ``model`` that takes frames one by one, in eval mode and without decoders.

    A causal model ("_online") streams its layers: an eighth of the work of an 8-frame clip for every frame, and the
    clip forward's own logits. Another model gets a sliding window of its T frames, a clip's work for every frame. A
    model that is no ClipModel and no VideoModel is a ModelError.

    >>> import gesture_zoo
    >>> stream = to_streaming(gesture_zoo.create_model("tsm_test_resnet_online", num_classes=5))
    >>> stream.step(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 5])
    >>> logits, state = stream.step(torch.zeros(1, 3, 64, 64), stream.initial_state(1, (64, 64)))
    >>> logits.shape
    torch.Size([1, 5])
    """
    bare = strip_msd(model) if isinstance(model, MSDModel) else model
    if not isinstance(bare, (ClipModel, VideoModel)):
        raise ModelError(
            f"to_streaming takes a ClipModel or a VideoModel (create_model, with_temporal), not a {type(bare).__name__}"
        )
    bare = copy_of(bare).eval()
    return (CausalStream if is_causal(bare) else SlidingStream)(bare).eval()
