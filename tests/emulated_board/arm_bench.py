"""Running one operator's kernel on the board, as the tests of kernels ask for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tvm

from hardware.kernels.compiling.plan import KernelPlan
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.planning.choose_family import choose_family
from hardware.kernels.schedule.schedule import make_schedule
from hardware.target import KernelFamily, TargetConfig
from tests.emulated_board.board import EmulatedBoard
from tests.emulated_board.process import Call
from tests.hardware.kernels.single_op import Bench, Shape

_MTRIPLE = "aarch64-linux-gnu"


class ArmBench(Bench):
    """Plans and compiles for an Arm core, and runs on the board as that core.

    Args:
        board: The emulated board.
        folder: For object files and libraries.
        mcpu: The core.
        family: Its kernels; None takes the fastest that it can run.
    """

    def __init__(
        self, board: EmulatedBoard, folder: Path, mcpu: str, family: KernelFamily | None = None
    ) -> None:
        self.target = KernelTarget.of(TargetConfig(mcpu=mcpu, family=family or "auto"), _MTRIPLE)
        self.board, self.folder = board, folder / f"{mcpu}-{self.target.family}"
        self.folder.mkdir(exist_ok=True)
        self.process = board.process(mcpu)
        self.schedule, self.family = make_schedule, choose_family

    def run(self, op: Any, inputs: list[np.ndarray], out_shape: Shape, out_dtype: Any) -> Any:
        # What was in the output before must not matter.
        output = np.full(out_shape, 77, out_dtype)
        return self.execute(self.plan(op, inputs, out_shape, out_dtype), inputs, [output])[-1]

    def execute(
        self, plan: KernelPlan, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Run a kernel on the board; return its outputs."""
        library = self.folder / f"{plan.symbol}.so"
        if not library.exists():
            module = tvm.IRModule({plan.symbol: plan.build(plan.symbol)})
            code = self.folder / f"{plan.symbol}.o"
            tvm.tirx.build(module, self.target.tvm_target()).write_to_file(str(code), "o")
            self.board.link([code], library)
        arguments = tuple(np.asarray(a) for a in (*inputs, *plan.constants, *outputs))
        (after,) = self.process.call(library, [Call(symbol=plan.symbol, arguments=arguments)])
        return list(after[-len(outputs) :])
