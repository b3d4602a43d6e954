"""Layers left in float, compiled: they agree with the reference and have a price of their own."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.planning.islands import with_islands
from hardware.target import TargetConfig
from hardware.worker.workbench import Workbench
from quant.convert import convert
from quant.deploy_graph import FloatCall
from quant.integer import run_graph
from quant.testing import TinyBranchNet, prepare_calibrated, random_images
from tests.quant.test_float_layer import Flattened, in_float


@pytest.fixture
def config(kernel_folder: Path) -> TargetConfig:
    return TargetConfig(kernel_cache=str(kernel_folder), tune_s=0.0)


def test_a_convolution_and_a_linear_agree(config: TargetConfig) -> None:
    torch.manual_seed(0)
    network = prepare_calibrated(Flattened().eval(), random_images(32, (2, 4, 5)))
    network.set_allocation(in_float(network, "stem", "head"))
    graph, workbench = convert(network), Workbench(config, 1)
    workbench.build(graph)  # checks the agreement, and raises where there is none
    images = random_images(2, (2, 4, 5), seed=7).numpy()
    found, expected = workbench.run(graph, images), run_graph(graph, images)
    # A code next to a tie may round the other way, so the outputs are only near.
    assert np.abs(found - expected).max() <= 0.1 * np.abs(expected).max()


def test_a_float_layer_is_compiled_once_for_all_bits_of_the_others(config: TargetConfig) -> None:
    torch.manual_seed(0)
    network = prepare_calibrated(Flattened().eval(), random_images(32, (2, 4, 5)))
    codes = []
    for bits in (4, 7):
        network.set_allocation(in_float(network, "head", bits=bits))
        lowered = with_islands(convert(network), 1, KernelTarget.of(config))
        codes.append([op.code for op in lowered.ops if isinstance(op, FloatCall)])
    assert codes[0]
    assert codes[0] == codes[1]


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["stem", "depthwise", "grouped", "mixed", "last", "classifier"])
def test_every_kind_of_layer_agrees(layer: str, config: TargetConfig) -> None:
    torch.manual_seed(0)
    network = prepare_calibrated(TinyBranchNet().eval(), random_images(32, (3, 10, 12)))
    network.set_allocation(in_float(network, layer))
    graph, workbench = convert(network), Workbench(config, 1)
    workbench.build(graph)
    images = random_images(2, (3, 10, 12), seed=7).numpy()
    found, expected = workbench.run(graph, images), run_graph(graph, images)
    assert np.abs(found - expected).max() <= 0.1 * np.abs(expected).max()
