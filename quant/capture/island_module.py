"""IslandModule: exported operators as a module of their own, which survives pickling.

`torch.fx` writes a graph as Python code and traces that code anew when it is loaded. A GRU's list
of weights, or a shape with the batch's size in it, does not come back from there. So a graph is
written here as what it is: one instruction for each of its nodes.
"""

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import fx, nn
from torch.fx.node import map_aggregate

from quant.capture.exported import PLACE, place_of, where
from quant.capture.places.layout import Step
from quant.capture.places.value import folding
from quant.capture.places.values import Values, sizes_of
from quant.errors import CaptureError

_aten = torch.ops.aten
_RESHAPES = {
    _aten.view.default: _aten.reshape.default,
    _aten._unsafe_view.default: _aten.reshape.default,
    _aten.view_as.default: _aten.reshape_as.default,
}


@dataclass(frozen=True, slots=True)
class _Result:
    """The value of an earlier node, among the arguments of a later one."""

    name: str


@dataclass(frozen=True, slots=True)
class _Instruction:
    """One node of a graph."""

    op: str
    name: str
    target: Any
    """A name of an attribute, or of an operator of PyTorch's; else a function of Python's."""
    args: Any
    kwargs: Any
    place: str


class IslandModule(fx.GraphModule):
    """Operators of a network, in the order in which they are computed."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Write the graph as instructions, beside the values that it reads."""
        values = {name: self.__dict__[name] for name in ("_parameters", "_buffers", "training")}
        return _rebuild, (values, [_instruction(node) for node in self.graph.nodes])


def island_module(
    nodes: Sequence[fx.Node],
    inputs: Sequence[str],
    values: Values,
    state: Mapping[str, torch.Tensor],
    *,
    pointwise: bool = False,
) -> IslandModule:
    """Return exported operators as a module of their own, from images to an image.

    Args:
        nodes: The operators in execution order, with what they need that does not depend on the
            network's input; the last one's value is returned.
        inputs: Names of the nodes whose images the module takes, in order.
        values: What each exported tensor is made of.
        state: Parameters and buffers by the names of their placeholders.
        pointwise: Whether values may be of any shape, as each is computed from those at its own
            place alone.

    Raises:
        CaptureError: an operator needs a number that is computed from the network's values.
    """
    writer = _Writer(nodes, inputs, values, state, pointwise=pointwise)
    for node in nodes:
        writer.add(node)
    return writer.finish(nodes[-1])


