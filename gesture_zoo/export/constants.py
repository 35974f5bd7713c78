"""Computing once, in a traced graph, what depends on its weights alone."""

from __future__ import annotations

import operator
from collections.abc import Container
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

# An answer with more numbers than this, and than all it is made of, is rather computed than stored.
_FEW_NUMBERS = 2**16


def fold_constants(graph_module: fx.GraphModule) -> int:
    """Replace what an exported graph computes of its parameters alone by the answers; returns how many nodes less.

    So no runtime computes it anew for every clip, and no converter has to look at it.

    >>> class Scaled(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.scale = nn.Parameter(torch.ones(3), requires_grad=False)
    ...     def forward(self, x):
    ...         return x * self.scale.exp().view(3, 1)
    >>> traced = torch.export.export(Scaled(), (torch.zeros(3, 2),)).module()
    >>> fold_constants(traced) >= 2
    True
    """
    graph = graph_module.graph
    before = len(graph.nodes)
    known: dict[fx.Node, Any] = {}
    changed = _changed_in_place(graph)
    for node in graph.nodes:
        if node in changed:
            continue
        if node.op == "get_attr":
            if (value := tensor_at(graph_module, node)) is not None:
                known[node] = value
        elif _is_constant(node, known):
            value = node.target(*fx.map_arg(node.args, known.__getitem__), **fx.map_arg(node.kwargs, known.__getitem__))
            if _is_worth_keeping(value, node, known):
                known[node] = value
    for number, (node, value) in enumerate(known.items()):
        outside = [user for user in node.users if user not in known]
        if node.op != "get_attr" and isinstance(value, Tensor) and outside:
            with graph.inserting_before(node):
                # Its own memory: a view of a weight would be stored with all of that.
                stored = add_constant(graph_module, f"constant_{number}", value.clone())
            node.replace_all_uses_with(stored, delete_user_cb=lambda user: user not in known)
    for node in graph.find_nodes(op="call_function", target=torch.ops.aten._assert_tensor_metadata.default):
        if node.args[0].op == "get_attr":  # was checked just now
            graph.erase_node(node)
    tidy(graph_module)
    return before - len(graph.nodes)


def add_constant(graph_module: fx.GraphModule, name: str, value: Tensor) -> fx.Node:
    """A node for a tensor that is added to the graph's own, to be used where the graph is being changed."""
    graph_module.register_parameter(name, nn.Parameter(value, requires_grad=False))
    return graph_module.graph.get_attr(name)


def tensor_at(graph_module: fx.GraphModule, argument: Any) -> Tensor | None:
    """The parameter or buffer that a node reads, None where it computes something."""
    if not isinstance(argument, fx.Node) or argument.op != "get_attr":
        return None
    owner, _, name = str(argument.target).rpartition(".")
    value = getattr(graph_module.get_submodule(owner), name)
    return value.detach() if isinstance(value, Tensor) else None


def tidy(graph_module: fx.GraphModule) -> None:
    """Remove nodes and tensors that nothing uses any more, and check the graph."""
    graph_module.graph.eliminate_dead_code()
    graph_module.delete_all_unused_submodules()
    used = {str(node.target) for node in graph_module.graph.nodes if node.op == "get_attr"}
    for name in [*dict(graph_module.named_parameters()), *dict(graph_module.named_buffers())]:
        if name not in used:
            owner, _, attribute = name.rpartition(".")
            delattr(graph_module.get_submodule(owner), attribute)
    graph_module.graph.lint()
    graph_module.recompile()


def _is_constant(node: fx.Node, known: Container[fx.Node]) -> bool:
    """Whether a node computes something of what is known alone, and the same every time."""
    inputs = node.all_input_nodes
    if node.op != "call_function" or not inputs or any(one not in known for one in inputs):
        return False
    if not isinstance(node.target, torch._ops.OpOverload):
        return node.target is operator.getitem
    return not node.target._schema.is_mutable and torch.Tag.nondeterministic_seeded not in node.target.tags


def _changed_in_place(graph: fx.Graph) -> set[fx.Node]:
    """What would be a constant, but is changed by who uses it, itself or a view of it: it has to be made every time."""
    constant: set[fx.Node] = set()
    changed: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "get_attr" or _is_constant(node, constant):
            constant.add(node)
        elif isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable:
            behind = [one for one in node.all_input_nodes[:1] if one in constant]
            while behind:
                one = behind.pop()
                changed.add(one)
                if _may_be_a_view(one):
                    behind += one.all_input_nodes
    return changed


def _may_be_a_view(node: fx.Node) -> bool:
    if not isinstance(node.target, torch._ops.OpOverload):
        return True
    return any(argument.alias_info is not None for argument in node.target._schema.arguments)


def _is_worth_keeping(value: Any, node: fx.Node, known: dict[fx.Node, Any]) -> bool:
    found = [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    sources = [leaf for one in node.all_input_nodes for leaf in tree_leaves(known[one]) if isinstance(leaf, Tensor)]
    return bool(found) and sum(map(Tensor.numel, found)) <= max(_FEW_NUMBERS, sum(map(Tensor.numel, sources)))
