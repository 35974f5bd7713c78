"""How long a frame takes, and who computes it fastest: `python benchmarks/stream.py speed --out FILE`.

One process, one run: all ways of computing a network take turns of some steps, round after round, so that what else
the machine does falls on all of them alike. Random weights, one frame a step, medians. Times are from a normalised
frame to logits; preparing a frame is measured by itself. The aim: 60 frames a second on two cores for MobileNetV2 at
224 px.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from common import origin, write
from PIL import Image
from timing import Way, in_turn

import gesture_zoo
from gesture_zoo.export.trace import trace
from gesture_zoo.runtime import open_exported, preprocess
from gesture_zoo.runtime.runner import Runner
from gesture_zoo.runtime.torch_runner import TorchRunner

AIM = 60  # frames a second


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--models", nargs="+", default=["tsm_mobilenetv2_100_online", "tsm_resnet50_online"], help="causal models"
    )
    parser.add_argument("--size", type=int, default=224, help="side of the frames")
    parser.add_argument("--rounds", type=int, default=15, help="turns of every way")
    parser.add_argument("--steps", type=int, default=8, help="frames a turn")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="cores every runtime may use")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out, which takes a minute")
    parser.add_argument("--out", type=Path, help="file for the results (default: print)")


def run(args: argparse.Namespace) -> None:
    """Measure, and write or print the table."""
    torch.set_num_threads(args.threads)
    lines = [origin()]
    lines.append(
        f"Milliseconds for one frame of {args.size} x {args.size}, batch 1, {args.threads} thread(s), median of "
        f"{args.rounds} turns of {args.steps} frames, all ways in turn. The ratio is to the stream in PyTorch (eager). "
        f"Aim: {AIM} frames a second for MobileNetV2.\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in args.models:
            times = measure(ways_of(name, args, Path(folder)), args.rounds, args.steps)
            lines.append(table(name, times))
    write("\n".join(lines) + "\n" + preprocessing(args.size), args.out)


def ways_of(name: str, args: argparse.Namespace, folder: Path) -> dict[str, tuple[Way, int]]:
    """Every way to compute a network, and how many frames one call of it answers."""
    torch.manual_seed(0)
    size = (args.size, args.size)
    model = gesture_zoo.create_model(name, num_classes=27).eval()
    frame = np.random.default_rng(0).standard_normal((1, 3, *size), np.float32)
    clip = np.repeat(frame[:, None], model.num_segments, 1)
    stream, tensor, clip_tensor = gesture_zoo.to_streaming(model), torch.from_numpy(frame), torch.from_numpy(clip)

    step, whole, small = (folder / f"{name}-{what}.onnx" for what in ("step", "clip", "int8"))
    gesture_zoo.export_model(model, step, stream=True, size=size)
    gesture_zoo.export_model(model, whole, size=size)
    rng = np.random.default_rng(1)
    clips = [rng.integers(0, 256, (model.num_segments, *size, 3), np.uint8) for _ in range(2)]
    gesture_zoo.quantize_model(step, small, clips=clips)
    openvino = gesture_zoo.export_model(model, step.with_suffix(".xml"), stream=True, size=size).path

    ways: dict[str, tuple[Way, int]] = {
        "clip / T, PyTorch": (torch.inference_mode()(lambda: model(clip_tensor)), model.num_segments),
        "clip / T, ONNX Runtime": (classify(open_exported(whole, threads=args.threads), clip), model.num_segments),
        "stream, PyTorch": (lambda: stream.step(tensor), 1),
        "stream, ONNX Runtime": (steps(open_exported(step, threads=args.threads), frame), 1),
        "stream, OpenVINO": (steps(open_exported(openvino, threads=args.threads), frame), 1),
        "stream, ONNX Runtime int8": (steps(open_exported(small, threads=args.threads), frame), 1),
    }
    if not args.no_compile:
        ways["stream, torch.compile"] = (compiled_step(model, tensor), 1)
    return ways


def steps(runner: Runner, frame: np.ndarray) -> Way:
    """One step of a runner after another."""
    return lambda: runner.step(frame)


def classify(runner: Runner, clip: np.ndarray) -> Way:
    """A runner's answer to a clip."""
    return lambda: runner.classify(clip)


def compiled_step(model: torch.nn.Module, frame: torch.Tensor) -> Way:
    """The traced step, BatchNorm folded, through torch.compile; its states move on."""
    traced = trace(model, stream=True, size=tuple(frame.shape[-2:]), batch=1)
    compiled = torch.compile(traced.program.module())
    states = [torch.zeros(1, *state.shape) for state in traced.info.states]

    @torch.inference_mode()
    def step() -> object:
        nonlocal states
        logits, states = compiled(frame, states)
        return logits

    return step


def measure(ways: dict[str, tuple[Way, int]], rounds: int, steps: int) -> dict[str, list[float]]:
    """Milliseconds a frame of every way, one number a turn."""
    calls = {name: max(1, steps // frames) for name, (_, frames) in ways.items()}
    times = in_turn({name: call for name, (call, _) in ways.items()}, rounds, calls=calls, warm_up=3)
    return {name: [value / ways[name][1] for value in values] for name, values in times.items()}


def table(name: str, times: dict[str, list[float]]) -> str:
    """The results of one network as Markdown."""
    eager = statistics.median(times["stream, PyTorch"])
    head = "| computed by | ms a frame | middle half of the turns | frames a second | ratio |"
    rows = [f"## {name}\n", head, "|---|---|---|---|---|"]
    for way, values in times.items():
        low, middle, high = statistics.quantiles(values, n=4)
        rows.append(f"| {way} | {middle:.1f} | {low:.1f} to {high:.1f} | {1000 / middle:.0f} | {middle / eager:.2f} |")
    return "\n".join(rows) + "\n"


def preprocessing(size: int) -> str:
    """How long it takes to make a camera's frame into the network's."""
    model = gesture_zoo.create_model("tsm_mobilenetv2_100_online", num_classes=2)
    model.pretrained_cfg["input_size"] = (3, size, size)
    info = TorchRunner(model).info
    rgb = np.asarray(Image.effect_noise((640, 480), 60).convert("RGB"))
    values = []
    for _ in range(30):
        start = time.perf_counter()
        preprocess(rgb, info)
        values.append((time.perf_counter() - start) * 1000)
    return f"Preparing a frame of 640 x 480 (crop, resize, normalise, one core): {statistics.median(values):.1f} ms.\n"
