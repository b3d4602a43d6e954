"""Modelled kernels: every product is counted, and LLVM's own tools see TVM's own code."""

import shutil
from collections import Counter

import pytest
import tvm

from hardware.errors import TargetError, ToolchainError
from hardware.graph.borders import with_borders
from hardware.graph.program_steps import steps_of
from hardware.kernels.compiling.plan import KernelPlan
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.planning.context import PlanContext
from hardware.kernels.planning.plan_step import plan_step
from hardware.layers.shapes import StandardShape, standard_graph
from hardware.modelled.cores import modelled_core
from hardware.modelled.kernel_model import kernel_blocks
from hardware.modelled.layer_model import model_layers
from hardware.modelled.llvm_tools import LlvmTools
from hardware.target import TargetConfig

SHAPE = StandardShape(side=8, channels=64, out_channels=64)
PI5 = TargetConfig(board="rpi5", transform="none")


@pytest.fixture(scope="module")
def tools() -> LlvmTools:
    try:
        return LlvmTools.find()
    except ToolchainError as error:
        pytest.skip(f"{error} ({error.hint})")


def plan(target: KernelTarget) -> KernelPlan:
    graph = with_borders(standard_graph(SHAPE))
    (step,) = steps_of(graph)
    found = plan_step(step, PlanContext(graph=graph, batch=1, target=target))
    assert found is not None
    return found


def test_every_product_is_in_a_counted_block(tools: LlvmTools) -> None:
    target = KernelTarget.of(PI5)
    blocks = kernel_blocks(plan(target), target, tools)
    executed: Counter[str] = Counter()
    for block in blocks:
        for line in block.lines:
            executed[line.split()[0]] += block.count
    # Four codes by four channels for each of them.
    assert executed["sdot"] * 16 == 8 * 8 * 64 * 9 * 64


def test_the_last_step_of_compiling_is_that_of_tvm(tools: LlvmTools) -> None:
    target = KernelTarget.of(PI5)
    one = plan(target)
    module = tvm.tirx.build(tvm.IRModule({"kernel": one.build("kernel")}), target.tvm_target())
    own = str(module.inspect_source("asm")).splitlines()
    blocks = kernel_blocks(one, target, tools)
    ours = Counter(line.split()[0] for block in blocks for line in block.lines)
    whole = Counter(line.split()[0] for line in own if line.startswith("\t") and line.strip())
    # What the functions that check arguments have none of.
    for name in ("sdot", "fmul", "scvtf", "fcvtns", "sqadd", "sqxtn"):
        assert ours[name] == whole[name] > 0


def test_a_transformed_layer_takes_fewer_modelled_cycles(tools: LlvmTools) -> None:
    core = modelled_core(PI5).mcpu
    graph = standard_graph(StandardShape(side=14, channels=256, out_channels=256))
    (row,) = model_layers(graph, (8, 4), KernelTarget.of(TargetConfig(board="rpi5")), core).values()
    assert row[4, 4].family == "arm-dot-winograd"
    # The bar of this family: 0.65 of eight bits with dot product.
    assert row[4, 4].cycles < 0.65 * row[8, 8].cycles
    assert row[4, 4].instructions < row[8, 8].instructions


def test_missing_tools_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ToolchainError, match="llvm-mca") as error:
        LlvmTools.find()
    assert error.value.hint.startswith("sudo apt-get install llvm-")


def test_a_board_without_a_model_is_refused() -> None:
    with pytest.raises(TargetError, match=r"rpi4, rpi5, jetson-orin.*found rpi3"):
        modelled_core(TargetConfig(board="rpi3"))
    assert not modelled_core(PI5).is_own
    assert modelled_core(TargetConfig(board="rpi4")).is_own
