"""Models of rendered gestures on real recordings: what is read, what is counted, and a run on made-up ones."""

from __future__ import annotations

import doctest
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from layouts import color, nvgesture_line, save_frames, save_video, write_isogd, write_nvgesture

import gesture_zoo
from gesture_zoo.data.nvgesture import CLASS_NAMES
from gesture_zoo.errors import DataError, GestureZooError
from gesture_zoo.labels import label_names
from gesture_zoo.live import Event

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import rendered_clips
import rendered_finetune
import rendered_real
import rendered_scores
import rendered_sheets
from rendered_answers import EVENTS, MAX, MEAN, Answered, decide
from rendered_clips import Mapped, Recording, find_recordings, read_classes, read_frame_ids
from rendered_finetune import few_shot
from rendered_scores import PAIRS, Alarms, Judged, best_of, direction, idle_spans, right_of, share

LABELS = label_names("rendered")
LEFT, RIGHT, UP = (LABELS.index(f"Swiping {way}") for way in ("Left", "Right", "Up"))


def event(label: str, start: float, end: float, score: float = 0.9) -> Event:
    return Event(label, score, start, end, detected=start + 0.1)


def judged(true: str, fit: str = "exact", said: str | None = None, **scores: float) -> Judged:
    values = np.zeros(len(LABELS))
    for name, score in scores.items():
        values[LABELS.index(f"Swiping {name}")] = score
    return Judged("clip", true, fit, values, said)


@pytest.mark.parametrize("module", [rendered_clips, rendered_finetune, rendered_scores, rendered_sheets])
def test_examples_in_the_scripts_are_right(module: object) -> None:
    assert doctest.testmod(module).failed == 0


def test_the_mapping_is_of_classes_that_both_have() -> None:
    classes = read_classes()
    assert set(classes) <= set(range(1, 26)) and {mapped.fit for mapped in classes.values()} == {"exact", "near"}
    assert {mapped.label for mapped in classes.values()} <= set(LABELS)
    for number, mapped in classes.items():
        name = CLASS_NAMES[number - 1]
        for way in ("left", "right", "up", "down"):
            if name.startswith(("move_", "push_hand_")) and name.endswith(f"_{way}"):
                assert mapped.label == f"Swiping {way.title()}", name
    counter = {n: m.label for n, m in classes.items() if "clockwise" in CLASS_NAMES[n - 1]}
    assert counter == {20: "Turning Hand Clockwise", 21: "Turning Hand Counterclockwise"}
    assert set(read_frame_ids().values()) <= set(classes)


def test_top1_among_some_classes_and_as_decided() -> None:
    clips = [
        judged("Swiping Left", said="Swiping Left", Left=0.6, Up=0.3),
        judged("Swiping Left", said=None, Left=0.2, Right=0.1, Up=0.7),
        judged("Swiping Right", said="Swiping Left", Left=0.6, Right=0.4),
    ]
    assert right_of(clips, LABELS, ["Swiping Left", "Swiping Right"]) == 2
    assert right_of(clips, LABELS, LABELS) == 1
    assert right_of(clips, LABELS, None) == 1
    assert best_of(clips[1].scores, LABELS, ["Swiping Left", "Swiping Right"]) == (
        "Swiping Left",
        pytest.approx(2 / 3, abs=1e-6),
    )
    assert best_of(np.zeros(16), LABELS, LABELS)[1] == 0


def test_direction_asks_of_two_classes_which() -> None:
    clips = [
        judged("Swiping Left", Left=0.2, Right=0.1, Up=0.7),
        judged("Swiping Right", Left=0.2, Right=0.1),
        judged("Swiping Up", Up=0.1),
    ]
    assert direction(clips, LABELS, PAIRS[0]) == (1, 2)
    assert direction(clips, LABELS, PAIRS[1]) == (1, 1)
    assert direction(clips, LABELS, PAIRS[2]) == (0, 0)


def test_a_share_has_wilsons_interval() -> None:
    assert share(0, 7) == "0 of 7: 0 % (0 to 35)"  # z^2 / (n + z^2) = 3.84 / 10.84
    assert share(7, 7) == "7 of 7: 100 % (65 to 100)"


