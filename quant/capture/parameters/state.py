"""State: a program's parameters, buffers and constants, and what it computes of them alone."""

import operator
from collections.abc import Iterable
from typing import Any

import torch
from torch import fx

from quant.capture.places.constants import constant_value
from quant.capture.places.moves import is_move


class State:
    """Knows values by the placeholders of an exported program.

    Args:
        program: What `torch.export.export` returned.
    """

    def __init__(self, program: Any) -> None:
        signature = program.graph_signature
        known = {**program.state_dict, **dict(program.constants)}
        self._names = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        self.values = {name: known[entry].detach() for name, entry in self._names.items()}
        """By the names of their placeholders."""
        self._order = {node: place for place, node in enumerate(program.graph.nodes)}

    def name(self, placeholder: fx.Node) -> str:
        """Return what the user's network calls a value."""
        return str(self._names[placeholder.name])

    def ordered(self, nodes: Iterable[fx.Node]) -> list[fx.Node]:
        """Return exported nodes in execution order."""
        return sorted(nodes, key=self._order.__getitem__)

    def behind(self, value: Any) -> fx.Node | None:
        """Return the parameter that an argument is, or is a part of: a matrix for q, k and v."""
        while isinstance(value, fx.Node) and value.name not in self._names:
            part = value.target is operator.getitem or is_move(value)
            value = value.args[0] if part else None
        return value if isinstance(value, fx.Node) else None

    def computed(self, value: fx.Node, operators: Iterable[fx.Node]) -> torch.Tensor | None:
        """Return what does not depend on the network's input (see `constant_value`).

        Args:
            value: Makes it, or is a parameter.
            operators: What it is computed by, in any order.
        """
        return constant_value(value, self.ordered(operators), self.values)

    def is_number(self, node: fx.Node) -> bool:
        """Whether an exported node is a parameter or constant of one value."""
        value = self.values.get(node.name)
        return isinstance(value, torch.Tensor) and value.numel() == 1
