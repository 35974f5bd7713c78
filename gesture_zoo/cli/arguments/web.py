"""gesture-zoo web: the model, and where its page is served or written."""

from __future__ import annotations

from pathlib import Path

from ... import packaged
from ..parser import Command


def add_web_parser(command: Command) -> None:
    """Declare the command; ``command`` makes a sub-parser of name, function (module:function) and examples."""
    sub = command(
        "web",
        "web:web_command",
        "gesture-zoo web model.onnx",
        "gesture-zoo web model.onnx --out site",
    )
    default = packaged.DEFAULT_MODEL
    sub.add_argument(
        "model",
        nargs=None if default is None else "?",
        type=Path,
        metavar="MODEL.onnx",
        help="a file that 'gesture-zoo export' wrote" + (f" (default: {default}, which comes along)" * bool(default)),
    )
    sub.add_argument("--port", type=int, default=8000, help="port to serve on; 0 takes a free one")
    sub.add_argument(
        "--host", default="127.0.0.1", help="address to serve on; others than this machine's own make it visible there"
    )
    sub.add_argument("--no-browser", action="store_true", help="do not open the page in a browser")
    sub.add_argument("--out", type=Path, metavar="DIR", help="write the page as a static site instead of serving it")
