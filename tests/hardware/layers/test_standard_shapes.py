import numpy as np
import pytest

from hardware.graph.agreement import fixed_input
from hardware.graph.layer_shape import layer_shape
from hardware.graph.tensor_widths import reads_network_input
from hardware.kernels.planning.family_history import never_run
from hardware.layers.shapes import SMALL_SHAPES, STANDARD_SHAPES, StandardShape, standard_graph
from quant.integer import run_graph
from tests.hardware.graphs import zoo

MMACS = {
    "conv3x3-56x56x64": 115.605504,
    "conv3x3-28x28x128": 115.605504,
    "conv3x3-14x14x256": 115.605504,
    "conv3x3-7x7x512": 115.605504,
    "strided3x3-56x56x64-128": 57.802752,
    "conv3x3-32x32x16": 2.359296,
    "conv3x3-16x16x32": 2.359296,
    "conv3x3-8x8x64": 2.359296,
    "stem7x7-224x224x3-64": 118.013952,
    "conv1x1-14x14x96-576": 10.838016,
    "conv1x1-14x14x576-96": 10.838016,
    "depthwise-56x56x144": 4.064256,
    "depthwise-14x14x576": 1.016064,
    "dense-512-1000": 0.512,
    "dense-1280-1000": 1.28,
}


def test_the_list_is_the_documented_one() -> None:
    found = {}
    for shape in STANDARD_SHAPES:
        graph = standard_graph(shape)
        (op,) = graph.layer_ops()
        found[shape.name] = layer_shape(graph, op, batch=1).macs / 1e6
    assert found == pytest.approx(MMACS)
    assert list(found) == list(MMACS)


def test_the_small_list_is_part_of_it_and_stays_small() -> None:
    assert set(SMALL_SHAPES) < set(STANDARD_SHAPES)
    assert len(SMALL_SHAPES) == 4
    assert sum(MMACS[shape.name] for shape in SMALL_SHAPES) < 10


def test_only_the_first_layer_of_a_network_keeps_8_bit_activations() -> None:
    fixed = [shape.name for shape in STANDARD_SHAPES if reads_network_input(standard_graph(shape))]
    assert fixed == ["stem7x7-224x224x3-64"]


@pytest.mark.parametrize("shape", SMALL_SHAPES, ids=lambda shape: shape.name)
def test_outputs_use_their_range(shape: StandardShape) -> None:
    graph = standard_graph(shape)
    codes = run_graph(graph, fixed_input(graph, 1))
    assert len(np.unique(codes)) > 100  # or a wrong kernel could look right


def test_shapes_have_short_names() -> None:
    graph = zoo()
    names = [str(layer_shape(graph, op, batch=2)) for op in graph.layer_ops()]
    assert names == [
        "3x3 9x9x3 > 13",
        "3x3 9x9x13 > 13",
        "1x1 9x9x13 > 13",
        "3x3/2 5x5x13 > 12",
        "1x1/2 5x5x13 > 7",
        "depthwise 3x3 3x3x19",
        "3x3 3x3x19 > 21",
        "1x1 1x1x21 > 21",
        "dense 21 > 10",
    ]
    assert layer_shape(graph, graph.layer_ops()[-1], batch=2).macs == 2 * 21 * 10
    assert layer_shape(graph, graph.layer_ops()[0], batch=1).is_3x3
    assert not layer_shape(graph, graph.layer_ops()[5], batch=1).is_3x3


def test_a_family_nobody_ran_is_said_so() -> None:
    assert never_run(["avx2-d8", "generic", "neon-d2", "neon-d2"]) == ("neon-d2",)
