"""gesture-zoo visualize: what is to be drawn, and where to."""

from __future__ import annotations

from pathlib import Path

from ..parser import Command
from .dataset import add_dataset_arguments

NUM_CLIPS = 4


def add_visualize_parser(command: Command) -> None:
    """Declare the command; ``command`` makes a sub-parser of name, function (module:function) and examples."""
    sub = command(
        "visualize",
        "visualize:visualize_command",
        "gesture-zoo visualize clip.mp4 --checkpoint runs/mine --out figure5.png",
        "gesture-zoo visualize --checkpoint runs/mine --data isogd --data-dir IsoGD --out masks.mp4",
        "gesture-zoo visualize --curves runs/mine --out curves.png",
    )
    sub.add_argument("source", nargs="?", metavar="SOURCE", help="a video file, or folder of frames")
    sub.add_argument("--checkpoint", type=Path, metavar="DIR", help="folder that train wrote, of a model with decoders")
    add_dataset_arguments(sub, required=False)
    sub.add_argument("--clip", action="append", metavar="ID", help="a clip of the dataset by the end of its id, repeat")
    sub.add_argument(
        "--num-clips", type=int, metavar="N", help=f"clips, spread over the dataset (default: {NUM_CLIPS})"
    )
    sub.add_argument("--frame", type=int, metavar="I", help="which of the T frames, from 0 (default: the middle one)")
    sub.add_argument("--curves", type=Path, metavar="RUNDIR", help="draw the curves of the training in this folder")
    sub.add_argument("--confusion", type=Path, metavar="RESULTSDIR", help="draw the matrix of what eval --out wrote")
    sub.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .png, or of masks also a video (.mp4)")
