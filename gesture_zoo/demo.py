"""The demo: the whole idea of the zoo in two to four minutes on two cores, without a download.

Render RGB-D gestures, train a small model with depth supervision, strip the decoders, and recognise gestures
from RGB alone. Everything it shows is written to one folder.
"""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from .complexity import Complexity, complexity
from .data import ClipSample, create_transform, resolve_data_config, write_video
from .data.synthetic import SYNTHETIC_CLASSES, SyntheticGestures, render_clip
from .data.transforms import ClipTransform
from .engine import Evaluation, Prediction, Recipe, TrainResult, evaluate, make_loader, predict_video, train
from .engine.interrupt import Terminated, stop_wish
from .engine.run import check_free
from .factory import create_model
from .files import filling
from .msd import strip_msd
from .saving import save_pretrained
from .visualize import save_confusion, save_figure5

_logger = logging.getLogger(__name__)

# timm's smallest ResNet; in narrow layers an eighth of the channels is too few to shift, so a quarter.
MODEL = "tsm_test_resnet_msd"
CLASSES = SYNTHETIC_CLASSES[:8]
SIDE = 48
TRAIN_CLIPS, TEST_CLIPS = 1200, 240
RECIPE = Recipe(epochs=8, opt="adamw", lr=6e-3, weight_decay=0.02, sched="cosine", warmup_epochs=2, workers=0)
VIDEO_CLASS, VIDEO_SEED, VIDEO_FRAMES = "swipe_left", 2**40, 24


class TransformedClips(Dataset[ClipSample]):
    """Clips in memory, transformed when they are asked for."""

    def __init__(self, clips: Sequence[ClipSample], transform: ClipTransform) -> None:
        self.clips = clips
        self.transform = transform

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> ClipSample:
        return self.transform(self.clips[index])


def render(split: str, num_clips: int, *, seed: int, workers: int, progress: bool) -> list[ClipSample]:
    """Render synthetic clips into memory, on ``workers`` processes."""
    dataset = SyntheticGestures(split, num_clips=num_clips, size=SIDE, seed=seed, classes=CLASSES)
    loader = DataLoader(dataset, batch_size=None, num_workers=workers)
    bar = tqdm(loader, desc=f"render {split} clips", unit="clip", disable=None if progress else True)
    # Workers hand tensors over in shared memory; copies do not hold a file descriptor each.
    return [
        clip._replace(frames=clip.frames.clone(), depth=clip.depth.clone(), valid=clip.valid.clone()) for clip in bar
    ]


def run_demo(
    out: str | Path,
    *,
    seed: int = 0,
    train_clips: int = TRAIN_CLIPS,
    test_clips: int = TEST_CLIPS,
    epochs: int = RECIPE.epochs,
    workers: int = 2,
    progress: bool = True,
) -> dict[str, Any]:
    """Run the demo and return its summary.

    ``out`` gets model/ (with decoders), deploy/ (without), figure5.png, confusion.png, a rendered gesture as .mp4,
    summary.json and summary.md, all of them at the end. At SIGTERM it raises ``Terminated``, and ``out`` is as before.
    """
    for folder in (Path(out, "model"), Path(out, "deploy")):
        check_free(folder)
    with stop_wish() as wish, filling(out) as made:
        try:
            with wish.raising():
                return _run(made, seed, train_clips, test_clips, epochs, workers, progress)
        except BaseException as error:
            # The processes that render end with the frames that hold them: here, where their end is no surprise.
            traceback.clear_frames(error.__traceback__)
            if wish.explains(error):
                raise Terminated from None
            raise


