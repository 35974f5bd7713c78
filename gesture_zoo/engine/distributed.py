"""Processes that work together: torchrun starts them, and this file says who this one is.

Without torchrun there is one process, and every function here is what one process makes of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")
# What gloo says of a process that is gone; NCCL's errors have a type of their own.
LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "/gloo/")


class Group:
    """The processes of a job, as long as they are together."""

    left = False
    """Whether others have gone: then there is no leaving together."""


@contextmanager
def process_group() -> Iterator[Group]:
    """Join the processes that torchrun started (NCCL with a GPU, gloo without), and leave them at the end."""
    group = Group()
    if not dist.is_torchelastic_launched() or dist.is_initialized():
        yield group
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store, number, count = next(dist.rendezvous("env://"))
    # The store outlives a restart, and with it the addresses of processes that are gone.
    store = dist.PrefixStore(f"attempt_{restarts()}", store)
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=number, world_size=count)
    yield group
    # Not after an error: with a collective under way it may wait for ever, and torchrun for the error.
    if not group.left:
        dist.destroy_process_group()


def tells_of_lost_process(error: BaseException) -> bool:
    """Whether an error says that another process of the group is gone, or does not answer.

    >>> tells_of_lost_process(RuntimeError("[...] Connection closed by peer [127.0.0.1]:7"))
    True
    >>> tells_of_lost_process(RuntimeError("the size of tensor a must match"))
    False
    """
    if not isinstance(error, RuntimeError) or not dist.is_available():
        return False
    return isinstance(error, dist.DistError) or any(words in str(error) for words in LOST)


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the process that writes and talks."""
    return rank() == 0


def restarts() -> int:
    """How often torchrun has restarted the processes after a failure."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0))


def may_restart() -> bool:
    """Whether torchrun starts the processes again after a failure."""
    return int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", 0)) > 0


def device() -> torch.device:
    """The device of this process."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def gather(part: T) -> list[T]:
    """Every process's ``part``, in order of their numbers, on every process."""
    if world_size() == 1:
        return [part]
    parts: list[T | None] = [None] * world_size()
    dist.all_gather_object(parts, part)
    return parts  # type: ignore[return-value]


def gather_batches(results: Mapping[int, T]) -> list[T]:
    """Results of every process's batches, by number, in the order of one process: of n, r has batches r, r + n, ...

    >>> gather_batches({0: "first", 2: "third"})
    ['first', 'third']
    """
    numbered = [(n, place, result) for place, part in enumerate(gather(dict(results))) for n, result in part.items()]
    return [result for *_, result in sorted(numbered, key=lambda entry: entry[:2])]


def all_mean(values: Tensor) -> Tensor:
    """The mean over the processes, on every process."""
    if world_size() > 1:
        dist.all_reduce(values)
        values /= world_size()
    return values


def all_max(values: Tensor) -> Tensor:
    """The largest of all processes, on every process."""
    if world_size() > 1:
        dist.all_reduce(values, dist.ReduceOp.MAX)
    return values


def broadcast_buffers(model: nn.Module) -> None:
    """Give every process the first one's buffers: each has the running statistics of its own clips."""
    if world_size() > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)
