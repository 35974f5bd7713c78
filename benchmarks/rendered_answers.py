"""What a model says to a real recording, frame by frame and, of a clip model, to its window as one clip."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rendered_clips import Recording, frames_of

import gesture_zoo
from gesture_zoo.errors import DataError
from gesture_zoo.live import Event, EventDetector, Recogniser
from gesture_zoo.live.clip import as_clip, middle_frames, probabilities
from gesture_zoo.runtime import Runner, open_exported
from gesture_zoo.runtime.files import FORMATS
from gesture_zoo.runtime.torch_runner import TorchRunner

EVENTS, MEAN, MAX, CLIP = "events", "mean of logits", "max of logits", "the window as a clip"


class Decided(NamedTuple):
    """One way's answer: a score in [0, 1] for every class (K,), and the label it decides on, None for no gesture."""

    scores: np.ndarray
    said: str | None


class Answered(NamedTuple):
    """Of the frames that the model saw: times (F,), logits (F, K) and smoothed scores (F, K); and of all, the events.

    ``seconds`` is how long the recording is; ``clip`` the logits (K,) of a clip model's answer to the window.
    """

    times: np.ndarray
    logits: np.ndarray
    scores: np.ndarray
    events: list[Event]
    seconds: float
    clip: np.ndarray | None

    def event_in(self, start: float, end: float) -> Event | None:
        """The event with the highest score of those that begin in a span of seconds."""
        begun = [event for event in self.events if start <= event.start < end]
        return max(begun, key=lambda event: event.score, default=None)


class Kept(Runner):
    """A runner that remembers its logits."""

    def __init__(self, runner: Runner) -> None:
        super().__init__(runner.info)
        self.runner = runner
        self.logits: list[np.ndarray] = []

    def step(self, frame: np.ndarray) -> np.ndarray:
        self.logits.append(self.runner.step(frame)[0])
        return self.logits[-1][None]

    def reset(self) -> None:
        super().reset()
        self.runner.reset()
        self.logits = []


def open_model(name: str) -> Runner:
    """The model of a name with a tag, of a folder that ``train`` wrote, or of an exported file."""
    if Path(name).suffix.lower() in FORMATS:
        return open_exported(name)
    model: Any = gesture_zoo.create_model(f"local-dir:{name}" if Path(name).is_dir() else name, pretrained=True)
    return TorchRunner(model.eval())


def answer(runner: Runner, recording: Recording, **detector: Any) -> Answered:
    """Stream a recording from its first frame to its last; then, of a clip model, ask for its window.

    ``detector``: parameters of the ``EventDetector``.
    """
    kept = Kept(runner)
    recogniser = Recogniser(kept, EventDetector(runner.info.labels, **detector))
    first, last = recording.window or (0, 0)
    wanted = [first + place for place in middle_frames(max(1, last - first), runner.info.num_segments)]
    whole = runner.info.kind == "clip" and recording.window is not None
    seen, events, chosen, rgb = [], [], {}, None
    for number, (time, rgb) in enumerate(frames_of(recording)):
        found = recogniser.see(rgb, time)
        if found is not None:
            seen.append(found)
            events += found.ended
        if whole and number in wanted:
            chosen[number] = rgb
    if rgb is None:
        raise DataError(f"{recording.path} has no frames")
    events += recogniser.flush()
    clip = None
    if whole:
        # A window may end a frame after its recording.
        frames = [chosen.get(place, rgb) for place in wanted]
        clip = runner.classify(as_clip(frames, runner.info))[0]
    return Answered(
        np.array([one.time for one in seen]),
        np.array(kept.logits),
        np.array([one.scores for one in seen]),
        events,
        (number + 1) / recording.rate,
        clip,
    )


def decide(
    answered: Answered, recording: Recording, labels: tuple[str, ...], *, margin: float = 0.5
) -> dict[str, Decided]:
    """The answers to a recording's window, by the way they are found.

    Events: the label of the one with the highest score among those that begin in the window or up to ``margin`` seconds
    before it (one that was on already is no answer to it); for every class the highest smoothed score in it. Mean and
    max: of the logits of the frames in it. Of a clip model also its answer to the window as one clip of T frames.
    """
    assert recording.window is not None
    start, end = (frame / recording.rate for frame in recording.window)
    inside = (answered.times >= start) & (answered.times < end)
    if not inside.any():
        raise DataError(f"{recording.path}: no frame was seen in its window of {start:.2f} to {end:.2f} s")
    found = answered.event_in(start - margin, end)
    ways = {EVENTS: Decided(answered.scores[inside].max(0), found.label if found else None)}
    logits = {MEAN: answered.logits[inside].mean(0), MAX: answered.logits[inside].max(0)}
    if answered.clip is not None:
        logits[CLIP] = answered.clip
    for way, values in logits.items():
        ways[way] = Decided(probabilities(values), labels[int(values.argmax())])
    return ways
