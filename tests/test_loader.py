"""Clips that cannot be read: named, counted, replaced in training, and never missing from an evaluation in silence."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import IterableDataset

from gesture_zoo.data import ClipSample
from gesture_zoo.engine import Recipe, evaluate, make_loader
from gesture_zoo.engine.guarded import Guarded
from gesture_zoo.engine.trainer import Trainer
from gesture_zoo.errors import DataError, ModelError


def sample(index: int, views: int | None = None) -> ClipSample:
    shape = (2, 3, 4, 4) if views is None else (views, 2, 3, 4, 4)
    return ClipSample(torch.full(shape, float(index)), None, None, index % 3, f"clip{index}")


class Clips:
    """Ten clips, some of which cannot be read."""

    def __init__(self, bad: tuple[int, ...] = (), error: type[Exception] = DataError, size: int = 10) -> None:
        self.bad = bad
        self.error = error
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> ClipSample:
        if index in self.bad:
            raise self.error(f"clip{index}.avi is truncated")
        return sample(index)


class Stream(IterableDataset[Any]):
    """The same clips as a stream, which ends with an error where it is told to."""

    def __init__(self, bad: tuple[int, ...] = (), *, broken: bool = False) -> None:
        self.bad = bad
        self.broken = broken
        self.epoch = 0

    def __len__(self) -> int:
        return 10

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[ClipSample | DataError]:
        for index in range(10):
            if self.broken and index == 7:
                raise DataError("shard-000001.tar is missing")
            yield DataError(f"clip{index} is damaged") if index in self.bad else sample(index)


class Answer(nn.Module):
    """Class 0, unless the frames are brighter than 3."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.full((len(frames),), 3.0), frames.mean((1, 2, 3, 4)), torch.zeros(len(frames))], 1)


@pytest.mark.parametrize("workers", [0, 2])
def test_training_replaces_what_it_cannot_read(workers: int, caplog: pytest.LogCaptureFixture) -> None:
    loader = make_loader(Clips(bad=(2, 5)), 4, workers=workers, training=True)
    with caplog.at_level(logging.WARNING, logger="gesture_zoo"):
        for _ in range(2):
            ids = [i for batch in loader for i in batch.ids]
            assert len(ids) == 10
            assert not {"clip2", "clip5"} & set(ids)
    assert set(loader.bad) == {"clip2.avi is truncated", "clip5.avi is truncated"}
    assert sorted(record.message for record in caplog.records) == [
        "replaced by another: clip2.avi is truncated",
        "replaced by another: clip5.avi is truncated",
    ]


