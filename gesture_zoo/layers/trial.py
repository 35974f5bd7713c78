"""The first run of a network with temporal modules in it, and whose fault it is where that does not work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from torch import Tensor, nn

from ..dryrun import dry_run
from ..errors import ModelError, one_line
from ..outputs import logits_of

# By name and in the order they ran, what modules answered, in words; None of one that came to no end.
Answers = dict[str, "str | None"]


def put_in(cnn: nn.Module, modules: Mapping[str, nn.Module], label: str, frames: Tensor) -> None:
    """Put ``modules`` into the network under their names, and run it once on empty frames like ``frames``.

    What does not work is said now, not at the first batch: a ModelError, which leaves the network as it was. It names
    the first module that fails, or that answers otherwise than what was in its place, where that is the reason.

    >>> import timm, torch
    >>> cnn = timm.create_model("resnet18")
    >>> put_in(cnn, {"layer1.0.conv1": nn.MaxPool2d(2)}, "pool", torch.zeros(4, 3, 64, 64))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    gesture_zoo.errors.ModelError: 'pool' at layer1.0.conv1 answered (4, 64, 8, 8) where (4, 64, 16, 16) is needed: ...
    >>> cnn.layer1[0].conv1.kernel_size
    (3, 3)
    """
    before = {name: cnn.get_submodule(name) for name in modules}
    answers: Answers = {}
    error: ModelError | None = None
    _put(cnn, modules)
    try:
        whole = _run(cnn, modules, frames, answers)
    except ModelError as raised:
        whole, error = False, raised
    idle = [name for name in modules if name not in answers]
    if not error and whole and not idle:
        return
    _put(cnn, before)
    fault = _fault(cnn, label, frames, answers, error)
    if fault:
        raise ModelError(fault) from error
    if error:
        raise error
    if idle:
        raise ModelError(
            f"{len(idle)} of {len(modules)} modules to wrap in {type(cnn).__name__} take no part in its forward, such "
            f"as {idle[0]!r}; name others with insert_at"
        )
    _put(cnn, modules)  # the network answers so by itself


def _put(cnn: nn.Module, modules: Mapping[str, nn.Module]) -> None:
    for name, module in modules.items():
        cnn.set_submodule(name, module)


def _run(cnn: nn.Module, names: Mapping[str, Any], frames: Tensor, answers: Answers) -> bool:
    """Run the network, write down what the modules of these names answer; whether there are logits for every frame."""

    @contextmanager
    def watching(twin: nn.Module, images: Tensor) -> Iterator[None]:
        answers.clear()  # the run before was another try
        for name in names:
            module = twin.get_submodule(name)
            module.register_forward_pre_hook(lambda _module, _args, name=name: answers.update({name: None}))
            module.register_forward_hook(
                lambda _module, _args, output, name=name: answers.update({name: _in_words(output)})
            )
        yield

    output, _ = dry_run(cnn, frames, watching)
    with suppress(ModelError):  # where there are none, it is not for here to say
        return logits_of(output).shape[:1] == frames.shape[:1]
    return True


def _in_words(output: Any) -> str:
    if isinstance(output, Tensor):
        return str(tuple(output.shape))
    return "None" if output is None else f"a {type(output).__name__}"


def _fault(cnn: nn.Module, label: str, frames: Tensor, answers: Answers, error: ModelError | None) -> str | None:
    """What is wrong with the first module that fails, or answers otherwise than what was in its place; or None."""
    needed: Answers = {}
    try:
        _run(cnn, answers, frames, needed)
    except ModelError:  # the network does not run without them either
        return None
    for name, answer in answers.items():
        if answer is None:
            cause = error and (error.__cause__ or error)
            reason = f"{type(cause).__name__}: {one_line(cause)}"
            return f"could not run {type(cnn).__name__} once with {label!r} at {name}, which fails itself: {reason}"
        if answer != needed.get(name):
            return (
                f"{label!r} at {name} answered {answer} where {needed.get(name)} is needed: what it makes of frames "
                "(N*T, C, H, W) has the shape that the module it wraps would give"
            )
    return None
