"""Travelling: how what an island makes lies in the image that travels on."""

from math import prod

import torch
from torch import fx

from quant.capture.exported import operator_name
from quant.capture.places.layout import Layout, last_layout
from quant.capture.places.moves import is_move
from quant.capture.places.value import lead_of
from quant.capture.places.values import Values, own_layout, sizes_of
from quant.errors import CaptureError

_GO_ON = frozenset(
    (
        *("add", "mul", "sub", "div", "dropout", "contiguous", "clone", "relu", "gelu", "silu"),
        *("layer_norm", "rms_norm", "tanh", "sigmoid", "cat", "getitem"),
    )
)
"""PyTorch's names of operators that have channels where their inputs have them."""
_KEEP_LEAD = frozenset(
    (
        *("add", "mul", "sub", "div", "rsub", "neg", "matmul", "bmm", "softmax", "log_softmax"),
        *("scaled_dot_product_attention", "layer_norm", "rms_norm", "group_norm", "batch_norm"),
        *("relu", "gelu", "silu", "tanh", "sigmoid", "linear", "dropout", "clone", "contiguous"),
    )
)
"""PyTorch's names of operators that treat each place of their first axis alone."""


class Travelling:
    """Gives what islands make a layout.

    Args:
        values: What exported tensors are made of.
    """

    def __init__(self, values: Values) -> None:
        self._values = values
        self._leads: dict[str, tuple[int, int]] = {}

    def layout(self, node: fx.Node) -> Layout | None:
        """Return how a value lies in an image; None for what is no batch of floats."""
        value = node.meta["val"]
        if not isinstance(value, torch.Tensor) or value.dtype != torch.float32:
            return None
        try:
            return own_layout(node, last=self._reads_rows(node))
        except CaptureError:
            return self._layout_in_lead(node)

    def _layout_in_lead(self, node: fx.Node) -> Layout | None:
        """Return how a tensor lies in an image whose first axis holds parts of images, or None.

        Windows of images are such parts. In which order they come is known of what moved of values
        that travel, and of operators that go through that axis as it is.
        """
        lead = self._lead_of(node)
        if lead is None or len(node.meta["val"].shape) < 2:
            return None
        self._leads[node.name] = lead
        sizes, (outer, inner) = sizes_of(node), lead
        if sizes[0] != -1 or -1 in sizes[1:]:
            return None
        return last_layout(sizes, rows=outer * inner * prod(sizes[1:-1]), outer=outer)

    def _lead_of(self, node: fx.Node) -> tuple[int, int] | None:
        if operator_name(node) not in _KEEP_LEAD:
            return None
        first = str(node.meta["val"].shape[:1])
        for source in node.all_input_nodes:
            made = source.meta.get("val")
            if not isinstance(made, torch.Tensor) or str(made.shape[:1]) != first:
                continue
            value = self._values.get(source)
            lead = self._leads.get(source.name) if value is None else lead_of(value.place)
            if lead is not None:
                return lead
        return None

    def _reads_rows(self, node: fx.Node) -> bool:
        """Whether what an island makes should have its channels last.

        It should where a Linear reads it, at once or behind what goes on from value to value; else
        where the island's own inputs do.
        """
        seen, waiting = {node}, [node]
        while waiting:
            for reader in waiting.pop().users:
                name = operator_name(reader)
                if name == "linear":
                    if len(reader.args[0].meta["val"].shape) > 2:  # type: ignore[union-attr]
                        return True
                elif reader not in seen and (name in _GO_ON or is_move(reader)):
                    seen.add(reader)
                    waiting.append(reader)
        return any(map(self._values.has_channels_last, node.all_input_nodes))
