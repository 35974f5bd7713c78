"""gesture-zoo push: a model folder to the Hugging Face Hub."""

from __future__ import annotations

import argparse

from .. import hub
from .loading import load_checkpoint


def push_command(args: argparse.Namespace) -> None:
    """Upload weights, configuration and card; what cannot be loaded is not published."""
    load_checkpoint(args.folder)
    said = {} if args.message is None else {"commit_message": args.message}
    print(hub.push(args.folder, args.repo, private=args.private, revision=args.revision, **said))
