"""What MODEL_CARDS.md says of the weights that learned from rendered gestures, from made-up results."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gesture_zoo import packaged, registry
from gesture_zoo.cards import rendered_weights
from gesture_zoo.cards.catalogue import model_rows
from gesture_zoo.cards.overview import overview
from gesture_zoo.cards.rendered_weights import NEVER, NOT_MEASURED, rendered_weights_section
from gesture_zoo.errors import GestureZooError, WeightsError
from gesture_zoo.labels import label_names
from gesture_zoo.live import Event
from gesture_zoo.models.rendered import rendered_cfg
from gesture_zoo.packaged import FOLDER
from gesture_zoo.render.classes import CONVENTIONS
from gesture_zoo.runtime import ModelInfo

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from rendered_answers import Answered
from rendered_clips import Mapped, Recording, read_classes
from rendered_real import Report, describe

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
ARCHITECTURE = "tsm_test_resnet_online"
TAG = f"{ARCHITECTURE}.standin"
NAMES = [ARCHITECTURE, f"{ARCHITECTURE}_msd"]
LABELS = label_names("rendered")
INFO = ModelInfo(
    architecture=ARCHITECTURE,
    labels=LABELS,
    input_size=(3, 112, 112),
    mean=(0.5,) * 3,
    std=(0.5,) * 3,
    interpolation="bilinear",
    crop_pct=1.0,
    num_segments=8,
    frame_rate=10.0,
    kind="stream",
)
Clip = tuple[str, str, str | None]  # true class, answer among the mapped, event
LEFT, RIGHT, THUMB = "Swiping Left", "Swiping Right", "Thumb Up"
SWIPES: list[Clip] = [
    (LEFT, LEFT, LEFT), (LEFT, LEFT, None), (LEFT, RIGHT, RIGHT), (LEFT, LEFT, LEFT),
    (RIGHT, RIGHT, RIGHT), (RIGHT, LEFT, None), (RIGHT, RIGHT, "Stop Sign"),
]  # fmt: skip


def answered(seconds: float, answer: str, event: str | None, others: int = 0) -> Answered:
    """A recording whose frames all say the same, with an event in its window of one to two seconds, others after it."""
    times = np.arange(int(10 * seconds)) / 10
    scores = np.full((len(times), len(LABELS)), 0.01)
    scores[:, LABELS.index(answer)] = 0.8
    events = [Event(event, 0.9, 1.2, 1.8, detected=1.3)] * (event is not None)
    events += [Event("Shaking Hand", 0.9, 5.0 + i, 5.5 + i, detected=5.2 + i) for i in range(others)]
    return Answered(times, np.log(scores), scores, events, seconds, None)


def results(clips: Sequence[Clip], *, isogd: tuple[float, int] | None = None, beside: int = 0) -> str:
    """What rendered_real.py writes below its head: clips of two people, `beside` events after the first of them."""
    report = Report(INFO, {mapped.label for mapped in read_classes().values()}, 0.5)
    for number, (true, answer, event) in enumerate(clips):
        recording = Recording(
            "nvgesture", f"subject{number % 2 + 3}_r{number}", Path("a"), 30.0, 1, (30, 60), Mapped(true, "exact")
        )
        report.add(recording, answered(33.0, answer, event, beside if number == 0 else 0))
    if isogd is not None:
        recording = Recording("isogd", "M_1", Path("a"), 10.0, 1, None, None)
        report.add(recording, answered(isogd[0], THUMB, None, isogd[1]))
    return f"{describe(INFO, {})}\n\n{report.text()}\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a results file, of the tag unless ``model`` is something else; the folder."""

    def write(text: str, *, name: str = "rendered_real.md", model: str = TAG) -> Path:
        head = f"Command: `python benchmarks/rendered_real.py --model {model} --data FOLDER`, commit abc1234.\nA CPU.\n"
        (tmp_path / name).write_text(f"{head}\n{text}")
        return tmp_path

    return write


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a package with a file of 1.5 MB and its row, for the model and for its twin."""
    folder = tmp_path / FOLDER
    folder.mkdir()
    (folder / f"{TAG}.safetensors").write_bytes(bytes(1_500_000))
    monkeypatch.setattr(packaged, "files", lambda package: tmp_path)
    cfg = rendered_cfg(f"{TAG}.safetensors", side=112, num_segments=8, frame_rate=10)
    for name in NAMES:
        cfgs = registry.get_entry(name).cfgs
        monkeypatch.setitem(cfgs, "standin", replace(cfg, architecture=name, tag="standin"))
    return folder


@pytest.fixture(autouse=True)
def without_real_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the stand-in is in the package."""
    for name in NAMES:
        monkeypatch.delitem(registry.get_entry(name).cfgs, "rendered", raising=False)


def section(folder: Path) -> str:
    return "\n\n".join(rendered_weights_section(model_rows(NAMES), folder))


def test_no_weights_no_section(tmp_path: Path) -> None:
    assert rendered_weights_section(model_rows(NAMES), tmp_path) == []


