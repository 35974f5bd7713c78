"""One frame must not suffice: only the order of the frames tells the classes of a pair apart.

Accuracy is measured within pairs: of the two classes of the clip's pair, does the right one score higher? Unseen
clips come with their partners, the same frames in reverse. So whoever ignores the order is right exactly half of
the time, and whoever sees each clip in an order drawn at random is right half of the time but for chance.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from gesture_zoo import create_model
from gesture_zoo.data import ClipSample, create_transform, resolve_data_config
from gesture_zoo.data.synthetic import SYNTHETIC_CLASSES, SyntheticGestures
from gesture_zoo.demo import TransformedClips
from gesture_zoo.engine import Recipe, train

T = 8
PAIRS = [SYNTHETIC_CLASSES[i : i + 2] for i in range(0, len(SYNTHETIC_CLASSES), 2)]
SHUFFLES = 4  # random orders of every unseen clip
RECIPE = Recipe(epochs=8, opt="adamw", lr=6e-3, weight_decay=0.02, sched="cosine", warmup_epochs=1, workers=0)


def make_model(name: str, classes: tuple[str, ...], side: int) -> nn.Module:
    torch.manual_seed(0)
    options = {"shift_div": 4} if name.startswith("tsm") else {}
    model = create_model(name, num_classes=len(classes), num_segments=T, **options)
    model.pretrained_cfg.update(label_names=classes, input_size=(3, side, side), crop_pct=1.0)
    return model


def rgb_clips(dataset: SyntheticGestures, model: nn.Module) -> TransformedClips:
    """The clips of a dataset, in memory, without their depth."""
    clips = [ClipSample(clip.frames, None, None, clip.label, clip.id) for clip in dataset]
    return TransformedClips(clips, create_transform(resolve_data_config(model=model)))


def unseen(classes: tuple[str, ...], side: int, *, per_class: int) -> tuple[Tensor, Tensor]:
    """Unseen clips (N, T, 3, side, side) and labels (N,), every clip with its partner, rendered from the same seed."""
    model = make_model("tsn_test_resnet", classes, side)
    frames, labels = [], []
    for label, name in enumerate(classes):
        # The clips of a dataset of one class have seeds that do not depend on the class.
        data = rgb_clips(SyntheticGestures("test", classes=[name], num_clips=per_class, size=side), model)
        frames += [clip.frames for clip in data]
        labels += [label] * per_class
    return torch.stack(frames), torch.tensor(labels)


def shuffled(frames: Tensor) -> Tensor:
    """The clips, each with its frames in an order of its own."""
    generator = torch.Generator().manual_seed(1)
    return torch.stack([clip[torch.randperm(T, generator=generator)] for clip in frames])


def accuracy_within_pairs(model: nn.Module, frames: Tensor, labels: Tensor) -> float:
    """Share of clips whose class scores higher than its partner; classes 2 k and 2 k + 1 are partners."""
    model.eval()
    device = next(model.parameters()).device  # training may have moved it
    with torch.inference_mode():
        logits = torch.cat([model(part.to(device)).cpu() for part in frames.split(100)])
    right, wrong = (logits.gather(1, column[:, None]) for column in (labels, labels ^ 1))
    return (right > wrong).float().mean().item()


def four_deviations(count: int) -> float:
    """How far a share of `count` fair coins strays from a half once in 16000 times."""
    return 4 * math.sqrt(0.25 / count)


def check_evidence(classes: tuple[str, ...], *, side: int, clips: int, per_class: int) -> None:
    """Train a temporal model and an averaging one on the same clips, and measure both within the pairs."""
    frames, labels = unseen(classes, side, per_class=per_class)
    tsm, tsn = (make_model(name, classes, side) for name in ("tsm_test_resnet", "tsn_test_resnet"))
    training = rgb_clips(SyntheticGestures("train", classes=classes, num_clips=clips, size=side), tsm)

    train(tsm, training, recipe=RECIPE)
    assert accuracy_within_pairs(tsm, frames, labels) > 0.85
    without_order = shuffled(frames.repeat(SHUFFLES, 1, 1, 1, 1))
    accuracy = accuracy_within_pairs(tsm, without_order, labels.repeat(SHUFFLES))
    assert abs(accuracy - 0.5) < four_deviations(SHUFFLES * len(labels))

    train(tsn, training, recipe=RECIPE)
    assert abs(accuracy_within_pairs(tsn, frames, labels) - 0.5) < 0.02
    # Nor do clips without their partners help it.
    alone = rgb_clips(SyntheticGestures("val", classes=classes, num_clips=len(labels), size=side), tsn)
    accuracy = accuracy_within_pairs(
        tsn, torch.stack([clip.frames for clip in alone]), torch.tensor([clip.label for clip in alone])
    )
    assert abs(accuracy - 0.5) < four_deviations(len(labels))


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_an_average_over_frames_cannot_tell_partners_apart(pair: tuple[str, str]) -> None:
    frames, _ = unseen(pair, 32, per_class=3)
    clips, partners = frames[:3], frames[3:]
    assert torch.equal(clips, partners.flip(1))
    with torch.inference_mode():
        model = make_model("tsn_test_resnet", SYNTHETIC_CLASSES, 32).eval()
        assert torch.allclose(model(clips), model(partners), rtol=0, atol=1e-5)
        assert (model(clips[:1]) - model(clips[1:])).abs().amax(dim=1).min() > 0.01  # it does see the clips
        # A temporal model gives partners different logits, trained or not.
        model = make_model("tsm_test_resnet", SYNTHETIC_CLASSES, 32).eval()
        assert (model(clips) - model(partners)).abs().max() > 1e-3


def test_the_order_of_frames_is_the_evidence() -> None:
    check_evidence(("swipe_left", "swipe_right", "push", "pull"), side=32, clips=400, per_class=60)


@pytest.mark.slow
def test_the_order_of_frames_is_the_evidence_in_every_pair() -> None:
    check_evidence(SYNTHETIC_CLASSES, side=48, clips=1200, per_class=20)
