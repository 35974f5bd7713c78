"""Convolutions of what a temporal module makes: in training they keep what it was made from, not the thing itself.

A CNN keeps the input of every convolution for the backward pass. A temporal module in front of one would add one or
more tensors of that size for each; but what it makes takes a pass or two over memory to make again, from a tensor that
is kept anyway. The backward passes here do that. Where second derivatives are wanted they use differentiable operations
alone, else some work in place. Compilers see all this as plain operations (for CPUs see products.py and in_passing.py);
what is made once more is made of others than before (``anew``), or they would take both for one thing and keep it. In
an exported graph, and around anything that is no plain ``nn.Conv2d``, the plain way is taken. Where a convolution can
be a product, nothing is made at all (see pointwise.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.modules.module import _has_any_global_hook

from . import products
from .in_passing import scale_in_passing, scale_in_passing_backward
from .kernels import (
    channels_lie_together,
    in_turns,
    scale_backward,
    scale_backward_,
    scale_frames,
    scale_frames_,
    scaled_in_parts,
    shift_channels,
    shift_channels_back,
    shifted_in_parts,
)
from .operators import called, is_compiled, is_traced, takes_operators
from .pointwise import (
    POINTWISE,
    conv2d_of_scaled,
    conv2d_of_scaled_backward,
    conv2d_of_shifted,
    conv2d_of_shifted_backward,
    has_large_frames,
    is_pointwise,
    is_product,
)
from .processor import has_quick_products

Again = Callable[..., Tensor]


class OnceForTwo:
    """``again`` for two backward passes, of which the second, if it comes, takes what the first one made.

    What has derivatives of its own is made anew.

    >>> again = OnceForTwo(torch.sin)
    >>> with torch.no_grad():
    ...     made, taken, anew = again.first(torch.ones(2)), again.second(torch.ones(2)), again.second(torch.ones(2))
    >>> taken is made, anew is made
    (True, False)
    """

    def __init__(self, again: Again) -> None:
        self.again = again
        self.made: Tensor | None = None

    def first(self, *sources: Tensor) -> Tensor:
        made = self.again(*sources)
        self.made = None if torch.is_grad_enabled() else made
        return made

    def second(self, *sources: Tensor) -> Tensor:
        made, self.made = self.made, None
        return self.again(*sources) if made is None or torch.is_grad_enabled() else made


def conv_of(net: nn.Module, made: Tensor, again: Again, *sources: Tensor) -> Tensor:
    """``net(made)`` of frames (N*T, C, H, W), where ``again(*sources)`` gives ``made`` once more.

    >>> net, x = nn.Conv2d(2, 3, 1), torch.randn(4, 2, 5, 5)
    >>> torch.equal(conv_of(net, x.flip(0), lambda x: x.flip(0), x), net(x.flip(0)))
    True
    """
    if not is_recomputable(net, made):
        return net(made)
    return _ConvOf.apply(again, settings_of(net), made, net.weight, net.bias, *sources)


def conv_of_shifted(net: nn.Module, clips: Tensor, ahead: int, behind: int) -> Tensor:
    """``net`` of the frames of ``shift_channels(clips, ahead, behind)``."""
    if _takes_operators(net, clips):
        return called(products.of_shifted, clips, net.weight, net.bias, ahead, behind)
    if not is_traced() and is_plain(net) and is_product(clips, net.weight, settings_of(net)):
        return _ConvOfShifted.apply(clips, net.weight, net.bias, ahead, behind)

    if _comes_in_parts(net, clips):
        return torch.cat([net(part) for part in shifted_in_parts(clips, ahead, behind)])

    def shifted(clips: Tensor, *, anew: bool = True) -> Tensor:
        return shift_channels(clips, ahead, behind, anew=anew).flatten(0, 1)

    return conv_of(net, shifted(clips, anew=False), shifted, clips)


def conv_of_scaled(
    net: nn.Module, clips: Tensor, channel: Tensor, place: Tensor, again: Again, *sources: Tensor
) -> Tensor:
    """``net`` of the frames of ``scale_frames(clips, channel, place)``, where ``again(*sources)`` gives ``clips``.

    Without gradients ``clips`` may be overwritten.
    """
    is_given_twice = any(source is clips for source in sources)  # which no compiler takes
    is_made_again = is_recomputable(net, clips) and not (is_compiled() and is_given_twice)
    if takes_operators(clips) and not is_made_again:
        return net(scale_in_passing(clips, channel, place))
    if not torch.is_grad_enabled() and not is_traced():
        if is_plain(net) and not channels_lie_together(clips) and is_product(clips, net.weight, settings_of(net)):
            return conv2d_of_scaled(clips, channel, place, net.weight, net.bias)
        if _comes_in_parts(net, clips):
            return torch.cat([net(part) for part in scaled_in_parts(clips, channel, place)])
        return net(scale_frames_(clips, channel, place).flatten(0, 1))
    if not is_made_again:
        return net(scale_frames(clips, channel, place).flatten(0, 1))
    return _ConvOfScaled.apply(again, settings_of(net), clips, channel, place, net.weight, net.bias, *sources)


def is_plain(net: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether nobody can tell by which way a module's convolution is done."""
    if type(net) is not nn.Conv2d or is_watched(net):
        return False
    return net.padding_mode == "zeros" and not isinstance(net.padding, str)


