"""gesture-zoo predict: the gesture of a clip, or the gestures of a stream as they are made."""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .. import packaged
from ..errors import GestureZooError
from ..live import EventDetector, Recogniser, predict_clip
from ..live.clip import clip_length
from ..live.events import SMOOTHINGS
from ..live.files import pictures, videos
from ..live.sources import FOLDER_RATE, is_camera, is_url
from ..media_names import IMAGE_SUFFIXES, RECORDED_SUFFIXES, VIDEO_SUFFIXES
from ..runtime import Runner, open_exported
from .parser import Command, error_line
from .predict_events import FAILED, Settings, run_streams, say

DETECTOR = tuple(inspect.signature(EventDetector).parameters)[1:]
# Options that only events have, as they are called in the parsed arguments.
OF_EVENTS = (*DETECTOR, "rate", "display", "record", "font", "max_seconds")


class Model(NamedTuple):
    """What is to be run: whether it is made for streams, its answer to a clip, and how to get it as a Runner."""

    streams: bool
    answer: Callable[[Path], list[tuple[str, float]]]
    runner: Callable[[], Runner]


def add_predict_parser(command: Command) -> None:
    """Declare the command; ``command`` makes a sub-parser of name, function and examples."""
    sub = command(
        "predict",
        predict_command,
        "gesture-zoo predict clip.mp4 --checkpoint runs/mine",
        "gesture-zoo predict 0 --onnx model.onnx",
    )
    sub.add_argument(
        "source",
        metavar="SOURCE",
        help="a video file, a folder of frames or of videos, the number of a camera (0), or a URL (rtsp, http)",
    )
    default = packaged.DEFAULT_MODEL
    which = sub.add_mutually_exclusive_group(required=default is None)
    which.add_argument("--checkpoint", type=Path, metavar="DIR", help="folder that train wrote")
    which.add_argument("--model", default=default, help="a model with weights: hf-hub:owner/name or architecture.tag")
    told = "a file of export: .onnx and OpenVINO's .xml without PyTorch, .pt2 and .pte with it"
    which.add_argument("--onnx", "--exported", type=Path, metavar="FILE", help=told)
    how = sub.add_mutually_exclusive_group()
    how.add_argument("--clip", action="store_true", help="SOURCE is one gesture: print its most probable classes")
    how.add_argument(
        "--events",
        action="store_true",
        help="look for gestures frame by frame: print each as a JSON line once it has ended (the default for cameras "
        "and URLs, and for files if the model is causal, as those named _online are)",
    )
    sub.add_argument("--topk", type=int, default=5, metavar="K", help="how many classes to show")
    sub.add_argument("--json", action="store_true", help="print one JSON object a clip (events always are JSON lines)")
    sub.add_argument(
        "--mirror",
        action="store_true",
        help="exchange left and right, for a camera that gives a mirror image, or that is worn on the head where the "
        "model learned from ones that face the person",
    )
    sub.add_argument(
        "--folder-rate", type=float, default=FOLDER_RATE, metavar="X", help="frames a second of a folder of frames"
    )
    add_event_arguments(sub.add_argument_group("events", "How gestures are found in a stream, and shown."))


def add_event_arguments(group: argparse._ArgumentGroup) -> None:
    """Declare what belongs to streams; what is not given is not there, so that it can be told from a default."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(EventDetector).parameters.items()}

    def option(name: str, text: str, **settings: Any) -> None:
        default = f" (default: {defaults[name]})" if defaults.get(name) is not None else ""
        group.add_argument(
            f"--{name.replace('_', '-')}", dest=name, default=argparse.SUPPRESS, help=text + default, **settings
        )

    number: dict[str, Any] = {"type": float, "metavar": "X"}
    count: dict[str, Any] = {"type": int, "metavar": "N"}
    option("rate", "frames a second the model sees (default: what it was made for, else all)", **number)
    option("smoothing", "of the scores, over frames", choices=SMOOTHINGS)
    option("window", "frames that are smoothed over", **count)
    option("on", "score from which a gesture counts", **number)
    option("off", "score below which it ends", **number)
    option("min_frames", "frames in a row in which it has to count to start", **count)
    option("release", "frames in a row below --off that end it", **count)
    option("min_duration", "seconds; shorter ones are dropped", **number)
    option(
        "no_gesture",
        "classes that are no gestures; without any LABEL, there are none (default: those whose names say so)",
        nargs="*",
        metavar="LABEL",
    )
    option(
        "display",
        "show a window, q ends it (default: on a terminal that has a display and OpenCV)",
        action=argparse.BooleanOptionalAction,
    )
    option(
        "record", f"write what the window shows to a video ({', '.join(RECORDED_SUFFIXES)})", type=Path, metavar="FILE"
    )
    option("font", "a .ttf or .otf file for labels that the window's font lacks", type=Path, metavar="FILE")
    option("max_seconds", "end after so many seconds of the source", **number)


def predict_command(args: argparse.Namespace) -> int:
    """Answer clips, or follow streams."""
    if args.topk < 1:
        raise GestureZooError(f"topk must be at least 1, got {args.topk}")
    if not args.folder_rate > 0:
        raise GestureZooError(f"--folder-rate is a number of frames a second above 0, got {args.folder_rate}")
    streamed = is_camera(args.source) or is_url(args.source)
    if streamed and args.clip:
        raise GestureZooError(f"--clip is for files and folders with one gesture, and {args.source} is a stream")
    given = [name for name in OF_EVENTS if hasattr(args, name)]
    sources, several = ([args.source], False) if streamed else clips_of(args.source)
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
        raise GestureZooError(f"the folder {path} holds neither {kinds}")
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
