"""Live use, measured: how well events are found in long streams, and how fast frames go through.

    python benchmarks/stream.py events --threads 1 --out benchmarks/results/stream_events.md
    python benchmarks/stream.py int8 --checkpoint FOLDER --out benchmarks/results/stream_int8.md
    python benchmarks/stream.py speed --out benchmarks/results/stream_speed.md

`events` trains a small online model on rendered streams and counts the events it finds in others; see stream_events.py.
`int8` says what 8 bits cost that model in accuracy and save in time; see stream_int8.py (FOLDER: events --save FOLDER).
`speed` times exported and PyTorch models frame by frame; see stream_speed.py. Each has options of its own: --help.
"""

import argparse
import importlib
import sys

PARTS = ("events", "int8", "speed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    # Only the chosen part is imported: each needs packages that the other does not.
    chosen = next((argument for argument in sys.argv[1:] if argument in PARTS), None)
    parts = {}
    for name in PARTS:
        command = commands.add_parser(name)
        if name == chosen:
            parts[name] = importlib.import_module(f"stream_{name}")
            parts[name].add_arguments(command)
    args = parser.parse_args()
    parts[args.what].run(args)


if __name__ == "__main__":
    main()
