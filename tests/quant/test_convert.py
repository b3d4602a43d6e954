"""The agreements of docs/integers.md on random allocations of two small networks."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from quant.allocation import Allocation, LayerBits
from quant.convert import convert
from quant.deploy_graph import (
    Add,
    AvgPool2d,
    Conv2d,
    DeployGraph,
    Linear,
    QuantizeInput,
    read_names,
)
from quant.errors import ConvertError
from quant.integer import run_graph, run_op
from quant.network import QuantizedNetwork
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.integer_scores import integer_scores
from quant.testing import (
    TinyBranchNet,
    TinyResidualNet,
    prepare_calibrated,
    random_allocation,
    random_images,
    retrain,
    shake_batch_norm,
)
from quant.torch_integer import integer_logits

Codes = npt.NDArray[Any]


def allocations(network: QuantizedNetwork, count: int, seed: int = 0) -> list[Allocation]:
    rng = np.random.default_rng(seed)
    return [random_allocation(network.layers, rng) for _ in range(count)]


def branch_network(seed: int = 0) -> QuantizedNetwork:
    torch.manual_seed(seed)
    return prepare_calibrated(TinyBranchNet(), random_images(64, (3, 10, 12)))


def test_torch_and_numpy_agree_to_the_bit(network: QuantizedNetwork, digits: Any) -> None:
    images = digits.test_images[:64]
    for allocation in allocations(network, 30):
        network.set_allocation(allocation)
        graph = convert(network)
        values: dict[str, Codes] = {}
        logits = run_graph(graph, images.numpy(), keep=values)
        np.testing.assert_array_equal(integer_logits(graph, images).numpy(), logits)
        check_ranges(graph, values)


def test_the_branch_network_agrees_to_the_bit() -> None:
    network, images = branch_network(), random_images(24, (3, 10, 12), seed=1)
    for allocation in allocations(network, 10):
        network.set_allocation(allocation)
        graph = convert(network)
        values: dict[str, Codes] = {}
        logits = run_graph(graph, images.numpy(), keep=values)
        np.testing.assert_array_equal(integer_logits(graph, images).numpy(), logits)
        check_ranges(graph, values)
        check_layers(network, graph, values)


def check_ranges(graph: DeployGraph, values: dict[str, Codes]) -> None:
    """Codes as they were before being stored, so that a wrapped one shows."""
    for op in graph.ops:
        codes = run_op(op, *(values[name] for name in read_names(op)))
        tensor = graph.tensors[op.output]
        assert codes.shape[1:] == tensor.shape, op.output
        if tensor.dtype != "float32":
            info = np.iinfo(tensor.dtype)
            assert info.min <= codes.min() <= codes.max() <= info.max, op.output
        if isinstance(op, Conv2d | Linear):
            assert values[op.input].max() <= 2**op.activation_bits - 1, op.layer


def test_bits_bound_the_weight_codes(network: QuantizedNetwork) -> None:
    for allocation in allocations(network, 5):
        network.set_allocation(allocation)
        for op in convert(network).layer_ops():
            assert op.weight_bits == allocation[op.layer].weight_bits
            assert op.activation_bits == allocation[op.layer].activation_bits
            assert len(np.unique(op.weight)) <= 2**op.weight_bits - 1
            assert np.abs(op.weight.astype(int)).max() <= 2 ** (op.weight_bits - 1) - 1


def test_float_training_differs_by_one_code_at_most(network: QuantizedNetwork, digits: Any) -> None:
    """Each layer of QAT's forward gets the integer reference's own input codes."""
    compared = 0
    for allocation in allocations(network, 30, seed=1):
        network.set_allocation(allocation)
        graph = convert(network)
        values: dict[str, Codes] = {}
        run_graph(graph, digits.test_images[:32].numpy(), keep=values)
        compared += check_layers(network, graph, values)
    assert compared == 30 * (8 - 1 + 2)  # all layers but the logits, and both sums


@torch.no_grad()
def check_layers(network: QuantizedNetwork, graph: DeployGraph, values: dict[str, Codes]) -> int:
    compared = 0
    for node in network.graph.nodes:
        op = next((op for op in graph.ops if op.output == node.name), None)
        if not isinstance(op, Conv2d | Linear | Add | AvgPool2d):
            continue
        # All that the node reads is given, and its own forward and quantizer compute the rest.
        real = dequantized(network, node.inputs, op, values)
        value = channels_last(network.quantized_value(node, real, torch.empty(0)))
        if node.name == graph.output:
            # The same sums of codes, in float32: only roundings differ.
            unit = np.abs(values[node.name]).max()
            np.testing.assert_allclose(value, values[node.name], rtol=0, atol=1e-5 * unit)
            continue
        scale, zero_point = code_scale(network, node.name)
        codes = np.rint(value / scale) + zero_point
        assert np.abs(codes - values[node.name]).max() <= 1, node.name
        compared += 1
    return compared


def dequantized(
    network: QuantizedNetwork, names: tuple[str, ...], op: Any, values: dict[str, Codes]
) -> dict[str, torch.Tensor]:
    """What the node reads, as floats: narrow codes for layers, the others as they travel."""
    real: dict[str, torch.Tensor] = {}
    for name in names:
        narrow = isinstance(op, Conv2d | Linear) and name in network.graph.wide
        key = f"{name}/narrow" if narrow else name
        scale, zero_point = code_scale(network, name, narrow=narrow)
        real[key] = channels_first(values[key].astype(np.float64) - zero_point, network, name)
        real[key] = (real[key] * scale).float()
    return real


def code_scale(network: QuantizedNetwork, name: str, *, narrow: bool = False) -> tuple[float, int]:
    if name in network.graph.wide and not narrow:
        return network.stream_scale(name), 0
    tensor = network.graph.tensor_of[name]
    bits = network.tensor_bits(tensor)
    return float(network.tensor(tensor).step(bits)), network.tensor(tensor).zero_point(bits)


def channels_last(value: torch.Tensor) -> Codes:
    moved: Codes = (value.permute(0, 2, 3, 1) if value.ndim == 4 else value).numpy()
    return moved


def channels_first(codes: Codes, network: QuantizedNetwork, name: str) -> torch.Tensor:
    node = network.graph.by_name[name]
    if node.kind == "flatten":  # back to the order of columns that PyTorch's flatten has
        channels, height, width = network.graph.by_name[node.inputs[0]].shape
        image = codes.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
        return torch.from_numpy(np.ascontiguousarray(image.reshape(len(codes), -1)))
    return torch.from_numpy(codes.transpose(0, 3, 1, 2) if codes.ndim == 4 else codes)


@pytest.mark.parametrize("trained", [False, True])
def test_training_and_integers_choose_the_same_class(
    network: QuantizedNetwork, digits: Any, trained: bool
) -> None:
    shares = []
    for number, allocation in enumerate(allocations(network, 6 if trained else 30, seed=2)):
        network.set_allocation(allocation)
        if trained:
            config = FinetuneConfig(steps=8)
            retrain(network, digits.train_images, digits.train_labels, config, seed=number)
        with torch.no_grad():
            expected = network(digits.test_images).argmax(1)
        found = integer_logits(convert(network), digits.test_images).argmax(1)
        shares.append(float((expected == found).float().mean()))
    assert len(digits.test_images) >= 600
    assert min(shares) >= 0.995


def test_integer_scores_count_correct_images(network: QuantizedNetwork, digits: Any) -> None:
    network.set_allocation(Allocation.uniform(network.layers, 8))
    graph = convert(network)
    scores = integer_scores(graph, digits.test_images, digits.test_labels, batch=100)
    logits = run_graph(graph, digits.test_images.numpy())
    assert scores.each is not None
    assert (scores.each.numpy() == (logits.argmax(1) == digits.test_labels.numpy())).all()
    found = scores.score
    assert found.count == 700
    assert found.value == pytest.approx(int(scores.each.sum()) / 700, abs=1e-12)
    assert found.value > 0.95
    assert found.loss < 0.3
    assert found.standard_error is not None
    assert 0 < found.standard_error < 0.01


def test_one_layers_bits_change_only_its_weights(network: QuantizedNetwork) -> None:
    base = Allocation.uniform(network.layers, 8)
    network.set_allocation(base)
    before = {op.layer: op.weight for op in convert(network).layer_ops()}
    items = dict(base.items) | {"head": LayerBits(weight_bits=3, activation_bits=8)}
    network.set_allocation(Allocation.of(items))
    after = {op.layer: op.weight for op in convert(network).layer_ops()}
    same = {layer: np.array_equal(before[layer], after[layer]) for layer in before}
    assert same == {layer: layer != "head" for layer in before}


def test_weight_bytes_count_bits_rounded_up_and_epilogues(network: QuantizedNetwork) -> None:
    network.set_allocation(Allocation.uniform(network.layers, 3))
    expected = sum(
        -(-(layer.parameters - layer.out_channels) * 3 // 8) + 8 * layer.out_channels
        for layer in network.layers
    )
    assert convert(network).weight_bytes() == expected


def test_a_signed_tensor_is_padded_with_its_zero_point(network: QuantizedNetwork) -> None:
    network.set_allocation(Allocation.uniform(network.layers, 4))
    ops = {op.layer: op for op in convert(network).layer_ops()}
    assert ops["head"].input_zero_point > 0
    assert ops["stem.0"].input_zero_point > 0
    assert ops["same.conv2"].input_zero_point == 0


def test_convert_takes_steps_and_input_as_they_are(network: QuantizedNetwork) -> None:
    network.set_allocation(Allocation.uniform(network.layers, 8))
    graph = convert(network)
    op = graph.ops[0]
    assert isinstance(op, QuantizeInput)
    tensor = network.layers[0].tensor
    assert op.multiplier == np.float32(1 / float(network.tensor(tensor).step(8).detach()))
    assert graph.tensors[graph.input].shape == (1, 8, 8)
    assert graph.tensors[graph.output].dtype == "float32"


def test_convert_needs_an_allocation(network: QuantizedNetwork) -> None:
    with pytest.raises(ConvertError, match="with an allocation"):
        convert(network)


def test_a_bias_beyond_int32_is_refused(network: QuantizedNetwork) -> None:
    network.set_allocation(Allocation.uniform(network.layers, 8))
    with torch.no_grad():
        network.layer("head").bias[2] = 1e9
    with pytest.raises(ConvertError, match="bias of head"):
        convert(network)


def test_sums_that_could_leave_int32_are_refused(network: QuantizedNetwork) -> None:
    network.set_allocation(Allocation.uniform(network.layers, 8))
    unit = network.layer("head").quantizer.step(8).min() * network.tensor(
        network.graph.layer("head").tensor
    ).step(8)
    with torch.no_grad():
        network.layer("head").bias.fill_(float(unit) * (2**31 - 2**9))
    with pytest.raises(ConvertError, match=r"head could leave int32"):
        convert(network)


def test_untrained_batch_norms_agree_too() -> None:
    torch.manual_seed(3)
    net = TinyResidualNet()
    shake_batch_norm(net, seed=3)
    network = prepare_calibrated(net, random_images(64))
    images = random_images(16, seed=4)
    for allocation in allocations(network, 5):
        network.set_allocation(allocation)
        graph = convert(network)
        values: dict[str, Codes] = {}
        logits = run_graph(graph, images.numpy(), keep=values)
        np.testing.assert_array_equal(integer_logits(graph, images).numpy(), logits)
        check_layers(network, graph, values)
