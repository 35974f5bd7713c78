"""What is known of the models and is written in no registry and no results file: families, the paper, terms, limits.

Every card takes it from here, and so does the benchmark that sets our counts beside the paper's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

PAPER = "Fan et al. 2021, arXiv 2110.15639"


class Family(NamedTuple):
    """Models with the same temporal module, or one network: what it does, where it comes from, what it cannot do."""

    title: str
    what: str
    temporal_module: str
    paper: str
    official_code: str
    limits: str


_WHOLE = "It sees a clip as a whole: a stream of frames costs a clip for every frame."
_SCRATCH = f"{_WHOLE} There are no weights to start from."

FAMILIES: Mapping[str, Family] = {
    "tsn": Family(
        "TSN",
        "an image network on every frame, predictions averaged: the plain baseline",
        "none",
        "Wang et al. 2016, arXiv 1608.00859",
        "none needed",
        "It cannot see the order of frames, so gestures that differ by direction alone look the same to it.",
    ),
    "tsm": Family(
        "TSM",
        "an eighth of the channels shifted one frame each way before the first convolution of every residual branch",
        "a shift of channels, without parameters or multiply-adds",
        "Lin et al. 2019, arXiv 1811.08383",
        "MIT",
        "A shift reaches one frame; longer movements are seen only by many of them. In layers narrower than 8 channels "
        "it shifts nothing (`shift_div` says how many channels it takes).",
    ),
    "tea": Family(
        "TEA",
        "Res2Net with motion excitation and temporal convolutions in its hierarchy",
        "motion excitation, and a depthwise temporal convolution before every branch",
        "Li et al. 2020, arXiv 2004.01398",
        "no licence; ours is written from the paper",
        "It goes into Res2Net blocks only. Its depthwise temporal kernels are scaled additions here, which the "
        "multiply-adds do not count.",
    ),
    "me": Family(
        "ME",
        "TEA's motion excitation before the first convolution of every residual branch, for any CNN",
        "motion excitation",
        "Li et al. 2020, arXiv 2004.01398",
        "no licence; ours is written from the paper",
        "Half of TEA: there is no temporal convolution, and motion is seen over one frame.",
    ),
    "action": Family(
        "ACTION-Net",
        "a learned temporal shift, then space-time, channel and motion excitation as one gain",
        "ACTION: learned shift and three excitations",
        "Wang et al. 2021, arXiv 2103.07372",
        "MIT",
        "Its depthwise temporal kernels are scaled additions here, which the multiply-adds do not count.",
    ),
    "c3d": Family(
        "C3D",
        "eight 3-D convolutions and two wide linear layers",
        "none: all convolutions are 3-D",
        "Tran et al. 2015, arXiv 1412.0767",
        "none used; ours is written from the paper",
        f"{_SCRATCH} Two thirds of its parameters are in the linear layers. It has no BatchNorm: a learning rate "
        "for the others may be too high.",
    ),
    "r2plus1d": Family(
        "R(2+1)D",
        "an 18-layer ResNet whose 3-D convolutions are split into one over space and one over time",
        "none: a convolution over time follows every one over space",
        "Tran et al. 2018, arXiv 1711.11248",
        "torchvision's, BSD-3-Clause",
        _WHOLE,
    ),
    "res_c3d": Family(
        "ResC3D",
        "C3D's convolutions in the residual blocks of an 18-layer ResNet",
        "none: all convolutions are 3-D",
        "Miao et al. 2017 (ICCV Workshops), on Tran et al. 2017, arXiv 1708.05038",
        "torchvision's, BSD-3-Clause",
        f"{_WHOLE} One RGB network: the enhancement and choice of frames and the fusion of modalities of its authors "
        "are not part of it.",
    ),
    "resnext3d_101": Family(
        "3D ResNeXt-101",
        "a 101-layer ResNeXt of 3-D convolutions in 32 groups",
        "none: its convolutions are 3-D",
        "Hara et al. 2018, arXiv 1711.09577; for gestures Köpüklü et al. 2019, arXiv 1901.10323",
        "MIT",
        f"{_SCRATCH} So deep a network needs many clips.",
    ),
    "cnn_lstm": Family(
        "CNN + ConvLSTM",
        "a short 3-D ResNet, two convolutional LSTMs, and a MobileNet on every state, whose answers are averaged",
        "two convolutional LSTMs; `gates` says how their gates are made (pooled, conv, attention)",
        "Zhang et al. 2017 (ICCV Workshops) and 2018 (NeurIPS)",
        "none used; ours is written from the papers",
        f"{_SCRATCH} Frames go through the LSTMs one after another, so a clip takes longer than its multiply-adds say.",
    ),
    "seg_lstm": Family(
        "Segmentation + LSTM",
        "a 2-D encoder on every frame, which learns to segment from depth (`seg_lstm_msd`: one decoder on its last "
        "stage), and an LSTM over the embeddings",
        "an LSTM, whose products the multiply-adds do not count",
        "Chalasani and Smolic 2019, arXiv 1909.08606",
        "none used; ours is written from the paper's idea, with a ResNet-18 as encoder",
        f"{_WHOLE} Its authors train in three steps: `train --model-option stage=segmentation`, from that model "
        "`stage=recognition`, and from that `stage=joint`; a single training is their last step alone.",
    ),
    "i3d": Family(
        "I3D",
        "the Inception network with its kernels inflated to three dimensions; the RGB network of MTUT by itself",
        "none: all convolutions are 3-D",
        "Carreira and Zisserman 2017, arXiv 1705.07750",
        "Apache-2.0",
        f"{_SCRATCH} Its authors started from ImageNet and Kinetics.",
    ),
    "mtut": Family(
        "MTUT",
        "two I3D networks, of RGB and of depth, that teach each other in training; RGB alone at inference",
        "none: all convolutions are 3-D",
        "Abavisani et al. 2019, arXiv 1812.06145",
        "none used; ours is written from the paper",
        f"{_SCRATCH} Parameters are of both networks, multiply-adds of the one that answers (`rgb_stream()`). "
        "Clips without depth teach the RGB network by their labels alone.",
    ),
}


def family_of(name: str) -> str:
    """The key in ``FAMILIES`` of a model's name: the name itself, or what stands before its backbone.

    >>> family_of("tsm_resnet50_msd"), family_of("res_c3d")
    ('tsm', 'res_c3d')
    """
    bare = name.removesuffix("_msd")
    return bare if bare in FAMILIES else bare.partition("_")[0]


ONLINE = (
    "`*_online`: for live video. Modules look at this frame and those before it (TSM as in its authors' live demo; "
    "TEA and ACTION with kernels that look back and motion as the difference to the frame before), so that "
    "`to_streaming` answers every frame as the clip would."
)
MSD = (
    "`*_msd`: with a local decoder on `res1` and a global one on `layer4` that learn to predict depth in training; "
    f"`strip_msd` removes them, and what remains is the model without `_msd` ({PAPER}; no official code is published)."
)


class PaperRow(NamedTuple):
    """A network of the paper: its columns, and top-1 in % by dataset, without MSD and (or None) with it.

    ``differs``: why the parameters of ours are not the paper's.
    """

    network: str
    gflops: float | None
    million_parameters: float | None
    accuracy: Mapping[str, tuple[float, float | None]]
    differs: str = ""


# Tables I to III of arXiv 2110.15639: RGB alone at inference.
PAPER_ROWS: Mapping[str, PaperRow] = {
    "tsm_resnet50": PaperRow(
        "TSM", 28.2, 23.7, {"EgoGesture": (92.1, 93.7), "NVGesture": (80.2, 81.9), "IsoGD": (64.1, None)}
    ),
    "tea_res2net50_26w_4s": PaperRow(
        "TEA", 31.1, 24.3, {"EgoGesture": (92.3, 94.2), "NVGesture": (80.5, 82.2), "IsoGD": (64.5, None)}
    ),
    "action_resnet50": PaperRow(
        "ACTION-Net", 29.8, 27.9, {"EgoGesture": (94.2, 94.5), "NVGesture": (80.7, 84.0), "IsoGD": (65.0, 66.9)}
    ),
    "c3d": PaperRow(
        "C3D",
        71.7,
        65.6,
        {"EgoGesture": (90.6, None), "NVGesture": (69.3, None), "IsoGD": (40.2, None)},
        "ours is the network of its own paper, with two linear layers of 4096; the smaller one is not described",
    ),
    "resnext3d_101": PaperRow(
        "3D ResNeXt-101",
        13.9,
        47.7,
        {"EgoGesture": (93.7, None), "NVGesture": (78.6, None), "IsoGD": (52.1, None)},
    ),
    "mtut": PaperRow(
        "MTUT",
        88.2,
        12.7,
        {"EgoGesture": (92.5, None), "NVGesture": (81.3, None)},
        "both networks are counted; the one of RGB has the paper's number with the 400 classes of Kinetics: "
        "`gesture-zoo info i3d --num-classes 400`",
    ),
    "seg_lstm": PaperRow(
        "Segmentation+LSTM",
        None,
        None,
        {"EgoGesture": (93.3, None)},
        "its 93.3 are with all frames of a clip; with 24 of them, as here, it has 88.4",
    ),
    "cnn_lstm": PaperRow(
        "attentionLSTM",
        None,
        None,
        {"IsoGD": (56.0, None)},
        'that has attention in its gates: `gates="attention"`, where ours pools by default',
    ),
    "res_c3d": PaperRow("ResC3D", None, None, {"IsoGD": (45.1, None)}),
}
PAPER_NOTES = (
    "The paper's GFLOPs do not follow from its own setting (a ResNet-50 on 8 frames of 224 x 224), so ours, which are "
    "counted, stand beside them.",
    "A replication by others (public logs of ACTION-Net) saw smaller gains on EgoGesture (94.5 -> 94.8) and none on "
    "NVGesture over three seeds (81.7 -> 81.3).",
)


def paper_accuracy(row: PaperRow, dataset: str) -> str:
    """The paper's top-1 on a dataset, in % without -> with MSD.

    >>> paper_accuracy(PAPER_ROWS["action_resnet50"], "NVGesture")
    '80.7 -> 84.0'
    """
    if dataset not in row.accuracy:
        return "-"
    plain, taught = row.accuracy[dataset]
    return f"{plain:.1f}" if taught is None else f"{plain:.1f} -> {taught:.1f}"


class DatasetFacts(NamedTuple):
    """A dataset: its name, the same as an identifier, whether weights are for research only, and its terms."""

    name: str
    slug: str
    research_only: bool
    terms: str


# By the beginning of the name in lower case, letters and digits only.
_DATASETS: Mapping[str, DatasetFacts] = {
    "egogesture": DatasetFacts("EgoGesture", "egogesture", True, "research only"),
    "nvgesture": DatasetFacts("NVGesture", "nvgesture", True, "research only"),
    "isogd": DatasetFacts("IsoGD", "isogd", True, "research only"),
    "jester": DatasetFacts("Jester", "jester", True, "research only"),
    "something": DatasetFacts("Something-Something", "something-something", True, "research only"),
    "kinetics": DatasetFacts(
        "Kinetics", "kinetics", False, "annotations CC BY 4.0; the videos belong to those who put them on YouTube"
    ),
    "imagenet": DatasetFacts(
        "ImageNet-1k",
        "imagenet-1k",
        False,
        "images for research and teaching only",
    ),
    "synthetic": DatasetFacts(
        "gesture_zoo synthetic clips", "synthetic", False, "rendered by gesture_zoo: no terms of others"
    ),
    "renderedgestures": DatasetFacts(
        "gesture_zoo rendered gestures", "synthetic", False, "rendered by gesture_zoo: no terms of others"
    ),
}


def find_dataset(name: str | None) -> DatasetFacts | None:
    """What is known of a dataset, by any of the ways to write its name; None if nothing is.

    >>> find_dataset("Kinetics-400").name, find_dataset("my clips")
    ('Kinetics', None)
    """
    plain = re.sub(r"[^a-z0-9]", "", (name or "").lower()).removeprefix("gesturezoo")
    return next((facts for key, facts in _DATASETS.items() if plain.startswith(key)), None)


def known_datasets() -> tuple[DatasetFacts, ...]:
    """All datasets whose terms are known."""
    return tuple(_DATASETS.values())


LIMITS = (
    "Nothing has been trained on a full gesture dataset with this code yet.",
    "The models of `test_resnet` (the demo's, on rendered clips) are for showing that the code learns and for tests, "
    "not for use on people.",
    "Every model answers with one of its classes, also where nobody gestures. Train a class of other movements, or "
    "set a threshold on your own clips.",
    "Who is in the training clips decides on whom a model works: measure it on the people it is meant for.",
)
