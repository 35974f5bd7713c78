"""What time costs: the zoo's models against the plain CNNs under them, and each temporal module alone.

    python benchmarks/speed.py inference --out benchmarks/results/speed_inference.md
    python benchmarks/speed.py training --out benchmarks/results/speed_training.md
    python benchmarks/speed.py modules --out benchmarks/results/speed_modules.md
    python benchmarks/speed.py steps --out benchmarks/results/speed_steps.md
    python benchmarks/speed.py copies --keep --out benchmarks/results/speed_copies.md
    python benchmarks/speed.py gpu --seconds 150 --out benchmarks/results/speed_gpu.md

One process; the plain CNN and what is compared with it take turns (timing.py), and a ratio is the median over the
rounds of the two times of the same round. Clips of 8 frames at 224 x 224, random weights. Peak memory is what the model
holds and the most that was allocated on top, by torch's profiler. The floor is the ratio if the modules cost no more
than moving the bytes they must move (speed_floor.py) at the rate of a copy. `inference --everything` runs batch 8, bf16
and torch.compile for all models, which takes hours on two cores; by default they are run for those of the paper.
`training --everything` runs bf16 (autocast) and torch.compile too, minutes for each to compile. `gpu`
asks all of that of a CUDA GPU, for the models of the paper, the most telling settings first (speed_gpu.py): it ends
after so many seconds and says what it did not reach. With `--keep` freed memory is kept, as the commands have it: see
malloc.py. Where the code lies without its repository, `--commit` names it.
"""

import argparse
import itertools
import statistics
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import origin
from speed_copies import copy_tables
from speed_floor import floor_ratio
from speed_gpu import TABLES, measure
from speed_models import CLASSES, FORMATS, FRAMES, PAPER, SIDE, clips, plain_cnn, prepare, training_step
from speed_modules import copy_bandwidth, module_tables
from speed_steps import step_tables
from timing import in_turn, paired_ratio
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import gesture_zoo
from gesture_zoo.cards.catalogue import zoo_models
from gesture_zoo.layers import TEMPORAL
from gesture_zoo.memory import keep_freed_memory

HEAD = (
    "| model | batch | format | mode | type | plain CNN, ms | ms | ratio | floor | peak, plain, MB | peak, MB | ratio |"
)
RULE = "|---" * (HEAD.count("|") - 1) + "|"


def decorated() -> list[str]:
    """The models that are a CNN with temporal modules."""
    names = [name for name in zoo_models() if not name.endswith(("_msd", "_online"))]
    return [name for name in names if name.partition("_")[0] in set(TEMPORAL) - {"tsn"}]


def inference(model: nn.Module, clip: Tensor, *, compiled: bool) -> Callable[[], object]:
    """A forward in eval mode; compiled, once it was compiled."""
    run: Any = torch.compile(model.eval()) if compiled else model.eval()

    @torch.inference_mode()
    def forward() -> object:
        return run(clip)

    return forward


def peak_megabytes(model: nn.Module, call: Callable[[], object], *, grad: bool) -> float:
    """What the parameters and buffers take and the most that was allocated beside them during a call.

    Read from the allocator: trackers that hook the modules make them keep what they would make again.
    """
    for parameter in model.parameters():
        parameter.grad = None
    held = {tensor.data_ptr(): tensor.nbytes for tensor in (*model.parameters(), *model.buffers())}
    recording = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
    with recording as profiler, nullcontext() if grad else torch.no_grad():
        call()
    events: Any = profiler.profiler
    changes = sorted((e.start_ns(), e.nbytes()) for e in events.kineto_results.events() if e.name() == "[memory]")
    most = max(itertools.accumulate(size for _, size in changes), default=0)
    return (sum(held.values()) + most) / 1e6


def settings(args: argparse.Namespace, name: str) -> list[tuple[int, str, bool, torch.dtype]]:
    """Batch, format, compiled or not, type."""
    full = args.everything or (name in PAPER and not args.quick)
    batches = args.batches if full else (1,)
    types = (torch.float32, torch.bfloat16) if full and not args.no_bf16 else (torch.float32,)
    modes = (False, True) if full and not args.no_compile else (False,)
    product = itertools.product(batches, FORMATS, modes, types)
    # bf16 and batch 8 are measured eager: compiling each would take the day.
    return [s for s in product if not (s[2] and (s[0] > 1 or s[3] is torch.bfloat16))]


