"""Contact sheets of recordings with what a model said to them over time: for eyes only, people can be recognised."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rendered_answers import Answered
from rendered_clips import Recording, frames_of

from gesture_zoo.errors import GestureZooError

REPOSITORY = Path(__file__).resolve().parents[1]
COLUMNS, CURVES = 12, 4


def sheets_folder(folder: Path) -> Path:
    """The folder, made if need be; one inside the repository is a GestureZooError.

    >>> sheets_folder(Path(__file__).parent / "sheets")
    Traceback (most recent call last):
    gesture_zoo.errors.GestureZooError: contact sheets show people: name a folder outside the repository
    """
    if folder.resolve().is_relative_to(REPOSITORY):
        raise GestureZooError("contact sheets show people: name a folder outside the repository")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def thumbnails(recording: Recording, times: np.ndarray) -> Iterator[np.ndarray]:
    """The frames of a recording that are nearest after the given times."""
    left = list(times)
    for time, rgb in frames_of(recording):
        while left and time >= left[0] - 1e-9:
            left.pop(0)
            yield rgb


def draw_sheet(recording: Recording, answered: Answered, labels: tuple[str, ...], title: str, folder: Path) -> Path:
    """Write a sheet: frames over the whole recording, and the smoothed scores of the highest classes below them.

    Of a marked window half a second before and after it is shown, and the window is grey. Returns the file.
    """
    span = (0.0, answered.seconds)
    if recording.window is not None:
        span = tuple(
            np.clip([recording.window[0] / recording.rate - 0.5, recording.window[1] / recording.rate + 0.5], *span)
        )
    edges = np.linspace(*span, COLUMNS + 1)
    pictures = list(
        thumbnails(recording, np.minimum((edges[:-1] + edges[1:]) / 2, answered.seconds - 1 / recording.rate))
    )
    figure = Figure(figsize=(18, 6))
    grid = figure.add_gridspec(2, COLUMNS, height_ratios=(1, 1.8), wspace=0.03)
    for column, rgb in enumerate(pictures):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(rgb)
        axes.axis("off")
    axes = figure.add_subplot(grid[1, :])
    highest = list(np.argsort(-answered.scores.max(0))[:CURVES])
    if recording.mapped is not None and recording.mapped.label in labels:
        highest = list(dict.fromkeys([labels.index(recording.mapped.label), *highest]))
    for place in highest:
        axes.plot(answered.times, answered.scores[:, place], label=labels[place])
    if recording.window is not None:
        axes.axvspan(*(frame / recording.rate for frame in recording.window), color="0.9")
    for event in answered.events:
        axes.hlines(1.02, event.start, event.end, linewidth=4, color="k")
        axes.text(max(event.start, span[0]), 1.05, event.label, fontsize=8, clip_on=True)
    axes.set(xlim=span, ylim=(0, 1.15), xlabel="seconds", ylabel="smoothed score")
    axes.legend(loc="center left", fontsize=8)
    figure.suptitle(title, fontsize=8)
    path = folder / f"{recording.dataset}_{recording.id.replace('/', '_')}.png"
    figure.savefig(path, dpi=80)
    return path