def _run(
    out: Path, seed: int, train_clips: int, test_clips: int, epochs: int, workers: int, progress: bool
) -> dict[str, Any]:
    started = time.monotonic()
    _logger.info("rendering %d clips of %d gestures (RGB and depth)", train_clips + test_clips, len(CLASSES))
    train_raw = render("train", train_clips, seed=seed, workers=workers, progress=progress)
    test_raw = render("test", test_clips, seed=seed, workers=workers, progress=progress)

    torch.manual_seed(seed)
    model = create_model(MODEL, num_classes=len(CLASSES), shift_div=4)
    model.pretrained_cfg.update(
        label_names=CLASSES, dataset="gesture_zoo synthetic clips", input_size=(3, SIDE, SIDE), crop_pct=1.0
    )
    transform = create_transform(resolve_data_config(model=model))
    train_data, test_data = TransformedClips(train_raw, transform), TransformedClips(test_raw, transform)
    recipe = replace(RECIPE, seed=seed, epochs=epochs, warmup_epochs=min(2, epochs - 1))
    result = train(model, train_data, recipe=recipe, progress=progress)
    if result.interrupted:
        raise Terminated
    save_pretrained(model, out / "model")

    deploy = strip_msd(model).eval()
    loader = make_loader(test_data, 32, workers=0)
    accuracy = evaluate(deploy, loader, progress=progress)
    save_pretrained(deploy, out / "deploy", metrics={"top-1, synthetic test clips, RGB only": round(accuracy.top1, 4)})

    video = write_gesture(out / f"{VIDEO_CLASS}.mp4")
    prediction = predict_video(create_model(f"local-dir:{out / 'deploy'}"), video, topk=3)
    # One clip of every second class shows each kind of movement once.
    shown = [test_data[i] for i in range(0, min(len(CLASSES), test_clips), 2)]
    save_figure5(model, shown, out / "figure5.png", class_names=CLASSES)
    save_confusion(accuracy.confusion, CLASSES, out / "confusion.png")

    shape = (1, model.num_segments, 3, SIDE, SIDE)
    costs = complexity(model, shape, training=True), complexity(deploy, shape)
    same = _same_logits(model, deploy, test_data)
    summary = _summary(result, accuracy, prediction, costs, same, video, time.monotonic() - started)
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    (out / "summary.md").write_text(describe(summary))
    return summary


def write_gesture(path: Path) -> Path:
    """Render one gesture that no split holds, at a size people like to look at, as a video file."""
    frames, _ = render_clip(
        SYNTHETIC_CLASSES.index(VIDEO_CLASS), seed=VIDEO_SEED, num_frames=VIDEO_FRAMES, size=(192, 192)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(frames, path, fps=12)
    return path


@torch.inference_mode()
def _same_logits(model: Any, deploy: Any, data: Dataset[ClipSample]) -> bool:
    clip = data[0].frames[None].to(next(model.parameters()).device)
    return torch.equal(model.eval()(clip), deploy(clip))


def _summary(
    result: TrainResult,
    accuracy: Evaluation,
    prediction: list[Prediction],
    costs: tuple[Complexity, Complexity],
    same: bool,
    video: Path,
    seconds: float,
) -> dict[str, Any]:
    return {
        "model": MODEL,
        "classes": list(CLASSES),
        "top1_rgb_only": accuracy.top1,
        "chance": 1 / len(CLASSES),
        "test_clips": accuracy.count,
        "depth_loss_first_epoch": result.history[0]["res1"],
        "depth_loss_last_epoch": result.history[-1]["res1"],
        "training": costs[0]._asdict(),
        "stripped": costs[1]._asdict(),
        "stripped_logits_identical": same,
        "video": video.name,
        "video_prediction": [p._asdict() for p in prediction],
        "train_seconds": round(result.seconds, 1),
        "seconds": round(seconds, 1),
    }


def describe(summary: dict[str, Any]) -> str:
    """The summary as a short page of Markdown."""
    training, stripped = (Complexity(**summary[key]) for key in ("training", "stripped"))
    best = summary["video_prediction"][0]
    saved = 100 * (1 - stripped.multiply_adds / training.multiply_adds)
    return f"""# gesture-zoo demo

{summary["model"]}, {len(summary["classes"])} synthetic gestures, {summary["seconds"]:.0f} s in all.

| | parameters | multiply-adds of one clip |
|---|---|---|
| in training, with decoders | {training.params / 1e6:.3f} M | {training.multiply_adds / 1e9:.4f} G |
| stripped, for inference | {stripped.params / 1e6:.3f} M | {stripped.multiply_adds / 1e9:.4f} G ({saved:.0f} % less) |

- stripped model's logits identical to the trained model's: {"yes" if summary["stripped_logits_identical"] else "NO"}
- accuracy on {summary["test_clips"]} unseen clips from RGB alone: {100 * summary["top1_rgb_only"]:.1f} %
  (chance {100 * summary["chance"]:.1f} %)
- depth loss of the local mask: {summary["depth_loss_first_epoch"]:.4f} in the first epoch,
  {summary["depth_loss_last_epoch"]:.4f} in the last
- {summary["video"]}, a rendered video: recognised as {best["label"]} ({100 * best["score"]:.0f} %)
"""
