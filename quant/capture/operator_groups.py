"""Groups of exported operators: what lookups and float islands compute, and how they are joined."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from torch import fx

from quant.capture.exported import operator_name, where
from quant.capture.graph import GraphOutput, Node, readers_of
from quant.capture.graph_passes import fuse_clips, misplaced

GroupOf = Callable[[str], "OperatorGroup"]
"""Gives the group of the one exported operator that a node was captured from."""
_BROUGHT = frozenset({"move", "constant"})
"""What brings values to where codes are read; float islands read what is behind it themselves."""
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
    group_of: GroupOf,
    outputs: Collection[str],
) -> None:
    """Join, in place, what computes one value from one other: `x * sigmoid(x)` is one lookup.

    Args:
        nodes: By name, in execution order.
        groups: Of lookups and islands, by name.
        group_of: See `GroupOf`.
        outputs: Names of the nodes that the network returns.
    """
    for name in list(nodes):
        node = nodes[name]
        if node.kind not in _POINTWISE_KINDS:
            continue
        lookups = [s for s in dict.fromkeys(node.inputs) if nodes[s].kind == "lookup"]
        if not lookups and node.kind != "multiply":
            continue
        readers = readers_of(nodes.values())
        taken = [s for s in lookups if len(readers[s]) == 1 and s not in outputs]
        read = dict.fromkeys(
            origin
            for source in node.inputs
            for origin in (nodes[source].inputs if source in taken else (source,))
        )
        if len(read) != 1 or not (taken or node.kind == "multiply"):
            continue
        (origin,) = read
        if nodes[origin].shape != node.shape or nodes[origin].kind == "constant":
            continue
        group = OperatorGroup(inputs=[_behind_moves(origin, nodes)])
        for source in taken:
            group.take(groups.pop(source), inputs=False)
            del nodes[source]
        group.take(groups[name] if name in groups else group_of(name), inputs=False)
        groups[name] = group
        nodes[name] = replace(node, kind="lookup", inputs=(origin,), clip=None)


def keep_in_float(
    nodes: dict[str, Node],
    groups: dict[str, OperatorGroup],
    group_of: GroupOf,
    outputs: Collection[str],
) -> None:
    """Make, in place, islands of outputs that nothing reads and that would be codes otherwise.

    Args:
        nodes: By name, in execution order.
        groups: Of lookups and islands, by name.
        group_of: See `GroupOf`.
        outputs: Names of the nodes that the network returns.
    """
    readers = readers_of(nodes.values())
    for name in outputs:
        node = nodes[name]
        if readers[name] or node.kind not in ("lookup", "multiply"):
            continue
        if name not in groups:
            groups[name] = group_of(name)
        group = groups[name]
        group.reason = f"the network's output is not quantized: {where(group.nodes[-1])}"
        _make_island(name, nodes, groups, outputs)


def keep_misplaced_in_float(
    nodes: dict[str, Node],
    groups: dict[str, OperatorGroup],
    exported: Mapping[str, fx.Node],
    group_of: GroupOf,
    outputs: Collection[str],
) -> None:
    """Make, in place, islands of what has no integer form only because of where it is.

    Args:
        nodes: By name, in execution order.
        groups: Of lookups and islands, by name.
        exported: What each node was captured from.
        group_of: See `GroupOf`.
        outputs: Names of the nodes that the network returns.
    """
    while found := {
        name: reason
        for name, reason in misplaced(fuse_clips(list(nodes.values()))).items()
        if name in exported
    }:
        name, reason = next(iter(found.items()))  # of others, that may have been the cause
        groups[name] = group_of(name)
        groups[name].reason = f"{reason}: {where(exported[name])}"
        _make_island(name, nodes, groups, outputs)


def end_outputs(nodes: dict[str, Node], outputs: Iterable[GraphOutput]) -> tuple[GraphOutput, ...]:
    """End every output in float32, in place.

    It is what a layer or an island computes, where nothing reads that inside the network. All else
    stays codes, which an operator of its own dequantizes.

    Args:
        nodes: By name, in execution order.
        outputs: With the nodes that compute them.

    Returns:
        The outputs, with the nodes that end them.
    """
    readers = readers_of(nodes.values())
    ended = []
    for output in outputs:
        node, end = nodes[output.node], output.node
        if readers[node.name] or node.kind not in ("linear", "conv2d", "island"):
            end = f"{node.name}/output"
            nodes[end] = Node(
                name=end, kind="output", inputs=(node.name,), shape=node.shape, last=node.last
            )
        ended.append(replace(output, node=end))
    return tuple(ended)


def join_islands(
    nodes: dict[str, Node],
    groups: dict[str, OperatorGroup],
    group_of: GroupOf,
    outputs: Collection[str],
) -> None:
    """Join, in place, islands with what only they read or what alone reads them.

    In between, nothing is quantized. A lookup that is joined with an island becomes a part of it,
    and so does a sum, a product or a ReLU of what islands made, such as a transformer's residual.

    Args:
        nodes: By name, in execution order.
        groups: Of lookups and islands, by name.
        group_of: See `GroupOf`.
        outputs: Names of the nodes that the network returns.
    """
    joined = True
    while joined:  # each time, what was joined leaves other islands with one reader
        joined = False
        for name in list(nodes):
            if name not in nodes:
                continue
            if _takes_islands(nodes[name], nodes, outputs):
                groups[name] = group_of(name)
                _make_island(name, nodes, groups, outputs)
            if name in groups:
                joined |= _join_sources(name, nodes, groups, outputs)


def _make_island(
    name: str,
    nodes: dict[str, Node],
    groups: Mapping[str, OperatorGroup],
    outputs: Collection[str],
) -> None:
    """Turn a node that has a group into an island, which reads what is behind moves itself."""
    nodes[name] = replace(
        nodes[name],
        kind="island",
        inputs=tuple(groups[name].inputs),
        window=None,
        padding=None,
        matrices=None,
        product="",
        clip=None,
        axis=0,
    )
    _drop_unread_moves(nodes, outputs)


def _drop_unread_moves(nodes: dict[str, Node], outputs: Collection[str]) -> None:
    read = {*outputs, *(source for node in nodes.values() for source in node.inputs)}
    for name in [name for name, node in nodes.items() if node.kind in _BROUGHT]:
        if name not in read:
            del nodes[name]


def _behind_moves(name: str, nodes: Mapping[str, Node]) -> str:
    """Return the node whose values a move takes, or else the node itself."""
    node = nodes[name]
    return node.inputs[0] if node.kind == "move" else name


def _readers_behind_moves(name: str, nodes: Mapping[str, Node]) -> set[str]:
    """Return the nodes that read a node, itself or what moves of it."""
    moved = {
        name,
        *(one.name for one in nodes.values() if one.kind == "move" and name in one.inputs),
    }
    return {
        node.name
        for node in nodes.values()
        if node.name not in moved and not moved.isdisjoint(node.inputs)
    }


def _takes_islands(node: Node, nodes: Mapping[str, Node], outputs: Collection[str]) -> bool:
    """Whether an operator with an integer form reads nothing but what islands made."""
    origins = [_behind_moves(source, nodes) for source in node.inputs]
    kinds = {nodes[origin].kind for origin in origins}
    if "island" not in kinds or not kinds <= {"island", "constant"}:
        return False
    if node.kind == "clip":
        (origin,) = origins
        return origin not in outputs and len(_readers_behind_moves(origin, nodes)) == 1
    return node.kind in ("add", "multiply")


def _join_sources(
    name: str,
    nodes: dict[str, Node],
    groups: dict[str, OperatorGroup],
    outputs: Collection[str],
) -> bool:
    """Join an island or lookup with those that it alone reads; return whether there were any."""
    origins = dict.fromkeys(_behind_moves(source, nodes) for source in nodes[name].inputs)
    alone = [
        origin
        for origin in origins
        if origin in groups
        and origin not in outputs
        and _readers_behind_moves(origin, nodes) == {name}
    ]
    kinds = {nodes[name].kind, *(nodes[origin].kind for origin in alone)}
    if not alone or "island" not in kinds:
        return False
    group = OperatorGroup()
    for origin in origins:
        if origin in alone:
            group.take(groups.pop(origin))
            del nodes[origin]
        elif origin not in group.inputs:
            group.inputs.append(origin)
    group.take(groups[name], inputs=False)
    groups[name] = group
    _make_island(name, nodes, groups, outputs)
    return True
