"""Bits of whole programs: every layer and product meets each of its pairs."""

from collections import Counter

import pytest

from hardware.graph.layer_shape import layer_shape
from hardware.graph.spread_choices import spread_choices
from hardware.layers.timing import bit_pairs
from tests.hardware.graphs import zoo
from tests.hardware.token_graphs import converted_tokens

WIDTHS = (2, 3, 5, 8)


@pytest.mark.parametrize("equal_bits", [False, True])
@pytest.mark.parametrize("name", ["vit", "encoder", "zoo"])
def test_every_pair_of_everything_comes_up(name: str, *, equal_bits: bool) -> None:
    graph = zoo() if name == "zoo" else converted_tokens(name, 0)
    pairs = bit_pairs(graph, WIDTHS, equal_bits=equal_bits)
    seen: Counter[tuple[str, tuple[int, int]]] = Counter()
    for chosen in spread_choices(graph, WIDTHS, equal_bits=equal_bits, seed=0):
        seen.update(chosen.items())
        for layer, pair in chosen.items():
            assert pair in pairs[layer]
    assert set(seen) == {(layer, pair) for layer, row in pairs.items() for pair in row}
    for layer, row in pairs.items():
        assert len({seen[layer, pair] for pair in row}) == 1, layer


def test_a_product_of_one_tensor_by_itself_has_equal_pairs_alone() -> None:
    pairs = bit_pairs(converted_tokens("vit", 0), WIDTHS)
    assert pairs["blocks.0.attn.matmul"] == tuple((bits, bits) for bits in WIDTHS)
    assert len(pairs["blocks.0.attn.matmul#2"]) == len(WIDTHS) ** 2
    assert len(pairs["blocks.0.attn.qkv"]) == len(WIDTHS) ** 2


def test_a_product_is_described_by_its_matrices() -> None:
    graph = converted_tokens("vit", 0)
    scores, mixed = (op for op in graph.decided_ops() if op.layer.startswith("blocks.0.attn.mat"))
    assert str(layer_shape(graph, scores, 1)) == "product 4x17x8 > 17"
    assert str(layer_shape(graph, mixed, 2)) == "product 4x17x17 > 8"
    assert layer_shape(graph, mixed, 2).macs == 2 * 4 * 17 * 17 * 8