def is_recomputable(net: nn.Module, made: Tensor) -> TypeGuard[nn.Conv2d]:
    """Whether a module is a convolution whose input ``made`` may be made again in the backward pass."""
    if (is_traced() and not is_compiled()) or not torch.is_grad_enabled() or not is_plain(net):
        return False
    return made.requires_grad or net.weight.requires_grad


def _takes_operators(net: nn.Module, clips: Tensor) -> TypeGuard[nn.Conv2d]:
    """Whether a compiler is to get a product as an operator."""
    if not takes_operators(clips) or torch.is_autocast_enabled("cpu") or not is_plain(net):
        return False
    if not clips.dtype == net.weight.dtype == torch.float32 or not has_quick_products(torch.float32):
        return False
    return is_pointwise(net.weight, settings_of(net)) and min(net.weight.shape[:2]) > 1


def _comes_in_parts(net: nn.Module, clips: Tensor) -> bool:
    """Whether the input of a convolution is rather made a few frames at a time, of large frames.

    oneDNN copies contiguous frames into a layout of its own: of a few, they and their copy stay in the cache.
    """
    if torch.is_grad_enabled() or is_traced() or clips.device.type != "cpu" or not is_plain(net):
        return False
    return not channels_lie_together(clips) and has_large_frames(clips) and len(in_turns(clips, clips.shape[1])) > 1


def is_watched(module: nn.Module) -> bool:
    """Whether somebody wants to see a module being called: a hook, or another ``forward`` put into its place.

    >>> conv = nn.Conv2d(3, 3, 1)
    >>> is_watched(conv), conv.register_forward_hook(print) is not None, is_watched(conv)
    (False, True, True)
    """
    own = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    return bool(own or "forward" in module.__dict__ or _has_any_global_hook())


def settings_of(net: Any) -> tuple[Any, ...]:
    """A convolution's stride, padding, dilation and groups."""
    return net.stride, net.padding, net.dilation, net.groups


def _conv_backward(
    grad: Tensor, inputs: Tensor, weight: Tensor, bias: Tensor | None, settings: tuple[Any, ...], needs: Any
) -> tuple[Tensor | None, ...]:
    stride, padding, dilation, groups = settings
    sizes = None if bias is None else [bias.numel()]
    # Under autocast the convolution ran in grad's type.
    arguments = grad, inputs.to(grad.dtype), weight.to(grad.dtype), sizes
    grads = torch.ops.aten.convolution_backward(
        *arguments, stride, padding, dilation, False, [0, 0], groups, [bool(need) for need in needs]
    )
    likes = inputs, weight, weight if bias is None else bias
    return tuple(None if found is None else found.to(like.dtype) for found, like in zip(grads, likes, strict=True))


