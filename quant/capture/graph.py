"""NetworkGraph: the captured network, batch norm folded, as operators that have integer forms."""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch

from quant.capture.float_island import FloatIsland
from quant.capture.lookup import CapturedLookup
from quant.deploy_graph import Matrices
from quant.layers import LayerSpec
from quant.strides import Strides

NodeKind = Literal[
    "input",
    "constant",
    "conv2d",
    "linear",
    "clip",
    "add",
    "max_pool",
    "avg_pool",
    "flatten",
    "concat",
    "multiply",
    "lookup",
    "pad",
    "move",
    "matmul",
    "embedding",
    "island",
    "output",
]
TRANSPARENT: frozenset[str] = frozenset({"max_pool", "flatten", "concat", "pad", "move"})
"""Operators that move or pick codes: input and output share one quantizer."""
_INTO_FLOAT: frozenset[str] = frozenset({"island", "output"})
"""Operators that dequantize what they read."""
WIDE_READERS: frozenset[str] = frozenset({"add", "avg_pool", "clip", "multiply"}) | _INTO_FLOAT
"""Operators that read wide codes (docs/integers.md, "Between layers")."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """A ReLU (no maximum) or a ReLU6."""

    maximum: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Geometry of a pooling operator."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Padding:
    """Rows and columns of zeros that an operator puts around an image."""

    before: tuple[int, int]
    """Rows above and columns to the left."""
    after: tuple[int, int]
    """Rows below and columns to the right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One operator; its name is also the name of the tensor it makes."""

    name: str
    kind: NodeKind
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    """`(C, H, W)` or `(F,)`, without the batch; tokens `[N, T, F]` are `(F, 1, T)`."""
    layer: str = ""
    """Name of the layer, for conv2d and linear."""
    product: str = ""
    """Name of the product, for matmul."""
    clip: Clip | None = None
    """The activation fused into this operator, or the operator's own for kind `clip`."""
    window: Window | None = None
    padding: Padding | None = None
    """What kind `pad` puts around its input."""
    moved: Strides | None = None
    """Which values of its input, channels last, kind `move` takes, in order."""
    matrices: Matrices | None = None
    """What kind `matmul` multiplies."""
    scale: float = 1.0
    """What the products of kind `matmul` are multiplied by."""
    axis: int = 0
    """Along which axis of `shape` kind `concat` joins."""
    last: bool = False
    """Whether the user's network has the channels last, as of tokens: float islands do, too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphOutput:
    """One of the tensors that the network returns."""

    name: str
    """What the user's forward pass calls it (see `quant.outputs`)."""
    node: str
    """Whose value it is, in float32."""
    shape: tuple[int, ...]
    """As the user's network returns it, without the batch."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LayerParameters:
    """Folded float parameters of one layer, as captured."""

    weight: torch.Tensor
    """float32 `[out, in / groups, kh, kw]` or `[out, in]`."""
    bias: torch.Tensor
    """float32 `[out]`; zeros where the layer had none."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CapturedConstant:
    """Values that a network adds or joins to others, or rows that it looks up.

    Positions, a class token; an embedding's vectors.
    """

    name: str
    """Of its node."""
    value: torch.Tensor
    """float32 `[1, C, H, W]` or `[1, F]`; rows `[vocabulary, F]`."""


