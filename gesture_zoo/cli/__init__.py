"""The command line, ``gesture-zoo``: each command is a thin shell over a public function."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from ..errors import GestureZooError
from .parser import USAGE_ERROR, build_parser

__all__ = ["build_parser", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, or 2 with one line on stderr for bad input."""
    parser = build_parser()
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr, force=True)
    for name in ("httpx", "httpx2", "huggingface_hub", "PIL", "matplotlib", "libav"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("gesture-zoo: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (head, less) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (GestureZooError, TypeError, OSError) as error:
        if args.traceback or not is_bad_input(error):
            raise
        print(f"gesture-zoo: error: {' '.join(str(error).split())}", file=sys.stderr)
        return USAGE_ERROR
    return 0


def is_bad_input(error: Exception) -> bool:
    """Whether an exception is about what the user gave, so that its message is all there is to say."""
    return isinstance(error, (GestureZooError, OSError)) or "takes no argument" in str(error)
