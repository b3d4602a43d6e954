"""A machine that is slower once the budget is set: nobody's mistake, and the search counts."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from experiments import evaluate as evaluate_module
from experiments import run as run_module
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from hardware.device import MeasureResult
from hardware.simulated import SimulatedDevice
from quant.deploy_graph import DeployGraph
from tests.experiments.run.test_run import SMALL

SLOWER = 1.5


@pytest.fixture
def slow_after_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first nine measurements, which make the budget, are fast: three programs, three times."""
    true_measure, count = SimulatedDevice.measure, 0

    def measure(self: SimulatedDevice, graph: DeployGraph) -> MeasureResult:
        nonlocal count
        count += 1
        result = true_measure(self, graph)
        if count <= 9 or result.measurement is None:
            return result
        values = tuple(SLOWER * value for value in result.measurement.values_ms)
        return replace(result, measurement=replace(result.measurement, values_ms=values))

    monkeypatch.setattr(SimulatedDevice, "measure", measure)


@pytest.mark.usefixtures("slow_after_the_budget")
def test_a_budget_that_is_a_share_is_one_of_what_is_timed_beside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    arguments = ["--config", str(tmp_path / "small.yaml"), "--output", str(tmp_path / "runs")]
    assert run_module.main(arguments) == DONE
    assert "the budget beside the chosen allocation is latency <=" in capsys.readouterr().out
    run = tmp_path / "runs" / "latest"
    results = json.loads((run / "results.json").read_text())
    then, now = results["budget"]["latency_ms"], results["budget_beside"]["latency_ms"]
    assert now == pytest.approx(SLOWER * then, rel=0.03)
    assert results["rows"][-1]["inside_budget"]
    assert then < results["rows"][-1]["latency_ms"] <= 1.02 * now
    assert evaluate_module.main([str(run)]) == DONE
    assert json.loads((run / "evaluate.json").read_text())["rows"][-1]["inside_budget"]


@pytest.mark.usefixtures("slow_after_the_budget")
def test_a_budget_in_milliseconds_stays_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    arguments = ["--config", str(tmp_path / "small.yaml"), "--output", str(tmp_path / "runs")]
    limit = ["--budget.latency-ms", "0.08", "--method", "uniform"]  # two bits take 0.069 ms
    assert run_module.main([*arguments, *limit]) == USER_MISTAKE
    assert "no evaluated allocation is inside the budget" in capsys.readouterr().err
