"""What temporal modules cost if they only move bytes: whole passes over their frames. A part of speed.py."""

from typing import Any

import torch
from torch import Tensor, nn

from gesture_zoo.layers.action import Action
from gesture_zoo.layers.tea import MotionExcitedConv, TEABlock
from gesture_zoo.layers.temporal_shift import TemporalShift

# How often all of a module's frames must be read or written beside what the wrapped convolution reads and writes: in a
# forward pass, and in a training step that keeps nothing of their size.
# TSM: a convolution reads shifted channels where they lie; a quarter of the gradient moves back, by way of a copy.
# ACTION: filtered (2), its sums taken on the way, and scaled as the convolution reads it; made again (2), the gradient
# filtered back (2) and compared with the frames (1).
# TEA: read for the sums of ME, read and written with its gain, read and written by the temporal convolution; in a
# training step that convolution made again (2) and moved back (3), and the gradients of ME (2 for its gain, 3).
# ME before any convolution lacks TEA's temporal one.
PASSES: dict[type, tuple[int, int]] = {
    TemporalShift: (0, 1),
    Action: (2, 7),
    TEABlock: (5, 15),
    MotionExcitedConv: (3, 8),
}


@torch.no_grad()
def moved_bytes(model: nn.Module, clip: Tensor, *, training: bool) -> int:
    """Bytes that the temporal modules of a model must move at least for these clips."""
    total = 0

    def count(module: Any, inputs: Any) -> None:
        nonlocal total
        frames = inputs[0]
        # In TEA's blocks the modules see what the first convolution makes.
        channels = module.conv1.out_channels if isinstance(module, TEABlock) else frames.shape[1]
        size = frames.numel() // frames.shape[1] * channels * frames.element_size()
        total += PASSES[type(module)][training] * size

    hooks = [m.register_forward_pre_hook(count) for m in model.modules() if type(m) in PASSES]
    mode = model.training
    model.eval()(clip)
    model.train(mode)
    for hook in hooks:
        hook.remove()
    return total


def floor_ratio(model: nn.Module, clip: Tensor, plain_ms: float, bandwidth: float, *, training: bool = False) -> float:
    """What the model would cost as a ratio to the plain CNN, if bytes were all it cost on top of it."""
    return 1 + 1000 * moved_bytes(model, clip, training=training) / bandwidth / plain_ms
