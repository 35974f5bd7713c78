"""gesture-zoo push: which folder, and where on the Hub."""

from __future__ import annotations

from pathlib import Path

from ..parser import Command


def add_push_parser(command: Command) -> None:
    """Declare the command; ``command`` makes a sub-parser of name, function (module:function) and examples."""
    sub = command("push", "push:push_command", "gesture-zoo push runs/mine you/gestures --private")
    sub.add_argument("folder", type=Path, metavar="DIR", help="folder that train, convert or save_pretrained wrote")
    sub.add_argument("repo", metavar="OWNER/NAME", help="repository, made if there is none")
    sub.add_argument("--private", action="store_true", help="nobody else may see a repository that is made")
    sub.add_argument("--revision", metavar="BRANCH", help="branch, made if there is none (default: main)")
    sub.add_argument("--message", metavar="TEXT", help="of the commit (default: one that names gesture_zoo)")
