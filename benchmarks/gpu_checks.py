"""Does a CUDA GPU answer as the CPU does? `python benchmarks/gpu_checks.py --seconds 60`

For networks of every kind, with the same weights and clips: the forward on the GPU against the CPU's, in both memory
formats and replayed as a CUDA graph; the gradients against the CPU's, in float64, since those of a whole network in
float32 (shown, without a limit) differ by percents between two layouts on one CPU, where rounding turns a ReLU over; of
each temporal module alone in float32; a training step in bf16 autocast; the official networks' own answers
(tests/golden); what torch.compile makes of it against eager. TF32 is off. A difference is the largest, relative to the
largest number of the tensor. One line a check; the exit code is 1 if one fails. What does not fit into the time is
named, and is no failure.
"""

import argparse
import copy
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from common import graphics_card, origin
from gpu_rates import set_tf32
from speed_gpu import OutOfTime, alarm
from speed_models import FORMATS, PAPER, prepare, training_step
from timing import replay_of
from timm.models.res2net import Bottle2neck
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

import gesture_zoo
from gesture_zoo.layers.action import Action
from gesture_zoo.layers.tea import MotionExcitedConv, TEABlock
from gesture_zoo.layers.temporal_shift import TemporalShift

DEVICE = "cuda"
NAMES = (*PAPER, *(f"{name}_msd" for name in PAPER), "tsm_mobilenetv2_100_online", "action_resnet50_online")
MODULES: dict[str, Callable[[], nn.Module]] = {
    "TSM": lambda: TemporalShift(nn.Conv2d(64, 32, 1), 8),
    "ACTION": lambda: Action(nn.Conv2d(64, 32, 1), 8),
    "ME": lambda: MotionExcitedConv(nn.Conv2d(64, 32, 1), 8),
    "TEA": lambda: TEABlock(Bottle2neck(64, 16, act_layer=nn.ReLU, norm_layer=nn.BatchNorm2d), 8),
}
SMALL = ("tsm_test_resnet", "action_test_resnet", "me_test_resnet")
CLASSES, SIDE, BATCH = 12, 96, 2
LIMIT, EXACT = 1e-3, 1e-6


def made(name: str) -> nn.Module:
    """A network whose branches all count: a new one's last norms scale by zero, and its classifier by little."""
    torch.manual_seed(0)
    model = gesture_zoo.create_model(name, num_classes=CLASSES)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            nn.init.uniform_(module.weight, 0.4, 0.8)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model


def clip_of(side: int = SIDE) -> Tensor:
    return torch.randn(BATCH, 8, 3, side, side, generator=torch.Generator().manual_seed(1))


def far(found: Tensor, expected: Tensor) -> float:
    """The largest difference over the largest number."""
    return ((found.cpu().double() - expected.cpu().double()).abs().max() / expected.abs().max()).item()


def forward(name: str) -> list[tuple[str, float, float]]:
    model, clip = made(name).eval(), clip_of()
    with torch.inference_mode():
        expected = model(clip)
        there, clip = copy.deepcopy(model).to(DEVICE), clip.to(DEVICE)
        found = there(clip)
        answers = {"contiguous": found, "channels_last": there.to(memory_format=torch.channels_last)(clip)}
    rows = [(f"forward, {format}", far(answer, expected), LIMIT) for format, answer in answers.items()]
    held: list[Tensor] = []

    @torch.inference_mode()
    def call() -> None:
        held[:] = [there(clip)]

    replay = replay_of(call)
    with torch.inference_mode():
        held[0].zero_()
    replay()
    torch.cuda.synchronize()
    return [*rows, ("forward, CUDA graph", far(held[0], expected), LIMIT)]


def gradients(model: nn.Module, device: str, dtype: torch.dtype, format: torch.memory_format) -> list[Tensor]:
    model = copy.deepcopy(model).to(device, dtype).to(memory_format=format).train()
    clip = clip_of().to(device, dtype)
    answer = model(clip)
    parts = [answer] if isinstance(answer, Tensor) else [answer.logits, *answer.masks.values()]
    torch.stack([part.square().mean() for part in parts]).sum().backward()
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


def worst(found: list[Tensor], expected: list[Tensor]) -> float:
    """The largest difference of all gradients over the largest gradient of all."""
    largest = max(grad.abs().max().item() for grad in expected)
    pairs = zip(found, expected, strict=True)
    return max((a.cpu().double() - b.cpu().double()).abs().max().item() for a, b in pairs) / largest


def backward(name: str) -> list[tuple[str, float, float]]:
    rows, model = [], made(name)
    for dtype, limit in ((torch.float32, torch.inf), (torch.float64, EXACT)):
        expected = gradients(model, "cpu", dtype, torch.contiguous_format)
        for format in (torch.contiguous_format, torch.channels_last):
            difference = worst(gradients(model, DEVICE, dtype, format), expected)
            label = f"gradients, {dtype}, {format}".replace("torch.", "").replace("_format", "")
            rows.append((label, difference, limit))
    return rows