@dataclass(frozen=True, kw_only=True)
class NetworkGraph:
    """Nodes in execution order and what follows from their connections."""

    nodes: tuple[Node, ...]
    returned: tuple[GraphOutput, ...]
    """What the network returns, in the user's order."""
    layers: tuple[LayerSpec, ...]
    """What has bits of its own, in execution order: layers, and products of computed tensors."""
    islands: tuple[FloatIsland, ...] = ()
    """What stays in float, in execution order."""
    lookups: tuple[CapturedLookup, ...] = ()
    """Functions of one value, in execution order."""
    constants: tuple[CapturedConstant, ...] = ()
    """What is the same for every image, in execution order."""

    @cached_property
    def by_name(self) -> dict[str, Node]:
        """Nodes by name."""
        return {node.name: node for node in self.nodes}

    @property
    def outputs(self) -> tuple[str, ...]:
        """What the user calls the tensors that the network returns."""
        return tuple(output.name for output in self.returned)

    @cached_property
    def output_nodes(self) -> frozenset[str]:
        """The nodes whose values are returned: nothing quantizes them, and no node reads them."""
        return frozenset(output.node for output in self.returned)

    @cached_property
    def readers(self) -> dict[str, tuple[Node, ...]]:
        """For each node, the nodes that read it."""
        return readers_of(self.nodes)

    @cached_property
    def tensor_of(self) -> dict[str, str]:
        """For each node, the name of the quantized tensor it belongs to."""
        return quantized_tensors(self.nodes)

    @cached_property
    def wide(self) -> frozenset[str]:
        """Names of the nodes whose values travel as wide codes."""
        wide: set[str] = set()
        for node in reversed(self.nodes):
            if node.kind == "input":
                continue  # 8-bit codes, whoever reads them
            moved = self.tensor_of[node.name] == self.input  # codes of the input, moved
            readers = WIDE_READERS - _INTO_FLOAT if moved else WIDE_READERS
            needs = node.kind == "add" or any(
                reader.kind in readers or (reader.kind in TRANSPARENT and reader.name in wide)
                for reader in self.readers[node.name]
            )
            if needs:
                wide.add(node.name)
        return frozenset(wide)

    @cached_property
    def stream_of(self) -> dict[str, str]:
        """For each wide node, the name of its stream: nodes of one stream share one scale."""
        joined = _Groups(self.wide)
        for node in self.nodes:
            if node.kind in TRANSPARENT | {"add", "clip"} and node.name in self.wide:
                for source in node.inputs:
                    joined.join(node.name, source)
        return {name: joined.find(name) for name in self.wide}

    @cached_property
    def input(self) -> str:
        """Name of the input node."""
        return self.nodes[0].name

    def layer(self, name: str) -> LayerSpec:
        """Return one layer's description."""
        return self._layer_by_name[name]

    @cached_property
    def _layer_by_name(self) -> dict[str, LayerSpec]:
        return {layer.name: layer for layer in self.layers}


def readers_of(nodes: Iterable[Node]) -> dict[str, tuple[Node, ...]]:
    """Return for each node the nodes that read it."""
    nodes = tuple(nodes)
    return {node.name: tuple(r for r in nodes if node.name in r.inputs) for node in nodes}


def joined_by(nodes: Iterable[Node], kinds: Container[str]) -> tuple[tuple[Node, ...], ...]:
    """Return nodes in groups, those together that operators of these kinds read or make."""
    nodes = tuple(nodes)
    joined = _Groups(node.name for node in nodes)
    for node in nodes:
        if node.kind in kinds:
            for source in node.inputs:
                joined.join(node.name, source)
    groups: dict[str, list[Node]] = {}
    for node in nodes:
        groups.setdefault(joined.find(node.name), []).append(node)
    return tuple(tuple(group) for group in groups.values())


def quantized_tensors(nodes: Iterable[Node]) -> dict[str, str]:
    """Return for each node the first node of its quantized tensor (transparent operators join)."""
    nodes = tuple(nodes)
    joined = _Groups(node.name for node in nodes)
    for node in nodes:
        if node.kind in TRANSPARENT:
            for source in node.inputs:
                joined.join(source, node.name)
    order = {node.name: position for position, node in enumerate(nodes)}
    first: dict[str, str] = {}
    for name in sorted(order, key=order.__getitem__):
        first.setdefault(joined.find(name), name)
    return {name: first[joined.find(name)] for name in order}


class _Groups:
    """Union-find over names."""

    def __init__(self, names: Iterable[str]) -> None:
        self._parent = {name: name for name in names}

    def find(self, name: str) -> str:
        while self._parent[name] != name:
            name = self._parent[name]
        return name

    def join(self, one: str, other: str) -> None:
        self._parent[self.find(other)] = self.find(one)
