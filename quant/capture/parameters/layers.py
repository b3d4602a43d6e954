"""Layers: what each layer of a captured network is, and its parameters while they are folded."""

from collections.abc import Sequence
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
        calls = sum(known == name or known.startswith(f"{name}#") for known in self.parameters)
        name = f"{name}#{calls + 1}" if calls else name
        self.parameters[name], self._geometry[name] = parameters, geometry
        return name

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
        """Return what the layers among nodes are, in execution order."""
        tensors, shapes = quantized_tensors(nodes), {node.name: node.shape for node in nodes}
        specs = []
        for node in nodes:
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
