"""Calibration of packaged online models on rendered streams: what is counted, chosen and put into the classifier."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from rendered_calibrate import (
    Change,
    Found,
    Quiet,
    Streams,
    answered,
    best,
    by_class,
    calibrate,
    main,
    search,
    tally_of,
    tried,
)

import gesture_zoo
from gesture_zoo.errors import ModelError
from gesture_zoo.render import CLASSES

LEFT, OTHER = CLASSES.index("Swiping Left"), CLASSES.index("Doing other things")


def tiny(name: str = "tsm_test_resnet_online"):
    model = gesture_zoo.create_model(name, num_classes=len(CLASSES), num_segments=4).eval()
    model.pretrained_cfg.update(label_names=CLASSES, frame_rate=8.0, input_size=(3, 32, 32))
    return model


def test_a_factor_makes_weak_gestures_events() -> None:
    classes = torch.tensor([[OTHER] * 4 + [LEFT] * 6 + [OTHER] * 4])
    logits = torch.zeros(1, 14, len(CLASSES))
    logits.scatter_(2, classes[..., None], 2.0)  # a probability of a third: below the detector's threshold
    streams = Streams(logits, classes, 8.0)
    assert tried(streams, streams, Change()).recall == 0
    found = tried(streams, streams, Change(4.0))
    assert (found.f1, found.recall, found.between.events) == (1.0, 1.0, 0)


def test_what_looks_like_a_gesture_elsewhere_is_a_false_event() -> None:
    classes = torch.full((1, 80), OTHER)
    classes[0, 60:70] = LEFT
    logits = torch.zeros(1, 80, len(CLASSES))
    logits[0, 10:20, LEFT] = 9.0
    busy = Streams(logits[:, :40], torch.full((1, 40), OTHER), 8.0)
    assert tried(Streams(logits, classes, 8.0), busy, Change()) == Found(
        Change(), 0.0, 0.0, Quiet(1, 68 / 8 / 60), Quiet(1, 5 / 60)
    )


@pytest.mark.parametrize(("late", "found"), [(0, 1.0), (1, 1.0), (2, 0.0)])
def test_an_answer_may_begin_just_after_a_gesture(late: int, found: float) -> None:
    classes = torch.full((1, 60), OTHER)
    classes[0, 20:26] = LEFT
    logits = torch.zeros(1, 60, len(CLASSES))
    logits[0, :, OTHER] = 4.0
    # The detector smooths: it lets a gesture count from its second frame.
    logits[0, 25 + late : 29 + late, LEFT] = 9.0
    tally = tally_of(Streams(logits, classes, 8.0), Change())
    assert (tally.f1, tally.elsewhere) == (found, int(not found))


@pytest.mark.parametrize("loud", [False, True])
def test_the_search_finds_the_best_of_all_changes(loud: bool) -> None:
    classes = torch.full((1, 2400), OTHER)
    classes[0, 10:20] = LEFT
    logits = torch.zeros(1, 2400, len(CLASSES))
    logits[..., OTHER] = 3.0
    logits[0, 10:20, LEFT] = 4.0
    other = torch.full((1, 2400), OTHER)
    unquiet = logits[:, torch.arange(2400) % 30] if loud else logits.roll(30, 1) * 0.9
    streams, busy = Streams(logits, classes, 8.0), Streams(unquiet, other, 8.0)
    changes = [Change(), Change(2.0), Change(4.0), Change(1.0, -2.0)]
    assert search(streams, busy, changes) == best([tried(streams, busy, change) for change in changes])


def test_every_gesture_is_counted_by_itself() -> None:
    push = CLASSES.index("Pushing Hand Away")
    classes = torch.full((1, 60), OTHER)
    classes[0, 5:15] = LEFT
    classes[0, 30:40] = push
    logits = torch.zeros(1, 60, len(CLASSES))
    logits[0, :, OTHER] = 4.0
    logits[0, 5:15, LEFT] = logits[0, 45:55, LEFT] = 9.0  # the push is not seen, and there is a swipe too many
    tallies = by_class(Streams(logits, classes, 8.0), Change())
    counts = {label: (tally.true, tally.matched, tally.detected) for label, tally in tallies.items() if tally.true}
    assert counts == {"Swiping Left": (1, 1, 2), "Pushing Hand Away": (1, 0, 0)}
    assert len(tallies) == 14


def test_the_best_is_quiet_in_both_kinds_of_streams_if_one_is() -> None:
    few, many = Quiet(2, 8.0), Quiet(8, 8.0)  # a rate of 1, but perhaps of 1.8
    loud, wrong = Found(Change(), 0.9, 0.9, Quiet(9, 8.0), few), Found(Change(), 0.8, 0.8, few, many)
    quiet, silent = Found(Change(2.0), 0.6, 0.5, few, few), Found(Change(4.0), 0.1, 0.1, Quiet(1, 8.0), Quiet(0, 8.0))
    assert best([loud, wrong, quiet, silent], most=1.0) == quiet
    assert best([loud, wrong, quiet, silent]) == silent, "a rate of 0.25 is at most 0.8"
    assert best([loud, wrong]) == wrong


def test_the_classifier_takes_them_in() -> None:
    model, frames = tiny(), torch.rand(1, 4, 3, 32, 32)
    before = model(frames)
    calibrate(model, Change(2.0, -0.5, -1.0))
    expected = 2 * before - torch.tensor([0.5] * 11 + [1.5] * 3 + [0.0] * 2)
    torch.testing.assert_close(model(frames), expected, rtol=1e-4, atol=1e-5)


def test_streams_are_answered_frame_by_frame() -> None:
    (streams,) = answered([tiny()], streams=2, seconds=1.0)
    assert streams.logits.shape == (2, 8, len(CLASSES)) and streams.classes.shape == (2, 8)
    busy, same = answered([tiny(), tiny()], streams=2, seconds=3.0, busy=True)
    assert torch.equal(busy.classes, same.classes)
    assert set(busy.classes.unique().tolist()) <= {CLASSES.index("No gesture"), OTHER}


def test_the_command_takes_the_best_of_several(tmp_path: Path) -> None:
    silent, other = tiny(), tiny()
    with torch.no_grad():
        silent.get_classifier().weight.zero_()
    for name, model in (("silent", silent), ("other", other)):
        gesture_zoo.save_pretrained(model, tmp_path / name)
    folders = [str(tmp_path / name) for name in ("other", "silent")]
    main([*folders, "--streams", "2", "--seconds", "3", "--out", str(tmp_path / "done")])
    done = gesture_zoo.create_model(f"local-dir:{tmp_path / 'done'}", pretrained=True)
    assert tuple(done.pretrained_cfg["label_names"]) == CLASSES and done.pretrained_cfg["frame_rate"] == 8.0
    text = (tmp_path / "done" / "calibration.md").read_text()
    assert all(part in text for part in ("| other, before |", "| silent, after |", "Taken: ", "| Stop Sign | "))


def test_another_model_is_refused(tmp_path: Path) -> None:
    gesture_zoo.save_pretrained(gesture_zoo.create_model("tsm_test_resnet_online", num_classes=3), tmp_path)
    with pytest.raises(ModelError, match="no model of the label set 'rendered'"):
        main([str(tmp_path), "--out", str(tmp_path / "done")])


def test_models_of_other_pictures_are_not_compared(tmp_path: Path) -> None:
    for name, rate in (("slow", 8.0), ("fast", 16.0)):
        model = tiny()
        model.pretrained_cfg["frame_rate"] = rate
        gesture_zoo.save_pretrained(model, tmp_path / name)
    with pytest.raises(ModelError, match=r"fast takes \(16.0, 32\) \(frames a second, size\), .*slow \(8.0, 32\)"):
        main([str(tmp_path / "slow"), str(tmp_path / "fast"), "--out", str(tmp_path / "done")])
