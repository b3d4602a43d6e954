"""The ONNX model: valid, with the network's own integers, and computing what the network does."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from experiments.export.onnx_model import onnx_model
from experiments.export.onnx_types import OPSETS, narrow, type_for
from quant.allocation import Allocation
from quant.convert import convert
from quant.deploy_graph import (
    Add,
    AvgPool2d,
    Conv2d,
    DeployGraph,
    Linear,
    Multiply,
    Requantize,
    RunIsland,
)
from quant.integer import run_graph, run_op
from quant.testing import (
    TinyBranchNet,
    TinyGatedNet,
    TinyResidualNet,
    prepare_calibrated,
    random_allocation,
    random_images,
)
from tests.quant.special_networks import SPECIAL_NETWORKS

NETWORKS: list[tuple[Callable[[], torch.nn.Module], tuple[int, int, int]]] = [
    (TinyResidualNet, (1, 8, 8)),
    (TinyBranchNet, (3, 10, 12)),
    (TinyGatedNet, (3, 7, 9)),
    (SPECIAL_NETWORKS["padding"][0], (3, 8, 8)),
]


def _graphs(kind: Callable[[], torch.nn.Module], shape: tuple[int, int, int]) -> list[DeployGraph]:
    torch.manual_seed(0)
    network = prepare_calibrated(kind(), random_images(64, shape))
    rng = np.random.default_rng(0)
    uniform = [Allocation.uniform(network.layers, bits) for bits in (2, 4, 8)]
    graphs = []
    for allocation in [*uniform, *(random_allocation(network.layers, rng) for _ in range(3))]:
        network.set_allocation(allocation)
        graphs.append(convert(network))
    return graphs


@pytest.mark.parametrize(("kind", "shape"), NETWORKS)
def test_every_multiplier_is_made_of_the_tensors_scales(
    kind: Callable[[], torch.nn.Module], shape: tuple[int, int, int]
) -> None:
    for graph in _graphs(kind, shape):
        scale = {name: tensor.scale for name, tensor in graph.tensors.items()}
        for op in graph.ops:
            if isinstance(op, Requantize | AvgPool2d):
                ratio = scale[op.input] / scale[op.output]
                count = np.prod(op.kernel) if isinstance(op, AvgPool2d) else 1
                assert op.multiplier == pytest.approx(ratio / count, rel=1e-6)
            if isinstance(op, Add):
                ratios = [scale[name] / scale[op.output] for name in op.inputs]
                assert op.multipliers == pytest.approx(ratios, rel=1e-6)
            if isinstance(op, Multiply):
                left, right = (scale[name] for name in op.inputs)
                assert op.multiplier == pytest.approx(left * right / scale[op.output], rel=1e-6)
            if isinstance(op, Conv2d | Linear):
                assert graph.tensors[op.input].zero_point == op.input_zero_point


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(("kind", "shape"), NETWORKS)
def test_onnx_runtime_gives_the_integer_networks_logits(
    kind: Callable[[], torch.nn.Module], shape: tuple[int, int, int], opset: int
) -> None:
    images = random_images(128, shape, seed=3).numpy()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for graph in _graphs(kind, shape):
        model = onnx_model(graph, opset=opset)
        onnx.checker.check_model(model)
        session = onnxruntime.InferenceSession(model, options)
        (found,) = session.run(None, {graph.input: images})
        expected = run_graph(graph, images)
        # Between the codes it computes in float32: a sum beside a rounding edge may fall over it.
        near = np.isclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
        assert near.all(axis=1).mean() >= 0.98
        assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.995


@pytest.mark.parametrize("name", ["three islands", "prelu"])
def test_islands_agree_to_five_digits_and_all_else_as_without(name: str) -> None:
    shape = (3, 8, 8)
    images = random_images(128, shape, seed=3).numpy()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for graph in _graphs(SPECIAL_NETWORKS[name][0], shape):
        islands = [op for op in graph.ops if isinstance(op, RunIsland)]
        model = onnx.load_model_from_string(onnx_model(graph, opset=25))
        onnx.checker.check_model(model)
        made = [op.output for op in islands]
        beside = [*made, *(source for op in islands for source in op.inputs)]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in beside)
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        found, *values = session.run([*graph.outputs, *beside], {graph.input: images})
        given = dict(zip(beside, values, strict=True))
        for op in islands:
            expected = run_op(op, *(given[source] for source in op.inputs))
            largest = np.abs(expected).max()
            np.testing.assert_allclose(given[op.output], expected, rtol=0, atol=1e-5 * largest)
        # A code beside a tie may round the other way behind an island: what it made is given.
        logits = run_graph(graph, images, given={name: given[name] for name in made})
        near = np.isclose(found, logits, rtol=0, atol=1e-5 * np.abs(logits).max())
        assert near.all(axis=1).mean() >= 0.98
        assert (found.argmax(1) == logits.argmax(1)).mean() >= 0.995
        whole = run_graph(graph, images)
        assert (found.argmax(1) == whole.argmax(1)).mean() >= 0.98


def test_the_weights_are_the_networks_integers_in_the_narrowest_type() -> None:
    for graph in _graphs(*NETWORKS[0]):
        sizes = {}
        for opset in OPSETS:
            loaded = onnx.load_model_from_string(onnx_model(graph, opset=opset))
            constants = {tensor.name: tensor for tensor in loaded.graph.initializer}
            for op in graph.layer_ops():
                stored = constants[f"{op.layer}/weight/codes"]
                codes = op.weight if isinstance(op, Linear) else op.weight.transpose(0, 3, 1, 2)
                found = numpy_helper.to_array(stored).astype(np.int8)
                assert found.shape == codes.shape
                if isinstance(op, Conv2d):
                    np.testing.assert_array_equal(found, codes)
                name = onnx.TensorProto.DataType.Name(stored.data_type)
                assert name == type_for(op.weight_bits, opset)
            sizes[opset] = sum(
                len(constants[f"{op.layer}/weight/codes"].raw_data) for op in graph.layer_ops()
            )
        assert sizes[25] <= sizes[21] <= sum(op.weight.size for op in graph.layer_ops())


def test_codes_share_bytes_from_the_lowest_bits_on() -> None:
    assert (type_for(2, 25), type_for(2, 21), type_for(5, 25)) == ("INT2", "INT4", "INT8")

    def packed(codes: list[int], opset: int) -> bytes:
        stored = narrow(np.array(codes, np.int8), 2 if opset == 25 else 4, opset)
        return bytes(numpy_helper.from_array(stored).raw_data)

    assert packed([1, -1, 0, 1, -1], opset=25) == bytes([0b01001101, 0b11])
    assert packed([7, -7, 1], opset=21) == bytes([0x97, 0x01])
