"""The classifier of a CNN that does not say which layer it is: found by a dry run, and replaced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from ..dryrun import dry_run
from ..errors import ModelError
from ..outputs import logits_of


@dataclass(frozen=True)
class Classifier:
    """Where the classifier of a CNN is, and what it is made of: enough to replace it, also after it was removed."""

    name: str
    features: int
    is_conv: bool
    bias: bool

    @classmethod
    def named(cls, cnn: nn.Module, name: str) -> Classifier:
        """The classifier called ``name``; a ModelError where that is no linear layer or convolution."""
        layers = {key: module for key, module in cnn.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))}
        layer = layers.get(name)
        if layer is None:
            raise ModelError(
                f"classifier {name!r} is no linear layer or convolution of {type(cnn).__name__}; "
                f"its last ones are {', '.join(list(layers)[-3:])}"
            )
        is_conv = isinstance(layer, nn.Conv2d)
        features = layer.in_channels if isinstance(layer, nn.Conv2d) else layer.in_features
        return cls(name, features, is_conv, layer.bias is not None)

    @classmethod
    def found(cls, cnn: nn.Module, example: Tensor) -> Classifier:
        """The layer whose output is the answer of ``cnn``, else the last linear layer or convolution of its width.

        A CNN without one (the features themselves are the answer) is a ModelError.

        >>> import torchvision
        >>> from gesture_zoo.dryrun import example_frames
        >>> cnn = torchvision.models.mobilenet_v2()
        >>> Classifier.found(cnn, example_frames(cnn)).name
        'classifier.1'
        """
        last: dict[int, str] = {}
        outputs: dict[int, tuple[str, Tensor]] = {}  # the tensors are kept, so that no other gets their identity

        @contextmanager
        def watching(twin: nn.Module, images: Tensor) -> Iterator[None]:
            def note(name: str, module: nn.Module, args: Any, output: Any) -> None:
                if isinstance(output, Tensor) and output.dim() >= 2:
                    last[output.shape[1]] = name
                    outputs[id(output)] = (name, output)

            for name, module in twin.named_modules():
                if isinstance(module, (nn.Linear, nn.Conv2d)):
                    module.register_forward_hook(partial(note, name))
            yield

        output, _ = dry_run(cnn, example, watching)
        logits = logits_of(output)
        name = outputs[id(logits)][0] if id(logits) in outputs else last.get(logits.shape[-1])
        if name is None:
            raise ModelError(f"found no classifier in {type(cnn).__name__}: name it with classifier='...'")
        return cls.named(cnn, name)

    def get(self, cnn: nn.Module) -> nn.Module:
        """The layer itself."""
        return cnn.get_submodule(self.name)

    def num_classes(self, cnn: nn.Module) -> int:
        """How many classes it has; 0 after it was removed."""
        layer = self.get(cnn)
        return int(getattr(layer, "out_channels" if self.is_conv else "out_features", 0))

    def reset(self, cnn: nn.Module, num_classes: int) -> None:
        """Put a fresh one in its place; for 0 classes, nothing that computes."""
        like = next(parameter for parameter in cnn.parameters() if parameter.is_floating_point())
        where: dict[str, Any] = {"bias": self.bias, "device": like.device, "dtype": like.dtype}
        layer: nn.Module = nn.Identity()
        if num_classes > 0:
            layer = (
                nn.Conv2d(self.features, num_classes, 1, **where)
                if self.is_conv
                else nn.Linear(self.features, num_classes, **where)
            )
        cnn.set_submodule(self.name, layer)
