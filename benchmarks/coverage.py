"""Which CNNs temporal modules and depth decoders go onto: every one of timm and torchvision, tried.

    python benchmarks/coverage.py --out benchmarks/results/coverage.md

For each network, with random weights: insert a temporal module by the rule, attach decoders to res1 and layer4 by
their aliases, take one training step on a short clip with depth, strip, and compare with the untouched network
of the same weights, bit for bit. ``--only PATTERN`` tries some, ``--temporal`` another module, ``--jobs`` at once.

A CNN, here, is a network with convolutional features: its features are maps (what timm's forward_features gives, where
there is that), and a spatial convolution (kernel above 1) runs at a stride of 8 or more, not counting the stem (modules
named stem, patch_embed or pixel_embed). The others, which are transformers, are counted and left out.
"""

from __future__ import annotations

import argparse
import copy
import ctypes
import gc
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext, suppress
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from common import commit, origin, write
from torch import Tensor, nn

import gesture_zoo
from gesture_zoo.dryrun import dry_run, example_frames
from gesture_zoo.errors import GestureZooError
from gesture_zoo.layers import TemporalModule
from gesture_zoo.outputs import feature_map

T, CLASSES, SEED = 2, 5, 0
# Where timm's transformers have the convolutions that cut frames into patches.
STEMS = ("stem", "patch_embed", "pixel_embed")
# Networks of more parameters or pixels are tried one at a time, with gradient checkpointing: memory is short.
LARGE, LARGE_SIDE = 150_000_000, 256
# Sides to try, from the smallest: networks with fixed windows or many strides refuse the small ones.
SIDES = (64, 96, 128, 224, 256, 288, 320, 384, 448)


def names(library: str) -> list[str]:
    """Every network of a library that classifies images."""
    if library == "timm":
        return timm.list_models()
    return torchvision.models.list_models(module=torchvision.models)


def build(library: str, name: str) -> nn.Module:
    """The network with random weights."""
    torch.manual_seed(SEED)
    if library == "timm":
        return timm.create_model(name, num_classes=CLASSES)
    # The auxiliary classifiers of the Inceptions answer in training only.
    aux = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return torchvision.models.get_model(name, weights=None, num_classes=CLASSES, **aux)


class Features(nn.Module):
    """A timm model up to its pooling."""

    def __init__(self, cnn: nn.Module) -> None:
        super().__init__()
        self.cnn: Any = cnn

    def forward(self, images: Tensor) -> Any:
        return self.cnn.forward_features(images)


