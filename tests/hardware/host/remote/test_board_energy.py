"""Energies over RPC on 127.0.0.1: an external meter that is read here, and one on the board."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments import run as run_module
from experiments.terminal.exit_codes import DONE
from hardware.errors import TargetError
from hardware.host.remote.device import RpcDevice
from hardware.measure_layers import measure_layer_table
from hardware.measuring.energy_config import EnergyConfig
from hardware.open_device import open_device
from hardware.target import TargetConfig
from tests.hardware.graphs import digits_like
from tests.hardware.host.remote.boards import Board
from tests.hardware.host.remote.conftest import PROTOCOL

ONE_WATT = "date '+%s.%N J'"
"""Seconds as a counter of joules: a meter of one watt."""
TWO_WATTS = "echo 2.0 W"
QUICK = EnergyConfig(
    meter="external", command=ONE_WATT, interval_s=0.01, window_s=0.3, idle_s=0.1, layer_programs=2
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def target(board: Board, kernel_folder: Path) -> TargetConfig:
    return TargetConfig(
        board="same-cpu", server=board.server, kernel_cache=str(kernel_folder), tune_s=0.0
    )


@pytest.fixture(scope="module")
def metered_here(target: TargetConfig) -> Iterator[RpcDevice]:
    with open_device(target, PROTOCOL, QUICK) as opened:
        assert isinstance(opened, RpcDevice)
        yield opened


def test_a_meter_that_is_connected_here(metered_here: RpcDevice) -> None:
    assert metered_here.facts()["energy"]["energy_source"] == "external"
    result = metered_here.measure(digits_like())
    assert result.error == ""
    assert result.measurement is not None
    energy = result.measurement.energy
    assert energy is not None
    assert energy.source == "external"
    assert energy.gross_mj == pytest.approx(1000 * energy.window_s / energy.loops, rel=0.3)
    assert energy.idle_w == pytest.approx(1.0, rel=0.3)


def test_the_layer_table_of_a_board_has_energies(metered_here: RpcDevice) -> None:
    table = measure_layer_table(metered_here, digits_like(), (8,), equal_bits=True)
    assert table.energy_source == "external"
    # One watt, and what the calls over the connection take of it.
    for layer, row in table.times_us.items():
        for pair, time_us in row.items():
            assert table.layer_uj(layer, *pair) == pytest.approx(time_us, rel=0.5)


@pytest.mark.parametrize(("command", "watts"), [(ONE_WATT, 1.0), (TWO_WATTS, 2.0)])
def test_a_meter_on_the_board(target: TargetConfig, command: str, watts: float) -> None:
    energy = replace(QUICK, command=command, external_on="board")
    with open_device(target, PROTOCOL, energy) as device:
        assert device.facts()["energy"] == {
            "energy_source": "external",
            "meter": command,
            "window_s": 0.3,
            "idle_s": 0.1,
        }
        result = device.measure(digits_like())
    assert result.error == ""
    assert result.measurement is not None
    found = result.measurement.energy
    assert found is not None
    assert found.gross_mj == pytest.approx(1000 * watts * found.window_s / found.loops, rel=0.1)
    assert found.idle_w == pytest.approx(watts, rel=0.1)
    # A sensor of power is read beside the program, in the process that runs it.
    assert (found.samples is None) == (command == ONE_WATT)


def test_a_board_without_the_meter_says_so(target: TargetConfig) -> None:
    with (
        open_device(target, PROTOCOL, EnergyConfig(meter="ina3221")) as device,
        pytest.raises(TargetError, match=r"energy.meter: ina3221 on the board: no INA3221 under"),
    ):
        device.facts()


def test_one_meter_cannot_tell_two_boards_apart(target: TargetConfig) -> None:
    several = replace(target, server="", tracker="127.0.0.1:9190", key="k", boards=2)
    with pytest.raises(TargetError, match="cannot tell 2 boards apart"):
        open_device(several, PROTOCOL, QUICK)
    with pytest.raises(TargetError, match=r"raise protocol\.timeout_s"):
        open_device(target, PROTOCOL, replace(QUICK, window_s=300.0))


def test_a_run_over_rpc_keeps_energies_everywhere(target: TargetConfig, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        f"""
evaluations: 3
quiet: true
method: random
target: {{board: same-cpu, server: "{target.server}", kernel_cache: "{target.kernel_cache}",
          tune_s: 0.0}}
protocol: {{warmups: 0, repeats: 5, min_repeat_ms: 0.5}}
env: {{bit_choices: [4, 8], calibration_images: 64, finetune: {{steps: 1}},
      reward: {{energy_weight: 1.0}}}}
energy: {{meter: external, command: "{ONE_WATT}", interval_s: 0.005, window_s: 0.1,
         idle_s: 0.05, layer_programs: 2}}
budget: {{latency_ratio: 100.0, energy_ratio: 100.0}}
"""
    )
    arguments = ["--config", str(tmp_path / "config.yaml"), "--output", str(tmp_path / "runs")]
    assert run_module.main(arguments) == DONE
    folder = (tmp_path / "runs" / "latest").resolve()
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()
    ]
    assert len(lines) >= 3
    for line in lines:
        assert line["energy_source"] == "external"
        assert line["measurement"]["energy"]["idle_w"] == pytest.approx(1.0, rel=0.5)
        assert line["measurement"]["facts"]["board"]
    table = json.loads((folder / "layer_table.json").read_text())
    assert table["energy_source"] == "external"
    row = list(csv.DictReader((folder / "results.csv").read_text().splitlines()))[-1]
    assert row["energy_source"] == "external"
