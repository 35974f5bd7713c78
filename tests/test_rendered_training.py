"""How the packaged networks are trained: what a frame may be taken for, and what rendered items become on the way."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import rendered_pairs
from rendered_learner import NONE, OTHER, WARM_UP, Learner, allowed_classes, finished, stream_loss
from rendered_live import LivePool, Ring
from rendered_points import AGO, FINER, HandMaps
from rendered_pool import MOTIONS, POINTS, Batch, Pool, augmented, hand_points, render, write_shards
from rendered_training import main, pace, start_from

import gesture_zoo
from gesture_zoo.errors import DataError, WeightsError
from gesture_zoo.render import CLASSES, MIRROR, VIEWS, MotionRanges, sample_scene
from gesture_zoo.render.draws import Draw

LEFT, RIGHT = CLASSES.index("Swiping Left"), CLASSES.index("Swiping Right")
OPTIONS = {"streams": True, "count": 2, "frames": 6, "size": 32, "frame_rate": 8.0}


def stream(classes: list[int], stroke: list[float]) -> Batch:
    frames = torch.zeros(1, len(classes), 3, 4, 4, dtype=torch.uint8)
    depth = torch.zeros(1, len(classes), 1, 1, 1, dtype=torch.uint8)
    hand = torch.zeros(1, len(classes), len(POINTS), 2)
    return Batch(frames, torch.tensor([classes]), torch.tensor([stroke]), depth, hand, torch.tensor([-1]))


def test_what_a_frame_may_be_taken_for() -> None:
    classes = [NONE] * WARM_UP + [OTHER, LEFT, LEFT, OTHER, OTHER, OTHER]
    batch = stream(classes, [0.0] * (WARM_UP + 1) + [0.2, 0.8, 1.0, 1.0, 1.0])
    allowed = [set(row.nonzero().flatten().tolist()) for row in allowed_classes(batch, known_from=0.5)[0]]
    everything = set(range(len(CLASSES)))
    assert allowed[:WARM_UP] == [everything] * WARM_UP, "too little past to be judged"
    assert allowed[WARM_UP:] == [
        {OTHER},  # the hand comes up
        {LEFT, NONE, OTHER},  # nothing can tell yet
        {LEFT},
        {LEFT},  # in the two frames after it it is known best
        {LEFT},
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
        for read, made in zip(pool.shards[tmp_path / name], render(seed, **OPTIONS), strict=True):
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
    shard, rng, seen = pool.shards[tmp_path / "000000.safetensors"], random.Random(0), set()
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
    """Items with a bright spot in every frame, at places (N, T, 1, 2) from -1 to 1."""
    (count, frames), side = places.shape[:2], 64
    axis = (torch.arange(side) + 0.5) / side * 2 - 1
    far = (axis - places[..., 0, :1, None]) ** 2 + (axis[:, None] - places[..., 0, 1:, None]) ** 2
    spot = (255 * torch.exp(-far / 0.01)).to(torch.uint8)[:, :, None]
    classes = torch.zeros(count, frames, dtype=torch.long)
    return Batch(spot.expand(-1, -1, 3, -1, -1), classes, classes.float(), spot, places, classes[:, 0])


def test_pictures_depth_and_points_move_together() -> None:
    places = torch.rand(6, 3, 1, 2, generator=torch.Generator().manual_seed(0)) - 0.5
    frames, depth, hand = augmented(marked(places), Draw(torch.Generator().manual_seed(0)))
    assert not torch.allclose(hand, places, atol=0.02)
    for maps in (frames[:, :, :1], depth):
        best = maps.flatten(2).argmax(-1)
        found = torch.stack((best % 64, best // 64), -1) / 32 - 1 + 1 / 64
        torch.testing.assert_close(found, hand[:, :, 0], rtol=0, atol=0.08)  # pixels, zoomed


def test_all_frames_of_an_item_are_changed_alike_and_items_are_not() -> None:
    frames, _, hand = augmented(marked(torch.full((2, 5, 1, 2), 0.3)), Draw(torch.Generator().manual_seed(0)))
    assert frames.min() >= 0 and frames.max() <= 1
    for t in range(1, 5):
        torch.testing.assert_close(frames[:, t], frames[:, 0])
    assert not torch.allclose(frames[0], frames[1]) and not torch.allclose(hand[0], hand[1])


def test_a_cut_keeps_the_palm() -> None:
    places = torch.rand(64, 3, 1, 2, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.3
    _, _, moved = augmented(marked(places), Draw(torch.Generator().manual_seed(0)))
    assert (moved.abs() < 1).all()
    assert (moved - places).mean((1, 2)).std(0).min() > 0.08, "where it is tells less"


def test_every_camera_faces_the_person() -> None:
    scene = sample_scene(torch.full((64,), LEFT), num_frames=4, generator=0, ranges=MOTIONS)
    assert {VIEWS[view] for view in scene.view} == {"person", "car"}, "left has one direction in all pictures"


def test_opposite_gestures_are_told_apart() -> None:
    labels = torch.tensor([LEFT, LEFT, RIGHT, OTHER])
    logits = torch.zeros(4, len(CLASSES))
    logits[[0, 1, 2, 3], [LEFT, OTHER, LEFT, OTHER]] = 1
    logits[1, RIGHT] = 0.5
    assert rendered_pairs.row("m", logits, labels).startswith("| m | 50.0 | 33 of 3 |")


def test_where_the_hand_is() -> None:
    once = MotionRanges(swipe_repeats=(1.0, 0.0, 0.0))
    scene = sample_scene(torch.tensor([LEFT, RIGHT]), num_frames=60, generator=0, views=("person",), ranges=once)
    hand = hand_points(scene)[:, :, 0]
    starts = [int((stroke > 0).nonzero()[0]) for stroke in scene.stroke]
    ends = [int((stroke < 1).nonzero()[-1]) for stroke in scene.stroke]
    left, right = (hand[i, end, 0] - hand[i, start, 0] for i, (start, end) in enumerate(zip(starts, ends, strict=True)))
    assert left > 0 > right, "a camera that looks at the person sees their left at its right"


def test_points_of_a_hand_lie_in_its_order() -> None:
    flat = MotionRanges(push_hands={"flat": 1.0}, left_handed=0.0)
    label = torch.full((8,), CLASSES.index("Stop Sign"))
    scene = sample_scene(label, num_frames=20, generator=0, views=("person",), ranges=flat)
    shown = hand_points(scene)[scene.frame_labels == label[0]]
    palm, wrist, index, middle, _, little, thumb = shown.unbind(1)
    assert (middle[:, 1] < palm[:, 1]).all() and (palm[:, 1] < wrist[:, 1]).all(), "fingers up"
    assert (index[:, 0] > little[:, 0]).all(), "a right palm, seen from before it, has its thumb at the right"
    assert (thumb[:, 0] > little[:, 0]).all()


def test_nobody_has_no_points() -> None:
    empty = MotionRanges(nobody=1.0)
    scene = sample_scene(torch.tensor([NONE] * 4), num_frames=2, generator=0, ranges=empty)
    assert (hand_points(scene).abs() > 1).all()


def test_heat_maps_are_judged_where_points_are_inside() -> None:
    model = gesture_zoo.create_model("tsm_test_resnet_online", num_classes=len(CLASSES), num_segments=6)
    maps = HandMaps(model)
    model(torch.zeros(2, 6, 3, 32, 32))
    outside = torch.full((2, 6, len(POINTS), 2), 3.0)
    assert maps.loss(outside) == 0
    with pytest.raises(RuntimeError, match="no frames have passed"):
        maps.loss(outside)

    places = torch.zeros(2, 6, len(POINTS), 2)
    places[:, :, 0] = torch.tensor([-0.9, 0.6])  # of a grid of 8 x 8 cells: column 0, row 6
    with torch.no_grad():
        maps.maps.weight.zero_()
        bias = torch.full((len(POINTS) + len(AGO), FINER, FINER), -20.0)
        bias[[0, -2, -1], 6 % FINER, 0] = 20.0
        bias[1:-2, 0, 0] = 20.0
        maps.maps.bias.copy_(bias.flatten())
    model(torch.zeros(2, 6, 3, 32, 32))
    # The same bias in all four cells of the layer, so each point has a quarter of the probability.
    torch.testing.assert_close(maps.loss(places).item(), torch.tensor(4.0).log().item(), rtol=0, atol=1e-4)

    model(torch.zeros(2, 6, 3, 32, 32))
    edge = torch.tensor(1.0).nextafter(torch.tensor(0.0))
    assert maps.loss(edge.expand(2, 6, len(POINTS), 2)).isfinite(), "the last cell, not one after it"


def test_what_was_learned_is_in_the_finished_model() -> None:
    model = gesture_zoo.create_model("tsm_test_resnet_msd", num_classes=len(CLASSES), num_segments=3)
    learner = Learner(model).eval()
    done = finished(learner, "tsm_test_resnet_msd")
    clips = torch.rand(2, 3, 3, 32, 32)
    assert type(done) is type(gesture_zoo.create_model("tsm_test_resnet"))
    torch.testing.assert_close(done(clips), learner(clips).unflatten(0, (2, 3)).mean(1))


@pytest.mark.parametrize("name", ["tsm_test_resnet_online", "tsm_test_resnet", "tsm_test_resnet_msd"])
def test_training_ends_with_a_model_of_our_classes(name: str, tmp_path: Path) -> None:
    list(write_shards(tmp_path / "pool", range(1), **OPTIONS | {"streams": False}))
    command = ["--pool", str(tmp_path / "pool"), "--model", name, "--out", str(tmp_path / "run"), "--stride", "2"]
    sizes = ["--steps", "12", "--batch", "2", "--every", "6", "--start-with", "2", "--held-out", "3"]
    main(["train", *command, *sizes])
    main(["train", *command, *sizes, "--start", str(tmp_path / "run" / "model")])
    rows = (tmp_path / "run" / "curves.csv").read_text().splitlines()
    assert len(rows) == 3 and rows[0].startswith("step,seconds,items,class,hand,depth")
    assert (rows[1].split(",")[5] != "") == name.endswith("_msd")
    segments = 6 if name.endswith("_online") else 3  # an online model takes every frame
    model = gesture_zoo.create_model(f"local-dir:{tmp_path / 'run' / 'model'}", pretrained=True).eval()
    assert tuple(model.pretrained_cfg["label_names"]) == CLASSES and model.num_segments == segments
    assert model(torch.zeros(1, segments, 3, 32, 32)).shape == (1, len(CLASSES))


def test_models_that_learn_side_by_side_from_what_is_rendered_meanwhile(tmp_path: Path) -> None:
    names = ["tsm_test_resnet_online", "tsm_test_resnet"]
    live = ["--live", "16", "--live-batch", "2", "--frames", "6", "--size", "32", "--start-with", "8"]
    sizes = ["--batch", "4", "--steps", "4", "--every", "4", "--held-out", "2", "--small-side", "32"]
    main(["train", *live, *sizes, "--model", *names, "--out", str(tmp_path)])
    for name, segments in zip(names, (6, 3), strict=True):
        model = gesture_zoo.create_model(f"local-dir:{tmp_path / name / 'model'}", pretrained=True)
        assert model.num_segments == segments
        assert len((tmp_path / name / "curves.csv").read_text().splitlines()) == 2
    assert "6 frames of 32 x 32" in (tmp_path / "origin.txt").read_text()


def test_training_ends_in_time_with_the_lowest_rate(tmp_path: Path) -> None:
    live = ["--live", "8", "--live-batch", "2", "--frames", "4", "--size", "32", "--start-with", "8"]
    sizes = ["--batch", "2", "--steps", "10000", "--minutes", "0.01", "--held-out", "2", "--small-side", "32"]
    main(["train", *live, *sizes, "--model", "tsm_test_resnet", "--out", str(tmp_path)])
    step = int((tmp_path / "curves.csv").read_text().splitlines()[-1].split(",")[0])
    assert 1 <= step < 1000
    assert pace(1.0) == pace(1.7) == 0 < pace(0.99) < pace(0.1) == 1


def test_a_ring_keeps_the_newest() -> None:
    ring = Ring(3)
    for number in range(4):
        ring.put(Batch(*(torch.full((1, 1), number) for _ in Batch._fields)))
    seen = {int(value) for value in ring.take(50, torch.Generator().manual_seed(0))[0]}
    assert ring.made == 4 and seen == {1, 2, 3}


def test_clip_models_take_no_streams() -> None:
    options = {"batch": 2, "frames": 4, "size": 32, "seed": 0, "rendering": 0.5, "device": torch.device("cpu")}
    pool = LivePool(capacity=16, **options)
    pool.fill(8)
    assert (pool.sample(8, clips_only=True).labels >= 0).all()
    assert (pool.sample(8, clips_only=False).labels == -1).sum() == 2


@pytest.mark.parametrize("streams", [True, False])
def test_rendered_items(streams: bool) -> None:
    batch = render(3, **OPTIONS | {"streams": streams})
    assert batch.frames.shape == (2, 6, 3, 32, 32) and batch.depth.shape == (2, 6, 1, 8, 8)
    assert batch.depth.max() > 0
    assert (batch.labels == -1).all() if streams else ((batch.labels >= 0) & (batch.labels < len(CLASSES))).all()


def test_a_deeper_network_starts_with_the_answers_of_a_shallower_one(tmp_path: Path) -> None:
    shallow, deep = (
        gesture_zoo.create_model(f"tsm_{name}_online", num_classes=3, num_segments=4).eval()
        for name in ("test_resnet", "resnet28_nano")
    )
    start_from(deep, gesture_zoo.save_pretrained(shallow, tmp_path / "shallow"))
    clip = torch.rand(1, 4, 3, 32, 32)
    assert torch.equal(deep(clip), shallow(clip))
    with pytest.raises(WeightsError, match=r"does not fit the model: base_model.layer2.1"):
        start_from(shallow, gesture_zoo.save_pretrained(deep, tmp_path / "deep"))
