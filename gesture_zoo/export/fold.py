"""Folding BatchNorm away in a traced graph: in evaluation it is a scale and a shift of every channel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

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
    graph.eliminate_dead_code()
    graph_module.delete_all_unused_submodules()
    _delete_unused_tensors(graph_module)
    graph.lint()
    graph_module.recompile()
    return len(norms)


def _affine(graph_module: fx.GraphModule, norm: fx.Node) -> tuple[Tensor, Tensor]:
    """The scale and the shift of every channel, in double precision."""
    weight, bias, mean, variance = (_tensor(graph_module, argument) for argument in norm.args[1:5])
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
        and _tensor(graph_module, source.args[1]) is not None
        and (len(source.args) < 3 or source.args[2] is None or _tensor(graph_module, source.args[2]) is not None)
    )


def _into_convolution(
    graph_module: fx.GraphModule, convolution: fx.Node, scale: Tensor, shift: Tensor, name: str
) -> fx.Node:
    weight = _tensor(graph_module, convolution.args[1])
    bias = _tensor(graph_module, convolution.args[2]) if len(convolution.args) > 2 else None
    assert weight is not None
    folded = weight.double() * scale.view(-1, *[1] * (weight.dim() - 1))
    offset = shift if bias is None else shift + bias.double() * scale
    with graph_module.graph.inserting_before(convolution):
        arguments = (
            convolution.args[0],
            _constant(graph_module, f"{name}_weight", folded.to(weight.dtype)),
            _constant(graph_module, f"{name}_bias", offset.to(weight.dtype)),
            *convolution.args[3:],
        )
    convolution.args = arguments
    return convolution


def _multiply_add(graph_module: fx.GraphModule, norm: fx.Node, scale: Tensor, shift: Tensor, name: str) -> fx.Node:
    value = norm.meta["val"]
    shape = (-1, *[1] * (value.dim() - 2))
    graph = graph_module.graph
    with graph.inserting_before(norm):
        by = _constant(graph_module, f"{name}_scale", scale.view(shape).to(value.dtype))
        plus = _constant(graph_module, f"{name}_shift", shift.view(shape).to(value.dtype))
        scaled = graph.call_function(torch.ops.aten.mul.Tensor, (norm.args[0], by))
        return graph.call_function(torch.ops.aten.add.Tensor, (scaled, plus))


def _constant(graph_module: fx.GraphModule, name: str, value: Tensor) -> fx.Node:
    graph_module.register_parameter(name, nn.Parameter(value, requires_grad=False))
    return graph_module.graph.get_attr(name)


def _tensor(graph_module: fx.GraphModule, argument: Any) -> Tensor | None:
    """The parameter or buffer that a node reads, None where it computes something."""
    if not isinstance(argument, fx.Node) or argument.op != "get_attr":
        return None
    owner, _, name = str(argument.target).rpartition(".")
    value = getattr(graph_module.get_submodule(owner), name)
    return value.detach() if isinstance(value, Tensor) else None


def _delete_unused_tensors(graph_module: fx.GraphModule) -> None:
    used = {str(node.target) for node in graph_module.graph.nodes if node.op == "get_attr"}
    names = [name for name, _ in graph_module.named_parameters()] + [name for name, _ in graph_module.named_buffers()]
    for name in names:
        if name not in used:
            owner, _, attribute = name.rpartition(".")
            delattr(graph_module.get_submodule(owner), attribute)
