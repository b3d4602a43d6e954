"""The tile search: what is searched, in which order, how long, and what comes of it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hardware.errors import BuildError, TargetError
from hardware.graph.borders import with_borders
from hardware.graph.random_codes import layer_alone
from hardware.graph.tensor_widths import BitPair
from hardware.host.local.device import LocalDevice
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.schedule.schedule import candidates
from hardware.layers.shapes import SMALL_SHAPES, standard_graph
from hardware.measure_layers import choose_tiles, digest_tiles
from hardware.measuring.protocol import ProtocolConfig
from hardware.simulated import SimulatedDevice
from hardware.target import TargetConfig
from hardware.tile_search.report import TileReport
from hardware.tile_search.search import search_tiles
from hardware.wire.tile_task import TileTask
from hardware.worker.program.program import Program
from hardware.worker.tiles.choices import TileChoices
from hardware.worker.tiles.layers import families_of, layers_at
from hardware.worker.tiles.trial import fastest, time_interleaved
from hardware.worker.workbench import Workbench
from quant.deploy_graph import DeployGraph
from tests.hardware.graphs import digits_like, zoo

PAIRS = {f"layer{number}": [(8, 8), (4, 4)] for number in range(1, 7)}


@dataclass
class FakeBench:
    """Counts searches; each takes ten seconds of a clock of its own."""

    tasks: list[TileTask]
    wrong: str = ""
    now_s: float = 0.0
    training_s: float = 0.0
    """How long the lock is waited for."""
    locked: bool = False
    searched: list[str] = field(default_factory=list)
    bits: list[BitPair] = field(default_factory=list)

    def clock(self) -> float:
        return self.now_s

    @contextmanager
    def lock(self) -> Iterator[None]:
        self.now_s += self.training_s
        self.locked = True
        yield
        self.locked = False

    def tile_tasks(
        self, graph: DeployGraph, pairs: Mapping[str, Sequence[BitPair]]
    ) -> list[TileTask]:
        return self.tasks

    def compile_tiles(self, part: DeployGraph) -> None:
        assert not self.locked  # a training may go on meanwhile
        (op,) = part.layer_ops()
        self.searched.append(op.layer)
        self.bits.append((op.weight_bits, op.activation_bits))
        self.now_s += 9.0
        if op.layer == self.wrong:
            raise BuildError("the tiles disagree")

    def time_tiles(self) -> bool:
        assert self.locked
        self.now_s += 1.0
        return self.searched[-1] == "layer2"


def task(layer: str, weight: float, known: bool = False) -> TileTask:
    return TileTask(layer=layer, pair=(4, 4), what=layer, known=known, weight=weight)


def search(bench: FakeBench, limit_s: float, progress: Any = None) -> TileReport:
    return search_tiles(
        digits_like(), PAIRS, bench, limit_s, progress, lock=bench.lock, clock=bench.clock
    )


def test_large_layers_come_first_and_known_ones_not_at_all() -> None:
    seen: list[tuple[int, int, str]] = []
    bench = FakeBench([task("layer1", 1), task("layer2", 3), task("layer3", 9, known=True)])
    report = search(bench, 100.0, lambda *what: seen.append(what))
    assert bench.searched == ["layer2", "layer1"]
    assert bench.bits == [(4, 4), (4, 4)]  # the task's, whatever the network has
    assert seen == [(1, 2, "layer2"), (2, 2, "layer1")]
    assert report == TileReport(searched=2, changed=1, known=1, seconds=20.0, limit_s=100.0)
    assert report.sentence == "tiles: 2 searched in 20 s, 1 of them changed, 1 known"


def test_no_search_begins_that_would_end_too_late() -> None:
    bench = FakeBench([task(f"layer{number}", -number) for number in (1, 2, 3, 4)])
    report = search(bench, 35.0)
    assert bench.searched == ["layer1", "layer2", "layer3"]
    assert (report.searched, report.left, report.seconds) == (3, 1, 30.0)
    assert "1 left at the default by target.tune_s=35" in report.sentence


def test_waiting_for_trainings_takes_nothing_of_the_limit() -> None:
    bench = FakeBench([task(f"layer{number}", -number) for number in (1, 2, 3, 4)], training_s=500)
    report = search(bench, 35.0)
    assert (report.searched, report.left, report.seconds) == (3, 1, 1530.0)


def test_what_a_choice_leads_to_is_searched_after_all_others() -> None:
    bench = FakeBench([task("layer1", 1), task("layer3", 9)])
    tasks = [bench.tasks, [task("layer1", 1, known=True), task("layer4", 2)]]
    bench.tile_tasks = lambda *_: tasks[min(len(bench.searched), 2) // 2]  # type: ignore[method-assign]
    report = search(bench, 100.0)
    assert bench.searched == ["layer3", "layer1", "layer4"]
    assert (report.searched, report.known, report.left) == (3, 0, 0)


def test_a_failed_search_costs_only_itself() -> None:
    bench = FakeBench([task("layer1", 2), task("layer2", 1)], wrong="layer1")
    report = search(bench, 100.0)
    assert (report.searched, report.changed) == (1, 1)
    assert report.failed == ("layer1: the tiles disagree",)
    assert "1 failed, the first: layer1: the tiles disagree" in report.sentence


def test_the_fastest_must_beat_the_default_beyond_noise() -> None:
    default = [1.0] * 16
    assert fastest([default]) == 0
    assert fastest([default, [0.9] * 16, [0.8] * 16]) == 2
    assert fastest([default, [0.99] * 16]) == 0  # within noise
    assert fastest([default, [0.5] * 4 + [1.1] * 12]) == 0  # a few lucky samples
    assert fastest([[1.0] * 4 + [1.6] * 12, [0.9] * 4 + [1.5] * 12]) == 1  # a busy machine


@dataclass
class FakeProgram:
    """Takes a fixed time, and remembers when it was asked."""

    ms: float
    calls: list[tuple[int, int]] = field(default_factory=list)

    def time_repeats(self, loops: int, repeats: int) -> list[float]:
        self.calls.append((loops, repeats))
        return [self.ms] * repeats


def test_rounds_are_interleaved_and_samples_equally_long() -> None:
    programs = [FakeProgram(0.01), FakeProgram(2.0)]
    times_ms = time_interleaved(programs)
    assert [set(row) for row in times_ms] == [{0.01}, {2.0}]
    assert len(times_ms[0]) == len(times_ms[1]) > 10
    assert {loops for loops, _ in programs[0].calls[1:]} == {50}
    assert {loops for loops, _ in programs[1].calls[1:]} == {1}
    assert len(time_interleaved([FakeProgram(1.0)])[0]) == 1  # nothing to compare with


def test_rounds_count_only_where_the_machine_was_quiet() -> None:
    first, second = FakeProgram(1.0), FakeProgram(2.0)
    readings_us = iter([10.0, 10.0, 10.0, 16.0] * 20)

    def ruler_us() -> float:
        """Say how slow the machine is from now on; every fourth round is slower by half."""
        now_us = next(readings_us)
        first.ms, second.ms = (1.6, 3.2) if now_us > 10.0 else (1.0, 2.0)
        return now_us

    times_ms = time_interleaved([first, second], ruler_us)
    assert [set(row) for row in times_ms] == [{1.0}, {2.0}]


def target(kernels: Path, tiles: Path, **other: Any) -> TargetConfig:
    return TargetConfig(kernel_cache=str(kernels), tile_choices=str(tiles), **other)


def test_every_layer_of_a_network_finds_the_choice_of_its_task(
    kernel_folder: Path, tmp_path: Path
) -> None:
    graph = zoo()
    layers = [op.layer for op in graph.layer_ops()]
    pairs = {layer: [(8, 8), (5, 5), (4, 4), (2, 2)] for layer in layers}
    bench = Workbench(target(kernel_folder, tmp_path, family="generic"), 1)
    tasks = bench.tile_tasks(graph, pairs)
    assert tasks
    assert not any(one.known for one in tasks)
    choices = TileChoices(target(kernel_folder, tmp_path, family="generic"))
    default = bench.identity(graph)
    for one in tasks:
        # What is measured of a layer alone must be found again inside the network.
        part = layer_alone(with_borders(graph), one.layer, one.pair, 0)
        (again,) = bench.tile_tasks(part, {one.layer: [one.pair]})
        assert again.known is False
        keep_another(bench, choices, part)
    fresh = Workbench(target(kernel_folder, tmp_path, family="generic"), 1)
    assert all(one.known for one in fresh.tile_tasks(graph, pairs))
    assert fresh.identity(graph) != default
    untuned = Workbench(target(kernel_folder, tmp_path, family="generic", tune_s=0.0), 1)
    assert untuned.identity(graph) == default
    fresh.build(graph)  # raises where a result is wrong


def keep_another(bench: Workbench, choices: TileChoices, part: DeployGraph) -> None:
    """Keep some schedule that is not the default for the layer of a part."""
    part = with_borders(part)
    (op,) = part.layer_ops()
    pairs = {op.layer: [(op.weight_bits, op.activation_bits)]}
    for _, plan in layers_at(bench._context(part), pairs):
        found = candidates(plan.geometry, plan.family)
        choices.keep(plan.geometry, plan.family, found[-1], {})


def test_a_workbench_searches_and_uses_what_it_found(kernel_folder: Path, tmp_path: Path) -> None:
    graph, pairs = digits_like(), {"layer2": [(8, 8)]}
    config = target(kernel_folder, tmp_path)
    bench = Workbench(config, 1)
    report = search_tiles(graph, pairs, bench, 60.0)
    files = list(tmp_path.glob("*.json"))  # a schedule, and a family where several are exact
    assert (report.known, report.left, report.failed) == (0, 0, ())
    assert report.searched == len(files) >= 1
    assert bench.tiles(graph, pairs) == Workbench(config, 1).tiles(graph, pairs)
    built = bench.build(graph)
    assert set(built.families) == {op.layer for op in graph.layer_ops()}
    again = search_tiles(graph, pairs, Workbench(config, 1), 60.0)
    assert (again.searched, again.known) == (0, 1)
    for file in files:
        file.write_text("damaged")
    once_more = search_tiles(graph, pairs, Workbench(config, 1), 60.0)
    assert (once_more.searched, once_more.known) == (len(files), 0)
    assert report.changed == (
        bench.tiles(graph, pairs)
        != Workbench(target(kernel_folder, tmp_path, tune_s=0.0), 1).tiles(graph, pairs)
    )


def test_tables_of_other_families_are_told_apart(kernel_folder: Path, tmp_path: Path) -> None:
    (shape,) = (shape for shape in SMALL_SHAPES if shape.name == "conv3x3-8x8x64")
    graph, pairs = standard_graph(shape), {shape.name: [(4, 4)]}

    def tiles(transform: str) -> str:
        config = target(kernel_folder, tmp_path, dot_product=False, transform=transform, tune_s=0.0)
        return Workbench(config, 1).tiles(graph, pairs)

    if KernelTarget.of(target(kernel_folder, tmp_path, dot_product=False)).family != "avx2":
        pytest.skip("other families than avx2 transform nothing here")
    assert tiles("words") == tiles("bytes") != tiles("none")


def test_schedules_that_disagree_are_refused(
    kernel_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Program.run
    runs: list[int] = []

    def wrong_the_second_time(self: Program, x: Any) -> Any:
        runs.append(1)
        return honest(self, x) + (len(runs) == 2)

    monkeypatch.setattr(Program, "run", wrong_the_second_time)
    report = search_tiles(
        digits_like(), {"layer2": [(8, 8)]}, Workbench(target(kernel_folder, tmp_path), 1), 60.0
    )
    assert (report.searched, len(report.failed)) == (0, 1)
    assert "and the default tile disagree" in report.failed[0]
    assert not list(tmp_path.glob("*.json"))


def test_a_device_tunes_in_its_worker_and_not_when_told_not_to(
    kernel_folder: Path, tmp_path: Path
) -> None:
    graph = digits_like()
    protocol = ProtocolConfig()
    seen: list[tuple[int, int, str]] = []
    config = target(kernel_folder, tmp_path / "tiles", family="generic", tune_s=4.0)
    with LocalDevice(config, protocol) as device:
        before = device.identity(graph)
        report = choose_tiles(device, graph, [8], lambda *what: seen.append(what))
        assert report.searched >= 1
        assert len(seen) == report.searched + len(report.failed)
        assert (device.identity(graph) != before) == (report.changed > 0)
        assert device.measure(graph).error == ""
    untuned = target(kernel_folder, tmp_path / "none", family="generic", tune_s=0.0)
    with LocalDevice(untuned, protocol) as device:
        assert choose_tiles(device, graph, [8]).sentence == "tiles: defaults, without a search"
        assert device.identity(graph) == before
        assert not (tmp_path / "none").exists()


def test_a_formula_has_no_tiles() -> None:
    device = SimulatedDevice(ProtocolConfig())
    assert choose_tiles(device, digits_like(), [2, 8]) == TileReport(
        why_none="nothing to choose, a formula has none"
    )
    assert digest_tiles(device, digits_like(), [2, 8]) == ""


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(TargetError, match=r"target\.tune_s: expected at least 0, found -1"):
        TargetConfig(tune_s=-1.0)


def test_the_shallowest_family_decides_for_the_deeper_ones(
    kernel_folder: Path, tmp_path: Path
) -> None:
    graph = digits_like()
    pairs = {"layer2": [(4, 4), (4, 5), (4, 6), (8, 8)], "layer4": [(8, 8)]}
    try:
        bench = Workbench(target(kernel_folder, tmp_path, family="avx2"), 1)
    except TargetError as error:
        pytest.skip(str(error))
    tasks = {(one.layer, one.pair): one for one in bench.tile_tasks(graph, pairs)}
    # Their sums of transformed codes are 4, 2 and 1 deep: which family is fastest is asked of each.
    assert set(tasks) == {
        ("layer2", (4, 4)),
        ("layer2", (4, 5)),
        ("layer2", (4, 6)),
        ("layer2", (8, 8)),
        ("layer4", (8, 8)),
    }
    macs = {op.layer: op.weight.size * 64 for op in graph.layer_ops() if op.layer == "layer2"}
    assert tasks["layer2", (8, 8)].weight == macs["layer2"]


def avx2_target(kernel_folder: Path, tmp_path: Path, **other: Any) -> TargetConfig:
    config = target(kernel_folder, tmp_path, family="avx2", **other)
    try:
        KernelTarget.of(config)
    except TargetError as error:
        pytest.skip(str(error))
    return config


def chosen(bench: Workbench, graph: DeployGraph, pairs: dict[str, Any]) -> list[str]:
    """Return the names of the families that layers get."""
    return [plan.family.name for _, plan in layers_at(bench._context(with_borders(graph)), pairs)]


def test_a_measured_family_is_used_and_without_a_search_the_rules(
    kernel_folder: Path, tmp_path: Path
) -> None:
    (shape,) = (shape for shape in SMALL_SHAPES if shape.name == "conv3x3-8x8x64")
    graph, pairs = standard_graph(shape), {shape.name: [(4, 4)]}
    config = avx2_target(kernel_folder, tmp_path)
    bench = Workbench(config, 1)
    part = layer_alone(with_borders(graph), shape.name, (4, 4), 0)
    ruled, before = chosen(bench, graph, pairs), bench.identity(part)
    ((op, plan),) = layers_at(bench._context(with_borders(graph)), pairs)
    families = families_of(op, plan, bench._context(with_borders(graph)))
    assert [families[0].name] == ruled
    assert len(families) > 1
    TileChoices(config).keep_family(plan.geometry, families, 1, {})
    assert chosen(bench, graph, pairs) == ruled  # this run has looked already
    fresh = Workbench(config, 1)
    assert chosen(fresh, graph, pairs) == [families[1].name]
    assert fresh.tiles(graph, pairs) != bench.tiles(graph, pairs)
    fresh.build(part)  # raises where a result is wrong
    assert fresh.identity(part) != before == bench.identity(part)
    untuned = Workbench(avx2_target(kernel_folder, tmp_path, tune_s=0.0), 1)
    assert chosen(untuned, graph, pairs) == ruled


@pytest.mark.parametrize("damage", ['{"family": 1}', "7", "true", "-1", '"1"', "null"])
def test_a_damaged_choice_of_a_family_is_none(
    damage: str, kernel_folder: Path, tmp_path: Path
) -> None:
    (shape,) = (shape for shape in SMALL_SHAPES if shape.name == "conv3x3-8x8x64")
    graph, config = with_borders(standard_graph(shape)), avx2_target(kernel_folder, tmp_path)
    context = Workbench(config, 1)._context(graph)
    ((op, plan),) = layers_at(context, {shape.name: [(4, 4)]})
    families = families_of(op, plan, context)
    TileChoices(config).keep_family(plan.geometry, families, 1, {})
    assert TileChoices(config).find_family(plan.geometry, families) == families[1]
    (file,) = tmp_path.glob("*.json")
    document = json.loads(file.read_text())
    file.write_text(
        damage if "{" in damage else json.dumps({**document, "family": json.loads(damage)})
    )
    assert TileChoices(config).find_family(plan.geometry, families) is None


def test_a_search_times_every_exact_family(kernel_folder: Path, tmp_path: Path) -> None:
    (shape,) = (shape for shape in SMALL_SHAPES if shape.name == "conv3x3-8x8x64")
    graph, pairs = standard_graph(shape), {shape.name: [(4, 4)]}
    config = avx2_target(kernel_folder, tmp_path)
    report = search_tiles(graph, pairs, Workbench(config, 1), 600.0)
    assert (report.searched, report.failed) == (2, ())  # the family, then its schedule
    documents = [json.loads(file.read_text()) for file in tmp_path.glob("*.json")]
    (family,) = (document for document in documents if "family" in document)
    times_us = family["measured"]["us"]
    assert set(times_us) == {"avx2-winograd-d4", "avx2-d128"}
    assert len(documents) == 2
    again = search_tiles(graph, pairs, Workbench(config, 1), 600.0)
    assert (again.searched, again.known) == (0, 1)
