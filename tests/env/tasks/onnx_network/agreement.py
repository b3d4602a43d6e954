"""An imported network beside ONNX Runtime, trained one step, and captured."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch.utils._pytree import tree_leaves

from env.tasks.onnx_network.load import load_onnx_network
from env.tasks.onnx_network.network import OnnxNetwork
from quant.capture.capture import capture
from quant.capture.graph import NetworkGraph

IMAGES = 3
TOLERANCE = 1e-4


def images_of(*shape: int) -> torch.Tensor:
    return torch.randn(IMAGES, *shape, generator=torch.Generator().manual_seed(3))


def imported(file: Path, *shape: int) -> OnnxNetwork:
    """The network, found equal to ONNX Runtime in batches and image by image."""
    images = images_of(*shape)
    network = load_onnx_network(file, images).eval()
    with torch.no_grad():
        made = [value.numpy() for value in tree_leaves(network(images))]
        alone = [value.numpy() for value in tree_leaves(network(images[:1]))]
    wanted = by_runtime(file, images.numpy())
    assert len(made) == len(wanted)
    for found, one, expected in zip(made, alone, wanted, strict=True):
        # Some operators sum hundreds of values: the tolerance is of the largest.
        size = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * size)
        np.testing.assert_allclose(one, expected[:1], rtol=0, atol=TOLERANCE * size)
    return network


def by_runtime(file: Path, images: np.ndarray) -> list[np.ndarray]:
    """What ONNX Runtime makes of images, in batches of as many as the file says."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(file), options, ["CPUExecutionProvider"])
    (read,) = session.get_inputs()
    fixed = read.shape[0] if isinstance(read.shape[0], int) else len(images)
    repeated = np.concatenate([images] * fixed)
    parts = [repeated[place : place + fixed] for place in range(0, len(repeated), fixed)]
    made = [session.run(None, {read.name: part}) for part in parts]
    return [np.concatenate(values)[: len(images)] for values in zip(*made, strict=True)]


def train_one_step(network: OnnxNetwork, *shape: int) -> None:
    """Every parameter gets a gradient, and the loss falls along it."""
    images = images_of(*shape)
    network.train()

    def loss() -> torch.Tensor:
        total = torch.zeros(())
        for value in tree_leaves(network(images)):
            total = total + value.square().mean()
        return total

    before = loss()
    before.backward()
    assert list(network.parameters())
    with torch.no_grad():
        for name, value in network.named_parameters():
            assert value.grad is not None, name
            value.sub_(1e-4 * value.grad)
        assert loss() < before


def captured(network: OnnxNetwork, *shape: int) -> NetworkGraph:
    graph, _ = capture(network.eval(), images_of(*shape)[:1])
    return graph


def write(
    file: Path,
    nodes: list[onnx.NodeProto],
    values: dict[str, np.ndarray],
    shape: list[int | str],
    *,
    opset: int = 20,
    outputs: tuple[str, ...] = ("y",),
) -> Path:
    """Write a model by hand; its input is `x`."""
    graph = onnx.helper.make_graph(
        nodes,
        "graph",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in outputs],
        [onnx.numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8
    )
    file.write_bytes(model.SerializeToString())
    return file
