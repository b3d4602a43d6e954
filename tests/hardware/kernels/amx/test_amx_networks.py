"""Whole networks whose layers are AMX's: fused epilogues, batches, tokens, threads."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardware.facts import AMX_USED
from hardware.graph.random_codes import layer_alone
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.families.amx import AMX, suits_amx
from hardware.kernels.planning import layers
from hardware.kernels.planning.choose_family import choose_family
from hardware.layers.shapes import STANDARD_SHAPES, standard_graph
from hardware.target import TargetConfig
from hardware.worker.workbench import Workbench
from quant.integer import run_graph
from quant.testing import random_images
from tests.hardware.graphs import digits_like, zoo
from tests.hardware.kernels.amx.emulator import Emulator, amx_target
from tests.hardware.token_graphs import converted_tokens
from tests.quant.token_networks import IMAGE


def _family(*layer: Any) -> Any:
    return AMX if suits_amx(layer[3]) else choose_family(*layer)


@pytest.fixture
def make_bench(
    kernel_folder: Path, emulator: Emulator | None, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Workbench]:
    """Makes workbenches whose layers of enough pixels are AMX's."""
    target = amx_target()

    def of(config: TargetConfig, mtriple: str = "") -> KernelTarget:
        return replace(target, threads=config.threads)

    def make(batch: int = 1, threads: int = 1) -> Workbench:
        config = TargetConfig(kernel_cache=str(kernel_folder), tune_s=0.0, threads=threads)
        bench = Workbench(config, batch)
        monkeypatch.setattr(bench, "_family", _family)
        return bench

    monkeypatch.setattr(KernelTarget, "of", of)
    return make


@pytest.fixture
def running(emulator: Emulator | None) -> AbstractContextManager[Any]:
    return nullcontext() if emulator is None else emulator.running()


@pytest.mark.parametrize("batch", [2])
def test_every_operator_beside_amx(
    batch: int, make_bench: Any, running: AbstractContextManager[Any]
) -> None:
    graph, bench = zoo(batch), make_bench(batch)
    x = np.random.default_rng(1).standard_normal((2, 3, 9, 9)).astype(np.float32) * 3
    with running:
        built = bench.build(graph)  # compares with the reference
        output = bench.run(graph, x)
    assert "amx" in built.families.values()
    assert np.array_equal(output, run_graph(graph, x))


def test_a_network_at_mixed_bits(make_bench: Any, running: AbstractContextManager[Any]) -> None:
    with running:
        built = make_bench().build(digits_like((8, 4, 2, 5, 3)))
    assert list(built.families.values()).count("amx") >= 3


def test_linear_layers_over_tokens(make_bench: Any, running: AbstractContextManager[Any]) -> None:
    graph, images = converted_tokens("gate", 0), random_images(2, IMAGE, seed=9).numpy()
    bench = make_bench()
    with running:
        built = bench.build(graph)
        output = bench.run(graph, images)
    assert "amx" in built.families.values()
    assert np.array_equal(output, run_graph(graph, images))


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives every target the group amx."""
    target = replace(amx_target(), family="amx")
    if target.mcpu == "haswell":
        pytest.skip("the group amx has AVX-512 beside it, and this CPU has not")
    monkeypatch.setattr(KernelTarget, "of", lambda *_: target)


def test_a_product_of_two_tensors(
    kernel_folder: Path, group: None, running: AbstractContextManager[Any]
) -> None:
    part = layer_alone(converted_tokens("windows", 0), "attn.matmul#2", (4, 6), seed=0)
    bench = Workbench(TargetConfig(kernel_cache=str(kernel_folder), tune_s=0.0), 1)
    assert bench.facts()["amx"] == AMX_USED
    with running:
        assert bench.build(part).families == {"attn.matmul#2": "amx"}


def test_the_tile_search_compares_amx_with_vnni(
    tmp_path: Path, kernel_folder: Path, group: None, running: AbstractContextManager[Any]
) -> None:
    (shape,) = (shape for shape in STANDARD_SHAPES if "8x8x64" in shape.name)
    graph = standard_graph(shape)
    (layer,) = (op.layer for op in graph.layer_ops())
    folders = {"kernel_cache": str(kernel_folder), "tile_choices": str(tmp_path)}
    bench = Workbench(TargetConfig(**folders), 1)  # type: ignore[arg-type]
    (task,) = bench.tile_tasks(graph, {layer: [(4, 4)]})
    assert task.what.endswith("amx, avx512-vnni-winograd, avx512-vnni")
    with running:
        bench.compile_tiles(layer_alone(graph, layer, (4, 4), seed=0))  # compares all of them


def test_threads_have_tiles_of_their_own(
    make_bench: Any, running: AbstractContextManager[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "_SHARED_PRODUCTS", 1)  # every layer, however small
    with running:
        built = make_bench(threads=2).build(digits_like())
    assert "amx" in built.families.values()