def test_false_alarms_are_events_that_begin_where_there_is_no_gesture() -> None:
    spans = idle_spans(10.0, (4.0, 6.0), 0.5)
    assert spans == [(0.0, 3.5), (6.5, 10.0)]
    assert idle_spans(2.0, (0.0, 2.0), 0.5) == []
    alarms = Alarms()
    events = [event("a", 1, 2), event("b", 3.4, 5), event("a", 3.6, 5), event("a", 6.4, 8), event("a", 7, 8)]
    alarms.add(events, spans)
    alarms.add([event("a", 1, 2)], [])
    assert alarms.counts == {"a": 2, "b": 1} and (alarms.streams, alarms.seconds) == (1, 7.0)
    assert alarms.a_minute == pytest.approx(60 * 3 / 7) and alarms.of_class("b") == pytest.approx(60 / 7)
    assert Alarms().a_minute == 0 == Alarms().of_class("a")


def test_an_answer_is_of_the_window_alone() -> None:
    recording = Recording("nvgesture", "a", Path("a"), 30.0, 1, (30, 60), Mapped("Swiping Left", "exact"))
    times = np.arange(30) / 10
    logits, scores = np.zeros((30, 16)), np.zeros((30, 16))
    logits[:10, UP] = 9  # before the window
    logits[10:20, LEFT], logits[15, RIGHT] = 1, 5
    scores[12, LEFT], scores[5, UP] = 0.8, 1.0
    events = [
        event("Swiping Up", 0.2, 2.9, 1.0),
        event("Swiping Left", 1.2, 1.5, 0.8),
        event("Swiping Right", 1.8, 2, 0.7),
    ]
    ways = decide(Answered(times, logits, scores, events, 3.0, None), recording, LABELS)
    assert {way: decided.said for way, decided in ways.items()} == {
        EVENTS: "Swiping Left",
        MEAN: "Swiping Left",
        MAX: "Swiping Right",
    }
    assert ways[EVENTS].scores[LEFT] == 0.8 and ways[EVENTS].scores[UP] == 0
    assert ways[MEAN].scores.sum() == pytest.approx(1)
    quiet = decide(Answered(times, logits, scores, events[:1], 3.0, None), recording, LABELS)
    assert quiet[EVENTS].said is None, "an event that was on before the window is no answer to it"


