"""How the packaged networks are trained: what a frame may be taken for, and what rendered items become on the way."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from rendered_pool import Batch, Pool, augmented, render, write_shards
from rendered_training import NONE, OTHER, WARM_UP, allowed_classes, stream_loss

from gesture_zoo.errors import DataError
from gesture_zoo.render import CLASSES, MIRROR

LEFT, RIGHT = CLASSES.index("Swiping Left"), CLASSES.index("Swiping Right")
OPTIONS = {"streams": True, "count": 2, "frames": 6, "size": 32, "frame_rate": 8.0}


def stream(classes: list[int], stroke: list[float]) -> Batch:
    frames = torch.zeros(1, len(classes), 3, 4, 4, dtype=torch.uint8)
    depth = torch.zeros(1, len(classes), 1, 1, 1, dtype=torch.uint8)
    return Batch(frames, torch.tensor([classes]), torch.tensor([stroke]), depth, torch.tensor([-1]))


def test_what_a_frame_may_be_taken_for() -> None:
    classes = [NONE] * WARM_UP + [OTHER, LEFT, LEFT, OTHER, OTHER, OTHER]
    batch = stream(classes, [0.0] * (WARM_UP + 1) + [0.2, 0.8, 1.0, 1.0, 1.0])
    allowed = [set(row.nonzero().flatten().tolist()) for row in allowed_classes(batch, known_from=0.5, linger=2)[0]]
    everything = set(range(len(CLASSES)))
    assert allowed[:WARM_UP] == [everything] * WARM_UP, "too little past to be judged"
    assert allowed[WARM_UP:] == [
        {OTHER},  # the hand comes up
        {LEFT, NONE, OTHER},  # nothing can tell yet
        {LEFT},
        {OTHER, LEFT},  # the two frames after it may linger
        {OTHER, LEFT},
        {OTHER},
    ]


def test_the_loss_asks_for_an_allowed_class() -> None:
    batch = stream([NONE] * WARM_UP + [LEFT], [0.0] * WARM_UP + [0.9])
    right, wrong = (torch.zeros(1, WARM_UP + 1, len(CLASSES)) for _ in range(2))
    right[..., LEFT] = wrong[..., RIGHT] = 20.0
    assert stream_loss(right, batch, 0.5) < 1e-3 < 10 < stream_loss(wrong, batch, 0.5)


def test_shards_are_what_was_rendered_and_are_not_made_twice(tmp_path: Path) -> None:
    assert len(list(write_shards(tmp_path, range(2), **OPTIONS))) == 2
    assert list(write_shards(tmp_path, range(2), **OPTIONS)) == []
    pool = Pool(tmp_path)
    assert pool.refresh() == 4
    for name, seed in (("000000.safetensors", 0), ("000001.safetensors", 1)):
        for read, made in zip(pool.shards[name], render(seed, **OPTIONS), strict=True):
            assert torch.equal(read, made)


def test_a_pool_that_is_missing_or_mixed_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no pool .*pool --out"):
        Pool(tmp_path / "none")
    list(write_shards(tmp_path, range(1), **OPTIONS))
    list(write_shards(tmp_path, range(1, 2), **OPTIONS | {"frames": 4}))
    (tmp_path / ".000002.half.safetensors").touch()  # one that is being written
    with pytest.raises(DataError, match="000001.safetensors was rendered with .*'frames': '4'"):
        Pool(tmp_path).refresh()


def test_a_mirrored_item_has_mirrored_classes(tmp_path: Path) -> None:
    list(write_shards(tmp_path, range(1), **OPTIONS | {"streams": False}))
    pool = Pool(tmp_path)
    pool.refresh()
    shard, rng, seen = pool.shards["000000.safetensors"], random.Random(0), set()
    for _ in range(20):
        item = pool.sample(rng, 1)
        for original in range(len(shard.labels)):
            label = int(shard.labels[original])
            if torch.equal(item.frames[0], shard.frames[original]):
                assert (int(item.labels), item.classes.tolist()) == (label, [shard.classes[original].tolist()])
                seen.add("as it is")
            elif torch.equal(item.frames[0], shard.frames[original].flip(-1)):
                assert int(item.labels) == MIRROR[label]
                assert item.classes[0].tolist() == [MIRROR[known] for known in shard.classes[original].tolist()]
                assert torch.equal(item.depth[0], shard.depth[original].flip(-1))
                seen.add("mirrored")
    assert seen == {"as it is", "mirrored"}


def test_all_frames_of_an_item_are_changed_alike() -> None:
    picture = torch.randint(0, 256, (2, 1, 3, 16, 16), dtype=torch.uint8)
    changed = augmented(picture.expand(-1, 5, -1, -1, -1), np.random.default_rng(0))
    assert changed.min() >= 0 and changed.max() <= 1
    for t in range(1, 5):
        torch.testing.assert_close(changed[:, t], changed[:, 0])
    ways = [augmented(picture[:1].expand(2, -1, -1, -1, -1), np.random.default_rng(1))]
    assert not torch.allclose(ways[0][0], ways[0][1]), "every item in a way of its own"


@pytest.mark.parametrize("streams", [True, False])
def test_rendered_items(streams: bool) -> None:
    batch = render(3, **OPTIONS | {"streams": streams})
    assert batch.frames.shape == (2, 6, 3, 32, 32) and batch.depth.shape == (2, 6, 1, 8, 8)
    assert batch.depth.max() > 0
    assert (batch.labels == -1).all() if streams else ((batch.labels >= 0) & (batch.labels < len(CLASSES))).all()
