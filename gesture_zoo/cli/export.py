"""gesture-zoo export: a model as one file for ONNX Runtime, OpenVINO, PyTorch or ExecuTorch."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from ..data.media import clips_under
from ..errors import GestureZooError
from ..export import ExportReport, export_model, quantize_model
from ..export.int8 import check_int8_target
from ..runtime import ModelInfo
from .arguments.export import CALIBRATION
from .loading import load_for_inference


def export_command(args: argparse.Namespace) -> None:
    """Export, check, and print what was seen."""
    clips = [clip for path in args.clips or () for clip in clips_under(path)]
    if hasattr(args, "calibration") and not args.int8:
        raise GestureZooError("--calibration is for --int8: add it, or leave this out")
    if args.int8 and not clips:
        raise GestureZooError("--int8 needs calibration clips: --clips FOLDER with some tens of the kind it will see")
    if args.int8 and (args.format or "onnx") != "onnx":
        raise GestureZooError(f"--int8 makes an ONNX file, not {args.format}")
    if args.int8:
        check_int8_target(args.out)
    options = {
        "stream": args.stream,
        "size": None if args.size is None else (args.size, args.size),
        "clips": clips,
        "tolerance": args.tolerance,
        "progress": True,
    }
    model = load_for_inference(args)
    if not args.int8:
        print_report(export_model(model, args.out, format=args.format, **options))
        return
    with tempfile.TemporaryDirectory() as folder:
        report = export_model(model, Path(folder) / "float.onnx", **options)
        method = getattr(args, "calibration", CALIBRATION)
        small = quantize_model(report.path, args.out, clips=clips, method=method, progress=True)
    print("The float32 file that it is made of:")
    print_checks(report)
    print(
        f"Written to {args.out}: {describe(small.info)}, int8, {small.size / 1e6:.1f} MB instead of "
        f"{small.float_size / 1e6:.1f}; on {len(small.compared)} calibration clips it differs from float32 by up to "
        f"{small.max_error:.1g} of the largest logit, and has the same best class on {100 * small.agreement:.0f} %"
    )


def print_report(report: ExportReport) -> None:
    """Print what was written and how nearly it answers as PyTorch does."""
    print(f"Written to {report.path}: {describe(report.info)}, {report.format}, {report.size / 1e6:.1f} MB")
    print_checks(report)


def describe(info: ModelInfo) -> str:
    """A model's name and what it takes."""
    size = ", ".join(map(str, info.input_size))
    takes = f"clips (N, {info.num_segments}, {size})" if info.kind == "clip" else f"frames (N, {size})"
    return f"{info.architecture}, {takes}"


def print_checks(report: ExportReport) -> None:
    """Print how nearly the file answers as PyTorch does, clip by clip."""
    for row in report.compared:
        agrees = "same class" if row.same_class else "another best class"
        print(f"  {row.clip}: differs by {row.relative:.1e} of the largest logit ({row.error:.1e}), {agrees}")
    print(f"largest difference from PyTorch: {report.max_error:.1e}, allowed: {report.tolerance:g}")
