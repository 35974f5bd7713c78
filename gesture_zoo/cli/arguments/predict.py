"""gesture-zoo predict: the source, the model, and how gestures are found and shown."""

from __future__ import annotations

import argparse
import inspect
from pathlib import Path
from typing import Any

from ... import packaged
from ...live.events import SMOOTHINGS, EventDetector
from ...live.sources import FOLDER_RATE
from ...media_names import RECORDED_SUFFIXES
from ..parser import Command


def add_predict_parser(command: Command) -> None:
    """Declare the command; ``command`` makes a sub-parser of name, function (module:function) and examples."""
    sub = command(
        "predict",
        "predict:predict_command",
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
    option("max_gap", "seconds without a frame that end it", **number)
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
