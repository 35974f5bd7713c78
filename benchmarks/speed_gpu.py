"""Everything speed.py asks, of a CUDA GPU, in a number of seconds. A part of speed.py.

The most telling settings come first. Each row is printed and written as it comes; when the time is up, what is under
way is given up, and the file says which settings were not reached.
"""

import argparse
import copy
import gc
import signal
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from types import FrameType
from typing import NamedTuple

import torch
from common import graphics_card
from gpu_loader import HEAD as LOADER_HEAD
from gpu_loader import training_throughput
from gpu_rates import KINDS, Card, card, multiply_adds, precision, set_tf32
from speed_floor import floor_ratio
from speed_models import CLASSES, FRAMES, PAPER, SIDE, clips, plain_cnn, prepare, training_step
from speed_modules import PLACES, gpu_module_rows
from timing import Way, in_turn_on_gpu, launch_milliseconds, paired_ratio, replay_of
from torch import Tensor, nn

import gesture_zoo

DEVICE = "cuda"
ROUNDS = 5
# Table: what it shows, and its columns.
TABLES = {
    "inference": (
        "A forward in eval mode. Eager: as called from Python, one call after another; launch: how long Python takes "
        "to give a call's kernels to an idle GPU; graph: the same kernels replayed as a CUDA graph, which is the time "
        "of the GPU alone. Floor: the ratio of graphs if the temporal modules moved their bytes at the rate of a copy. "
        "TFLOP/s: two operations a multiply-add, in the time of the graph; beside them their share of the rate of a "
        "large matrix product of that type, and the time of all of them at that rate.",
        "| model | batch | format | type | plain CNN, eager, ms | eager, ms | ratio | launch, ms "
        "| plain CNN, graph, ms | graph, ms | ratio | floor | TFLOP/s | of matmul, % | at matmul's rate, ms "
        "| peak, plain, MB | peak, MB |",
    ),
    "training": (
        "A training step (forward, loss, backward; no optimiser), eager; bfloat16 is autocast over float32 weights. "
        "MSD: the same model with its decoders, against the one without. Floor and launch as above; where a step has "
        "more kernels than the driver keeps waiting, its launching waits for the GPU. TFLOP/s: the operations of three "
        "forwards.",
        "| model | batch | format | type | plain CNN, ms | ms | ratio | floor | launch, ms | TFLOP/s | of matmul, % "
        "| with MSD, ms | ratio | peak, plain, MB | peak, MB | peak, MSD, MB |",
    ),
    "loader": (
        "Training as `gesture-zoo train` does it, on synthetic clips that are rendered while it trains.",
        LOADER_HEAD,
    ),
    "modules": (
        "Each temporal module alone, eval, without the convolution it wraps, against its textbook form, both "
        "replayed as CUDA graphs; the floor is the time of the bytes it must move at the rate of a copy.",
        "| module | frames | format | type | textbook, ms | ours, ms | ours / textbook | floor, ms | ours / floor "
        "| largest difference |",
    ),
    "compiled": (
        "A forward in eval mode compiled by torch.compile (Inductor, default mode), batch 8, channels_last.",
        "| model | type | eager, ms | graph, ms | compiled, ms | compiled / graph | compiling, s |",
    ),
}


class OutOfTime(BaseException):
    """The time is up; no ``Exception``, so that nothing on the way takes it for a failure of its own."""


class Job(NamedTuple):
    """A setting: the table it is in, its name, and what gives its rows."""

    table: str
    name: str
    rows: Callable[[Card], Iterable[str]]


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise OutOfTime inside after so many seconds, and again every few: one may be lost in a callback."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001), 3.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@cache
def network(name: str) -> nn.Module:
    """A model of the zoo, or "plain NAME" for the CNN under it; to be copied."""
    torch.manual_seed(0)
    plain = name.removeprefix("plain ")
    made = gesture_zoo.create_model(name, num_classes=CLASSES) if plain == name else plain_cnn(plain)
    return made.to(DEVICE)


def networks(names: dict[str, str], format: str, dtype: torch.dtype) -> dict[str, nn.Module]:
    return {key: prepare(copy.deepcopy(network(name)), format, dtype) for key, name in names.items()}


def forward(model: nn.Module, clip: Tensor) -> Way:
    model.eval()

    @torch.inference_mode()
    def call() -> object:
        return model(clip)

    return call


def peak_megabytes(model: nn.Module, call: Way) -> float:
    """What the parameters and buffers take and the most that was allocated beside them during a call."""
    call()  # libraries take their own memory the first time
    for parameter in model.parameters():
        parameter.grad = None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    held = {tensor.data_ptr(): tensor.nbytes for tensor in (*model.parameters(), *model.buffers())}
    peak = torch.cuda.max_memory_allocated() - before
    for parameter in model.parameters():
        parameter.grad = None
    return (sum(held.values()) + peak) / 1e6


