"""Optimiser, schedule, BatchNorm and precision of a recipe."""

from __future__ import annotations

from typing import Any

import torch
from timm.layers import convert_sync_batchnorm
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.scheduler.multistep_lr import MultiStepLRScheduler
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import ModelError, one_line
from ..msd import MSDModel
from .recipes import Recipe

AMP_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(amp: str, device: torch.device) -> torch.autocast:
    """The context of a forward pass in "bf16", "fp16", or "none" for full precision."""
    return torch.autocast(device.type, AMP_TYPES.get(amp), enabled=amp in AMP_TYPES)


def make_optimizer(model: nn.Module, recipe: Recipe, *, processes: int = 1) -> torch.optim.Optimizer:
    """timm's optimiser over the parameters that learn, at the learning rate for the clips of one step.

    One that needs another library, a GPU, or second derivatives, is a ModelError.
    """
    try:
        optimizer: torch.optim.Optimizer = create_optimizer_v2(
            model,
            opt=recipe.opt,
            lr=recipe.scaled_lr(processes),
            weight_decay=recipe.weight_decay,
            momentum=recipe.momentum,
        )
    except (AssertionError, ImportError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"the optimiser {recipe.opt!r} cannot be used here: {one_line(error)}") from error
    if getattr(optimizer, "is_second_order", False):
        raise ModelError(f"the optimiser {recipe.opt!r} needs second derivatives, which this training does not take")
    return optimizer


def make_scheduler(optimizer: torch.optim.Optimizer, recipe: Recipe, updates: int) -> Any:
    """timm's schedule for the whole run, stepped once per update, of which there are ``updates`` in an epoch."""
    if recipe.sched == "multistep":
        return MultiStepLRScheduler(
            optimizer,
            # timm takes a step one update before its milestone.
            decay_t=[milestone * updates + 1 for milestone in recipe.milestones],
            decay_rate=recipe.decay_rate,
            warmup_t=recipe.warmup_epochs * updates,
            warmup_prefix=False,
            t_in_epochs=False,
        )
    scheduler, _ = create_scheduler_v2(
        optimizer,
        sched=recipe.sched,
        num_epochs=recipe.epochs,
        warmup_epochs=recipe.warmup_epochs,
        warmup_lr=0.0,
        min_lr=0.0,
        decay_rate=0.9 if recipe.sched == "poly" else recipe.decay_rate,  # of "poly" timm takes it for the power
        step_on_epochs=False,
        updates_per_epoch=updates,
    )
    return scheduler


def set_layout(model: nn.Module, *, channels_last: bool) -> None:
    """Put the weights of 2-D convolutions into channels_last memory format, or back; 3-D ones have no such format."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.to(memory_format=layout)


def restore_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Take a state in, but for the learning rate that the schedule starts from: that is of the processes of now."""
    base = [group["initial_lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, rate in zip(optimizer.param_groups, base, strict=True):
        group["initial_lr"] = rate
    for parameter, entries in optimizer.state.items():
        for name, value in entries.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                # In the parameter's memory format, as it was: sums in another order differ in the last bit.
                entries[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def frozen_norms(model: nn.Module, norm: str) -> list[nn.Module]:
    """The BatchNorm layers that keep their statistics, scale and shift.

    "train": none; "partial": all of the CNN but the first (https://github.com/mit-han-lab/temporal-shift-module, whose
    ``--npb`` turns it off), while those of the decoders learn; "frozen": all, those of the decoders too.
    """
    if norm == "train":
        return []
    network = model.model if norm == "partial" and isinstance(model, MSDModel) else model
    norms: list[nn.Module] = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    return norms[1:] if norm == "partial" else norms


def running_statistics(model: nn.Module) -> list[torch.Tensor]:
    """The running means and variances of a model's BatchNorm layers."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    return [values for norm in norms for values in (norm.running_mean, norm.running_var) if values is not None]


def sync_norms(model: nn.Module) -> nn.Module:
    """The model with BatchNorm over the clips of all processes, which needs GPUs; the taps stay where they are."""
    if not torch.cuda.is_available():
        raise ModelError("sync_bn needs GPUs: PyTorch has no SyncBatchNorm on a CPU; a larger batch_size helps there")
    before = dict(model.named_modules())
    synced: nn.Module = convert_sync_batchnorm(model)
    for name, module in synced.named_modules():
        if module is not before[name]:
            # A layer that is exchanged leaves its hooks behind, and with them a tap.
            module._forward_hooks.update(before[name]._forward_hooks)
    return synced
