"""gesture-zoo push: a model folder to the Hugging Face Hub."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import hub
from .loading import load_checkpoint
from .parser import Command


def add_push_parser(command: Command) -> None:
    """Declare the command; ``command`` makes a sub-parser of name, function and examples."""
    sub = command("push", push_command, "gesture-zoo push runs/mine you/gestures --private")
    sub.add_argument("folder", type=Path, metavar="DIR", help="folder that train, convert or save_pretrained wrote")
    sub.add_argument("repo", metavar="OWNER/NAME", help="repository, made if there is none")
    sub.add_argument("--private", action="store_true", help="nobody else may see a repository that is made")
    sub.add_argument("--revision", metavar="BRANCH", help="branch, made if there is none (default: main)")
    sub.add_argument("--message", default=hub.COMMIT_MESSAGE, metavar="TEXT", help="of the commit")


def push_command(args: argparse.Namespace) -> None:
    """Upload weights, configuration and card; what cannot be loaded is not published."""
    load_checkpoint(args.folder)
    print(hub.push(args.folder, args.repo, private=args.private, revision=args.revision, commit_message=args.message))
