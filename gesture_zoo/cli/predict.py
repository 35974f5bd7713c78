"""gesture-zoo predict: the gesture of a clip, or the gestures of a stream as they are made."""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..errors import GestureZooError
from ..live import EventDetector, Recogniser, predict_clip
from ..live.clip import clip_length
from ..live.files import pictures, videos
from ..live.sources import is_camera, is_url
from ..media_names import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from ..runtime import Runner, open_exported
from .parser import error_line
from .predict_events import FAILED, Settings, run_streams, say
from .sources import check_apart

DETECTOR = tuple(inspect.signature(EventDetector).parameters)[1:]
# Options that only events have, as they are called in the parsed arguments.
OF_EVENTS = (*DETECTOR, "rate", "display", "record", "font", "max_seconds")


class Model(NamedTuple):
    """What is to be run: whether it is made for streams, its answer to a clip, and how to get it as a Runner."""

    streams: bool
    answer: Callable[[Path], list[tuple[str, float]]]
    runner: Callable[[], Runner]


def predict_command(args: argparse.Namespace) -> int:
    """Answer clips, or follow streams."""
    if not args.source:  # an unset variable of a script, which as a path would be the current folder
        raise GestureZooError("SOURCE is empty: name a video, a folder (. is this one), a camera (0) or a URL")
    if args.topk < 1:
        raise GestureZooError(f"topk must be at least 1, got {args.topk}")
    if not args.folder_rate > 0:
        raise GestureZooError(f"--folder-rate is a number of frames a second above 0, got {args.folder_rate}")
    streamed = is_camera(args.source) or is_url(args.source)
    if streamed and args.clip:
        raise GestureZooError(f"--clip is for files and folders with one gesture, and {args.source} is a stream")
    given = [name for name in OF_EVENTS if hasattr(args, name)]
    sources, several = ([args.source], False) if streamed else clips_of(args.source)
    if hasattr(args, "record") and not (streamed or several):
        check_apart("--record", args.record, args.source)
    model = exported(args) if args.onnx else trained(args)
    if not (streamed or args.events or (model.streams and not args.clip)):
        if given:
            raise GestureZooError(f"--{given[0].replace('_', '-')} is for streams: add --events, or leave it out")
        return answer_clips(model, [Path(source) for source in sources], args, several=several)
    if several and hasattr(args, "record"):
        raise GestureZooError(f"--record writes one video, and {args.source} holds {len(sources)}: name one of them")
    settings = Settings(**{name: getattr(args, name) for name in given if name not in (*DETECTOR, "rate")})
    runner = model.runner()
    detector = EventDetector(runner.info.labels, **{name: getattr(args, name) for name in given if name in DETECTOR})
    recogniser = Recogniser(runner, detector, rate=getattr(args, "rate", None), mirror=args.mirror)
    return run_streams(
        recogniser, sources, settings, topk=args.topk, folder_rate=args.folder_rate, several=several, quiet=args.json
    )


def clips_of(source: str) -> tuple[list[str], bool]:
    """The clips at a path, and whether it is a folder of videos: a file, or a folder of frames, is one clip."""
    path = Path(source)
    if not path.is_dir():
        return [source], False
    found = videos(path)
    if pictures(path):
        if found:
            raise GestureZooError(f"the folder {path} holds images and videos: name one of the videos")
        return [source], False  # as it was typed: ./0 is no camera
    if not found:
        kinds = f"images ({', '.join(IMAGE_SUFFIXES)}) nor videos ({', '.join(VIDEO_SUFFIXES)})"
        below = next((sub for sub in sorted(path.iterdir()) if sub.is_dir() and (videos(sub) or pictures(sub))), None)
        hint = f"; there are some in its folders: name one of them, such as {below}" if below else ""
        raise GestureZooError(f"the folder {path} holds neither {kinds}{hint}")
    return [str(video) for video in found], True


def exported(args: argparse.Namespace) -> Model:
    """The model of --onnx; nothing here needs PyTorch."""
    runner = open_exported(args.onnx)

    def answer(path: Path) -> list[tuple[str, float]]:
        found = predict_clip(runner, path, topk=args.topk, folder_rate=args.folder_rate, mirror=args.mirror)
        return [(prediction.label, prediction.score) for prediction in found]

    return Model(runner.info.kind == "stream", answer, lambda: runner)


def trained(args: argparse.Namespace) -> Model:
    """The model of --checkpoint or --model, in PyTorch."""
    from ..engine import predict_video
    from ..engine.distributed import device
    from ..runtime.torch_runner import TorchRunner
    from ..streaming import is_causal
    from .loading import load_for_inference

    model = load_for_inference(args).to(device())

    def answer(path: Path) -> list[tuple[str, float]]:
        # Not predict_clip: this one also knows models that see depth, and models that are no ClipModel.
        found = predict_video(model, path, topk=args.topk, mirror=args.mirror)
        return [(prediction.label, prediction.score) for prediction in found]

    return Model(is_causal(model), answer, lambda: TorchRunner(model))


def answer_clips(model: Model, paths: list[Path], args: argparse.Namespace, *, several: bool) -> int:
    """Print the answer to every clip; of several, one that cannot be read is said, and the others go on."""
    code = 0
    width = max(len(path.name) for path in paths)
    for path in paths:
        try:
            found = model.answer(path)
            seconds = clip_length(path, folder_rate=args.folder_rate)[1]
        except GestureZooError as error:
            if not several:
                raise
            say(error_line(error))
            code = FAILED
            continue
        if args.json:
            span = {"start": 0.0, "end": round(seconds, 3)}
            predictions = [{"label": label, "score": score, **span} for label, score in found]
            print(json.dumps({"source": str(path) if several else args.source, "predictions": predictions}), flush=True)
        elif several:
            label, score = found[0]
            print(f"{path.name:<{width}}  {100 * score:5.1f} %  {label}", flush=True)
        else:
            labels = max(len(label) for label, _ in found)
            for label, score in found:
                print(f"{label:<{labels}}  {100 * score:5.1f} %")
    return code
