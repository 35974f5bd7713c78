"""gesture-zoo convert: a checkpoint of another project as a model folder."""

from __future__ import annotations

import argparse

from ..convert import convert_checkpoint
from ..errors import GestureZooError


def convert_command(args: argparse.Namespace) -> None:
    """Convert, and print what was recognised and where it is now."""
    if (args.folder is None) == (args.out is None):
        raise GestureZooError("name one folder to write: gesture-zoo convert SOURCE OUT --arch ARCH")
    done = convert_checkpoint(
        args.source,
        args.arch,
        args.out or args.folder,
        labels=args.labels,
        num_segments=args.num_segments,
        shift_div=args.shift_div,
        num_classes=args.num_classes,
        dataset=args.dataset,
        origin_url=args.origin_url,
    )
    print(
        f"{args.source}: {done.layout}, {done.num_keys} keys, {done.num_classes} classes, "
        f"{done.num_segments} segments; SHA-256 {done.sha256}"
    )
    for note in done.notes:
        print(f"note: {note}")
    names = done.label_names
    print(f"labels: {names[0]}, ... {names[-1]}" if names else "labels: none, give them with --labels")
    print(f"Written to {done.directory}: gesture_zoo.create_model({f'local-dir:{done.directory}'!r}) loads it")
