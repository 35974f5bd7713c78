"""Which dataset, for the commands that take any."""

from __future__ import annotations

import argparse

from ...data.names import DATASETS


def add_dataset_arguments(sub: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Declare which dataset, where, and the options of its reader."""
    sub.add_argument("--data", required=required, metavar="NAME", help=f"dataset: {', '.join(DATASETS)}")
    sub.add_argument("--data-dir", metavar="DIR", help="where it is")
    sub.add_argument("--data-option", action="append", metavar="KEY=VALUE", help="an option of the dataset's reader")
    sub.add_argument("--split", help="which clips: train, val, test, or another there is (default: val, else test)")