class _ConvOf(Function):
    @staticmethod
    def forward(
        again: Again, settings: Any, made: Tensor, weight: Tensor, bias: Tensor | None, *sources: Tensor
    ) -> Tensor:
        return F.conv2d(made, weight, bias, *settings)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.again, ctx.settings, _, *kept = inputs
        ctx.save_for_backward(*kept)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weight, bias, *sources = ctx.saved_tensors
        made = ctx.again(*sources)
        grads = _conv_backward(grad, made, weight, bias, ctx.settings, ctx.needs_input_grad[2:5])
        return None, None, *grads, *(None for _ in sources)


class _ConvOfShifted(Function):
    """A product (see ``is_product``) of frames with shifted channels."""

    @staticmethod
    def forward(clips: Tensor, weight: Tensor, bias: Tensor | None, ahead: int, behind: int) -> Tensor:
        return conv2d_of_shifted(clips, ahead, behind, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *kept, ctx.ahead, ctx.behind = inputs
        ctx.save_for_backward(*kept)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (clips, weight, bias), step, needs = ctx.saved_tensors, (ctx.ahead, ctx.behind), ctx.needs_input_grad[:3]
        if not torch.is_grad_enabled():
            return *conv2d_of_shifted_backward(grad, clips, *step, weight, needs), None, None
        shifted = shift_channels(clips, *step).flatten(0, 1)
        of_shifted, *others = _conv_backward(grad, shifted, weight, bias, POINTWISE, needs)
        back = of_shifted if of_shifted is None else shift_channels_back(of_shifted.view_as(clips), *step)
        return back, *others, None, None


def _scaled(clips: Tensor, channel: Tensor, place: Tensor) -> Tensor:
    if is_traced():
        return clips.flatten(0, 1) * (channel.flatten(0, 1) + place.flatten(0, 1))
    return scale_frames(clips, channel, place).flatten(0, 1)


class _ConvOfScaled(Function):
    @staticmethod
    def forward(
        again: Again,
        settings: Any,
        clips: Tensor,
        channel: Tensor,
        place: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        *sources: Tensor,
    ) -> Tensor:
        if is_product(clips, weight, settings):
            return conv2d_of_scaled(clips, channel, place, weight, bias)
        return F.conv2d(_scaled(clips, channel, place), weight, bias, *settings)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.again, ctx.settings, clips, *kept = inputs
        ctx.is_product = is_product(clips, kept[2], ctx.settings)  # there may be no autocast in the backward pass
        ctx.save_for_backward(*kept)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        channel, place, weight, bias, *sources = ctx.saved_tensors
        clips = ctx.again(*sources)
        if ctx.is_product and not torch.is_grad_enabled() and clips.dtype != torch.bfloat16:
            of = conv2d_of_scaled_backward(grad, clips, channel, place, weight, bias)
            return None, None, *of, *(None for _ in sources)
        scaled = _scaled(clips, channel, place)
        inner = any(ctx.needs_input_grad[2:5])
        grad_scaled, *grads = _conv_backward(
            grad, scaled, weight, bias, ctx.settings, (inner, *ctx.needs_input_grad[5:7])
        )
        of_gain: tuple[Tensor | None, ...] = (None, None, None)
        if grad_scaled is not None:
            grad_scaled = grad_scaled.to(clips.dtype)
            if is_traced():
                frames = (part.flatten(0, 1) for part in (clips, channel, place))
                found = scale_in_passing_backward(grad_scaled, *frames)
                of_gain = tuple(part.unflatten(0, clips.shape[:2]) for part in found)
            else:
                derive = scale_backward if torch.is_grad_enabled() else scale_backward_
                of_gain = derive(grad_scaled.unflatten(0, clips.shape[:2]), clips, channel, place)
        return None, None, *of_gain, *grads, *(None for _ in sources)