def test_few_shot_parts_share_no_clip_and_follow_the_seed() -> None:
    numbers = [3, 3, 3, 4, 4, 9, 0, 0]
    train, test = few_shot(numbers, 1, seed=0)
    assert sorted(numbers[place] for place in train) == [3, 4]
    assert sorted(numbers[place] for place in test) == [3, 3, 4] and not set(train) & set(test)
    assert few_shot(numbers, 1, seed=0) == (train, test)
    assert few_shot(numbers, 5, seed=0) == ([], [])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Made-up recordings in the three layouts, with what is listed and absent."""
    root = tmp_path / "data"
    write_nvgesture(root / "nvgesture")
    extra = nvgesture_line("class_15/subject1_r0", 15) + nvgesture_line("class_03/absent", 3)
    save_video(color(40), root / "nvgesture" / "Video_data" / "class_15" / "subject1_r0" / "sk_wrapped.avi")
    with (root / "nvgesture" / "nvgesture_train_correct_cvpr2016_v2.lst").open("a") as file:
        file.write(extra)
    write_isogd(root / "isogd")
    for name in ("subject11_r0", "stranger"):
        save_frames(color(12), root / "nvgesture_frames" / "rgb" / name, first=0)
    return root


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = gesture_zoo.create_model("tsm_test_resnet_online", num_classes=16)
    model.pretrained_cfg.update(input_size=(3, 32, 32), frame_rate=10.0, label_names=LABELS)
    return gesture_zoo.save_pretrained(model, tmp_path / "checkpoint")


def test_what_is_there_of_any_list_is_taken(root: Path) -> None:
    found, notes = find_recordings(root)
    by_id = {recording.id: recording for recording in found}
    assert list(by_id) == [
        *("class_01/subject3_r0", "class_02/subject3_r1", "class_15/subject1_r0"),
        *("stranger", "subject11_r0"),
        *("train/001/M_00001", "train/001/M_00002", "valid/001/M_00001"),
    ]
    first = by_id["class_01/subject3_r0"]
    assert (first.number, first.window, first.rate, first.path.name) == (1, (2, 10), 30.0, "sk_color.avi")
    assert first.mapped == Mapped("Swiping Left", "exact") == by_id["subject11_r0"].mapped
    assert by_id["class_15/subject1_r0"].path.name == "sk_wrapped.avi"
    assert by_id["class_15/subject1_r0"].mapped is None is by_id["stranger"].mapped
    assert [by_id[f"{split}/001/M_00001"].number for split in ("train", "valid")] == [26, 0]
    assert "1 listed ones absent" in notes[0]
    warped, _ = find_recordings(root, color="sk_wrapped", lists="v1", only=["nvgesture"])
    assert {recording.path.name for recording in warped} == {"sk_wrapped.avi"}
    with pytest.raises(DataError, match="holds no recordings"):
        find_recordings(root / "nowhere")


def run(main: object, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["script.py", *map(str, arguments)])
    main()  # type: ignore[operator]


def test_from_recordings_to_results(
    root: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "isogd" / "train" / "001" / "M_00002.avi").write_bytes(b"no video")
    out, sheets = tmp_path / "results.md", tmp_path / "sheets"
    options = ("--data", root, "--out", out, "--on", 0.01, "--off", 0.01, "--min-frames", 1)
    run(rendered_real.main, monkeypatch, "--model", checkpoint, *options, "--sheets", sheets)
    text = out.read_text()
    assert str(tmp_path) not in text
    assert " of 2: " in text, "two recordings are of a class of ours"
    assert "| nvgesture | class_01/subject3_r0 | 1 | Swiping Left (exact) | " in text
    assert "| nvgesture | class_15/subject1_r0 | 15 | - | " in text
    assert "| isogd | train/001/M_00001 | 26 | " in text
    assert "Not read: isogd train/001/M_00002" in text
    assert "isogd_train_001_M_00001.png" in {path.name for path in sheets.iterdir()}


def test_a_clip_model_is_also_asked_for_the_window_as_one_clip(
    root: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    online = gesture_zoo.create_model(f"local-dir:{checkpoint}")
    model = gesture_zoo.create_model("tsm_test_resnet", num_classes=16)
    model.pretrained_cfg.update(
        {key: online.pretrained_cfg[key] for key in ("input_size", "frame_rate", "label_names")}
    )
    folder, out = gesture_zoo.save_pretrained(model, tmp_path / "clip"), tmp_path / "results.md"
    run(rendered_real.main, monkeypatch, "--model", folder, "--data", root, "--only", "nvgesture", "--out", out)
    assert "| events | mean of logits | max of logits | the window as a clip |" in out.read_text()


def test_what_cannot_be_done_is_said(root: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = Path(rendered_real.__file__).parent / "sheets"
    with pytest.raises(SystemExit, match="name a folder outside the repository"):
        run(rendered_real.main, monkeypatch, "--model", checkpoint, "--data", root, "--sheets", inside)
    assert not inside.exists()
    with pytest.raises(SystemExit, match="holds no recordings"):
        run(rendered_real.main, monkeypatch, "--model", checkpoint, "--data", root / "isogd")
    with pytest.raises(GestureZooError, match="outside"):
        rendered_sheets.sheets_folder(inside / ".." / "x")


def test_fine_tuning_from_two_starts(
    root: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = []
    for number, label in ((3, 1), (4, 1), (5, 2), (6, 2), (7, 2)):
        save_video(color(9), root / "isogd" / "train" / "001" / f"M_{number:05d}.avi")
        lines.append(f"train/001/M_{number:05d}.avi train/001/K_{number:05d}.avi {label}\n")
    (root / "isogd" / "train_list.txt").write_text("".join(lines))
    out = tmp_path / "results.md"
    options = ("--shots", 1, 5, "--seeds", 2, "--epochs", 1, "--batch-size", 2, "--out", out)
    run(rendered_finetune.main, monkeypatch, "--model", checkpoint, "--data", root, *options)
    text = out.read_text()
    assert "| 1 | 2 | 2 | 3 | 50.0 | " in text and "| 5 | 0 | - | - | - | - | - | - |" in text
    assert str(tmp_path) not in text
