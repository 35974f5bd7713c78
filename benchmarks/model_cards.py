"""Write MODEL_CARDS.md from the registry and the results files.

    python benchmarks/model_cards.py            # write it
    python benchmarks/model_cards.py --check    # exit code 1 if it is not what would be written

Nothing is measured or built: parameters and multiply-adds are those of benchmarks/results/complexity.md.
"""

import argparse
import sys
from pathlib import Path

from gesture_zoo import GestureZooError
from gesture_zoo.cards.overview import overview
from gesture_zoo.files import write_files

ROOT = Path(__file__).resolve().parents[1]
NAME = "MODEL_CARDS.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the file is stale")
    args = parser.parse_args()
    try:
        text = overview(ROOT / "benchmarks" / "results")
    except GestureZooError as error:
        sys.exit(f"error: {error}")
    if not args.check:
        write_files(ROOT, {NAME: text})
    elif not (ROOT / NAME).is_file() or (ROOT / NAME).read_text(encoding="utf-8") != text:
        sys.exit(f"{NAME} is stale: run `python benchmarks/model_cards.py`")


if __name__ == "__main__":
    main()
