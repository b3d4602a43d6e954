import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from env.testing import tied_layers
from experiments import bench
from experiments.exit_codes import DONE, USER_MISTAKE
from experiments.turnaround import Turnaround, draw_turnaround, random_allocations


def test_random_allocations_differ_and_fit_a_network_with_tied_tensors() -> None:
    layers = tied_layers()
    found = random_allocations(layers, 50, seed=1)
    assert len(set(found)) == 50
    for allocation in found:
        allocation.check(layers)
    assert found == random_allocations(layers, 50, seed=1)
    assert found != random_allocations(layers, 50, seed=2)


def test_the_table_is_checked_against_measurements(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "table.json"
    flags = ["--target.runner", "simulated", "--quiet"]
    assert bench.main(["table", "--json", str(file), *flags]) == DONE
    document = json.loads(file.read_text())
    assert len(document["predictions"]) == 10
    # The simulated noise is half a percent: every prediction of its own formula is right.
    assert document["right"] == 10
    assert document["table"]["overhead_us"] > 0
    shown = capsys.readouterr().out
    assert "everything else" in shown
    assert "10 of 10" in " ".join(shown.split())


def test_a_wrong_flag_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["table", "--target.runnr", "local"]) == USER_MISTAKE
    assert "unknown key target.runnr" in capsys.readouterr().err


def test_turnaround_reports_medians_of_the_whole_way() -> None:
    turnaround = Turnaround(
        network="digits",
        device="test",
        convert_s=(0.01, 0.02, 0.03),
        build_s=(0.01, 0.01, 0.04),
        first_kernels_s=5.0,
        ordinary_export_s=(1.0,),
        ordinary_import_s=(0.5,),
        ordinary_build_s=(2.0,),
    )
    document = turnaround.to_dict()
    assert document["median_s"] == pytest.approx(0.03)
    assert document["ordinary_median_s"] == pytest.approx(3.5)
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(draw_turnaround(turnaround))
    assert "0.0300 s" in console.export_text()


@pytest.mark.slow
def test_a_never_seen_allocation_is_a_program_within_a_tenth_of_a_second(tmp_path: Path) -> None:
    file = tmp_path / "turnaround.json"
    assert bench.main(["turnaround", "--json", str(file), "--quiet"]) == DONE
    document = json.loads(file.read_text())
    assert len(document["convert_s"]) >= 20
    assert document["median_s"] <= 0.1
    assert document["median_s"] < document["ordinary_median_s"]
