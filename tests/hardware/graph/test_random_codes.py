from dataclasses import replace

import numpy as np
import pytest

from hardware.graph.agreement import fixed_input
from hardware.graph.random_codes import layer_alone, with_random_codes
from hardware.graph.tensor_widths import codes_read, reads_network_input
from hardware.layers.timing import bit_pairs
from quant.deploy_graph import Constant, Conv2d, MatMul, Pad2d
from quant.integer import run_graph
from tests.hardware.graphs import GraphBuilder, digits_like, zoo
from tests.hardware.token_graphs import converted_tokens


def test_only_layers_behind_the_input_quantizer_read_the_input() -> None:
    assert reads_network_input(zoo()) == {"layer1"}


def test_bit_pairs_keep_the_inputs_eight_bits() -> None:
    pairs = bit_pairs(digits_like(), (2, 4, 8))
    assert pairs["layer1"] == ((2, 8), (4, 8), (8, 8))
    assert len(pairs["layer2"]) == 9


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_codes_stay_inside_the_new_widths(bits: int) -> None:
    graph = zoo()
    inputs = reads_network_input(graph)
    chosen = {op.layer: (bits, 8 if op.layer in inputs else bits) for op in graph.layer_ops()}
    changed = with_random_codes(graph, chosen, seed=1)
    values: dict[str, np.ndarray] = {}
    run_graph(changed, fixed_input(changed, 2), values)
    for op in changed.layer_ops():
        assert np.abs(op.weight).max() == 2 ** (bits - 1) - 1
        assert values[op.input].max() <= 2**op.activation_bits - 1
        assert op.input_zero_point <= 2**op.activation_bits - 1
        if isinstance(op, Conv2d):
            assert np.ptp(values[op.input]) > 0, f"{op.layer} reads a constant"


def test_a_pad_keeps_writing_its_readers_zero_point() -> None:
    build = GraphBuilder()
    first = build.conv(build.image(3, 6, 6), 5, zero_point=200)
    last = build.conv(build.pad(first, (0, 2), (1, 0)), 4, 3, wide=True)
    graph = build.graph(build.linear(build.flatten(build.avg_pool(last, 7, 7, 8)), 3))
    bits = {op.layer: (3, 8 if op.layer == "layer1" else 3) for op in graph.layer_ops()}
    changed = with_random_codes(graph, bits, seed=0)
    (pad,) = (op for op in changed.ops if isinstance(op, Pad2d))
    reader = next(op for op in changed.layer_ops() if op.input == pad.output)
    assert pad.zero_point == reader.input_zero_point == 7


def test_a_layer_alone_reads_codes_of_its_width() -> None:
    part = layer_alone(digits_like(), "layer3", (4, 3), seed=0)
    (op,) = part.layer_ops()
    assert (op.weight_bits, op.activation_bits) == (4, 3)
    x = fixed_input(part, 1)
    assert x.dtype == np.uint8
    assert x.max() == 7


@pytest.mark.parametrize("bits", [2, 8])
def test_a_wrong_product_shows_in_the_output_at_any_width(bits: int) -> None:
    part = layer_alone(digits_like(), "layer3", (bits, bits), seed=0)
    (op,) = part.layer_ops()
    assert isinstance(op, Conv2d)
    weight = op.weight.copy()
    weight[:, 0, 0, 0] = 0
    wrong = replace(part, ops=(replace(op, weight=weight),))
    x = fixed_input(part, 1)
    assert np.mean(run_graph(part, x) != run_graph(wrong, x)) > 0.1


def test_a_narrow_network_still_tells_its_inputs_apart() -> None:
    graph = digits_like()
    chosen = {op.layer: (2, 8 if op.layer == "layer1" else 2) for op in graph.layer_ops()}
    narrow = with_random_codes(graph, chosen, seed=0)
    values: dict[str, np.ndarray] = {}
    run_graph(narrow, fixed_input(narrow, 2), values)
    for op in narrow.layer_ops():
        assert len(np.unique(values[op.input])) > 2, f"{op.layer} reads almost a constant"
    first, second = values[narrow.output]
    assert np.mean(first != second) > 0.5


def test_the_fixed_input_is_fixed_and_covers_the_codes() -> None:
    graph = zoo()
    x = fixed_input(graph, 40)
    assert np.array_equal(x, fixed_input(graph, 40))
    values: dict[str, np.ndarray] = {}
    run_graph(graph, x, values)
    codes = values[graph.ops[0].output]
    assert codes.min() == 0
    assert codes.max() == 255
    assert len(np.unique(codes)) == 256


def test_a_product_alone_has_random_codes_on_its_right_side() -> None:
    part = layer_alone(converted_tokens("vit", 0), "blocks.0.attn.matmul#2", (3, 5), seed=0)
    constant, op = part.ops
    assert isinstance(constant, Constant)
    assert isinstance(op, MatMul)
    assert op.bits == (5, 3)
    assert int(constant.codes.max()) == 7
    x = fixed_input(part, 1)
    assert int(x.max()) == 31
    wrong = replace(part, ops=(replace(constant, codes=constant.codes[::-1]), op))
    assert np.mean(run_graph(part, x) != run_graph(wrong, x)) > 0.1


def test_tokens_at_other_widths_still_tell_their_inputs_apart() -> None:
    graph = converted_tokens("vit", 0)
    pairs = {layer: row[0] for layer, row in bit_pairs(graph, (4,)).items()}
    narrow = with_random_codes(graph, pairs, seed=0)
    values: dict[str, np.ndarray] = {}
    first, second = run_graph(narrow, fixed_input(narrow, 2), values)
    for op in narrow.decided_ops():
        for name, bits in codes_read(op):
            assert values[name].max() <= 2**bits - 1
            assert np.ptp(values[name]) > 0, f"{op.layer} reads a constant"
    assert np.mean(first != second) > 0.5