def is_cnn(cnn: nn.Module) -> bool:
    """Whether features are maps and a spatial convolution runs at a stride of 8 or more outside the stem."""
    if not any(isinstance(module, nn.Conv2d) for module in cnn.modules()):
        return False
    example = example_frames(cnn)
    if hasattr(cnn, "forward_features"):
        features, _ = dry_run(Features(cnn), example, lambda twin, images: nullcontext())
        if getattr(feature_map(features), "ndim", 0) != 4:
            return False
    found: list[bool] = []

    @contextmanager
    def watching(twin: nn.Module, images: Tensor) -> Iterator[None]:
        def note(module: nn.Conv2d, args: Any, output: Any) -> None:
            (maps,) = args[:1]
            spatial = max(module.kernel_size) > 1 and min(maps.shape[-2:]) > 1
            found.append(spatial and maps.shape[-2] <= example.shape[-2] // 8)

        for name, module in twin.named_modules():
            if isinstance(module, nn.Conv2d) and not name.startswith(STEMS):
                module.register_forward_hook(note)
        yield

    dry_run(cnn, example, watching)
    return any(found)


def smallest_side(cnn: nn.Module) -> int:
    """The smallest side of frames that the network takes, tried without data; its own where that is fixed."""
    own = example_frames(cnn).shape[-1]
    for side in sorted({side for side in SIDES if side <= own} | {own}):
        try:
            dry_run(cnn, torch.empty(T, 3, side, side), lambda twin, images: nullcontext())
            return side
        except GestureZooError:
            continue
    return own


def look(library: str, name: str) -> tuple[bool, int]:
    """Whether a network is a CNN, and its number of parameters, built without memory where that works."""
    try:
        with torch.device("meta"):
            cnn = build(library, name)
        found = is_cnn(cnn)
    except Exception:
        cnn = build(library, name)
        found = is_cnn(cnn)
    return found, sum(parameter.numel() for parameter in cnn.parameters())


# Library, name, temporal module.
Task = tuple[str, str, str]

# Shared by the processes of a pool; a single process needs none.
alone: Any = nullcontext()


def begin(lock: Any) -> None:
    """What every process of the pool starts with."""
    global alone
    alone = lock
    torch.set_num_threads(1)


def new_row(task: Task) -> dict[str, Any]:
    """What is known of a network before it is tried."""
    row = {"library": task[0], "name": task[1], "cnn": True, "ok": False, "step": "build", "why": "", "seconds": 0}
    return row | {"commit": commit()}


def attempt(task: Task) -> dict[str, Any]:
    """What came of one network: how far it went, and the reason if that was not to the end."""
    library, name, temporal = task
    start = time.perf_counter()
    row = new_row(task)
    try:
        row["cnn"], row["parameters"] = look(library, name)
        if row["cnn"]:
            cnn = build(library, name)
            row["side"] = smallest_side(cnn)
            row["large"] = row["parameters"] > LARGE or row["side"] > LARGE_SIDE
            with alone if row["large"] else nullcontext():
                go_through(row, cnn, temporal)
    except Exception as error:
        row["why"] = f"{type(error).__name__}: {' '.join(str(error).split())}"
    give_memory_back()
    row["seconds"] = round(time.perf_counter() - start, 1)
    return row


def give_memory_back() -> None:
    """What a network has left; the C library would keep it for the next, and two processes share the memory."""
    gc.collect()
    with suppress(OSError, AttributeError):  # the GNU library's own
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def go_through(row: dict[str, Any], cnn: nn.Module, temporal: str) -> None:
    """Insert, train a step, strip, compare; ``row["step"]`` says how far it came."""
    row["family"] = type(cnn).__name__
    side = row["side"]
    generator = torch.Generator().manual_seed(SEED)
    clip = torch.rand(1, T, 3, side, side, generator=generator)
    depth = torch.rand(1, T, 1, side, side, generator=generator)

    row["step"] = "insert"
    video = gesture_zoo.with_temporal(cnn, temporal, num_segments=T)
    row["inserted"] = sum(isinstance(module, TemporalModule) for module in video.modules())
    # Never wrapped and never hooked, but of the same weights, so that both learn: no second copy in memory.
    weights = {id(tensor): tensor for tensor in (*video.parameters(), *video.buffers())}
    untouched = copy.deepcopy(video, weights)

    row["step"] = "attach"
    model = gesture_zoo.with_msd(video, taps=["res1", "layer4"])

    row["step"] = "train"
    if row["large"]:
        with suppress(Exception):  # few torchvision networks know how
            model.set_grad_checkpointing()
    torch.manual_seed(SEED)
    out = model.train()(clip)
    shapes = {name: mask.shape[:3] for name, mask in out.masks.items()}
    assert shapes == dict.fromkeys(("res1", "layer4"), depth.shape[:3]), f"masks {shapes}"
    loss = gesture_zoo.MSDLoss()(out, torch.tensor([0]), depth)
    loss.backward()
    assert loss.isfinite(), "the loss is not finite"
    learned = [p for p in model.model.parameters() if p.grad is not None and p.grad.any()]
    assert learned, "no gradient reaches the network"
    with torch.no_grad():
        for parameter in learned:
            assert parameter.grad is not None
            parameter -= 1e-3 * parameter.grad / (1 + parameter.grad.norm())
    model.zero_grad()

    row["step"] = "strip"
    stripped = gesture_zoo.strip_msd(model)
    state, expected = stripped.state_dict(), untouched.state_dict()
    assert list(state) == list(expected), "the keys differ"
    assert all(torch.equal(state[key], expected[key]) for key in state), "the weights differ"

    row["step"] = "compare"
    with torch.inference_mode():
        ours, theirs = stripped.eval()(clip), untouched.eval()(clip)
    assert ours.isfinite().all(), "the answer is not finite"
    assert torch.equal(ours, theirs), "the answers differ"
    row["ok"] = True


def work(tasks: list[Task], jobs: int, rows: Path | None) -> list[dict[str, Any]]:
    """The rows of all tasks; ``rows`` keeps them as JSON lines, and what it holds already is not tried again."""
    done = [json.loads(line) for line in rows.read_text().splitlines()] if rows and rows.exists() else []
    known = {(row["library"], row["name"]) for row in done}
    waiting = [task for task in tasks if task[:2] not in known]

    def keep(row: dict[str, Any]) -> None:
        done.append(row)
        if rows:
            with rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
        state = "ok" if row["ok"] else f"{row['step']}: {row['why'][:150]}" if row["why"] else "no CNN"
        print(len(done), row["library"], row["name"], state, row["seconds"], "s", file=sys.stderr)

    while waiting:
        lost = run_all(waiting, jobs, keep)
        # A process that the system killed took others' tasks with it: each of them again, alone.
        for task in lost:
            if run_all([task], 1, keep):
                keep(new_row(task) | {"step": "run", "why": "the system killed the process (memory)"})
        finished = {(row["library"], row["name"]) for row in done}
        waiting = [task for task in waiting if task[:2] not in finished]
    return sorted(done, key=lambda row: (row["library"], row["name"]))


def run_all(tasks: list[Task], jobs: int, keep: Callable[[dict[str, Any]], None]) -> list[Task]:
    """Try tasks in processes of their own; returns those that were lost with a process, and stops there."""
    context = multiprocessing.get_context("spawn")
    queue, running = iter(tasks), {}
    with ProcessPoolExecutor(jobs, context, begin, (context.Lock(),), max_tasks_per_child=40) as pool:
        while True:
            for task in islice(queue, jobs - len(running)):
                running[pool.submit(attempt, task)] = task
            if not running:
                return []
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                try:
                    keep(future.result())
                except BrokenProcessPool:
                    return list(running.values())
                del running[future]


def report(rows: list[dict[str, Any]], temporal: str) -> str:
    """The results file."""
    cnns = [row for row in rows if row["cnn"]]
    good = [row for row in cnns if row["ok"]]
    tried = Counter(row["commit"] for row in rows)
    commits = ", ".join(f"{name} {count}" for name, count in tried.items())
    lines = [
        f"{origin()}Networks tried at commit: {commits}.",
        f"Result: {len(good)} of {len(cnns)} CNNs of timm {timm.__version__} and torchvision {torchvision.__version__} "
        f"({100 * len(good) / max(1, len(cnns)):.1f} %) take a temporal module (`{temporal}`) and depth decoders by "
        "the rule, learn a step, and are bit for bit the untouched network once stripped.",
        "A CNN, here, has features that are maps and runs a spatial convolution (kernel above 1) at a stride of 8 or "
        "more outside its stem; the others are transformers. "
        f"Random weights, a clip of {T} frames of the smallest size that the network takes. Taps by the aliases `res1` "
        "and `layer4`.",
        "| library | networks | CNNs | all steps passed |\n|---|---|---|---|",
    ]
    for library in dict.fromkeys(row["library"] for row in rows):
        mine = [row for row in rows if row["library"] == library]
        inside = [row for row in mine if row["cnn"]]
        lines[-1] += f"\n| {library} | {len(mine)} | {len(inside)} | {sum(row['ok'] for row in inside)} |"
    lines += ["## What did not pass", "| network | class | step | reason |\n|---|---|---|---|"]
    for row in cnns:
        if not row["ok"]:
            reason = row["why"].replace("|", "\\|")[:300]
            lines[-1] += f"\n| {row['library']} `{row['name']}` | {row.get('family', '')} | {row['step']} | {reason} |"
    lines += [
        "## By class of network",
        "| class | passed | of | places for a module, fewest to most |\n|---|---|---|---|",
    ]
    families: dict[str, list[dict[str, Any]]] = {}
    for row in cnns:
        families.setdefault(f"{row['library']} {row.get('family', '?')}", []).append(row)
    for family, members in sorted(families.items()):
        places = [row["inserted"] for row in members if "inserted" in row]
        span = f"{min(places)} to {max(places)}" if places else ""
        lines[-1] += f"\n| {family} | {sum(row['ok'] for row in members)} | {len(members)} | {span} |"
    return "\n\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="*", help="fnmatch pattern of the names to try")
    parser.add_argument("--temporal", default="tsm", help="temporal module")
    parser.add_argument("--jobs", type=int, default=2, help="networks at once")
    parser.add_argument("--rows", type=Path, help="JSON lines to keep what is done in, and to go on from")
    parser.add_argument("--out", type=Path, help="file for the results (default: print)")
    args = parser.parse_args()
    tasks = [
        (library, name, args.temporal)
        for library in ("timm", "torchvision")
        for name in names(library)
        if fnmatch(name, args.only)
    ]
    write(report(work(tasks, args.jobs, args.rows), args.temporal), args.out)


if __name__ == "__main__":
    main()
