"""FloatIsland: operators without integer forms, kept together as a module that runs in float32.

Codes go in dequantized by one multiplication, and come out quantized again (docs/integers.md,
"Between layers").
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import fx, nn

_aten = torch.ops.aten
_SIZES = frozenset({_aten.sym_size.int})


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FloatIsland:
    """One island of the captured network."""

    name: str
    """Of its node."""
    operators: tuple[str, ...]
    """PyTorch's names, in execution order."""
    reason: str
    """Why the first of them has no integer form, and where it is."""
    module: nn.Module
    """Takes the node's inputs, float32 `[N, C, H, W]` or `[N, F]`, and returns its output."""


def island_module(
    nodes: Sequence[fx.Node],
    inputs: Sequence[str],
    source_of: Callable[[fx.Node], str],
    state: Mapping[str, torch.Tensor],
) -> nn.Module:
    """Return exported operators as a module of their own.

    Args:
        nodes: The operators in execution order, with what they need that does not depend on the
            network's input; the last one's value is returned.
        inputs: Names of the tensors that the module takes, in order.
        source_of: Gives the name of the tensor behind an exported node.
        state: Parameters and buffers by the names of their placeholders.
    """
    graph, root = fx.Graph(), nn.Module()
    places = {name: graph.placeholder(f"input_{index}") for index, name in enumerate(inputs)}
    own = {node.name for node in nodes}
    copies: dict[str, fx.Node] = {}
    vectors: dict[str, fx.Node] = {}

    def copy_of(node: fx.Node) -> fx.Node:
        if node.name in copies:
            return copies[node.name]
        source = source_of(node)
        if source in copies:  # a dropout or a copy between two operators of the island
            return copies[source]
        if node.name not in own and source in places:
            value = places[source]
            if _is_sequence(node):  # travels as an image of one row
                if source not in vectors:
                    vectors[source] = graph.call_function(_aten.squeeze.dim, (value, 2))
                value = vectors[source]
            return value
        attribute = "value_" + node.name
        if not hasattr(root, attribute):
            tensor = state[node.name].detach().clone()
            if isinstance(state[node.name], nn.Parameter):
                root.register_parameter(attribute, nn.Parameter(tensor))
            else:
                root.register_buffer(attribute, tensor)
        copies[node.name] = graph.get_attr(attribute)
        return copies[node.name]

    for node in nodes:
        if node.target in _SIZES:
            # Every batch is as long as the first input's.
            first = next(iter(places.values()))
            copies[node.name] = graph.call_function(_aten.sym_size.int, (first, 0))
            continue
        copies[node.name] = graph.node_copy(node, copy_of)
        copies[node.name].target = _functional(node.target)
    result = copies[nodes[-1].name]
    if _is_sequence(nodes[-1]):
        result = graph.call_function(_aten.unsqueeze.default, (result, 2))
    graph.output(result)
    return fx.GraphModule(root, graph, class_name="FloatIsland")


def _is_sequence(node: fx.Node) -> bool:
    return bool(node.meta["val"].ndim == 3)


def _functional(target: Any) -> Any:
    """Return the operator that leaves its input alone: others may read the same tensor."""
    name, _, overload = str(target).removeprefix("aten.").partition(".")
    if not name.endswith("_") or name.endswith("__"):
        return target
    return getattr(getattr(_aten, name[:-1]), overload)


def operator_name(node: fx.Node) -> str:
    """Return PyTorch's name of an exported operator, without its overload."""
    return str(node.target).removeprefix("aten.").partition(".")[0].rstrip("_")


def export_island(module: nn.Module, shapes: Sequence[tuple[int, ...]]) -> Any:
    """Return an island as `torch.export` has it, for inputs of these shapes, batch included."""
    with torch.no_grad():
        return torch.export.export(module, tuple(torch.zeros(shape) for shape in shapes))


def island_digest(module: nn.Module) -> str:
    """Return a digest of what an island computes: its operators and its values."""
    digest = hashlib.sha256(str(getattr(module, "code", module)).encode())
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(value.detach().contiguous().numpy().data)
    return digest.hexdigest()


@torch.no_grad()
def island_shapes(
    module: fx.GraphModule, shapes: Sequence[tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor inside an island, by the name of its node.

    Args:
        module: The island.
        shapes: Of its inputs, batch included.
    """
    found: dict[str, tuple[int, ...]] = {}

    class Watched(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            result = super().run_node(n)
            if isinstance(result, torch.Tensor):
                found[n.name] = tuple(result.shape)
            return result

    Watched(module).run(*(torch.zeros(shape) for shape in shapes))
    return found


@torch.no_grad()
def run_island(
    module: nn.Module, inputs: Sequence[npt.NDArray[np.float32]]
) -> npt.NDArray[np.float32]:
    """Return what an island computes, on arrays, batch first."""
    result: torch.Tensor = module(*(torch.from_numpy(np.ascontiguousarray(x)) for x in inputs))
    made: npt.NDArray[np.float32] = result.numpy()
    return made
