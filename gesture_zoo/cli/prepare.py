"""gesture-zoo prepare: a dataset as WebDataset shards."""

from __future__ import annotations

import argparse

from ..data.prepare import prepare_dataset
from .options import parse_options

_NAMED = 5


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
        **({} if args.with_depth else {"with_depth": False}),  # an option that is not given is in no index
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
