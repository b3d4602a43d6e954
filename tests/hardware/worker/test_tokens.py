"""Whole networks of tokens in compiled programs: equal to the bit outside their islands."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardware.graph.random_codes import layer_alone
from hardware.target import TargetConfig
from hardware.worker.workbench import Workbench
from quant.deploy_graph import RunIsland
from quant.integer import run_graph
from quant.testing import random_images
from tests.hardware.token_graphs import converted_tokens
from tests.quant.token_networks import IMAGE, TOKEN_NETWORKS


@pytest.fixture(scope="module")
def bench(kernel_folder: Path) -> Workbench:
    return Workbench(TargetConfig(kernel_cache=str(kernel_folder), dot_product=False), 1)


def test_a_gate_over_tokens_is_exact(bench: Workbench) -> None:
    graph, images = converted_tokens("gate", 0), random_images(3, IMAGE, seed=9).numpy()
    bench.build(graph)
    assert np.array_equal(bench.run(graph, images), run_graph(graph, images))


def test_a_layer_of_tokens_is_timed_alone(bench: Workbench) -> None:
    graph = layer_alone(converted_tokens("gate", 0), "out", (4, 4), seed=0)
    bench.build(graph)  # compares every code


@pytest.mark.slow  # compiles nine networks
@pytest.mark.parametrize("name", [name for name in TOKEN_NETWORKS if name != "gate"])
def test_random_allocations_agree_outside_islands(name: str, bench: Workbench) -> None:
    images = random_images(2, IMAGE, seed=9).numpy()
    for seed in range(3):
        graph = converted_tokens(name, seed)
        # Puts what the program's islands made into the reference: all else is equal to the bit.
        bench.build(graph)
        found: Any = bench.run(graph, images)
        reference = run_graph(graph, images)
        islands = any(isinstance(op, RunIsland) for op in graph.ops)
        assert np.abs(found - reference).max() <= (0.05 if islands else 0) * np.abs(reference).max()


@pytest.mark.slow  # compiles for VNNI, where there is one, and for batches
def test_tokens_are_exact_at_other_targets_and_batches(kernel_folder: Path) -> None:
    for batch, family in ((3, "auto"), (1, "generic")):
        config = TargetConfig(kernel_cache=str(kernel_folder), family=family)  # type: ignore[arg-type]
        bench = Workbench(config, batch)
        for name in ("vit", "sliced"):
            bench.build(converted_tokens(name, 5))
