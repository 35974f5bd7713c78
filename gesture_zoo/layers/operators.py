"""Operators of PyTorch for what a compiler is to leave alone.

In channels_last, which Inductor chooses around convolutions on CPUs, its own code for shifted channels and for products
is slower than the passes of kernels.py and pointwise.py; filters along time it gets in a form of their own
(in_passing.py). The operators take and give frames (N*T, C, H, W) in that layout, as the convolutions beside them do.
Exported graphs have none of them: every runtime has to know what is in those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.torch_version import TorchVersion

# Up to some version before 2.14 compilers answer the question after exporters with yes, without a look at the flag.
_ASKS_THE_FLAG = "2.10" <= TorchVersion(torch.__version__) < "2.14"


def is_traced() -> bool:
    """Whether a compiler, an exporter or ``torch.jit.trace`` is at work, which are to see plain operations."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def is_exporting() -> bool:
    """Whether an exporter is at work; before PyTorch 2.10 compilers, too, get what exporters get."""
    return torch.compiler._is_exporting_flag if _ASKS_THE_FLAG else torch.compiler.is_exporting()


def is_compiled() -> bool:
    """Whether a compiler is at work, no exporter."""
    return torch.compiler.is_compiling() and not is_exporting()


def takes_operators(clips: Tensor) -> bool:
    """Whether a compiler for CPUs is at work, no exporter: it is to get operators, and what in_passing.py has."""
    return is_compiled() and clips.device.type == "cpu"


def operator(name: str, call: Callable[..., Any], looks: Callable[..., Any] | None = None) -> Any:
    """``call`` as an operator that compilers leave alone; its answer is as the first argument, or as ``looks`` says."""
    tags = (torch.Tag.needs_fixed_stride_order,)
    made = torch.library.custom_op(f"gesture_zoo::{name}", call, mutates_args=(), tags=tags)
    made.register_fake(looks or (lambda first, *_: torch.empty_like(first)))
    return made


def called(operator: Any, clips: Tensor, *arguments: Any) -> Tensor:
    """An operator's answer to clips (N, T, C, H, W), as frames (N*T, ...).

    Inductor makes maps contiguous that are looked at as anything but frames, and copies them for the convolutions.
    """
    frames = clips.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    answer: Tensor = operator(frames, *arguments, clips.shape[1])
    return answer