def module(name: str) -> list[tuple[str, float, float]]:
    """A temporal module around a convolution, alone: here float32 gradients agree."""
    torch.manual_seed(0)
    net, rows = MODULES[name](), []
    frames = torch.randn(16, 64, 28, 28)
    answers = {}
    for device, format in (("cpu", "contiguous"), (DEVICE, "contiguous"), (DEVICE, "channels_last")):
        there = prepare(copy.deepcopy(net).to(device), format, torch.float32).train()
        given = frames.to(device).contiguous(memory_format=FORMATS[format]).detach().requires_grad_()
        out = there(given)
        out.sin().sum().backward()
        grads = [given.grad, *(parameter.grad for parameter in there.parameters())]
        answers[device, format, len(answers)] = out, [grad for grad in grads if grad is not None]
    (expected, by_all), *others = answers.values()
    for (_, format, _), (out, grads) in zip(list(answers)[1:], others, strict=True):
        rows += [(f"alone, float32, {format}", far(out.detach(), expected.detach()), LIMIT)]
        rows += [(f"its gradients, float32, {format}", worst(grads, by_all), LIMIT)]
    return rows


def autocast_step(name: str) -> list[tuple[str, float, float]]:
    model = made(name).to(DEVICE).to(memory_format=torch.channels_last)
    training_step(model, clip_of().to(DEVICE), depth=name.endswith("_msd"), bf16=True)()
    grads = [parameter.grad for parameter in model.parameters()]
    bad = sum(grad is None or not bool(grad.isfinite().all()) for grad in grads)
    return [("bf16 training step, gradients that are missing or not finite", float(bad), 0.0)]


def golden(name: str) -> list[tuple[str, float, float]]:
    """The answers of the official networks."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from test_golden import GOLDEN, build, golden_clip

    with torch.inference_mode():
        logits = build(name).to(DEVICE)(golden_clip(GOLDEN[name]).to(DEVICE))
    return [("official answer", far(logits, torch.tensor(GOLDEN[name]["logits"])), LIMIT)]


def compiled(name: str) -> list[tuple[str, float, float]]:
    model, clip = made(name).to(DEVICE).eval(), clip_of(64).to(DEVICE)
    torch.compiler.reset()
    with torch.inference_mode():
        rows = [("compiled forward against eager", far(torch.compile(model)(clip), model(clip)), LIMIT)]
    grads = []
    for run in (model.train(), torch.compile(model)):
        model.zero_grad()
        run(clip).square().mean().backward()
        grads.append([parameter.grad for parameter in model.parameters()])
    return [*rows, ("compiled gradients against eager", worst(grads[1], grads[0]), LIMIT)]


def checks() -> list[tuple[str, Callable[[], list[tuple[str, float, float]]]]]:
    found: list[tuple[str, Callable[[], list[tuple[str, float, float]]]]] = []
    found += [(name, partial(forward, name)) for name in NAMES if not name.endswith("_msd")]
    found += [(name, partial(backward, name)) for name in NAMES]
    found += [(name, partial(module, name)) for name in MODULES]
    found += [(name, partial(autocast_step, name)) for name in NAMES]
    found += [(name, partial(golden, name)) for name in (*PAPER, "tsm_mobilenetv2_100")]
    return found + [(name, partial(compiled, name)) for name in SMALL]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="when to stop (default: %(default)s)")
    parser.add_argument("--commit", help="the commit this is, where git cannot say (default: ask git)")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("there is no CUDA GPU here to compare with the CPU")
    started = time.monotonic()
    set_tf32(False)
    print(
        f"{origin(args.commit)}{graphics_card()}\n| network | check | difference | limit | |\n|---|---|---|---|---|",
        flush=True,
    )
    waiting, failed = checks(), 0
    try:
        with alarm(args.seconds):
            while waiting:
                name, check = waiting[0]
                try:
                    rows = check()
                except Exception as error:  # the other checks are to be seen too
                    reason = " ".join(str(error).split())[:300]
                    rows = [
                        (f"{getattr(check, 'func', check).__name__}: {type(error).__name__}: {reason}", torch.inf, 0.0)
                    ]
                for what, difference, limit in rows:
                    good = difference <= limit
                    failed += not good
                    print(
                        f"| {name} | {what} | {difference:.1e} | {limit:.0e} | {'' if good else 'FAILED'} |", flush=True
                    )
                del waiting[0]
    except OutOfTime:
        left = "; ".join(f"{name} ({getattr(check, 'func', check).__name__})" for name, check in waiting)
        print(f"\nNot reached in the time given: {left}.")
    print(f"\n{failed} failed; {time.monotonic() - started:.0f} s.")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
