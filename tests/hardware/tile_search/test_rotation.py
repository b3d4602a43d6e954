"""Copies of one layer's program that take turns while its ways are timed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hardware.graph.agreement import fixed_input
from hardware.graph.borders import with_borders
from hardware.graph.random_codes import layer_alone
from hardware.layers.shapes import SMALL_SHAPES, standard_graph
from hardware.target import TargetConfig
from hardware.worker.tiles.rotation import COPIES, Rotation
from hardware.worker.workbench import Workbench


@dataclass
class Counted:
    """A program that does nothing but count."""

    name: str
    order: list[str] = field(default_factory=list)

    def run(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        self.order.append(self.name)
        return x

    def value(self, name: str) -> npt.NDArray[Any]:
        raise AssertionError(name)

    def execute(self) -> None:
        self.order.append(self.name)

    def time_repeats(self, loops: int, repeats: int) -> list[float]:
        raise AssertionError("a copy that is timed alone finds its weights near")


def test_copies_run_in_turns_and_equally_often() -> None:
    order: list[str] = []
    rotation = Rotation([Counted(name, order) for name in "abc"])
    times_ms = rotation.time_repeats(loops=4, repeats=2)
    assert "".join(order) == "abcabc" * 2
    assert len(times_ms) == 2
    assert all(0 <= taken < 1000 for taken in times_ms)


@pytest.mark.parametrize(("name", "copies"), [("conv3x3-16x16x32", 1), ("dense-512-1000", COPIES)])
def test_layers_with_many_weights_have_copies_that_share_no_memory(
    kernel_folder: Path, tmp_path: Path, name: str, copies: int
) -> None:
    (shape,) = (shape for shape in SMALL_SHAPES if shape.name == name)
    part = with_borders(layer_alone(standard_graph(shape), name, (8, 8), 0))
    config = TargetConfig(kernel_cache=str(kernel_folder), tile_choices=str(tmp_path))
    bench = Workbench(config, 1)
    program = bench._assemble_alone(bench._plan(part))
    programs = program._programs if isinstance(program, Rotation) else (program,)
    assert len(programs) == copies
    outputs = [one.run(fixed_input(part, 1)) for one in programs]
    assert all(np.array_equal(output, outputs[0]) for output in outputs)
    assert np.array_equal(program.run(fixed_input(part, 1)), outputs[0])
    bench.compile_tiles(part)
    bench.time_tiles()  # either way
