"""A program in one file, loaded where TVM's compiler is not: the same outputs to the bit."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tvm.support import cc

from hardware.errors import BuildError, ToolchainError
from hardware.graph.agreement import fixed_input
from hardware.graph.borders import with_borders
from hardware.runtime import linked
from hardware.runtime.linked import LinkedProgram
from hardware.target import TargetConfig
from hardware.worker.program import linking
from hardware.worker.program.stamps import Stamps, stamped_times_us, steps_us
from hardware.worker.workbench import Workbench
from quant.integer import run_graph
from tests.hardware.graphs import digits_like, zoo

ON_THE_BOARD = """
import sys
import numpy as np
from linked import LinkedProgram
import tvm
assert not tvm.get_global_func("target.llvm_version_major", allow_missing=True), "not runtime only"
program = LinkedProgram(sys.argv[1])
x = np.load(sys.argv[2])
first = program.run(x)
program.execute()
assert np.array_equal(first, program.run(x))
np.save(sys.argv[3], first)
"""


@pytest.mark.parametrize("batch", [1, 2])
def test_a_file_computes_what_the_integers_say(
    kernel_folder: Path, tmp_path: Path, batch: int
) -> None:
    bench = Workbench(TargetConfig(kernel_cache=str(kernel_folder)), batch)
    for index, graph in enumerate((zoo(0), zoo(1), digits_like())):
        file = tmp_path / f"program{index}.so"
        bench.link(graph, file)
        x = fixed_input(graph, batch)
        program = LinkedProgram(file)
        assert np.array_equal(program.run(x), run_graph(graph, x))
        assert np.array_equal(program.run(np.zeros_like(x)), run_graph(graph, np.zeros_like(x)))
        assert all(taken > 0 for taken in program.time_repeats(2, 3))


def test_a_file_with_stamps_computes_the_same_and_tells_when_its_steps_began(
    kernel_folder: Path, tmp_path: Path
) -> None:
    graph = with_borders(digits_like())
    bench = Workbench(TargetConfig(kernel_cache=str(kernel_folder)), 1)
    planned = bench._plan(graph)
    called = planned.plans
    stamps = Stamps.of(bench._context(graph), len(called), 8)
    objects = bench._cache.objects([*called, stamps.plan])
    file = tmp_path / "program.so"
    linking.link_program(planned, objects, file, batch=1, stamps=stamps)
    program = LinkedProgram(file)
    x = fixed_input(graph, 1)
    assert np.array_equal(program.run(x), run_graph(graph, x))
    for executions in (3, 5):
        times = program.stamps(executions)
        assert times.shape == (executions, len(called) + 2, 2)
        taken_us = steps_us(stamped_times_us(times))
        assert taken_us.shape == (executions, len(called))
        assert np.all(np.median(taken_us, axis=0) > -1.0)  # a stamp's own time is taken off
        assert np.all(np.diff(times[:, :, 0] * 10**9 + times[:, :, 1], axis=1) >= 0)
    assert np.array_equal(program.run(x), run_graph(graph, x))
    bench.link(digits_like(), tmp_path / "plain.so")
    with pytest.raises(RuntimeError, match="linked without stamps"):
        LinkedProgram(tmp_path / "plain.so").stamps(1)


def test_a_fresh_process_needs_the_runtime_alone(kernel_folder: Path, tmp_path: Path) -> None:
    graph = zoo(2)
    bench = Workbench(TargetConfig(kernel_cache=str(kernel_folder)), 1)
    bench.link(graph, tmp_path / "program.so")
    x = fixed_input(graph, 1)
    np.save(tmp_path / "x.npy", x)
    # The loader is copied, as to a board: it must not need this project.
    (tmp_path / "linked.py").write_text(Path(linked.__file__).read_text())
    (tmp_path / "board.py").write_text(ON_THE_BOARD)
    environment = {**os.environ, "TVM_USE_RUNTIME_LIB": "1", "PYTHONPATH": str(tmp_path)}
    subprocess.run(
        [sys.executable, "board.py", "./program.so", "x.npy", "y.npy"],
        cwd=tmp_path,
        env=environment,
        check=True,
    )
    assert np.array_equal(np.load(tmp_path / "y.npy"), run_graph(graph, x))


def test_an_input_of_another_shape_is_refused(kernel_folder: Path, tmp_path: Path) -> None:
    bench = Workbench(TargetConfig(kernel_cache=str(kernel_folder)), 1)
    bench.link(digits_like(), tmp_path / "program.so")
    program = LinkedProgram(tmp_path / "program.so")
    with pytest.raises(ValueError, match=r"shape \(1, 1, 8, 8\), found \(1, 1, 8, 9\)"):
        program.run(np.zeros((1, 1, 8, 9), np.float32))


def test_what_cannot_be_linked_is_named(
    kernel_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Workbench(TargetConfig(kernel_cache=str(kernel_folder)), 1)
    graph = digits_like()
    with pytest.raises(BuildError, match=f"{graph.network} cannot be linked"):
        bench.link(graph, tmp_path / "no such folder" / "program.so")
    monkeypatch.setattr(cc, "get_cc", lambda: None)
    with pytest.raises(ToolchainError, match="to link a program with, found none"):
        bench.link(graph, tmp_path / "program.so")
