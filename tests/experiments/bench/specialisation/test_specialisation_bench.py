"""bench specialisation from end to end: with the formula, with a model of a board, and for real."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.bench.command import main
from experiments.bench.specialisation import bench
from experiments.terminal.exit_codes import DONE
from hardware.device import MeasureResult
from hardware.graph.tensor_widths import BitPair
from hardware.kernels.compiling.target import KernelTarget
from hardware.layers.timing import bit_pairs
from hardware.measuring.protocol import ProtocolConfig
from hardware.modelled import layer_table
from hardware.modelled.kernel_model import ModelledKernel
from hardware.modelled.llvm_tools import LlvmTools
from hardware.simulated import SimulatedDevice
from hardware.store import Store
from hardware.target import TargetConfig
from quant.deploy_graph import DeployGraph
from tests.experiments.bench.specialisation import wide_network

OWN = "tests.experiments.stages.own_points"
BEST = KernelTarget.of(TargetConfig()).family
FLAGS = (
    *("--task.name", "own", "--task.model", f"{OWN}:network", "--task.data", f"{OWN}:data"),
    *(
        "--env.bit-choices",
        "2",
        "4",
        "8",
        "--final.steps",
        "2",
        "--final.compensation-images",
        "0",
        "--quiet",
    ),
)


def matrix(tmp_path: Path, *flags: str) -> Any:
    file = tmp_path / "matrix.json"
    output = ["--output", str(tmp_path / "runs"), "--json", str(file)]
    assert main(["specialisation", *FLAGS, *output, *flags]) == DONE
    return json.loads(file.read_text())


def test_views_with_one_price_have_one_best_allocation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--target.runner", "simulated", "--views", "generic", BEST, "--retrain", "2"]
    found = matrix(tmp_path, *flags)
    told = "All 2 views have the same best allocation: specialising is worth nothing."
    assert found["sentence"] == told
    shown = " ".join(capsys.readouterr().out.split())
    assert told in shown
    assert f"on {BEST} (simulated)" in shown
    assert [row["view"] for row in found["rows"]] == ["generic", BEST]
    assert {row["source"] for row in found["rows"]} == {"simulated"}
    first, second = found["rows"]
    assert first["allocation"] == second["allocation"]
    assert [one["seed"] for one in first["retrained"]] == [0, 1]
    assert first["retrained"] == second["retrained"]
    assert [cell["ratio"] for cell in found["cells"]] == [1.0] * 4


def test_a_modelled_board_has_prices_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model here is a stand-in: on this board, lower weights are slower."""

    def model(
        graph: Any, widths: Any, target: Any, core: str, progress: Any, **how: Any
    ) -> dict[str, dict[BitPair, ModelledKernel]]:
        assert (target.family, core, how["equal_bits"]) == ("neon", "cortex-a72", False)
        return {
            layer: {
                pair: ModelledKernel(
                    family="neon", instructions=1, cycles=1800.0 * (10 - pair[0] + 10 * pair[1])
                )
                for pair in pairs
            }
            for layer, pairs in bit_pairs(graph, widths).items()
        }

    tools = LlvmTools(version=0, opt="", llc="", mca="")
    monkeypatch.setattr(LlvmTools, "find", lambda: tools)
    monkeypatch.setattr(layer_table, "model_layers", model)
    found = matrix(tmp_path, "--target.runner", "simulated", "--views", "generic", "rpi4")
    here, board = found["rows"]
    assert (board["source"], board["device"]) == ("modelled", "Raspberry Pi 4 (4 x Cortex-A72)")
    # Microseconds: the model's cycles at 1,800 MHz, and nothing else.
    assert board["table"]["overhead_us"] == 0.0
    assert board["table"]["layers"]["0"]["2/8"] == pytest.approx(88.0)
    weights = {layer: bits["weight_bits"] for layer, bits in board["allocation"]["layers"].items()}
    assert set(weights.values()) == {8}
    assert board["allocation"] != here["allocation"]
    (own,) = [
        one for one in found["cells"] if (one["made_for"], one["deployed_on"]) == ("rpi4",) * 2
    ]
    assert own["keeps_budget"]
    assert own["source"] == "modelled"
    predicted = {row["view"]: row["predicted_lost"] for row in found["rows"]}
    assert predicted["generic"] == 0  # the formula saves less than can be told: all-8
    assert predicted["rpi4"] > 0


class SlowTogether(SimulatedDevice):
    """Programs of different widths take a fifth more than the layer table adds up to."""

    def measure(self, graph: DeployGraph) -> MeasureResult:
        found = super().measure(graph).measurement
        assert found is not None
        widths = {op.weight_bits for op in graph.layer_ops()}
        factor = 1.2 if len(widths) > 1 else 1.0
        values_ms = tuple(factor * value for value in found.values_ms)
        return MeasureResult(measurement=replace(found, values_ms=values_ms))


def test_an_answer_beyond_its_budget_gives_way_to_what_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(target: TargetConfig, protocol: ProtocolConfig, *, store: Store) -> SimulatedDevice:
        assert store  # knows how fast this machine was before
        return SlowTogether(protocol) if target.family == BEST else SimulatedDevice(protocol)

    monkeypatch.setattr(bench, "open_device", slow)
    wide = ["--task.model", f"{wide_network.__name__}:network", "--share", "0.5"]
    found = matrix(tmp_path, *wide, "--views", "generic", BEST)
    generic, best = (row["allocation"]["layers"].values() for row in found["rows"])
    assert {bits["weight_bits"] for bits in generic} == {4, 8}
    assert len({bits["weight_bits"] for bits in best}) == 1  # a fifth more is beyond the budget
    keeps = {(one["made_for"], one["deployed_on"]): one["keeps_budget"] for one in found["cells"]}
    assert keeps[BEST, BEST]
    assert keeps["generic", "generic"]
    assert not keeps["generic", BEST]


@pytest.mark.slow
@pytest.mark.timeout(1200)  # where others keep the machine busy, unsteady programs go on for long
def test_two_families_of_this_machine_are_measured(tmp_path: Path) -> None:
    short = ["--protocol.repeats", "5", "--protocol.warmups", "0", "--protocol.min-repeat-ms", "1"]
    found = matrix(tmp_path, "--views", "generic", BEST, "--no-tune", *short)
    assert {row["source"] for row in found["rows"]} == {"measured"}
    generic, best = (row["table"]["families"]["0"]["8/8"] for row in found["rows"])
    assert best.startswith(BEST)
    assert not generic.startswith(BEST)
    for cell in found["cells"]:
        assert cell["latency_ms"] > 0
        assert cell["limit_ms"] > 0
        assert (cell["ratio"] == 1.0) == (cell["latency_ms"] == cell["own_ms"])
    assert found["sentence"].endswith(".")
