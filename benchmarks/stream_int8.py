"""What 8 bits cost: the part `int8` of stream.py.

A model that `stream.py events --save FOLDER` trained is exported, quantised with each calibration method on frames of
training streams, and answers the test streams of `events` frame by frame. Accuracy beside the float file's and
PyTorch's; times of the same frames, all ways in turn.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from common import origin, write
from stream_events import ROWS, TEST, TRAIN, VALIDATION, Answers, answer, choose, frame_accuracy, tally
from stream_training import normalised, render_streams

import gesture_zoo
from gesture_zoo.export import METHODS
from gesture_zoo.runtime import Runner, open_exported
from gesture_zoo.runtime.torch_runner import TorchRunner

TUNED = next(row for row in ROWS if row.name == "EMA, gate, hysteresis")
CALIBRATION_FRAMES = 8  # of a calibration clip, as the exported stream has T


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `stream.py int8`."""
    parser.description = __doc__
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FOLDER", help="what events saved")
    parser.add_argument("--streams", type=int, default=10, help="to validate on, and to test on")
    parser.add_argument("--clips", type=int, default=40, help="calibration clips (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="file for the results (default: print)")


def run(args: argparse.Namespace) -> None:
    """Export, quantise, answer, count, write."""
    torch.set_num_threads(args.threads)
    model = gesture_zoo.create_model(f"local-dir:{args.checkpoint}", pretrained=True).eval()
    size = model.pretrained_cfg["input_size"][1]
    parameters = choose(TUNED, answer(model, VALIDATION, args.streams, size))
    test = answer(model, TEST, args.streams, size)
    with tempfile.TemporaryDirectory() as folder:
        float_file = gesture_zoo.export_model(model, Path(folder) / "float.onnx", stream=True).path
        runners: dict[str, Runner] = {"PyTorch": TorchRunner(model)}
        runners["ONNX Runtime"] = open_exported(float_file, threads=args.threads)
        sizes = {"ONNX Runtime": float_file.stat().st_size}
        for method in METHODS:
            file = Path(folder) / f"{method}.onnx"
            clips = calibration_clips(args.clips, size)
            sizes[f"int8, {method}"] = gesture_zoo.quantize_model(float_file, file, clips=clips, method=method).size
            runners[f"int8, {method}"] = open_exported(file, threads=args.threads)
        lines = table(runners, sizes, model, test, parameters)
    chosen = ", ".join(f"{name} {value}" for name, value in parameters.items())
    frames = sum(len(stream.frames) for stream in test.streams)
    told = (
        f"The model of stream_events.md on {len(test.streams)} test streams ({frames} frames of {size} x {size}), one "
        f"frame a step; int8 by {args.clips} calibration clips of training streams. Parameters of the events, chosen "
        f"on {args.streams} validation streams with PyTorch: {chosen}. Same class: frames whose best class is "
        "PyTorch's. ms: median of a step over a stream, all ways in turn."
    )
    write(f"{origin()}\n{told}\n\n" + "\n".join(lines) + "\n", args.out)


def calibration_clips(count: int, size: int) -> list[Any]:
    """Stretches of training streams, (T, H, W, 3) uint8 each."""
    streams = render_streams(TRAIN, (count + 7) // 8, num_gestures=5, size=size)
    stretches = [
        stream.frames[start : start + CALIBRATION_FRAMES]
        for stream in streams
        for start in range(0, len(stream.frames) - CALIBRATION_FRAMES + 1, CALIBRATION_FRAMES)
    ]
    return [stretches[i * len(stretches) // count] for i in range(count)]


def table(
    runners: dict[str, Runner], sizes: dict[str, int], model: Any, test: Answers, parameters: dict[str, Any]
) -> list[str]:
    """A row for every way of computing the model, as Markdown."""
    logits: dict[str, list[torch.Tensor]] = {name: [] for name in runners}
    times: dict[str, list[float]] = {name: [] for name in runners}
    for stream in test.streams:
        frames = normalised(torch.from_numpy(stream.frames), model).contiguous().numpy()
        for name, runner in runners.items():
            runner.reset()
            took, answers = [], []
            for frame in frames:
                start = time.perf_counter()
                answers.append(torch.from_numpy(runner.step(frame[None])))
                took.append(time.perf_counter() - start)
            logits[name].append(torch.cat(answers))
            times[name].append(1000 * statistics.median(took))
    reference = torch.cat(logits["PyTorch"]).argmax(1)
    lines = [
        "| computed by | MB | frames of gestures right | frames between right | same class | events: F1 | ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, values in logits.items():
        answers_of = Answers(test.streams, values)
        gestures, idle = frame_accuracy(answers_of, 0.5)
        same = (torch.cat(values).argmax(1) == reference).float().mean().item()
        megabytes = f"{sizes[name] / 1e6:.2f}" if name in sizes else "-"
        lines.append(
            f"| {name} | {megabytes} | {100 * gestures:.1f} | {100 * idle:.1f} | {100 * same:.1f} "
            f"| {100 * tally(answers_of, TUNED, parameters).f1:.1f} | {statistics.median(times[name]):.2f} |"
        )
    return lines
