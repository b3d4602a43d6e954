"""The layer table from scripted timings: what is shared, what is left over, what is disturbed."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from hardware.graph.random_codes import layer_alone
from hardware.layers.table import LayerTable
from hardware.layers.timing import ProgramTiming, time_layers
from hardware.measuring.protocol import ProtocolConfig
from hardware.simulated import simulated_layer_us
from quant.deploy_graph import DeployGraph
from quant.records.json_form import from_plain, to_plain
from tests.hardware.graphs import digits_like

OVERHEAD_US = 3.5


def true_layers_us(graph: DeployGraph) -> dict[str, float]:
    return {
        op.layer: simulated_layer_us(op.weight.size, op.weight_bits, op.activation_bits)
        for op in graph.layer_ops()
    }


class ScriptedBench:
    """Answers true times; kernels of 4 bits and fewer share code, as real ones may."""

    def __init__(self, disturbed: Callable[[int], bool] = lambda call: False) -> None:
        self.disturbed = disturbed
        self.checked: list[DeployGraph] = []
        self.sampled: list[DeployGraph] = []
        self.timed = 0

    def identity(self, graph: DeployGraph) -> Any:
        return tuple(
            (op.layer, max(op.weight_bits, 4), max(op.activation_bits, 4))
            for op in graph.layer_ops()
        )

    def check(self, graph: DeployGraph) -> dict[str, str]:
        self.checked.append(graph)
        return {op.layer: f"w{max(op.weight_bits, 4)}" for op in graph.layer_ops()}

    def sample(self, graph: DeployGraph, protocol: ProtocolConfig) -> ProgramTiming:
        self.timed += 1
        if all(graph is not other for other in self.sampled):
            self.sampled.append(graph)
        disturbed = self.disturbed(self.timed)
        return self.answer(graph, protocol, slow=2.0 if disturbed else 1.0, disturbed=disturbed)

    def answer(
        self, graph: DeployGraph, protocol: ProtocolConfig, *, slow: float, disturbed: bool
    ) -> ProgramTiming:
        layers = {layer: slow * value for layer, value in true_layers_us(graph).items()}
        value = OVERHEAD_US * slow + sum(layers.values())
        return ProgramTiming(
            values_us=(value,) * protocol.repeats, layers_us=layers, disturbed=disturbed
        )


def test_the_table_holds_the_true_parts() -> None:
    graph = digits_like()
    table = time_layers(graph, (6, 8), ScriptedBench(), ProtocolConfig())
    for op in graph.layer_ops():
        for (weight_bits, activation_bits), time_us in table.times_us[op.layer].items():
            expected = simulated_layer_us(op.weight.size, weight_bits, activation_bits)
            assert time_us == pytest.approx(expected)
    assert table.overhead_us == pytest.approx(OVERHEAD_US)
    assert table.disturbed_share == 0.0


def test_kernels_that_share_code_share_their_times() -> None:
    graph, bench = digits_like(), ScriptedBench()
    table = time_layers(graph, (2, 4), bench, ProtocolConfig())
    assert len(bench.checked) == len(graph.layer_ops())  # 2 and 4 bits are one kernel
    assert bench.timed == 5 * 3  # three programs run each of them thrice
    assert all(len(set(row.values())) == 1 for row in table.times_us.values())


def test_every_kernel_runs_beside_several_neighbours() -> None:
    graph, bench, widths = digits_like(), ScriptedBench(), (2, 4, 8)
    time_layers(graph, widths, bench, ProtocolConfig())
    runs = Counter(use for whole in bench.sampled for use in bench.identity(whole))
    first = graph.layer_ops()[0].layer  # its activations are fixed
    pairs = [
        (op.layer, max(weight, 4), max(activation if op.layer != first else 8, 4))
        for op in graph.layer_ops()
        for weight in widths
        for activation in widths
    ]
    for use, possible in Counter(pairs).items():
        assert runs[use] >= min(3, possible)
    assert runs.total() < len(pairs) + 1


def test_a_network_of_one_layer_is_a_program_for_each_width() -> None:
    graph = digits_like()
    op = graph.layer_ops()[1]
    alone = layer_alone(graph, op.layer, (8, 8), seed=0)
    bench = ScriptedBench()
    table = time_layers(alone, (6, 8), bench, ProtocolConfig(), equal_bits=True)
    assert (len(bench.checked), bench.timed) == (2, 5 * 2)
    expected = simulated_layer_us(op.weight.size, 8, 8)
    assert table.layer_us(op.layer, 8, 8) == pytest.approx(expected)
    assert table.overhead_us == pytest.approx(OVERHEAD_US)


def test_equal_bits_leave_out_the_other_pairs() -> None:
    graph = digits_like()
    table = time_layers(graph, (4, 8), ScriptedBench(), ProtocolConfig(), equal_bits=True)
    first, *others = (op.layer for op in graph.layer_ops())
    assert set(table.times_us[first]) == {(4, 8), (8, 8)}  # it reads the network's input
    assert all(set(table.times_us[layer]) == {(4, 4), (8, 8)} for layer in others)


def test_the_table_names_the_family_of_every_time_and_survives_its_document() -> None:
    table = time_layers(digits_like(), (2, 8), ScriptedBench(), ProtocolConfig())
    assert table.families["layer2"] == {(2, 2): "w4", (2, 8): "w4", (8, 2): "w8", (8, 8): "w8"}
    assert from_plain(LayerTable, json.loads(json.dumps(to_plain(table)))) == table


def test_the_spread_is_what_separates_quiet_rounds() -> None:
    class DriftingBench(ScriptedBench):
        def sample(self, graph: DeployGraph, protocol: ProtocolConfig) -> ProgramTiming:
            slow = 1.0 + self.timed / 40
            self.timed += 1
            return self.answer(graph, protocol, slow=slow, disturbed=False)

    graph = digits_like()
    drifting = time_layers(graph, (8,), DriftingBench(), ProtocolConfig())
    steady = time_layers(graph, (8,), ScriptedBench(), ProtocolConfig())
    for layer, row in drifting.spreads_us.items():
        # The middle round is two rounds after the first.
        expected = 2 / 40 * true_layers_us(graph)[layer]
        assert row == {pair: pytest.approx(expected) for pair in row}
        assert set(steady.spreads_us[layer].values()) == {0.0}


def test_disturbed_samples_do_not_count_while_others_exist() -> None:
    graph = digits_like()
    quiet = time_layers(graph, (4, 8), ScriptedBench(), ProtocolConfig())
    bench = ScriptedBench(disturbed=lambda call: call % 3 != 0)
    noisy = time_layers(graph, (4, 8), bench, ProtocolConfig())
    assert noisy.disturbed_share == pytest.approx(2 / 3, abs=0.05)
    shared = [
        (time_us, quiet.times_us[layer][pair])
        for layer, row in noisy.times_us.items()
        for pair, time_us in row.items()
    ]
    assert sum(found == pytest.approx(true) for found, true in shared) >= 0.8 * len(shared)


def test_programs_that_were_never_left_alone_get_more_rounds() -> None:
    graph = digits_like()
    quiet, busy, later = (
        ScriptedBench(),
        ScriptedBench(disturbed=lambda call: True),
        ScriptedBench(disturbed=lambda call: call <= 5 * 4),  # four programs, five rounds
    )
    tables = [time_layers(graph, (6, 8), bench, ProtocolConfig()) for bench in (quiet, busy, later)]
    assert (quiet.timed, later.timed, busy.timed) == (5 * 4, 7 * 4, 10 * 4)
    assert tables[2].times_us == tables[0].times_us
    assert tables[1].disturbed_share == 1.0


def test_progress_reaches_its_total() -> None:
    seen: list[tuple[int, int]] = []
    time_layers(
        digits_like(),
        (8,),
        ScriptedBench(),
        ProtocolConfig(),
        lambda done, total, what: seen.append((done, total)),
    )
    assert seen[-1][0] == seen[-1][1] == len(seen)