def test_the_overview_has_the_section_once_there_are_weights(package: Path) -> None:
    folder = package.parent / "results"
    shutil.copytree(RESULTS, folder, ignore=shutil.ignore_patterns("rendered_*"))
    text = overview(folder, NAMES)
    assert text.count("## Weights learned from rendered gestures") == 1
    assert text.count(f"### `{TAG}`") == 1, "the twin has the same file"
    assert NOT_MEASURED in text
    assert text.index("\n## Weights\n") < text.index(NOT_MEASURED) < text.index("\n## Accuracy\n")


def test_what_they_are(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = section(package)
    assert "10 frames a second of 112 x 112 pixels, with one of 16 [classes](#their-classes). 1.5 MB. " in text
    assert "Licence: apache-2.0." in text and "where no model is named" not in text
    assert all(f"| {name} | {does} |" in text for name, does in CONVENTIONS.items())
    (package / f"{TAG}.onnx").write_bytes(bytes(2_800_000))
    monkeypatch.setattr(rendered_weights, "DEFAULT_MODEL", TAG)
    text = section(package)
    assert "1.5 MB, and 2.8 MB more as the streaming ONNX file of `gesture-zoo web`." in text
    assert "what `predict` and `web` use where no model is named" in text


def test_a_file_that_is_missing_is_an_error(package: Path) -> None:
    (package / f"{TAG}.safetensors").unlink()
    with pytest.raises(WeightsError, match="is missing from the installed gesture_zoo"):
        section(package)


def test_not_measured_is_said(package: Path) -> None:
    text = section(package)
    assert NOT_MEASURED in text and "anything but a first try, until it is measured" in text
    assert all(f"- {use}" in text for use in NEVER)
    assert "How it was trained: not written down yet." in text
    assert "guessing" not in text


def test_measured_limits_in_words(package: Path, write: Callable[..., Path]) -> None:
    text = section(write(results([*SWIPES, (THUMB, THUMB, THUMB)], isogd=(120.0, 3), beside=2)))
    assert "Tested on 8 real recordings of its gestures, by 2 people" in text
    assert "[`rendered_real.md`](benchmarks/results/rendered_real.md), commit abc1234. Where" in text
    assert (
        "Of 8 real gestures it picked the right one out of 12 in 6 (75 %; the true share may be anywhere between 41 "
        'and 93 %; guessing reaches 8 %, always saying "Swiping Left" 50 %): not shown to be better than guessing.'
        in text
    )
    assert "as in use, it was right in 4 of 8 (50 %; the true share may be anywhere between 22 and 78 %)." in text
    assert (
        "Swiping Left or Swiping Right: of 7 real recordings it told in 5 which it was (71 %; the true share may be "
        'anywhere between 36 and 92 %; guessing reaches 50 %, always saying "Swiping Left" 57 %): '
        "not shown to be better than guessing." in text
    )
    assert "Swiping Up or Swiping Down: not measured, no recording was of either." in text
    # 8 recordings of 33 s without the window and its margins; Byar's interval of 2 events is 0.2 to 7.2.
    assert "In 4.1 minutes of people before and after their gesture it raised 2 false alarms (0.5 a minute;" in text
    assert "In 2 minutes of people doing other things" in text
    assert "it raised 3 false alarms (1.5 a minute; the true rate may be anywhere between 0.3 and 4.4)." in text
    assert "False alarms with people making gestures it does not know: not measured." in text
    assert "| events | 6 of 8: 75 % (41 to 93) |" in text and 'of "events", which is how the commands answer' in text
    assert NOT_MEASURED not in text and "may hold other weights" not in text


def test_what_not_to_use_them_for_follows_from_the_results(package: Path, write: Callable[..., Path]) -> None:
    text = section(write(results(SWIPES, isogd=(120.0, 3))))
    uses = text.partition("**Do not use it for**")[2].partition("###")[0]
    assert "- telling Swiping Left from Swiping Right: not shown to be better than guessing" in uses
    assert "- telling Swiping Up from Swiping Down: not measured" in uses
    assert "Thumb Down and Stop Sign, without a test of your own" in uses and "Thumb Up, " in uses
    assert "No gesture" not in uses, "is no gesture"
    assert "up to 1.5 false alarms a minute" in uses and "- telling its gestures from one another: not shown" in uses
    right: list[Clip] = [(LEFT, LEFT, LEFT), (RIGHT, RIGHT, RIGHT)] * 6
    uses = section(write(results(right, isogd=(120.0, 1)))).partition("**Do not use it for**")[2]
    assert "telling Swiping Left" not in uses and "telling its gestures" not in uses and "alarms a minute" not in uses
    assert all(f"- {use}" in uses for use in NEVER)
    wrong: list[Clip] = [(LEFT, RIGHT, None), (RIGHT, LEFT, None)] * 6
    text = section(write(results(wrong)))
    assert "- telling Swiping Left from Swiping Right: worse than guessing" in text


def test_always_the_same_answer_is_not_called_better_than_guessing(package: Path, write: Callable[..., Path]) -> None:
    """Where most recordings are of one class, a model that knows only that class has a high share."""
    text = section(write(results([(LEFT, LEFT, LEFT)] * 18 + [(RIGHT, LEFT, None)] * 2)))
    assert "it told in 18 which it was (90 %; the true share may be anywhere between 70 and 97 %;" in text
    assert 'guessing reaches 50 %, always saying "Swiping Left" 90 %): not shown to be better than guessing.' in text
    assert "**Do not use it for**" in text and "- telling Swiping Left from Swiping Right: not shown" in text


def test_results_without_a_gesture_are_no_accuracy(package: Path, write: Callable[..., Path]) -> None:
    text = section(write(results([], isogd=(60.0, 0))))
    assert "Tested on 0 real recordings of its gestures, and" in text
    assert "Which gesture: not measured" in text and "- telling its gestures from one another: not measured" in text
    assert "it raised 0 false alarms (0 a minute; the true rate may be anywhere between 0.0 and 3.7)." in text


@pytest.mark.parametrize(
    ("model", "measured", "doubted"),
    [
        (TAG, True, False),
        (f"gesture_zoo/rendered_weights/{TAG}.onnx", True, False),
        ("FILE.onnx", True, True),
        ("runs/mine", True, True),
        (f"{ARCHITECTURE}.another", False, False),
    ],
)
def test_results_are_of_the_weights_they_name(
    package: Path,
    write: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    measured: bool,
    doubted: bool,
) -> None:
    cfgs = registry.get_entry(ARCHITECTURE).cfgs
    (package / "another.safetensors").write_bytes(b"1")
    monkeypatch.setitem(cfgs, "another", replace(cfgs["standin"], file="package:another.safetensors"))
    text = section(write(results(SWIPES), model=model)).partition(f"### `{TAG}`")[2].partition("\n### ")[0]
    assert (NOT_MEASURED not in text, "may hold other weights than these" in text) == (measured, doubted)


def test_results_of_another_network_are_not_theirs(package: Path, write: Callable[..., Path]) -> None:
    text = results(SWIPES).replace(ARCHITECTURE, "tsm_mobilenetv2_050_online")
    folder = write(text, model="FOLDER", name="rendered_real_other.md")
    assert NOT_MEASURED in section(folder)
    write(results(SWIPES))
    assert "rendered_real.md" in section(folder) and "rendered_real_other.md" not in section(folder)


def test_how_they_were_trained_is_quoted(package: Path, tmp_path: Path) -> None:
    file = tmp_path / "rendered_training.md"
    head = "Command: `python benchmarks/rendered_training.py train --steps 10`, commit def5678.\nA CPU.\n\n"
    origin = "From [`rendered_training.md`](benchmarks/results/rendered_training.md), commit def5678."
    file.write_text(f"{head}Ten steps on\none core.\n\n| step | loss |\n|---|---|\n| 10 | 2.5 |\n\nNo more.\n")
    assert f"How it was trained: Ten steps on one core.\n\nNo more.\n\n{origin}" in section(tmp_path)
    file.write_text(f"{head}## `other.tag`\n\nElsewhere.\n\n## `{TAG}`\n\nHere.\n")
    assert f"How it was trained: Here.\n\n{origin}" in section(tmp_path) and "Elsewhere" not in section(tmp_path)
    file.write_text(f"{head}## `other.tag`\n\nElsewhere.\n")
    assert "How it was trained: not written down yet." in section(tmp_path)


def test_what_they_are_worth_as_a_start(package: Path, tmp_path: Path) -> None:
    rows = "| clips a class | chance | these weights |\n|---|---|---|\n| 1 | 2.0 | 4.2 ± 1.0 |\n| 5 | 0 | - |\n"
    for model, told in (("other.tag", False), (TAG, True)):
        head = f"Command: `python benchmarks/rendered_finetune.py --model {model} --data FOLDER`, commit abc."
        (tmp_path / "rendered_finetune.md").write_text(f"{head}\nA CPU.\n\nisogd, top-1 in %.\n\n{rows}")
        text = section(tmp_path)
        assert (
            ("**As a start**" in text) == ("isogd, top-1 in %." in text) == ("| 1 | 2.0 | 4.2 ± 1.0 |" in text) == told
        )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("| answer by | of 12 mapped |", "| answer by | top-1 |", "has no column 'of N mapped' beside 'exact'"),
        ("| a minute |", "| rate |", "has no table with a column 'a minute'"),
        ("| 5 of 7: 71 % (36 to 92) |", "| 5 of 7: 71 % |", "expected a number with its interval"),
    ],
)
def test_results_of_another_form_are_an_error(
    package: Path, write: Callable[..., Path], old: str, new: str, message: str
) -> None:
    text = results(SWIPES)
    assert old in text
    with pytest.raises(GestureZooError, match=re.escape(message)):
        section(write(text.replace(old, new)))
