"""Folding BatchNorm away in a traced graph: in evaluation it is a scale and a shift of every channel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from .constants import add_constant, tensor_at, tidy

_CONVOLUTIONS = {
    torch.ops.aten.conv1d.default,
    torch.ops.aten.conv2d.default,
    torch.ops.aten.conv3d.default,
    torch.ops.aten.conv1d.padding,
    torch.ops.aten.conv2d.padding,
    torch.ops.aten.conv3d.padding,
}
_BATCH_NORM = torch.ops.aten.batch_norm.default


def fold_batch_norm(graph_module: fx.GraphModule) -> int:
    """Remove every BatchNorm of an exported graph, in place, and return how many there were.

    One that follows a convolution goes into its weights; any other becomes a multiplication and an addition. Computed
    in double precision. The graph must be that of a model in eval mode.

    >>> from torch import nn
    >>> model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
    >>> traced = torch.export.export(model, (torch.zeros(1, 3, 8, 8),)).module()
    >>> fold_batch_norm(traced)
    1
    """
    graph = graph_module.graph
    norms = [node for node in graph.nodes if node.op == "call_function" and node.target is _BATCH_NORM]
    for number, norm in enumerate(norms):
        scale, shift = _affine(graph_module, norm)
        name = f"folded_{number}"
        source = norm.args[0]
        if _is_own_convolution(graph_module, norm, source):
            replacement = _into_convolution(graph_module, source, scale, shift, name)
        else:
            replacement = _multiply_add(graph_module, norm, scale, shift, name)
        norm.replace_all_uses_with(replacement)
        graph.erase_node(norm)
    tidy(graph_module)
    return len(norms)


def _affine(graph_module: fx.GraphModule, norm: fx.Node) -> tuple[Tensor, Tensor]:
    """The scale and the shift of every channel, in double precision."""
    weight, bias, mean, variance = (tensor_at(graph_module, argument) for argument in norm.args[1:5])
    of_the_batch, eps = bool(norm.args[5]), float(norm.args[7])  # type: ignore[arg-type]
    if of_the_batch or mean is None or variance is None:
        raise ValueError("the graph holds a BatchNorm that takes its statistics from the batch")
    scale = torch.rsqrt(variance.double() + eps)
    if weight is not None:
        scale = scale * weight.double()
    shift = -mean.double() * scale
    return scale, shift if bias is None else shift + bias.double()


def _is_own_convolution(graph_module: fx.GraphModule, norm: fx.Node, source: Any) -> bool:
    """Whether ``source`` is a convolution of constant weights that only this BatchNorm looks at."""
    return (
        isinstance(source, fx.Node)
        and source.target in _CONVOLUTIONS
        and list(source.users) == [norm]
        and tensor_at(graph_module, source.args[1]) is not None
        and (len(source.args) < 3 or source.args[2] is None or tensor_at(graph_module, source.args[2]) is not None)
    )


def _into_convolution(
    graph_module: fx.GraphModule, convolution: fx.Node, scale: Tensor, shift: Tensor, name: str
) -> fx.Node:
    weight = tensor_at(graph_module, convolution.args[1])
    bias = tensor_at(graph_module, convolution.args[2]) if len(convolution.args) > 2 else None
    assert weight is not None
    folded = weight.double() * scale.view(-1, *[1] * (weight.dim() - 1))
    offset = shift if bias is None else shift + bias.double() * scale
    with graph_module.graph.inserting_before(convolution):
        arguments = (
            convolution.args[0],
            add_constant(graph_module, f"{name}_weight", folded.to(weight.dtype)),
            add_constant(graph_module, f"{name}_bias", offset.to(weight.dtype)),
            *convolution.args[3:],
        )
    convolution.args = arguments
    return convolution


def _multiply_add(graph_module: fx.GraphModule, norm: fx.Node, scale: Tensor, shift: Tensor, name: str) -> fx.Node:
    value = norm.meta["val"]
    shape = (-1, *[1] * (value.dim() - 2))
    graph = graph_module.graph
    with graph.inserting_before(norm):
        by = add_constant(graph_module, f"{name}_scale", scale.view(shape).to(value.dtype))
        plus = add_constant(graph_module, f"{name}_shift", shift.view(shape).to(value.dtype))
        scaled = graph.call_function(torch.ops.aten.mul.Tensor, (norm.args[0], by))
        return graph.call_function(torch.ops.aten.add.Tensor, (scaled, plus))
