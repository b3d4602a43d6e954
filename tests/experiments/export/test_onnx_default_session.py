"""ONNX Runtime as it comes: what its optimizer makes of a model is what the integers say."""

import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from experiments.export.onnx_agreement import agreement_db, onnx_agreement
from experiments.export.onnx_island import NotInOnnxError
from experiments.export.onnx_model import onnx_model
from quant.allocation import Allocation
from quant.convert import convert
from quant.deploy_graph import DeployGraph, RunIsland
from quant.integer import run_graph
from quant.testing import prepare_calibrated, random_allocation, random_images
from tests.experiments.export.test_onnx_island import FUNCTIONS, add_without_products
from tests.quant.random_networks import IMAGE, random_cases
from tests.quant.special_networks import SPECIAL_NETWORKS, SpecialNet

NEAR_DB = 75.0
"""A single code that fell over an edge stays above it in these networks, and an operator that was
quantized below: convolutions in float had 35 to 71 dB."""
SAFE = 7
"""Bits of weights whose products ONNX Runtime adds without saturation on every x86 CPU."""
NETWORKS = ("in place", "silu", "transposed", "three islands", "functional convolution", "gru")
IN_FRONT: dict[str, Callable[[], nn.Module]] = {
    "product": lambda: nn.Sequential(nn.Flatten(1), nn.Linear(512, 6), nn.Unflatten(1, (6, 1, 1))),
    "mean": lambda: nn.AvgPool2d(3, count_include_pad=False, padding=1),
    "relu behind": lambda: nn.Sequential(nn.ConvTranspose2d(8, 6, 3), nn.ReLU()),
    "moved before": lambda: nn.Sequential(nn.MaxPool2d(2), nn.ConvTranspose2d(8, 6, 3)),
    "moved behind": lambda: nn.Sequential(nn.ConvTranspose2d(8, 8, 3), nn.PixelShuffle(2)),
}
"""Where the optimizer may look through what only moves or limits values."""


def _graph(module: SpecialNet, bits: int) -> DeployGraph:
    network = prepare_calibrated(module.eval(), random_images(24, module.input_shape))
    network.set_allocation(Allocation.uniform(network.layers, bits))
    return convert(network)


def _check(graph: DeployGraph, images: torch.Tensor, opset: int) -> None:
    session = onnxruntime.InferenceSession(onnx_model(graph, opset=opset))
    shaped = images.numpy().reshape(-1, *graph.tensors[graph.input].shape)
    (found,) = session.run(None, {session.get_inputs()[0].name: shaped})
    assert agreement_db(graph, images, [found]) > NEAR_DB


@pytest.mark.parametrize("bits", [2, 4, SAFE])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_computed_as_they_are(name: str, bits: int) -> None:
    torch.manual_seed(0)
    module = SPECIAL_NETWORKS[name][0]()
    _check(_graph(module, bits), random_images(32, module.input_shape, seed=3), 25)


def _in_float(body: nn.Module, channels: int) -> tuple[DeployGraph, torch.Tensor]:
    """Return a network whose body stays in float, and images; a layer stands behind it."""
    module = SpecialNet(nn.Sequential(body, nn.Conv2d(channels, 8, 1)))
    with (
        mock.patch("quant.capture.graph_builder.is_pointwise", return_value=False),
        mock.patch("quant.capture.capture.add_operator", add_without_products),
    ):
        graph = _graph(module, SAFE)
    return graph, random_images(32, module.input_shape, seed=3)


@pytest.mark.parametrize("name", IN_FRONT)
def test_operators_that_could_be_quantized_are_left_in_float(name: str) -> None:
    torch.manual_seed(0)
    body = IN_FRONT[name]()
    graph, images = _in_float(body, body(torch.zeros(1, 8, 8, 8)).shape[1])
    _check(graph, images, 21)


@pytest.mark.slow
def test_every_operator_of_islands_is_left_in_float() -> None:
    torch.manual_seed(0)
    checked = 0
    for function in (function for functions in FUNCTIONS.values() for function in functions):
        body = _Body(function)
        try:
            made = body(torch.zeros(2, 8, 8, 8))
        except (RuntimeError, ValueError, AssertionError):
            continue  # it reads what another one made
        if made.ndim == 4:
            graph, images = _in_float(body, made.shape[1])
            if any(isinstance(op, RunIsland) for op in graph.ops):
                _check(graph, images, 21)
                checked += 1
    assert checked > 40


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_random_networks_are_as_near_as_without_the_optimizer() -> None:
    plain = onnxruntime.SessionOptions()
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    images, compared = random_images(16, IMAGE, seed=5), 0
    for case in random_cases(100, seed=2, operators=3):
        if case.refused is not None:
            continue
        network = prepare_calibrated(case.make(), random_images(16, IMAGE))
        rng = np.random.default_rng(case.seed)
        network.set_allocation(random_allocation(network.layers, rng, range(2, SAFE + 1)))
        graph = convert(network)
        try:
            model = onnx_model(graph, opset=25)
        except NotInOnnxError:
            continue
        near_db = []
        for options in (plain, onnxruntime.SessionOptions()):
            session = onnxruntime.InferenceSession(model, options)
            given = {session.get_inputs()[0].name: images.numpy()}
            near_db.append(agreement_db(graph, images, session.run(list(graph.outputs), given)))
        assert near_db[1] > min(near_db[0] - 5.0, NEAR_DB), (case, near_db)
        compared += 1
    assert compared > 20


class _Body(nn.Module):
    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the function makes."""
        return self.function(x)


def test_the_sentence_says_how_near_it_is_or_why_that_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    module = SPECIAL_NETWORKS["transposed"][0]()
    graph, images = _graph(module, 8), random_images(32, module.input_shape, seed=3)
    file = tmp_path / "model.onnx"
    file.write_bytes(onnx_model(graph, opset=25))
    said = onnx_agreement(file, graph, images)
    assert said.startswith(f"ONNX Runtime {onnxruntime.__version__} at its default settings ")
    assert said.endswith((" dB", "equal to the bit"))
    assert "on 32 test inputs" in said

    model = onnx.load(file)
    model.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(model, file)
    assert "cannot run `model.onnx`: " in onnx_agreement(file, graph, images)
    assert "\n" not in onnx_agreement(file, graph, images)

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "the package onnxruntime is not installed" in onnx_agreement(file, graph, images)


def test_the_worst_output_counts_and_equal_is_equal() -> None:
    torch.manual_seed(0)
    module = SPECIAL_NETWORKS["residual"][0]()
    graph, images = _graph(module, 8), random_images(8, module.input_shape, seed=3)
    wanted = run_graph(graph, images.numpy())
    assert agreement_db(graph, images, [wanted]) == 200.0
    noisy = wanted + np.float32(0.1 * np.sqrt((wanted**2).mean()))
    assert agreement_db(graph, images, [noisy]) == pytest.approx(20.0, abs=0.01)
