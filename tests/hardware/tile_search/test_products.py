"""Products of two tensors in the tile search: searched like layers, with choices of their own."""

from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path

from hardware.graph.borders import with_borders
from hardware.graph.random_codes import layer_alone
from hardware.kernels.schedule.schedule import candidates
from hardware.kernels.shapes.geometry import Geometry
from hardware.target import TargetConfig
from hardware.tile_search.search import search_tiles
from hardware.worker.tiles.choices import TileChoices
from hardware.worker.tiles.layers import layers_at
from hardware.worker.workbench import Workbench
from tests.hardware.token_graphs import converted_tokens

SCORES, MIXED = "attn.matmul", "attn.matmul#2"
PAIRS = {SCORES: [(8, 8)], MIXED: [(8, 8)]}


def test_products_are_searched_and_found_again(kernel_folder: Path, tmp_path: Path) -> None:
    graph = converted_tokens("windows", 0)
    config = TargetConfig(kernel_cache=str(kernel_folder), tile_choices=str(tmp_path))
    bench = Workbench(config, 1)
    tasks = bench.tile_tasks(graph, PAIRS)
    assert {task.layer for task in tasks} == {SCORES, MIXED}
    # Four windows of four heads: 4 tokens by 8 features, twice; families may share a choice.
    assert {task.weight for task in tasks} == {16.0 * 4 * 8 * 4}
    one = {SCORES: PAIRS[SCORES]}
    report = search_tiles(graph, one, bench, 60.0, lock=nullcontext)
    assert (report.searched, report.failed) == (1, ())
    assert [task.known for task in Workbench(config, 1).tile_tasks(graph, one)] == [True]


def test_a_product_has_another_choice_than_a_layer_of_its_sizes(
    kernel_folder: Path, tmp_path: Path
) -> None:
    graph = converted_tokens("windows", 0)
    config = TargetConfig(kernel_cache=str(kernel_folder), tile_choices=str(tmp_path))
    bench, choices = Workbench(config, 1), TileChoices(config)
    digest = bench.tiles(graph, PAIRS)
    for name, (pair, *_) in PAIRS.items():
        part = with_borders(layer_alone(graph, name, pair, 0))
        ((_, plan),) = layers_at(bench._context(part), {name: [pair]})
        choices.keep(plan.geometry, plan.family, candidates(plan.geometry, plan.family)[-1], {})
        sizes = {field.name: getattr(plan.geometry, field.name) for field in fields(Geometry)}
        assert choices.find(plan.geometry, plan.family) is not None
        assert choices.find(Geometry(**sizes), plan.family) is None
    fresh = Workbench(config, 1)
    assert fresh.tiles(graph, PAIRS) != digest
    fresh.build(part)  # raises where a result is wrong
