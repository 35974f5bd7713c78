"""A model knows how many frames a second its clips had, from the training to the exported file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from layouts import WRITERS
from torch.utils.data import Subset

import gesture_zoo
from gesture_zoo.data import create_dataset, write_video
from gesture_zoo.data.factory import READERS
from gesture_zoo.data.frame_rate import clip_frame_rate
from gesture_zoo.errors import WeightsError
from gesture_zoo.runtime.torch_runner import TorchRunner


def test_videos_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "train" / "wave").mkdir(parents=True)
    for number, (frames, fps) in enumerate(((30, 15), (60, 20), (24, 24))):  # 2, 3 and 1 seconds
        video = np.zeros((frames, 32, 32, 3), np.uint8)
        write_video(video, tmp_path / "train" / "wave" / f"{number}.mp4", fps=fps)
    data = create_dataset("folder", tmp_path, split="train", num_segments=8)
    assert clip_frame_rate(data) == pytest.approx(4)
    assert clip_frame_rate(Subset(data, [1])) == pytest.approx(8 / 3, abs=1e-3)
    (tmp_path / "train" / "wave" / "1.mp4").write_bytes(b"damaged")
    assert clip_frame_rate(create_dataset("folder", tmp_path, split="train")) == pytest.approx(6)


@pytest.mark.parametrize("name", sorted(set(WRITERS) & set(READERS) - {"folder", "shards"}))
def test_datasets_declare_their_cameras_rate(name: str, tmp_path: Path) -> None:
    root = WRITERS[name](tmp_path)
    data = create_dataset(name, root, split="train", num_segments=4)
    lengths = sorted(data.length(index) for index in range(len(data)))
    assert 4 * data.frame_rate / lengths[-1] <= clip_frame_rate(data) <= 4 * data.frame_rate / lengths[0]


def test_it_is_saved_and_loaded_and_exported(tmp_path: Path) -> None:
    model = gesture_zoo.create_model("tsm_test_resnet_online", num_classes=2)
    assert TorchRunner(model).info.frame_rate is None
    model.pretrained_cfg["frame_rate"] = 3.5
    folder = gesture_zoo.save_pretrained(model, tmp_path / "model")
    loaded = gesture_zoo.create_model(f"local-dir:{folder}", pretrained=True)
    assert TorchRunner(loaded).info.frame_rate == 3.5

    config = json.loads((folder / "config.json").read_text())
    config["gesture_zoo"]["frame_rate"] = "fast"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="frame_rate of frames a second above 0 and at most 10000, not 'fast'"):
        gesture_zoo.create_model(f"local-dir:{folder}")
