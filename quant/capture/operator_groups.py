"""Groups of exported operators: what lookups and float islands compute, and how they are joined."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import fx

from quant.capture.exported import operator_name
from quant.capture.graph import Node, readers_of

_POINTWISE_KINDS = frozenset({"lookup", "clip", "add", "multiply"})
"""Operators that compute each value from those at its own place."""


@dataclass(kw_only=True, slots=True)
class OperatorGroup:
    """Exported operators that are computed together, and the nodes of ours that they read."""

    nodes: list[fx.Node] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    reason: str = ""
    """Why the first of them has no integer form."""

    def take(self, other: "OperatorGroup", *, inputs: bool = True) -> None:
        """Add another group's operators in front of what is still to come."""
        self.nodes += [node for node in other.nodes if node not in self.nodes]
        if inputs:
            self.inputs += [name for name in other.inputs if name not in self.inputs]
        if other.inputs:  # and is no constant
            self.reason = self.reason or other.reason

    @property
    def operators(self) -> tuple[str, ...]:
        """PyTorch's names of the operators, in execution order."""
        return tuple(
            operator_name(node) for node in self.nodes if str(node.target).startswith("aten.")
        )


def join_lookups(
    nodes: dict[str, Node],
    groups: dict[str, OperatorGroup],
    exported: Mapping[str, fx.Node],
    output: str,
) -> None:
    """Join, in place, what computes one value from one other: `x * sigmoid(x)` is one lookup.

    Args:
        nodes: By name, in execution order.
        groups: Of lookups and islands, by name.
        exported: What each node was captured from.
        output: Name of the network's output.
    """
    for name in list(nodes):
        node = nodes[name]
        if node.kind not in _POINTWISE_KINDS:
            continue
        lookups = [s for s in dict.fromkeys(node.inputs) if nodes[s].kind == "lookup"]
        if not lookups and node.kind != "multiply":
            continue
        readers = readers_of(nodes.values())
        taken = [s for s in lookups if len(readers[s]) == 1 and s != output]
        read = dict.fromkeys(
            origin
            for source in node.inputs
            for origin in (nodes[source].inputs if source in taken else (source,))
        )
        if len(read) != 1 or not (taken or node.kind == "multiply"):
            continue
        (origin,) = read
        if nodes[origin].shape != node.shape:
            continue
        group = OperatorGroup(inputs=[origin])
        for source in taken:
            group.take(groups.pop(source), inputs=False)
            del nodes[source]
        group.take(
            groups[name] if name in groups else OperatorGroup(nodes=[exported[name]]), inputs=False
        )
        groups[name] = group
        nodes[name] = Node(name=name, kind="lookup", inputs=(origin,), shape=node.shape)


def join_islands(
    nodes: dict[str, Node],
    groups: dict[str, OperatorGroup],
    exported: Mapping[str, fx.Node],
    output: str,
) -> None:
    """Join, in place, islands with what only they read or what alone reads them.

    In between, nothing is quantized. A lookup that is joined with an island becomes a part of it,
    and so does a sum, a product or a ReLU of what islands made, such as a transformer's residual.

    Args:
        nodes: By name, in execution order.
        groups: Of lookups and islands, by name.
        exported: What each node was captured from.
        output: Name of the network's output.
    """
    joined = True
    while joined:  # each time, what was joined leaves other islands with one reader
        joined = False
        for name in list(nodes):
            if _takes_islands(nodes[name], nodes):
                node = exported[name]
                groups[name] = OperatorGroup(nodes=[node], inputs=list(nodes[name].inputs))
                nodes[name] = replace(nodes[name], kind="island")
            if name in groups:
                joined |= _join_sources(name, nodes, groups, output)


def _takes_islands(node: Node, nodes: Mapping[str, Node]) -> bool:
    """Whether an operator with an integer form reads nothing but what islands made."""
    if any(nodes[source].kind != "island" for source in node.inputs):
        return False
    if node.kind == "clip":
        return len(readers_of(nodes.values())[node.inputs[0]]) == 1
    return node.kind in ("add", "multiply")


def _join_sources(
    name: str, nodes: dict[str, Node], groups: dict[str, OperatorGroup], output: str
) -> bool:
    """Join an island or lookup with those that it alone reads; return whether there were any."""
    readers = readers_of(nodes.values())
    group, kind, joined = OperatorGroup(), nodes[name].kind, False
    for source in nodes[name].inputs:
        alone = source in groups and len(readers[source]) == 1 and source != output
        if alone and "island" in (kind, nodes[source].kind):
            kind, joined = "island", True
            group.take(groups.pop(source))
            del nodes[source]
        elif source not in group.inputs:
            group.inputs.append(source)
    group.take(groups[name], inputs=False)
    groups[name] = group
    nodes[name] = replace(nodes[name], kind=kind, inputs=tuple(group.inputs))
    return joined