def inference_row(card: Card, *, name: str, batch: int, format: str, kind: str) -> Iterator[str]:
    with precision(kind) as dtype:
        models = networks({"plain": f"plain {name}", "ours": name}, format, dtype)
        clip = clips(batch, dtype).to(DEVICE)
        eager = {key: forward(model, clip) for key, model in models.items()}
        peaks = {key: peak_megabytes(model, eager[key]) for key, model in models.items()}
        graphs = {f"{key} graph": replay_of(call) for key, call in eager.items()}
        times = in_turn_on_gpu(eager | graphs, ROUNDS)
        launch = launch_milliseconds(eager["ours"])
        middle = {key: statistics.median(values) for key, values in times.items()}
        floor = floor_ratio(models["ours"], clip, middle["plain graph"], card.bandwidth)
    operations = 2 * batch * multiply_adds(name)
    rate, fastest = operations / middle["ours graph"] * 1000, card.rates[kind]
    yield (
        f"| {name} | {batch} | {format} | {kind} | {middle['plain']:.2f} | {middle['ours']:.2f} "
        f"| {paired_ratio(times['ours'], times['plain']):.2f} | {launch:.2f} "
        f"| {middle['plain graph']:.2f} | {middle['ours graph']:.2f} "
        f"| {paired_ratio(times['ours graph'], times['plain graph']):.2f} | {floor:.2f} "
        f"| {rate / 1e12:.1f} | {100 * rate / fastest:.0f} | {operations / fastest * 1000:.2f} "
        f"| {peaks['plain']:.0f} | {peaks['ours']:.0f} |"
    )


def training_row(card: Card, *, name: str, batch: int, format: str, kind: str) -> Iterator[str]:
    bf16 = kind == "bfloat16"
    with precision(kind):
        names = {"plain": f"plain {name}", "ours": name, "msd": f"{name}_msd"}
        models = networks(names, format, torch.float32)
        clip = clips(batch, torch.float32).to(DEVICE)
        steps = {key: training_step(model, clip, depth=key == "msd", bf16=bf16) for key, model in models.items()}
        peaks = {key: peak_megabytes(models[key], step) for key, step in steps.items()}
        times = in_turn_on_gpu(steps, ROUNDS, warm_up=2, turn=0.1)
        launch = launch_milliseconds(steps["ours"], 3)
        plain, ours, msd = (statistics.median(times[key]) for key in names)
        with torch.autocast(DEVICE, torch.bfloat16, enabled=bf16):
            floor = floor_ratio(models["ours"], clip, plain, card.bandwidth, training=True)
    # The backward pass takes twice the operations of the forward: for the weights, and for the input.
    rate, fastest = 3 * 2 * batch * multiply_adds(name) / ours * 1000, card.rates[kind]
    yield (
        f"| {name} | {batch} | {format} | {kind} | {plain:.1f} | {ours:.1f} "
        f"| {paired_ratio(times['ours'], times['plain']):.2f} | {floor:.2f} | {launch:.1f} "
        f"| {rate / 1e12:.1f} | {100 * rate / fastest:.0f} "
        f"| {msd:.1f} | {paired_ratio(times['msd'], times['ours']):.2f} "
        f"| {peaks['plain']:.0f} | {peaks['ours']:.0f} | {peaks['msd']:.0f} |"
    )


def compiled_row(card: Card, *, name: str, kind: str) -> Iterator[str]:
    with precision(kind) as dtype:
        (model,) = networks({"ours": name}, "channels_last", dtype).values()
        clip = clips(8, dtype).to(DEVICE)
        eager = forward(model, clip)
        graph = replay_of(eager)
        torch.compiler.reset()
        compiled = forward(torch.compile(model.eval()), clip)
        started = time.perf_counter()
        compiled()
        torch.cuda.synchronize()
        seconds = time.perf_counter() - started
        times = in_turn_on_gpu({"eager": eager, "graph": graph, "compiled": compiled}, ROUNDS)
    middle = [f"{statistics.median(values):.2f}" for values in times.values()]
    ratio = paired_ratio(times["compiled"], times["graph"])
    yield f"| {name} | {kind} | {' | '.join(middle)} | {ratio:.2f} | {seconds:.0f} |"


