"""Layers: what each layer of a captured network is, and its parameters while they are folded."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import fx

from quant.capture.graph import LayerParameters, Node, quantized_tensors
from quant.capture.parameters.batch_norm import fold_batch_norm, scaled
from quant.layers import LayerSpec


class Layers:
    """Collects layers while an exported program is read."""

    def __init__(self) -> None:
        """Begin without any."""
        self.parameters: dict[str, LayerParameters] = {}
        """By layer."""
        self._geometry: dict[str, dict[str, Any]] = {}
        self._products: set[str] = set()

    def add(
        self, entry: str, node: fx.Node, parameters: LayerParameters, geometry: dict[str, Any]
    ) -> str:
        """Keep a layer, and return its name.

        Args:
            entry: What the user's network calls its weight.
            node: The operator.
            parameters: As the network has them; a sequence's weight as that of an image of one row.
            geometry: Fields of its LayerSpec.
        """
        # `in_proj_weight` is the weight of a layer that is no module of its own.
        name = entry.removesuffix("_weight") if entry.endswith("_weight") else ""
        name = name or entry.rpartition(".")[0] or node.name
        # A module that is called again is a layer of its own there: it reads another tensor, at
        # bits of its own, and retraining moves its weights apart.
        name = self._unique(name)
        self.parameters[name], self._geometry[name] = parameters, geometry
        return name

    def add_product(self, module: str) -> str:
        """Return the name of a product of two computed tensors.

        Args:
            module: The dotted name of the module that computes it; empty for the network itself.
        """
        name = self._unique(f"{module}.matmul" if module else "matmul")
        self._products.add(name)
        return name

    def _unique(self, name: str) -> str:
        names = (*self.parameters, *self._products)
        calls = sum(known == name or known.startswith(f"{name}#") for known in names)
        return f"{name}#{calls + 1}" if calls else name

    def scale(self, layer: str, factors: torch.Tensor) -> None:
        """Multiply a layer's outputs by a factor of each channel."""
        self.parameters[layer] = scaled(self.parameters[layer], factors)

    def fold(self, layer: str, *statistics: Any, epsilon: float) -> None:
        """Fold a batch norm into a layer: see `fold_batch_norm`."""
        self.parameters[layer] = fold_batch_norm(
            self.parameters[layer], *statistics, epsilon=epsilon
        )

    def pad(self, layer: str, added: tuple[int, int]) -> None:
        """Let a layer's own padding grow by rows and columns."""
        rows, columns = self._geometry[layer]["padding"]
        self._geometry[layer]["padding"] = (rows + added[0], columns + added[1])

    def specs(self, nodes: Sequence[Node]) -> tuple[LayerSpec, ...]:
        """Return what the layers and products among nodes are, in execution order."""
        tensors, shapes = quantized_tensors(nodes), {node.name: node.shape for node in nodes}
        specs = []
        for node in nodes:
            if node.matrices is not None:
                specs.append(_product(node, tensors, shapes, nodes[0].name))
            if not node.layer:
                continue
            weight, source = self.parameters[node.layer].weight, node.inputs[0]
            specs.append(
                LayerSpec(
                    name=node.layer,
                    kind=node.kind,  # type: ignore[arg-type]
                    out_channels=weight.shape[0],
                    input_shape=shapes[source],
                    output_shape=node.shape,
                    tensor=tensors[source],
                    reads_input=tensors[source] == nodes[0].name,
                    macs=weight.numel() * prod(node.shape[1:]),
                    parameters=weight.numel() + weight.shape[0],
                    **self._geometry[node.layer],
                )
            )
        return tuple(specs)


def _product(
    node: Node, tensors: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]], read: str
) -> LayerSpec:
    """Return what a product of two computed tensors is; `read` is the network's input."""
    left, right = node.inputs
    assert node.matrices is not None
    return LayerSpec(
        name=node.product,
        kind="matmul",
        in_channels=node.matrices.depth,
        out_channels=node.matrices.columns,
        input_shape=shapes[left],
        output_shape=node.shape,
        tensor=tensors[left],
        reads_input=tensors[left] == read,
        macs=node.matrices.macs,
        parameters=0,
        right=tensors[right],
        right_shape=shapes[right],
        right_reads_input=tensors[right] == read,
    )
