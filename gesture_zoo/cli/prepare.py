"""gesture-zoo prepare: a dataset as WebDataset shards."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..data.factory import READERS
from ..data.prepare import CLIPS_PER_SHARD, prepare_dataset
from .options import parse_options
from .parser import Command

_NAMED = 5


def add_prepare_parser(command: Command) -> None:
    """Declare the command; ``command`` makes a sub-parser of name, function and examples."""
    sub = command(
        "prepare",
        prepare_command,
        "gesture-zoo prepare isogd IsoGD shards --split train --split val",
    )
    sub.add_argument("name", metavar="NAME", help=f"dataset: {', '.join(sorted(READERS))}")
    sub.add_argument("directory", type=Path, metavar="DIR", help="where it is")
    sub.add_argument("out", type=Path, metavar="OUT", help="folder for the shards")
    sub.add_argument(
        "--split", action="append", metavar="S", help="a split, may be repeated (default: train, val, test if there)"
    )
    sub.add_argument("--clips-per-shard", type=int, default=CLIPS_PER_SHARD, metavar="N", help="clips in a tar file")
    sub.add_argument(
        "--quality", type=int, default=95, metavar="Q", help="of JPEG frames that are not copied, 1 to 100"
    )
    sub.add_argument("--skip-bad", action="store_true", help="leave out clips that cannot be read, and list them")
    sub.add_argument("--workers", type=int, default=2, metavar="N", help="threads that encode clips")
    sub.add_argument("--data-option", action="append", metavar="KEY=VALUE", help="an option of the dataset's reader")


def prepare_command(args: argparse.Namespace) -> None:
    """Prepare, and print what came out."""
    result = prepare_dataset(
        args.name,
        args.directory,
        args.out,
        splits=args.split,
        clips_per_shard=args.clips_per_shard,
        quality=args.quality,
        skip_bad=args.skip_bad,
        workers=args.workers,
        progress=True,
        **parse_options(args.name, args.data_option),
    )
    for split in result.splits:
        print(
            f"{split.name}: {split.clips} clips in {split.shards} shards, {split.written} of them written now, "
            f"{split.bytes / 1e6:.1f} MB: {result.out / split.name}"
        )
        if split.skipped:
            print(f"{split.name}: {len(split.skipped)} clips could not be read and are left out; index.json lists them")
            for clip in split.skipped[:_NAMED]:
                print(f"  {clip.error}")
