"""How the packaged networks are trained: what a frame may be taken for, and what rendered items become on the way."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from rendered_pool import Batch, Pool, augmented, hand_places, render, write_shards
from rendered_training import NONE, OTHER, WARM_UP, allowed_classes, main, stream_loss

import gesture_zoo
from gesture_zoo.errors import DataError
from gesture_zoo.render import CLASSES, MIRROR, MotionRanges, sample_scene

LEFT, RIGHT = CLASSES.index("Swiping Left"), CLASSES.index("Swiping Right")
OPTIONS = {"streams": True, "count": 2, "frames": 6, "size": 32, "frame_rate": 8.0}


def stream(classes: list[int], stroke: list[float]) -> Batch:
    frames = torch.zeros(1, len(classes), 3, 4, 4, dtype=torch.uint8)
    depth = torch.zeros(1, len(classes), 1, 1, 1, dtype=torch.uint8)
    hand = torch.zeros(1, len(classes), 2)
    return Batch(frames, torch.tensor([classes]), torch.tensor([stroke]), depth, hand, torch.tensor([-1]))


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


def marked(places: torch.Tensor) -> Batch:
    """Items with a bright spot in every frame, at places (N, T, 2) from -1 to 1."""
    (count, frames), side = places.shape[:2], 64
    axis = (torch.arange(side) + 0.5) / side * 2 - 1
    far = (axis - places[..., :1, None]) ** 2 + (axis[:, None] - places[..., 1:, None]) ** 2
    spot = (255 * torch.exp(-far / 0.01)).to(torch.uint8)[:, :, None]
    classes = torch.zeros(count, frames, dtype=torch.long)
    return Batch(spot.expand(-1, -1, 3, -1, -1), classes, classes.float(), spot, places, classes[:, 0])


def test_pictures_depth_and_hand_places_move_together() -> None:
    places = torch.rand(6, 3, 2, generator=torch.Generator().manual_seed(0)) - 0.5
    frames, depth, hand = augmented(marked(places), np.random.default_rng(0))
    assert not torch.allclose(hand, places, atol=0.02)
    for maps in (frames[:, :, :1], depth):
        best = maps.flatten(2).argmax(-1)
        found = torch.stack((best % 64, best // 64), -1) / 32 - 1 + 1 / 64
        torch.testing.assert_close(found, hand, rtol=0, atol=0.05)


def test_all_frames_of_an_item_are_changed_alike_and_items_are_not() -> None:
    frames, _, hand = augmented(marked(torch.full((2, 5, 2), 0.3)), np.random.default_rng(0))
    assert frames.min() >= 0 and frames.max() <= 1
    for t in range(1, 5):
        torch.testing.assert_close(frames[:, t], frames[:, 0])
    assert not torch.allclose(frames[0], frames[1]) and not torch.allclose(hand[0], hand[1])


def test_where_the_hand_is() -> None:
    once = MotionRanges(swipe_repeats=(1.0, 0.0, 0.0))
    scene = sample_scene(torch.tensor([LEFT, RIGHT]), num_frames=60, generator=0, views=("person",), ranges=once)
    hand = hand_places(scene)
    starts = [int((stroke > 0).nonzero()[0]) for stroke in scene.stroke]
    ends = [int((stroke < 1).nonzero()[-1]) for stroke in scene.stroke]
    left, right = (hand[i, end, 0] - hand[i, start, 0] for i, (start, end) in enumerate(zip(starts, ends, strict=True)))
    assert left > 0 > right, "a camera that looks at the person sees their left at its right"


@pytest.mark.parametrize("name", ["tsm_test_resnet_online", "tsm_test_resnet", "tsm_test_resnet_msd"])
def test_training_ends_with_a_model_of_our_classes(name: str, tmp_path: Path) -> None:
    list(write_shards(tmp_path / "pool", range(1), **OPTIONS | {"streams": False}))
    command = ["--pool", str(tmp_path / "pool"), "--model", name, "--out", str(tmp_path / "run"), "--stride", "2"]
    sizes = ["--steps", "12", "--batch", "2", "--every", "6", "--start-with", "2", "--held-out", "3"]
    main(["train", *command, *sizes])
    rows = (tmp_path / "run" / "curves.csv").read_text().splitlines()
    assert len(rows) == 3 and rows[0].startswith("step,seconds,items,class,hand,depth")
    assert (rows[1].split(",")[5] != "") == name.endswith("_msd")
    model = gesture_zoo.create_model(f"local-dir:{tmp_path / 'run' / 'model'}", pretrained=True).eval()
    assert tuple(model.pretrained_cfg["label_names"]) == CLASSES and model.num_segments == 3
    assert model(torch.zeros(1, 3, 3, 32, 32)).shape == (1, len(CLASSES))


@pytest.mark.parametrize("streams", [True, False])
def test_rendered_items(streams: bool) -> None:
    batch = render(3, **OPTIONS | {"streams": streams})
    assert batch.frames.shape == (2, 6, 3, 32, 32) and batch.depth.shape == (2, 6, 1, 8, 8)
    assert batch.depth.max() > 0
    assert (batch.labels == -1).all() if streams else ((batch.labels >= 0) & (batch.labels < len(CLASSES))).all()
