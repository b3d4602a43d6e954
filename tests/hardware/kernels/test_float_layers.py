"""Layers left in float, compiled: they agree with the reference and have a price of their own."""

from pathlib import Path

import numpy as np
import pytest
import torch
import tvm
from torch import nn
from tvm.tirx import PrimFunc

from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.planning.import_island import import_island
from hardware.kernels.planning.islands import PASSES, with_islands
from hardware.kernels.planning.schedule_floats import schedule_floats
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


SUMS: dict[str, tuple[nn.Module, tuple[int, ...], bool]] = {
    "convolution": (nn.Conv2d(3, 8, 3, padding=1), (2, 3, 6, 8), True),
    "stride": (nn.Conv2d(3, 8, 3, stride=2), (1, 3, 9, 11), True),
    "prime width": (nn.Conv2d(3, 5, 3, padding=1), (1, 3, 4, 23), True),
    "depthwise": (nn.Conv2d(6, 6, 3, groups=6), (1, 6, 7, 9), True),
    "grouped": (nn.Conv2d(6, 8, 3, groups=2), (1, 6, 7, 9), True),
    "transposed": (nn.ConvTranspose2d(4, 6, 2, 2), (1, 4, 4, 5), True),
    "conv3d": (nn.Conv3d(2, 3, 3, padding=1), (1, 2, 4, 5, 6), True),
    "linear": (nn.Linear(24, 10), (2, 24), True),
    "tokens": (nn.Linear(12, 10), (2, 7, 12), True),
    "maximum": (nn.MaxPool2d(3, 1, 1), (1, 4, 6, 6), True),
    "over the last axis": (nn.LayerNorm(12), (1, 5, 12), False),
}
"""A module, its input's shape, and whether neighbouring outputs can be summed side by side."""


@pytest.mark.parametrize("name", SUMS)
def test_sums_in_tiles_are_those_of_before_to_the_bit(name: str) -> None:
    torch.manual_seed(0)
    module, shape, tiled = SUMS[name]
    target = KernelTarget.of(TargetConfig()).tvm_target()
    lowered = import_island(name, module.eval(), (shape,))
    with target:
        lowered = tvm.transform.Sequential([make() for make in PASSES])(lowered)
    found = [value for _, value in lowered.functions_items() if isinstance(value, PrimFunc)]
    assert any("vectorized" in schedule_floats(function).script() for function in found) == tiled
    for function in found:
        assert _computed(schedule_floats(function), target) == _computed(function, target)


def _computed(function: PrimFunc, target: tvm.target.Target) -> bytes:
    """Return the bytes of what a function makes of fixed numbers."""
    rng = np.random.default_rng(0)
    shapes = [tuple(map(int, buffer.shape)) for buffer in function.params]
    given = [tvm.runtime.tensor(rng.normal(size=shape).astype(np.float32)) for shape in shapes]
    module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
    tvm.tirx.build(module, target)["main"](*given)
    return bytes(given[-1].numpy().tobytes())