def jobs(args: argparse.Namespace) -> list[Job]:
    """All settings, the most telling first."""
    found: list[Job] = []

    def passes(
        rows: Callable[..., Iterator[str]], table: str, batches: Iterable[int], format: str, *kinds: str
    ) -> None:
        for batch in batches:
            for kind in kinds:
                for name in names:
                    setting = {"name": name, "batch": batch, "format": format, "kind": kind}
                    label = f"{name}, batch {batch}, {format}, {kind}"
                    found.append(Job(table, label, partial(rows, **setting)))

    def compiling(name: str) -> None:
        found.append(Job("compiled", f"{name}, bfloat16", partial(compiled_row, name=name, kind="bfloat16")))

    names = list(args.models or PAPER)
    passes(inference_row, "inference", (8, 1), "channels_last", "bfloat16", "float32")
    passes(training_row, "training", (8,), "channels_last", "bfloat16", "float32")
    found.append(Job("loader", "training with the loader", partial(training_throughput, workers=args.workers)))
    for kind in ("float32", "bfloat16"):
        for channels, side in PLACES:
            rows = partial(gpu_module_rows, channels=channels, side=side, dtype=KINDS[kind])
            found.append(Job("modules", f"{channels} channels, {side} x {side}, {kind}", rows))
    passes(inference_row, "inference", (8, 1), "contiguous", "bfloat16", "float32")
    passes(training_row, "training", (8,), "contiguous", "bfloat16", "float32")
    compiling(names[-1])
    passes(inference_row, "inference", (32,), "channels_last", "bfloat16", "float32")
    for name in (f"plain {names[-1]}", *names[:-1]):
        compiling(name)
    passes(inference_row, "inference", (8,), "channels_last", "tf32")
    return [job for job in found if job.table in args.tables]


class Report:
    """The results file as it grows."""

    def __init__(self, args: argparse.Namespace, head: str) -> None:
        self.out, self.head = args.out, head
        self.lines: dict[str, list[str]] = {table: [] for table in TABLES}
        self.rates = ""
        self.missing: list[str] = []
        self.failed: list[str] = []

    def add(self, table: str, line: str) -> None:
        self.lines[table].append(line)
        print(f"{table}: {line}", flush=True)
        self.write()

    def text(self) -> str:
        parts = [
            f"{self.head}{graphics_card()}",
            f"Clips of {FRAMES} frames at {SIDE} x {SIDE}, random weights. Times are medians over {ROUNDS} rounds, "
            "between CUDA events, of calls that take turns; a ratio is the median over the rounds. TF32 is off, but in "
            "rows of that type; cuDNN chooses its algorithms by its rules, not by trying them (cudnn.benchmark is off, "
            "PyTorch's default). Peak memory is what the model holds and the most that was allocated on top.",
            self.rates,
            self.launches(),
        ]
        for table, lines in self.lines.items():
            explanation, columns = TABLES[table]
            if lines:
                rule = "|---" * (columns.count("|") - 1) + "|"
                parts += [explanation, "\n".join((columns, rule, *lines))]
        missing = "; ".join(self.missing)
        parts.append(f"Not reached in the time given: {missing}." if missing else "")
        parts += [f"Failed: {failure}" for failure in self.failed]
        return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"

    def launches(self) -> str:
        """What eager costs beside the GPU's own time, by batch."""
        by_batch: dict[str, list[float]] = {}
        for line in self.lines["inference"]:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            by_batch.setdefault(cells[1], []).append(float(cells[5]) / float(cells[9]))
        said = [f"{min(v):.1f} to {max(v):.1f} at batch {batch}" for batch, v in sorted(by_batch.items())]
        return (
            f"Eager inference takes so many times what the GPU needs by itself (the CUDA graph): {', '.join(said)}. "
            "Where it is well above 1, the GPU waits for Python to launch its kernels."
            if said
            else ""
        )

    def write(self) -> None:
        if self.out:
            self.out.write_text(self.text())


def measure(args: argparse.Namespace, head: str) -> None:
    """All tables, as far as the seconds go."""
    deadline = time.monotonic() + args.seconds
    report = Report(args, head)
    waiting = jobs(args)
    set_tf32(False)
    gc.freeze()  # capturing a graph collects garbage, which need not look through all that was imported
    try:
        with alarm(deadline - time.monotonic()):
            measured = card()
            report.rates = str(measured)
            print(report.text(), flush=True)
            while waiting:
                job = waiting[0]
                started = time.monotonic()
                try:
                    for line in job.rows(measured):
                        report.add(job.table, line)
                except Exception as error:  # a setting that fails must not take the others with it
                    reason = " ".join(str(error).split())[:300]
                    report.failed.append(f"{job.table}, {job.name}: {type(error).__name__}: {reason}")
                    print(report.failed[-1], flush=True)
                del waiting[0]
                left = deadline - time.monotonic()
                print(f"  {time.monotonic() - started:.1f} s, {left:.0f} s left", flush=True)
                gc.collect()  # a loader's threads must be gone before a graph is captured
                torch.cuda.empty_cache()
    except OutOfTime:
        signal.setitimer(signal.ITIMER_REAL, 0)
        report.missing = [f"{job.table}: {job.name}" for job in waiting]
    report.write()
    print(report.text(), flush=True)