def run_inference(args: argparse.Namespace) -> list[str]:
    """A row for every model and setting."""
    rows, bandwidth = [], copy_bandwidth()
    for name in args.models or decorated():
        for batch, format, compiled, dtype in settings(args, name):
            torch.manual_seed(0)
            torch.compiler.reset()  # it compiles one function a few times only
            models = {
                "plain": prepare(plain_cnn(name), format, dtype),
                "ours": prepare(gesture_zoo.create_model(name, num_classes=CLASSES), format, dtype),
            }
            clip = clips(batch, dtype)
            ways = {key: inference(model, clip, compiled=compiled) for key, model in models.items()}
            times = in_turn(ways, max(3, args.rounds // batch))
            peaks = {key: peak_megabytes(model, partial(model, clip), grad=False) for key, model in models.items()}
            floor = floor_ratio(models["ours"], clip, statistics.median(times["plain"]), bandwidth)
            mode = "compiled" if compiled else "eager"
            rows.append(row(name, batch, format, mode, dtype, times, peaks, f"{floor:.2f}"))
            print(rows[-1], flush=True)
    return [f"A copy moves {bandwidth / 1e9:.1f} GB/s.\n", HEAD, RULE, *rows]


def run_training(args: argparse.Namespace) -> list[str]:
    """A training step of the paper's models and of their MSD twins against the plain CNN's.

    With bfloat16 the forward runs under autocast.
    """
    rows, bandwidth = [], copy_bandwidth()
    modes = (False, True) if args.everything and not args.no_compile else (False,)
    types = (torch.float32, torch.bfloat16) if args.everything and not args.no_bf16 else (torch.float32,)
    for name in args.models or PAPER:
        for format, compiled, dtype in itertools.product(FORMATS, modes, types):
            torch.manual_seed(0)
            torch.compiler.reset()  # it compiles one function a few times only
            models = {
                "plain": prepare(plain_cnn(name), format, torch.float32),
                "ours": prepare(gesture_zoo.create_model(name, num_classes=CLASSES), format, torch.float32),
            }
            if not args.no_msd:
                twin = gesture_zoo.create_model(f"{name}_msd", num_classes=CLASSES)
                models["msd"] = prepare(twin, format, torch.float32)
            clip = clips(args.batch, torch.float32)
            ways = {
                key: training_step(
                    torch.compile(model) if compiled else model,
                    clip,
                    depth=key == "msd",
                    bf16=dtype is torch.bfloat16,
                )
                for key, model in models.items()
            }
            times = in_turn(ways, args.rounds)
            peaks = {key: peak_megabytes(models[key], ways[key], grad=True) for key in models}
            plain = statistics.median(times["plain"])
            least = floor_ratio(models["ours"], clip, plain, bandwidth, training=True)
            floor = f"{least:.2f}" if dtype is torch.float32 else ""  # under autocast only some of it is half
            pairs = [("ours", name, "plain", floor), ("msd", f"{name}_msd, against without", "ours", "")]
            mode = "training step, compiled" if compiled else "training step"
            for key, label, than, floor in (pair for pair in pairs if pair[0] in models):
                pair = {"plain": times[than], "ours": times[key]}
                memory = {"plain": peaks[than], "ours": peaks[key]}
                rows.append(row(label, args.batch, format, mode, dtype, pair, memory, floor))
                print(rows[-1], flush=True)
    return [f"A copy moves {bandwidth / 1e9:.1f} GB/s.\n", HEAD, RULE, *rows]


def row(
    name: str,
    batch: int,
    format: str,
    mode: str,
    dtype: torch.dtype,
    times: dict[str, list[float]],
    peaks: dict[str, float],
    floor: str,
) -> str:
    """A line of the table."""
    plain, ours = (statistics.median(times[key]) for key in ("plain", "ours"))
    ratio, memory = paired_ratio(times["ours"], times["plain"]), peaks["ours"] / peaks["plain"]
    kind = str(dtype).removeprefix("torch.")
    return (
        f"| {name} | {batch} | {format} | {mode} | {kind} | {plain:.0f} | {ours:.0f} | {ratio:.2f} | {floor} "
        f"| {peaks['plain']:.0f} | {peaks['ours']:.0f} | {memory:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("inference", "training", "modules", "steps", "copies", "gpu"))
    parser.add_argument("--models", nargs="+", help="names (default: those of the part)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=1, help="clips of a training step (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--everything", action="store_true", help="all settings for all models, of training too")
    parser.add_argument("--quick", action="store_true", help="batch 1, eager and float32 alone, for all models")
    parser.add_argument("--batches", type=int, nargs="+", default=(1, 8), help="of inference (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep freed memory, as the commands do")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--no-msd", action="store_true", help="of training: without the twins with decoders")
    parser.add_argument("--no-bf16", action="store_true", help="for processors that have no bfloat16 of their own")
    parser.add_argument("--seconds", type=float, default=150, help="for the part gpu (default: %(default)s)")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=tuple(TABLES), help="of the part gpu")
    parser.add_argument("--workers", type=int, default=12, help="of the part gpu's loader (default: %(default)s)")
    parser.add_argument("--commit", help="the commit this is, where git cannot say (default: ask git)")
    parser.add_argument("--out", type=Path, help="file for the results (default: print)")
    args = parser.parse_args()
    if args.part == "gpu" and not torch.cuda.is_available():
        parser.error("there is no CUDA GPU here for the part gpu; the others are for the CPU")
    if args.keep and not keep_freed_memory():
        parser.error("freed memory cannot be kept: there is no glibc, or the environment has settings of its malloc")
    torch.set_num_threads(args.threads)
    head = origin(args.commit)
    if args.part == "gpu":
        measure(args, head)
        return
    parts = {
        "inference": run_inference,
        "training": run_training,
        "modules": module_tables,
        "steps": step_tables,
        "copies": partial(copy_tables, inference=inference),
    }
    lines = parts[args.part](args)
    text = f"{head}\nClips of {FRAMES} frames at {SIDE} x {SIDE}.\n\n" + "\n".join(lines) + "\n"
    if args.out:
        args.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
