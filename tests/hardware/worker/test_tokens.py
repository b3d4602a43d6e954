"""Whole networks of tokens in compiled programs: equal to the bit outside their islands."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardware.graph.random_codes import layer_alone
from hardware.measuring.protocol import ProtocolConfig
from hardware.target import TargetConfig
from hardware.worker.workbench import Workbench
from quant.deploy_graph import MatMul, RunIsland
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


@pytest.mark.parametrize("pair", [(8, 8), (3, 5), (8, 2)])
def test_a_product_of_two_tensors_is_timed_alone(bench: Workbench, pair: tuple[int, int]) -> None:
    part = layer_alone(converted_tokens("windows", 0), "attn.matmul#2", pair, seed=0)
    assert bench.build(part).families.keys() == {"attn.matmul#2"}  # and compares every code


def test_products_are_timed_where_they_run(bench: Workbench) -> None:
    graph = converted_tokens("windows", 0)
    protocol = ProtocolConfig(repeats=5, min_repeat_ms=0.1)
    (_, taken_us), _ = bench.time_layers(graph, protocol, math.inf, 0.0)
    products = {op.layer for op in graph.ops if isinstance(op, MatMul)}
    assert len(products) == 2
    assert all(taken_us[name] > 0 for name in products)


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
