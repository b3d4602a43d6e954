"""Where the commands search tiles, and that evaluate keeps those of the run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments import evaluate as evaluate_module
from experiments import run as run_module
from experiments.bench.peers.bitalloc_engine import tune_bitalloc
from experiments.evaluate import fresh_target
from experiments.settings.configured import load_config
from experiments.settings.run_config import RunConfig
from experiments.terminal.exit_codes import DONE
from hardware.kernels.schedule.schedule import candidates, make_schedule
from hardware.layers.timing import bit_pairs
from hardware.measure_layers import choose_tiles
from hardware.measuring.energy_config import EnergyConfig
from hardware.measuring.protocol import ProtocolConfig
from hardware.simulated import SimulatedDevice
from hardware.target import TargetConfig
from hardware.tile_search.report import TileReport
from hardware.worker.tiles.choices import TileChoices
from hardware.worker.workbench import Workbench
from quant.allocation import Allocation
from quant.network import QuantizedNetwork
from tests.experiments.run.test_run import SMALL
from tests.hardware.graphs import digits_like


def test_no_tune_leaves_the_choices_out() -> None:
    tuned, untuned = load_config([]), load_config(["--no-tune", "--target.mcpu", "haswell"])
    assert tuned.device_target == tuned.target
    assert tuned.target.tune_s > 0
    assert untuned.device_target == replace(untuned.target, tune_s=0.0)
    assert untuned.device_target.mcpu == "haswell"


def test_evaluate_compiles_anew_with_the_tiles_of_the_run(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = digits_like()
    target = TargetConfig(
        kernel_cache=str(tmp_path / "kernels"), tile_choices=str(tmp_path / "tiles")
    )
    config = RunConfig(target=target)
    choices = TileChoices(target)

    def choose(geometry: Any, family: Any) -> Any:
        choices.keep(geometry, family, candidates(geometry, family)[-1], {})
        return make_schedule(geometry, family)

    bench = Workbench(target, 1)
    monkeypatch.setattr(bench, "_schedule", choose)
    bench.identity(graph)
    in_run = Workbench(config.device_target, 1).identity(graph)
    fresh = fresh_target(config, str(tmp_path_factory.mktemp("fresh")))
    assert fresh.kernel_cache != target.kernel_cache
    assert Workbench(fresh, 1).identity(graph) == in_run
    untuned = fresh_target(replace(config, tune=False), fresh.kernel_cache)
    assert Workbench(untuned, 1).identity(graph) != in_run


class OtherTiles(SimulatedDevice):
    """A device whose tiles have changed since the run."""

    def tiles(self, *arguments: Any, **options: Any) -> str:
        return "others"


def test_a_run_writes_its_tiles_and_evaluate_says_when_they_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    arguments = ["--config", str(file), "--output", str(tmp_path / "runs"), "--method", "uniform"]
    assert run_module.main(arguments) == DONE
    assert "tiles: nothing to choose, a formula has none" in capsys.readouterr().out
    folder = tmp_path / "runs" / "latest"
    tiles = json.loads((folder / "tiles.json").read_text())
    assert (tiles["digest"], tiles["searched"]) == ("", 0)
    assert evaluate_module.main([str(folder), "--quiet"]) == DONE
    said = "the tiles are not those of the run"
    assert said not in capsys.readouterr().out
    opened: list[TargetConfig] = []

    def open_other(
        target: TargetConfig, protocol: ProtocolConfig, energy: EnergyConfig
    ) -> SimulatedDevice:
        opened.append(target)
        return OtherTiles(protocol)

    monkeypatch.setattr(evaluate_module, "open_device", open_other)
    assert evaluate_module.main([str(folder), "--quiet", "--no-tune"]) == DONE
    assert said in capsys.readouterr().out
    assert opened[0].tune_s == 0.0


class Recording(SimulatedDevice):
    """Remembers what it was asked to tune."""

    def search_tiles(self, graph: Any, pairs: Any, progress: Any = None) -> TileReport:
        self.asked = (graph.network, pairs)
        progress(1, 1, "a layer")
        return TileReport(searched=1)


def test_the_device_is_asked_for_pairs_of_equal_widths() -> None:
    device = Recording(ProtocolConfig())
    report = choose_tiles(device, digits_like(), (2, 8), lambda *_: None, equal_bits=True)
    assert report.searched == 1
    assert device.asked == ("digits-like", bit_pairs(digits_like(), (2, 8), equal_bits=True))


def test_the_runtime_bench_searches_only_what_it_times(
    network: QuantizedNetwork, tmp_path: Path
) -> None:
    mixed = Allocation.uniform(network.layers, 3)
    config = TargetConfig(
        kernel_cache=str(tmp_path / "kernels"), tile_choices=str(tmp_path / "tiles")
    )
    seen: list[str] = []
    without = tune_bitalloc(network, mixed, replace(config, tune_s=0.0), lambda *_: None)
    assert without.searched == 0
    assert not (tmp_path / "tiles").exists()
    report = tune_bitalloc(
        network, mixed, replace(config, tune_s=6.0), lambda *what: seen.append(what[2])
    )
    assert len(seen) == report.searched >= 1  # how many, the hour decides


def test_reports_of_several_networks_add_up() -> None:
    whole = TileReport.of(
        [
            TileReport(searched=1, changed=1, seconds=2.0, limit_s=9.0),
            TileReport(searched=2, known=3, left=4, failed=("a",), seconds=1.0, limit_s=9.0),
        ]
    )
    assert whole == TileReport(
        searched=3, changed=1, known=3, left=4, failed=("a",), seconds=3.0, limit_s=9.0
    )
