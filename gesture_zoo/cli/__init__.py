"""The command line, ``gesture-zoo``: each command is a thin shell over a public function."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Sequence

from ..errors import GestureZooError, one_line
from ..memory import keep_freed_memory
from .parser import USAGE_ERROR, build_parser, error_line

__all__ = ["build_parser", "main"]

INTERNAL_ERROR = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0; 1 where check-data found problems; 2 and one line on stderr for bad input; 3 for a fault of ours.

    >>> main(["list", "tsm_resnet18*"])
    tsm_resnet18
    tsm_resnet18_msd
    0
    """
    if argv is None:
        argv = sys.argv[1:]
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be no text; stderr does so anyway
        keep_freed_memory()  # this process is ours
    # OpenCV has much to say of a camera that is not there, and reads this when it is imported; we say it in one line.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    # The Hub's client reports every try that failed, before our line that says why and what to do.
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    args = build_parser(argv).parse_args(argv)
    # What other libraries say below a warning is of no use to ours.
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr, force=True)
    logging.getLogger("gesture_zoo").setLevel(logging.INFO)
    try:
        code = args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("gesture-zoo: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (head, less) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (GestureZooError, OSError) as error:
        if args.traceback:
            raise
        print(error_line(error), file=sys.stderr)
        return USAGE_ERROR
    except Exception as error:
        if args.traceback:
            raise
        what = f"{type(error).__name__}: {one_line(error)}"
        print(f"gesture-zoo: unexpected error: {what} (run again with --traceback to see where)", file=sys.stderr)
        return INTERNAL_ERROR
    return code or 0
