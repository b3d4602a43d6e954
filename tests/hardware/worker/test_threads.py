"""Several threads compute what one does, and small layers are left to one."""

from pathlib import Path
from typing import Any

import pytest

from hardware.errors import TargetError
from hardware.graph.random_codes import layer_alone
from hardware.kernels.planning import layers
from hardware.layers.shapes import STANDARD_SHAPES, standard_graph
from hardware.target import TargetConfig
from hardware.worker.workbench import Workbench
from tests.hardware.graphs import digits_like, zoo


def bench(folder: Path, threads: int, batch: int = 1) -> Workbench:
    config = TargetConfig(kernel_cache=str(folder), threads=threads, dot_product=False)
    return Workbench(config, batch)


@pytest.mark.parametrize("graph", [zoo(), digits_like()], ids=["zoo", "digits"])
def test_three_threads_agree_with_the_reference(
    graph: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "_SHARED_PRODUCTS", 1)  # every layer, however small
    bench(tmp_path, threads=3, batch=2).build(graph)  # compares with the reference


@pytest.mark.parametrize("bits", [(8, 8), (4, 4), (2, 2)])
def test_threads_share_strips_whose_sums_are_kept(bits: tuple[int, int], tmp_path: Path) -> None:
    (shape,) = (shape for shape in STANDARD_SHAPES if "14x14x256" in shape.name)
    graph = standard_graph(shape)
    (layer,) = (op.layer for op in graph.layer_ops())
    part = layer_alone(graph, layer, bits, seed=0)
    shared, alone = bench(tmp_path, threads=2), bench(tmp_path, threads=1)
    assert shared.identity(part) != alone.identity(part)
    shared.build(part)


def test_small_layers_are_left_to_one_thread(tmp_path: Path) -> None:
    graph = digits_like()
    last = graph.layer_ops()[-1].layer  # a matrix product of a few thousand products
    part = layer_alone(graph, last, (4, 4), seed=0)
    assert bench(tmp_path, threads=2).identity(part) == bench(tmp_path, threads=1).identity(part)


def test_no_threads_are_refused() -> None:
    with pytest.raises(TargetError, match="expected at least 1, found 0"):
        TargetConfig(threads=0)
