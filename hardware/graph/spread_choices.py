"""Bits of whole programs, spread so that each layer runs at each of its pairs equally often."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from hardware.graph.tensor_widths import BitPair, fixed_tensors, quantizers
from quant.deploy_graph import DeployGraph, MatMul
from quant.layers import INPUT_BITS

_Walk = tuple[int, int]
"""By how many places a width goes on when the first and when the second of two numbers does."""
_ROWS, _COLUMNS = (1, 0), (0, 1)
_WALKS: tuple[_Walk, ...] = (_ROWS, _COLUMNS, (1, 1))
"""Any two of them meet in all pairs."""


def spread_choices(
    graph: DeployGraph, bit_choices: Sequence[int], *, equal_bits: bool, seed: int
) -> Iterator[dict[str, BitPair]]:
    """Yield bits of all layers and products, so that each has each of its pairs equally often.

    With n choices there are n * n allocations, or n where bits are equal. Each layer walks through
    the choices from a place of its own, so that neighbours meet at ever other bits.

    Args:
        graph: The converted network.
        bit_choices: The widths that may be chosen.
        equal_bits: Weights and activations of one width, where the layer may choose both; tensors
            that are multiplied have one as well.
        seed: Decides the places and the order.
    """
    rng = np.random.default_rng(seed)
    fixed, tensors, count = fixed_tensors(graph), quantizers(graph), len(bit_choices)
    starts = {name: int(rng.integers(count)) for name in dict.fromkeys(tensors.values())}
    own = {op.layer: int(rng.integers(count)) for op in graph.layer_ops()}
    cells = [(i, j) for i in range(count) for j in range(count) if i == j or not equal_bits]
    products = [
        (tensors[op.inputs[0]], tensors[op.inputs[1]]) for op in graph.ops if isinstance(op, MatMul)
    ]
    walks = {} if equal_bits else _walks(products)
    if equal_bits:
        _start_together(starts, products)
    for cell in rng.permutation(len(cells)):
        i, j = cells[cell]

        def width(name: str, i: int = i, j: int = j) -> int:
            if name in fixed:
                return INPUT_BITS
            down, across = walks.get(tensors[name], _ROWS)
            return bit_choices[(down * i + across * j + starts[tensors[name]]) % count]

        chosen = {}
        for op in graph.decided_ops():
            if isinstance(op, MatMul):
                left, right = op.inputs
                chosen[op.layer] = (width(right), width(left))
                continue
            # Where the tensor goes with the columns, the weights go with the rows.
            step = i if walks.get(tensors[op.input], _ROWS) == _COLUMNS else j
            weight_bits = bit_choices[(step + own[op.layer]) % count]
            activation_bits = width(op.input)
            if equal_bits and op.input not in fixed:
                weight_bits = activation_bits
            chosen[op.layer] = (weight_bits, activation_bits)
        yield chosen


def _walks(products: Sequence[tuple[str, str]]) -> Mapping[str, _Walk]:
    """Return walks of the quantizers that are multiplied, so that no two walk alike that meet.

    Of more than three that all meet each other, some do; nobody multiplies like that.
    """
    walks: dict[str, _Walk] = {}
    for name in dict.fromkeys(name for both in products for name in both):
        met = {walks.get(other) for both in products if name in both for other in both}
        walks[name] = next((walk for walk in _WALKS if walk not in met), _WALKS[-1])
    return walks


def _start_together(starts: dict[str, int], products: Sequence[tuple[str, str]]) -> None:
    """Let quantizers that are multiplied, however many in a row, start at one place."""
    for _ in products:  # each time, one product further
        for left, right in products:
            starts[left] = starts[right] = min(starts[left], starts[right])