class _Writer:
    """Copies exported operators into a graph of their own; see `island_module`."""

    def __init__(
        self,
        nodes: Sequence[fx.Node],
        inputs: Sequence[str],
        values: Values,
        state: Mapping[str, torch.Tensor],
        *,
        pointwise: bool,
    ) -> None:
        self._graph, self._root = fx.Graph(), nn.Module()
        self._own = {node.name for node in nodes}
        self._inputs = {
            name: self._graph.placeholder(f"input_{place}") for place, name in enumerate(inputs)
        }
        self._values, self._state, self._pointwise = values, state, pointwise
        self._copies: dict[str, fx.Node] = {}
        self._moved: dict[tuple[str, ...], fx.Node] = {}

    def add(self, node: fx.Node) -> None:
        self._copies[node.name] = self._copy(node)

    def finish(self, last: fx.Node) -> IslandModule:
        result, value = self._copies[last.name], self._values.known(last.name)
        if value is not None and not self._pointwise:
            steps = folding(value.place, sizes_of(last))
            if steps is None:
                raise CaptureError(f"values of several images side by side: {where(last)}")
            result = self._written(result, steps)
        self._graph.output(result)
        return IslandModule(self._root, self._graph, class_name="FloatIsland")

    def _copy(self, node: fx.Node, instead: fx.Node | None = None) -> fx.Node:
        """Write an exported operator again, of another first argument where one is given."""
        first = node.args[0] if instead is not None else None
        copied = self._graph.node_copy(
            node, lambda read: instead if read is first and instead else self._copy_of(read)
        )
        copied.target = _functional(node.target)
        if copied.target is _aten.copy.default:  # has no derivative
            copied.target, copied.args = _aten.expand_as.default, (copied.args[1], copied.args[0])
        copied.meta = {PLACE: where(node)}
        return copied

    def _written(self, value: fx.Node, steps: Iterable[Step]) -> fx.Node:
        for target, arguments in steps:
            values = (
                self._kept(one) if isinstance(one, torch.Tensor) else one for one in arguments
            )
            value = self._graph.call_function(target, (value, *values))
        return value

    def _kept(self, tensor: torch.Tensor) -> fx.Node:
        attribute = f"order_{len(list(self._root.buffers()))}"
        self._root.register_buffer(attribute, tensor)
        return self._graph.get_attr(attribute)

    def _copy_of(self, node: fx.Node) -> fx.Node:
        """Return what stands for an exported node that one of the operators reads."""
        if node.name not in self._copies:
            self._copies[node.name] = self._read(node)
        return self._copies[node.name]

    def _read(self, node: fx.Node) -> fx.Node:
        value = self._values.known(node.name)
        if value is None:
            return self._number(node) if is_number(node) else self._constant(node)
        moves = value.place.moves
        if self._pointwise:
            return self._copies.get(value.node) or self._inputs[value.node]
        if value.node in self._copies:  # behind an operator of the island
            own = self._values.known(value.node)
            begun = 0 if own is None else len(own.place.moves)
            return self._behind(self._copies[value.node], value.node, moves[:begun], moves[begun:])
        key, steps = (value.node,), value.place.layout.unfold()
        if key not in self._moved:  # once for all that read it
            self._moved[key] = self._written(self._inputs[value.node], steps)
        return self._behind(self._moved[key], value.node, (), moves)

    def _behind(
        self,
        made: fx.Node,
        name: str,
        before: Sequence[fx.Node],
        moves: Sequence[fx.Node],
    ) -> fx.Node:
        """Return what moves make of a tensor, each written once."""
        key = (name, *(move.name for move in before))
        for move in moves:
            key = (*key, move.name)
            if key not in self._moved:
                self._moved[key] = self._copy(move, made)
            made = self._moved[key]
        return made

    def _number(self, node: fx.Node) -> fx.Node:
        """Return a number that depends on the batch's size alone."""
        if node.target is _aten.sym_size.int:
            # Every batch is as long as the first input's.
            first = next(iter(self._inputs.values()))
            size = self._graph.call_function(_aten.sym_size.int, (first, 0))
            times = _times_the_batch(node)
            return size if times == 1 else self._graph.call_function(operator.mul, (size, times))
        if hasattr(node.target, "_schema"):
            raise CaptureError(
                f"{node.target} makes a number of what the network computes, which may differ "
                f"from input to input: {where(node)}",
                "keep it a tensor, or make it a constant",
            )
        return self._graph.node_copy(node, self._copy_of)

    def _constant(self, node: fx.Node) -> fx.Node:
        """Return a parameter, buffer or constant."""
        attribute, tensor = "value_" + node.name, self._state[node.name]
        value = tensor.detach().clone()
        if isinstance(tensor, nn.Parameter):
            self._root.register_parameter(attribute, nn.Parameter(value))
        else:
            self._root.register_buffer(attribute, value)
        return self._graph.get_attr(attribute)


def is_number(node: fx.Node) -> bool:
    """Whether an exported node makes a number, such as the size of the batch, and no tensor."""
    number = (torch.SymInt, torch.SymFloat, torch.SymBool, int, float, bool)
    return isinstance(node.meta.get("val"), number)


def _times_the_batch(node: fx.Node) -> int:
    """Return how many times the batch's size the first size of a tensor is."""
    size = node.meta["val"].node.expr
    (symbol,) = size.free_symbols
    return int(size / symbol)


def _functional(target: Any) -> Any:
    """Return the operator that asks nothing of its input, and leaves it alone.

    Others may read the same tensor; and it may lie in memory in another order than it did in the
    user's network.
    """
    if target in _RESHAPES:
        return _RESHAPES[target]
    name, _, overload = str(target).removeprefix("aten.").partition(".")
    if not name.endswith("_") or name.endswith("__"):
        return target
    return getattr(getattr(_aten, name[:-1]), overload)


def _instruction(node: fx.Node) -> _Instruction:
    def written(value: Any) -> Any:
        return _Result(value.name) if isinstance(value, fx.Node) else value

    args, kwargs = map_aggregate((node.args, node.kwargs), written)
    # An operator of PyTorch's is no object that can be written, but its name leads to it.
    target = str(node.target) if hasattr(node.target, "_schema") else node.target
    return _Instruction(node.op, node.name, target, args, kwargs, place_of(node))


def _rebuild(values: dict[str, Any], instructions: Sequence[_Instruction]) -> IslandModule:
    root, graph = nn.Module(), fx.Graph()
    root.__dict__.update(values)
    made: dict[str, fx.Node] = {}

    def value_of(value: Any) -> Any:
        return made[value.name] if isinstance(value, _Result) else value

    for each in instructions:
        target = each.target
        if each.op == "call_function" and isinstance(target, str):
            target = reduce(getattr, target.split("."), torch.ops)
        args, kwargs = map_aggregate((each.args, each.kwargs), value_of)
        made[each.name] = node = graph.create_node(each.op, target, args, kwargs, each.name)
        if each.place:
            node.meta[PLACE] = each.place
    module = IslandModule(root, graph, class_name="FloatIsland")
    return module.train(values["training"])
