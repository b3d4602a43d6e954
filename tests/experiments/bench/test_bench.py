import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from env.testing import tied_layers
from experiments.bench import command as bench
from experiments.bench.allocations import random_allocations
from experiments.bench.network import load_bench_network
from experiments.bench.turnaround import Turnaround, draw_turnaround
from experiments.settings.run_config import RunConfig
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from experiments.terminal.progress import LiveProgress
from hardware.kernels.compiling.compile_pool import CompileReport
from quant.convert import convert
from quant.records.json_form import to_plain


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
    assert len(document["predictions"]) == 20
    # The simulated noise is half a percent: every prediction of its own formula is right.
    assert document["right"] == 20
    assert document["table"]["overhead_us"] > 0
    shown = capsys.readouterr().out
    assert "everything else" in shown
    assert "20 of 20" in " ".join(shown.split())


@pytest.mark.slow
def test_both_ways_of_rounding_are_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rounding.json"
    flags = ["--env.finetune.steps", "3", "--env.bit-choices", "2", "4", "--quiet"]
    assert bench.main(["rounding", "--json", str(file), *flags]) == DONE
    rows = json.loads(file.read_text())["rows"]
    assert [(row["bits"], row["steps"], row["compensation_images"]) for row in rows] == [
        (bits, steps, images) for bits in (2, 4) for steps in (0, 3) for images in (0, 256)
    ]
    nearest, compensated = (row["score"]["loss"] for row in rows[:2])
    assert compensated < 0.5 * nearest  # 2 bits, as they are
    assert "compensated" in capsys.readouterr().out


def test_a_wrong_flag_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["table", "--target.runnr", "local"]) == USER_MISTAKE
    assert "unknown key target.runnr" in capsys.readouterr().err


def test_turnaround_reports_medians_of_the_whole_way() -> None:
    turnaround = Turnaround(
        network="digits",
        device="test",
        convert_s=(0.01, 0.02, 0.03),
        build_s=(0.01, 0.01, 0.04),
        link_s=(0.10, 0.12, 0.30),
        load_s=(0.01, 0.01, 0.02),
        kernels=CompileReport(kernels=9, compiled=7, processes=2, wall_s=4.0, cpu_s=6.5),
        first_kernels_s=5.0,
        ordinary_export_s=(1.0,),
        ordinary_import_s=(0.5,),
        ordinary_build_s=(2.0,),
    )
    document = to_plain(turnaround)
    assert document["median_s"] == pytest.approx(0.03)
    assert document["file_median_s"] == pytest.approx(0.14)
    assert document["ordinary_median_s"] == pytest.approx(3.5)
    assert document["kernels"]["compiled"] == 7
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(draw_turnaround(turnaround))
    text = " ".join(console.export_text().replace("│", "").split())
    assert "allocation to program 0.0300 s" in text
    assert "allocation to one file 0.1400 s" in text
    assert "of 9 kernels, 7 were compiled, in 4.0 s by 2 processes (6.5 s of CPU time)" in text


@pytest.mark.slow
def test_a_never_seen_allocation_is_a_program_within_a_tenth_of_a_second(tmp_path: Path) -> None:
    file = tmp_path / "turnaround.json"
    assert bench.main(["turnaround", "--json", str(file), "--quiet"]) == DONE
    document = json.loads(file.read_text())
    assert len(document["convert_s"]) >= 20
    assert document["median_s"] <= 0.1
    assert document["median_s"] < document["ordinary_median_s"]


@pytest.mark.parametrize("command", ["turnaround", "table"])
def test_an_unknown_network_is_exit_code_2(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main([command, "--network", "resnet19"]) == USER_MISTAKE
    assert "resnet19" in capsys.readouterr().err


def test_a_well_known_network_comes_calibrated_with_its_image() -> None:
    with LiveProgress(quiet=True) as progress:
        subject = load_bench_network("resnet8", RunConfig(), progress)
    assert subject.name == "resnet8"
    assert subject.example.shape == (1, 3, 32, 32)
    (allocation,) = random_allocations(subject.network.layers, 1, 0)
    subject.network.set_allocation(allocation)
    assert len(convert(subject.network).layer_ops()) == len(subject.network.layers)