def test_training_gives_up_where_nothing_can_be_read() -> None:
    with pytest.raises(DataError, match="21 clips in a row cannot be read, the last: clip"):
        list(make_loader(Clips(bad=tuple(range(30)), size=30), 4, workers=0, training=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_never_leaves_a_clip_out_in_silence(workers: int) -> None:
    data = Clips(bad=(4,))
    with pytest.raises(DataError, match="clip4.avi is truncated"):
        evaluate(Answer(), make_loader(data, 3, workers=workers))
    accuracy = evaluate(Answer(), make_loader(data, 3, workers=workers, on_error="skip"))
    assert accuracy.count == 9
    assert accuracy.skipped == ("clip4.avi is truncated",)
    assert evaluate(Answer(), make_loader(Clips(), 3, workers=workers)).skipped == ()


def test_a_batch_of_bad_clips_is_no_batch() -> None:
    loader = make_loader(Clips(bad=(0, 1)), 2, workers=0, on_error="skip")
    assert [len(batch.ids) for batch in loader] == [2, 2, 2, 2]


class Killer(Answer):
    """Kills a process that reads clips, as a system does that has no memory left."""

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)
        time.sleep(20)  # torch tells of it as soon as it knows
        return super().forward(frames)


def test_a_reader_that_dies_is_named_wherever_that_shows() -> None:
    with pytest.raises(DataError, match=r"a process that reads clips died: DataLoader worker .*fewer workers"):
        evaluate(Killer(), make_loader(Clips(), 2, workers=2))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_reader_that_raises_is_not_one_that_died(workers: int) -> None:
    with pytest.raises(RuntimeError, match=r"clip4.avi is truncated"):
        list(make_loader(Clips(bad=(4,), error=RuntimeError), 3, workers=workers))


def test_errors_of_another_kind_are_never_skipped() -> None:
    with pytest.raises(ModelError, match="clip4"):
        list(make_loader(Clips(bad=(4,), error=ModelError), 3, workers=0, on_error="skip"))
    with pytest.raises(KeyError):
        list(make_loader(Clips(bad=(4,), error=KeyError), 3, workers=0, on_error="skip"))


def test_a_clip_without_a_label_cannot_be_evaluated() -> None:
    clips = [sample(0), sample(1)._replace(label=-1)]
    with pytest.raises(DataError, match="clip clip1 has no label"):
        evaluate(Answer(), make_loader(clips, 2, workers=0))


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class_is_told_with_its_clip(label: int) -> None:
    clips = [sample(0), sample(1)._replace(label=label), sample(2)]
    trainer = Trainer(Answer(), make_loader(clips, 3, workers=0, training=True), Recipe())
    with pytest.raises(DataError, match=f"clip clip1 has label {label}, the model knows 3 classes, from 0"):
        trainer.run_epoch(lambda step: True)


def test_views_are_averaged_after_the_softmax() -> None:
    clip = sample(0, views=3)
    clip.frames[0] = 30.0  # one view of three is very sure of class 1
    accuracy = evaluate(Answer(), make_loader([clip], 1, workers=0))
    # Logits averaged before the softmax would follow that one view.
    assert accuracy.top1 == 1.0


@pytest.mark.parametrize("workers", [0, 1])
def test_streams(workers: int) -> None:
    loader = make_loader(Stream(), 4, workers=workers)
    assert len(loader) == 3
    assert [batch.ids for batch in loader][2] == ["clip8", "clip9"]
    loader = make_loader(Stream(bad=(1,)), 4, workers=workers, training=True)
    assert [len(batch.ids) for batch in loader] == [4, 4, 1]
    assert list(loader.bad) == ["clip1 is damaged"]
    with pytest.raises(DataError, match="clip1 is damaged"):
        list(make_loader(Stream(bad=(1,)), 4, workers=workers))
    loader = make_loader(Stream(), 3, workers=workers, training=True)
    assert [len(batch.ids) for batch in loader] == [3, 3, 3], "no last batch of one"
    with pytest.raises(DataError, match="shard-000001.tar is missing"):
        list(make_loader(Stream(broken=True), 4, workers=workers, training=True))
    loader.set_epoch(3)
    assert loader.loader.dataset.dataset.epoch == 3


def test_a_process_of_several_whose_stream_holds_nothing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gesture_zoo.engine.loader.world_size", lambda: 2)
    some = make_loader(Stream(bad=(0, 1, 2, 3, 4, 5, 6)), 2, workers=0, training=True)
    assert [len(batch.ids) for batch in some] == [2] * 5, "the stream begins again"
    with pytest.raises(DataError, match="process 0 can read no clip of its share of the stream, the last: clip9 is"):
        list(make_loader(Stream(bad=tuple(range(10))), 4, workers=0, training=True))


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(DataError, match="there are no clips to load"):
        make_loader([], 4, workers=0)
    with pytest.raises(ModelError, match="on_error is one of raise, replace, skip, not 'ignore'"):
        make_loader(Clips(), 4, workers=0, on_error="ignore")


def test_a_split_of_as_many_clips_as_the_stride_replaces_too() -> None:
    loaded = Guarded(Clips(bad=(5,), size=7919), replace=True, seed=0).load(5)
    assert loaded.sample is not None and len(loaded.faults) == 1
