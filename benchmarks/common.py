"""What results files have in common: where their numbers came from, and the statistics of a few paired runs."""

import math
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch


def commit() -> str:
    """The commit the code is at, and whether it was changed since."""
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    changes = subprocess.run(["git", "diff", "--stat", "HEAD", "--", "gesture_zoo"], capture_output=True, text=True)
    return f"{head} with changes" if changes.stdout.strip() else head


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def origin(known_commit: str | None = None) -> str:
    """Command, commit, hardware and versions, as the head of a results file; folders and files are not named."""
    arguments = []
    for argument in sys.argv[1:]:
        path = Path(argument)
        inside = not path.is_absolute()
        arguments.append(argument if inside else "FOLDER" if path.is_dir() else f"FILE{path.suffix}")
    return (
        f"Command: `{' '.join([f'python benchmarks/{Path(sys.argv[0]).name}', *arguments])}`, "
        f"commit {known_commit or commit()}.\n"
        f"{processor()}, {torch.get_num_threads()} thread(s); "
        f"torch {torch.__version__}, Python {platform.python_version()}.\n"
    )


def graphics_card() -> str:
    """The CUDA GPU, its driver, and the libraries that work on it."""
    properties = torch.cuda.get_device_properties(0)
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    tool = shutil.which(query[0])
    driver = subprocess.run(query, capture_output=True, text=True).stdout.strip() if tool else "unknown"
    triton = version("triton") if find_spec("triton") else "none"
    return (
        f"{torch.cuda.get_device_name(0)}, {properties.total_memory / 2**30:.0f} GiB, "
        f"{properties.multi_processor_count} multiprocessors; driver {driver}, CUDA {torch.version.cuda}, "
        f"cuDNN {torch.backends.cudnn.version()}, triton {triton}.\n"
    )


def write(text: str, out: Path | None) -> None:
    """Write the results to a file, or print them where there is none."""
    if out is None:
        print(text, end="")
    else:
        out.write_text(text)


# Two-sided 95 % quantiles of Student's t, by degrees of freedom.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def mean_and_deviation(values: Sequence[float], *, scale: float = 1.0, digits: int = 1) -> str:
    """Mean and standard deviation over the runs, as text.

    >>> mean_and_deviation([0.5, 0.7], scale=100)
    '60.0 ± 14.1'
    """
    mean = f"{scale * statistics.mean(values):.{digits}f}"
    return f"{mean} ± {scale * statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def paired_difference(before: Sequence[float], after: Sequence[float], *, scale: float = 1.0, digits: int = 1) -> str:
    """Mean of the differences of paired runs with its 95 % interval (Student's t), as text.

    >>> paired_difference([0.5, 0.6, 0.7], [0.6, 0.7, 0.8], scale=100)
    '+10.0 (+10.0 to +10.0)'
    """
    differences = [b - a for a, b in zip(before, after, strict=True)]
    mean = statistics.mean(differences)
    if len(differences) < 2:
        return f"{scale * mean:+.{digits}f} (one run)"
    half = _T[len(differences) - 2] * statistics.stdev(differences) / math.sqrt(len(differences))
    low, high = (scale * (mean + sign * half) for sign in (-1, 1))
    return f"{scale * mean:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"
