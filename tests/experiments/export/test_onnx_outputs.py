"""Endings and outputs in ONNX: called and shaped as the user's network returns them."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from experiments.export.onnx_model import onnx_model
from quant.allocation import Allocation
from quant.convert import convert
from quant.testing import prepare_calibrated, random_images
from quant.torch_integer import integer_outputs
from tests.quant.output_networks import ENDINGS, IMAGE, EndingNet


@pytest.mark.parametrize("ending", ENDINGS)
def test_onnx_runtime_returns_each_output_by_name(ending: str) -> None:
    torch.manual_seed(0)
    network = prepare_calibrated(EndingNet(ENDINGS[ending][0]), random_images(64, IMAGE))
    network.set_allocation(Allocation.uniform(network.layers, 6))
    graph, images = convert(network), random_images(64, IMAGE, seed=3)
    model = onnx_model(graph, opset=25)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options)
    assert tuple(output.name for output in session.get_outputs()) == ENDINGS[ending][1]
    (entry,) = session.get_inputs()
    found = session.run(None, {entry.name: images.numpy()})
    for output, expected in zip(found, integer_outputs(graph, images), strict=True):
        assert output.shape == expected.shape
        tolerance = 1e-5 * float(expected.abs().max())
        near = np.isclose(output, expected.numpy(), rtol=0, atol=tolerance)
        assert near.mean() >= 0.99
