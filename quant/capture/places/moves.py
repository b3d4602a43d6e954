"""Operators that move values and change none, and where they take them from.

Nothing here knows what such an operator does: it is run on a tensor of numbered places.
"""

from typing import Any

import torch
from torch import fx
from torch.fx.node import map_arg

from quant.capture.exported import operator_name

BATCH = 3
"""Images in a tensor of numbered places: no two sizes are taken for each other by being 1 or 2."""
_MOVES = frozenset(
    (
        *("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze"),
        *("permute", "transpose", "movedim", "swapaxes", "swapdims", "t", "numpy_T", "mT"),
        *("slice", "select", "narrow", "split", "split_with_sizes", "chunk", "unbind"),
        *("expand", "flip", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle"),
        *("_unsafe_view", "view_as", "tensor_split", "diagonal", "repeat_interleave", "tile"),
    )
)
"""PyTorch's names; `getitem` takes one of what some of these return."""


def is_move(node: fx.Node) -> bool:
    """Whether an exported operator reads one tensor and gives values of it, unchanged."""
    if operator_name(node) not in _MOVES or not isinstance(node.args[0], fx.Node):
        return False
    return all(is_size(source) for source in node.all_input_nodes if source is not node.args[0])


def is_size(node: fx.Node) -> bool:
    """Whether an exported node makes a number that follows from the batch's size."""
    value = node.meta.get("val")
    return isinstance(value, torch.SymInt | int) and not isinstance(value, bool)


def run(node: fx.Node, value: Any, *, batch: int = BATCH) -> Any:
    """Return what an operator that moves makes of its tensor, at another size of the batch.

    Args:
        node: A move, or a `getitem` of what one made.
        value: Stands for its first argument.
        batch: Images in `value`.
    """
    own = node.args[0]

    def argument(source: fx.Node) -> Any:
        return value if source is own else number(source, batch)

    target: Any = node.target
    return _RESHAPES.get(target, target)(
        *map_arg(node.args, argument), **map_arg(node.kwargs, argument)
    )


def number(node: fx.Node, batch: int) -> int:
    """Return a number that follows from the batch's size, for another size."""
    return at_batch(node.meta["val"], batch)


def at_batch(size: Any, batch: int) -> int:
    """Return a size that may depend on the batch's, for another batch."""
    if isinstance(size, int):
        return size
    expression = size.node.expr
    return int(expression.subs(dict.fromkeys(expression.free_symbols, batch)))


_aten = torch.ops.aten
_RESHAPES = {  # numbered places lie in memory in another order than the user's tensor
    _aten.view.default: _aten.reshape.default,
    _aten._unsafe_view.default: _aten.reshape.default,
}
